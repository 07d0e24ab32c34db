//! What a task computes for a batch, and means of it.

use super::Logs;
use crate::array::Array;
use crate::error::Site;
use crate::graph::TensorType;
use crate::nn::Module;
use crate::ops::classification::CrossEntropyOptions;
use crate::tensor::{Tensor, Trace};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// What a task computes for a batch.
#[non_exhaustive]
pub struct Outcome {
    /// The mean loss of the batch's samples, `[]`.
    pub loss: Tensor,
    /// How many predictions are right, f32 `[]`, where that means something.
    pub correct: Option<Tensor>,
    /// Of how many, f32 `[]`; by default the samples of the batch. Where it is not said, the loss may know over how many it
    /// is a mean: losses of this library do, cross entropy leaves ignored labels out.
    pub counted: Option<Tensor>,
    /// What [`Trainer::predict`](super::Trainer::predict) and `compute_metrics` get, `[n, ...]`.
    pub predictions: Option<Tensor>,
    /// What the predictions should be, `[n, ...]`.
    pub label_ids: Option<Tensor>,
}

impl Outcome {
    /// The mean loss of the batch's samples, `[]`.
    pub fn new(loss: Tensor) -> Self {
        Self {
            loss,
            correct: None,
            counted: None,
            predictions: None,
            label_ids: None,
        }
    }

    /// With the number of predictions that are right, f32 `[]`: `accuracy` is then measured, over samples.
    pub fn correct(mut self, correct: Tensor) -> Self {
        self.correct = Some(correct);
        self
    }

    /// With the number of predictions, f32 `[]`, where a sample has several: `accuracy` is then over those, and so is the
    /// mean of the loss. Where gradients are accumulated, batches are weighted by it.
    pub fn counted(mut self, counted: Tensor) -> Self {
        self.counted = Some(counted);
        self
    }

    /// With predictions `[n, ...]`.
    pub fn predictions(mut self, predictions: Tensor) -> Self {
        self.predictions = Some(predictions);
        self
    }

    /// With what they should be, `[n, ...]`.
    pub fn label_ids(mut self, label_ids: Tensor) -> Self {
        self.label_ids = Some(label_ids);
        self
    }
}

/// Which outputs a function has after the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub norm: bool,
    pub correct: bool,
    pub counted: bool,
    /// Over how many items the loss is a mean, where `counted` does not say it.
    pub items: bool,
    pub predictions: bool,
    pub label_ids: bool,
    /// How many gradients.
    pub gradients: usize,
}

/// What a run of a function gave.
#[derive(Default)]
pub(super) struct Values {
    pub loss: f64,
    pub norm: Option<f64>,
    pub correct: Option<f64>,
    pub counted: Option<f64>,
    pub items: Option<f64>,
    pub predictions: Option<Array>,
    pub label_ids: Option<Array>,
    pub gradients: Vec<Array>,
}

/// Write what a function that is traced returns.
pub(super) fn note(layout: &Mutex<Layout>, of: Layout) {
    *layout.lock().unwrap_or_else(PoisonError::into_inner) = of;
}

/// What a closure that traces has written last.
pub(super) fn lock_layout(layout: &Mutex<Layout>) -> Layout {
    *layout.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Layout {
    /// Take `values` apart.
    pub fn read(&self, values: Vec<Array>) -> Values {
        let mut values = values.into_iter();
        let loss = values.next().map_or(f64::NAN, |v| f64::from(v.item()));
        let mut next = |there: bool| if there { values.next() } else { None };
        let number = |v: Option<Array>| v.map(|v| f64::from(v.item()));
        Values {
            loss,
            norm: number(next(self.norm)),
            correct: number(next(self.correct)),
            counted: number(next(self.counted)),
            items: number(next(self.items)),
            predictions: next(self.predictions),
            label_ids: next(self.label_ids),
            gradients: values.take(self.gradients).collect(),
        }
    }
}

/// Sums over batches.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub samples: usize,
    pub batches: u64,
    /// Samples, or predictions where a sample has several.
    count: f64,
    /// What the losses were means over; as `count` where a checkpoint of before does not say it.
    #[serde(default)]
    items: Option<f64>,
    loss: f64,
    correct: f64,
    counted: bool,
}

impl Sums {
    pub fn add(&mut self, samples: usize, values: &Values) {
        let count = values.counted.unwrap_or(samples as f64);
        let items = values.items.unwrap_or(count);
        self.items = Some(self.items.unwrap_or(self.count) + items);
        self.samples += samples;
        self.batches += 1;
        self.count += count;
        // A mean over nothing is no number.
        self.loss += if items == 0.0 {
            0.0
        } else {
            values.loss * items
        };
        self.correct += values.correct.unwrap_or(0.0);
        self.counted |= values.correct.is_some();
    }

    pub fn loss(&self) -> f64 {
        self.loss / self.items.unwrap_or(self.count)
    }

    /// Where it is counted.
    pub fn accuracy(&self) -> Option<f64> {
        self.counted.then(|| self.correct / self.count)
    }

    /// `loss`, and `accuracy` where it is counted.
    pub fn means(&self) -> Logs {
        let mut logs = Logs::from([("loss", self.loss())]);
        if let Some(accuracy) = self.accuracy() {
            logs.set("accuracy", accuracy);
        }
        logs
    }
}

/// The task of [`Trainer::classifier`].
pub(super) fn classify(
    model: &dyn Module,
    g: &Trace,
    batch: &[Tensor],
    label_smoothing: f32,
    site: Site,
) -> Outcome {
    let [x, labels, ..] = batch else {
        let n = batch.len();
        let message = format!("takes batches of inputs and labels, {n} arrays came");
        return Outcome::new(g.misuse("classifier", message, site));
    };
    let logits = model.forward(x);
    let options = CrossEntropyOptions {
        label_smoothing,
        ..Default::default()
    };
    let loss = logits.cross_entropy_with(labels, &options); // before the hits: its messages say more
    let hits = logits.argmax(-1, false).eq(labels);
    Outcome::new(loss)
        .correct(hits.to_f32().sum(&[], false))
        .predictions(logits)
        .label_ids(labels.clone())
}

/// Over how many items the loss is a mean, where only the run knows it and the task does not say it. (Those of a classifier
/// are its samples.)
pub(super) fn counted_items(
    counted: &Option<Tensor>,
    known: Option<(Tensor, bool)>,
) -> Option<Tensor> {
    let (items, computed) = known?;
    (computed && counted.is_none()).then_some(items)
}

/// The types of a batch.
pub(super) fn types_of(batch: &[Array]) -> Vec<TensorType> {
    TensorType::of_all(batch)
}

/// The samples of a batch.
pub(super) fn samples(batch: &[Array]) -> usize {
    let first = batch.first().and_then(|a| a.shape().first().copied());
    first.unwrap_or(0)
}
