//! The end of a training that no longer gets better.

use super::super::callback::{Callback, Event};
use super::super::{Logs, TrainingArguments};
use super::{Monitor, averages_of, free_name};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::weights::{self, Reader};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The best weights, in a checkpoint: the name without its ending.
const WEIGHTS: &str = "early_stopping";

/// Ends the training when a metric of evaluations has not become better for a while, as Keras's `EarlyStopping`, counted
/// by evaluations. A training that it has ended stays ended where it goes on from the last checkpoint; with a larger patience it
/// goes on.
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    min_delta: f64,
    baseline: Option<f64>,
    start_from: usize,
    restore_best_weights: bool,
    seen: Counts,
    weights: Vec<(String, Array)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counts {
    evaluations: usize,
    waited: usize,
    best: Option<f64>,
    /// Whether it has ended the training.
    #[serde(default)]
    ended: bool,
    /// The file of the best weights, in a checkpoint.
    #[serde(default)]
    weights: Option<String>,
}

impl EarlyStopping {
    /// One that looks at `eval_loss`: `patience` evaluations in a row that are no better end the training. 0 is as 1.
    pub fn new(patience: usize) -> Self {
        Self {
            monitor: Monitor::new("loss"),
            patience,
            min_delta: 0.0,
            baseline: None,
            start_from: 0,
            restore_best_weights: false,
            seen: Counts::default(),
            weights: Vec::new(),
        }
    }

    /// With another metric: `accuracy`, `eval_f1`. Larger values are better unless its name ends in `loss`, `error`,
    /// `perplexity`, `mae` or `mse`.
    pub fn monitor(mut self, metric: &str) -> Self {
        self.monitor = Monitor::new(metric);
        self
    }

    /// With larger or smaller values being better, whatever the metric's name.
    pub fn greater_is_better(mut self, larger: bool) -> Self {
        self.monitor.larger = larger;
        self
    }

    /// A value counts as better only by more than this; 0 by default.
    pub fn min_delta(mut self, delta: f64) -> Self {
        self.min_delta = delta;
        self
    }

    /// Evaluations that are no better than this count towards the patience even where they are the best so far; by
    /// default there is none.
    pub fn baseline(mut self, value: f64) -> Self {
        self.baseline = Some(value);
        self
    }

    /// Evaluations at the start that are passed over; 0 by default.
    pub fn start_from(mut self, evaluations: usize) -> Self {
        self.start_from = evaluations;
        self
    }

    /// Whether the model has the weights of the best evaluation at the end, and where averages of them are kept those of then;
    /// false by default.
    pub fn restore_best_weights(mut self, restore: bool) -> Self {
        self.restore_best_weights = restore;
        self
    }
}

impl Callback for EarlyStopping {
    fn name(&self) -> &'static str {
        "early_stopping"
    }

    fn monitors(&self) -> Option<String> {
        Some(self.monitor.name.clone())
    }

    fn check(&self, args: &TrainingArguments) -> Result<()> {
        if self.min_delta.is_nan() || self.min_delta < 0.0 {
            let delta = self.min_delta;
            return Err(Error::argument(format!(
                "EarlyStopping: min_delta {delta}: takes 0 or more"
            )));
        }
        if self.restore_best_weights && args.load_best_model_at_end {
            return Err(Error::argument(
                "EarlyStopping with restore_best_weights, and load_best_model_at_end: set one of them",
            ));
        }
        self.monitor.check("EarlyStopping", args)
    }

    fn reset(&mut self) {
        (self.seen, self.weights) = (Counts::default(), Vec::new());
    }

    fn on_train_begin(&mut self, event: &mut Event) -> Result<()> {
        self.seen.ended &= self.seen.waited >= self.patience;
        event.control.should_training_stop |= self.seen.ended;
        Ok(())
    }

    fn on_evaluate(&mut self, event: &mut Event, metrics: &Logs) -> Result<()> {
        let seen = &mut self.seen;
        seen.evaluations += 1;
        if seen.evaluations <= self.start_from {
            return Ok(());
        }
        let value = metrics.get(&self.monitor.name).unwrap_or(f64::NAN);
        seen.waited += 1;
        if !self.monitor.better(value, seen.best, self.min_delta) {
            seen.ended |= seen.waited >= self.patience;
            event.control.should_training_stop |= seen.ended;
            return Ok(());
        }
        seen.best = Some(value);
        // What is better than before, but not than the baseline, still counts as waiting.
        let above = |baseline| self.monitor.better(value, Some(baseline), self.min_delta);
        if self.baseline.is_none_or(above) {
            seen.waited = 0;
        }
        if self.restore_best_weights {
            let mut states = event.session.params().root().list();
            states.extend(averages_of(event.session));
            let values = event.session.get_all(&states)?;
            let names = states.iter().map(|s| s.path.to_string());
            self.weights = names.zip(values).collect();
        }
        Ok(())
    }

    fn restore_weights(&mut self, event: &mut Event) -> Result<bool> {
        for (path, value) in &self.weights {
            // A parameter that was frozen since has no average any more.
            if event.session.params().get(path).is_some() {
                event.session.set(path, value)?;
            }
        }
        Ok(!self.weights.is_empty())
    }

    fn state(&mut self, folder: &Path) -> Result<Option<serde_json::Value>> {
        self.seen.weights = None;
        if !self.weights.is_empty() {
            let name = free_name(folder, WEIGHTS);
            weights::write(folder.join(&name), &self.weights, &BTreeMap::new())?;
            self.seen.weights = Some(name);
        }
        Ok(serde_json::to_value(&self.seen).ok())
    }

    fn load_state(&mut self, state: &serde_json::Value, folder: &Path) -> Result<()> {
        self.seen = Counts::deserialize(state)
            .map_err(|e| Error::file(folder, None, format!("early_stopping: {e}")))?;
        if !self.restore_best_weights {
            return Ok(());
        }
        self.weights = match (&self.seen.weights, self.seen.best) {
            (Some(name), _) => Reader::open(folder.join(name))?.read_all()?,
            (None, None) => Vec::new(),
            (None, Some(_)) => {
                let message = "early_stopping with restore_best_weights: this checkpoint was made without it, so that the weights of \
                               the best evaluation are not in it";
                return Err(Error::file(folder, None, message.to_owned()));
            }
        };
        Ok(())
    }
}
