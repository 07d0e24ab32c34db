//! Evaluation and prediction.

use super::metrics::{EvalPrediction, join};
use super::on_device::Feed;
use super::task::{Sums, Values, lock_layout, samples, types_of};
use super::trainer::{Pace, Source, Trainer};
use super::{Logs, SaveStrategy};
use crate::array::Array;
use crate::data::{DataLoader, DataLoaderOptions};
use crate::error::{Error, Result};
use std::time::Instant;

/// What [`Trainer::predict`] returns, as Hugging Face's `PredictionOutput`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PredictionOutput {
    /// The task's predictions of all samples in their order, `[n, ...]`.
    pub predictions: Array,
    /// What they should be, where the task says it.
    pub label_ids: Option<Array>,
    /// As [`Trainer::evaluate`], with `test_` in front.
    pub metrics: Logs,
}

/// What an evaluation gave.
pub(super) struct Evaluated {
    pub metrics: Logs,
    pub predictions: Option<Array>,
    pub labels: Option<Array>,
}

impl Trainer<'_> {
    /// Metrics over `data`: `eval_loss`, `eval_accuracy` for tasks that count it, what `compute_metrics` gives,
    /// `eval_runtime` (seconds), `eval_samples_per_second`, `eval_steps_per_second`.
    ///
    /// # Errors
    /// Data that do not fit; what `compute_metrics` returns; the device's failures.
    pub fn evaluate(&mut self, data: impl Source) -> Result<Logs> {
        let loader = self.eval_loader(data)?;
        let loader = loader.ok_or_else(|| Error::argument("no data to evaluate on"))?;
        Ok(self
            .evaluate_loader(&loader, &Feed::default(), "eval_")?
            .metrics)
    }

    /// The task's predictions of `data`, and metrics over it.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`]; a task without predictions.
    pub fn predict(&mut self, data: impl Source) -> Result<PredictionOutput> {
        let loader = self.eval_loader(data)?;
        let loader = loader.ok_or_else(|| Error::argument("no data to predict"))?;
        let evaluated = self.evaluate_with(&loader, &Feed::default(), "test_", true, usize::MAX)?;
        self.emit(|c, e| c.on_predict(e, &evaluated.metrics))?;
        Ok(PredictionOutput {
            predictions: evaluated.predictions.ok_or_else(no_predictions)?,
            label_ids: evaluated.labels,
            metrics: evaluated.metrics,
        })
    }

    /// The task's predictions and labels of the first `most` batches, if it has both.
    pub(super) fn predicted(
        &mut self,
        loader: &DataLoader,
        most: usize,
    ) -> Result<Option<EvalPrediction>> {
        let metrics = self.compute_metrics.take();
        let evaluated = self.evaluate_with(loader, &Feed::default(), "", true, most);
        self.compute_metrics = metrics;
        let Evaluated {
            predictions,
            labels,
            ..
        } = evaluated?;
        let both = predictions.zip(labels);
        Ok(both.map(|(predictions, labels)| EvalPrediction {
            predictions,
            labels,
        }))
    }

    pub(super) fn eval_loader(&self, data: impl Source) -> Result<Option<DataLoader>> {
        data.loader(self.eval_options())
    }

    /// How data sets are cut for an evaluation.
    pub(super) fn eval_options(&self) -> DataLoaderOptions {
        let wanted = self.args.eval_batch_size;
        DataLoaderOptions {
            batch_size: wanted.unwrap_or(4 * self.args.train_batch_size),
            ..self.workers()
        }
    }

    pub(super) fn evaluate_loader(
        &mut self,
        loader: &DataLoader,
        feed: &Feed,
        prefix: &str,
    ) -> Result<Evaluated> {
        let predicts = self.compute_metrics.is_some();
        self.evaluate_with(loader, feed, prefix, predicts, usize::MAX)
    }

    fn evaluate_with(
        &mut self,
        loader: &DataLoader,
        feed: &Feed,
        prefix: &str,
        predicts: bool,
        most: usize,
    ) -> Result<Evaluated> {
        let started = Instant::now();
        let mut sums = Sums::default();
        let (mut predictions, mut labels) = (Vec::new(), Vec::new());
        // Looking at the predictions of a few batches is no evaluation.
        let events = !prefix.is_empty() && most == usize::MAX;
        self.batches(loader, feed, predicts, (most, events), |n, values| {
            sums.add(n, &values);
            predictions.extend(values.predictions);
            labels.extend(values.label_ids);
        })?;
        let mut metrics = sums.means();
        let joined = |arrays: &[Array], what| match arrays {
            [] => Ok(None),
            some => join(&some.iter().collect::<Vec<_>>(), what).map(Some),
        };
        let (mut predictions, mut labels) = (
            joined(&predictions, "predictions")?,
            joined(&labels, "labels")?,
        );
        if let Some(compute) = &self.compute_metrics {
            let eval = EvalPrediction {
                predictions: predictions.ok_or_else(no_predictions)?,
                labels: labels.ok_or_else(no_labels)?,
            };
            metrics.extend(compute(&eval)?.into_iter().collect());
            (predictions, labels) = (Some(eval.predictions), Some(eval.labels));
        }
        let seconds = started.elapsed().as_secs_f64();
        metrics.extend(Logs::from([
            ("runtime", seconds),
            ("samples_per_second", sums.samples as f64 / seconds),
            ("steps_per_second", sums.batches as f64 / seconds),
        ]));
        Ok(Evaluated {
            metrics: metrics.prefixed(prefix),
            predictions,
            labels,
        })
    }

    /// Run the evaluation of each batch, the next one being submitted before the last one is read.
    fn batches(
        &mut self,
        loader: &DataLoader,
        feed: &Feed,
        predicts: bool,
        (most, events): (usize, bool),
        mut take: impl FnMut(usize, Values),
    ) -> Result<()> {
        let mut batches = loader.epoch(0).take(most);
        let mut next = batches.next().transpose()?;
        let first = types_of(next.as_deref().unwrap_or_default());
        let mut compiled = self.compile_eval(&first, predicts, feed)?;
        let mut run = || -> Result<()> {
            let mut in_flight = None;
            loop {
                let mut submitted = None;
                if let Some(batch) = &next {
                    let inputs: Vec<&Array> = batch.iter().collect();
                    let pending = self.session.submit(&mut compiled.function, &inputs)?;
                    submitted = Some((samples(batch), pending));
                }
                let ended = submitted.is_none();
                if let Some((n, pending)) = std::mem::replace(&mut in_flight, submitted) {
                    let values = self.session.read(pending)?;
                    take(n, lock_layout(&compiled.layout).read(values));
                    if events {
                        self.emit(|c, e| c.on_prediction_step(e))?;
                    }
                }
                if ended {
                    return Ok(());
                }
                next = batches.next().transpose()?;
            }
        };
        let result = run();
        self.eval[feed.slot(predicts)] = Some(compiled);
        result
    }

    /// Check that evaluations will have the metrics that are looked at, on one batch.
    pub(super) fn check_metrics(&mut self, valid: &DataLoader, feed: &Feed) -> Result<()> {
        let mut wanted: Vec<(String, String)> = Vec::new();
        let best = self.args.metric_for_best_model.is_some();
        if best || self.args.load_best_model_at_end || self.args.save_strategy == SaveStrategy::Best
        {
            wanted.push(("metric_for_best_model".into(), self.args.best_metric()));
        }
        if let Pace::Plateau(_) = &self.pace {
            wanted.push(("the plateau".into(), self.plateau_metric()));
        }
        for callback in &self.callbacks {
            let metric = callback.monitors();
            wanted.extend(metric.map(|m| (callback.name().to_owned(), m)));
        }
        if wanted.iter().all(|(_, name)| name == "eval_loss") {
            return Ok(());
        }
        let predicts = self.compute_metrics.is_some();
        // What metrics say of one batch alone is no reason to stop.
        let known = match self.evaluate_with(valid, feed, "eval_", predicts, 1) {
            Ok(evaluated) => evaluated.metrics,
            Err(_) if predicts => return Ok(()),
            Err(error) => return Err(error),
        };
        match wanted.iter().find(|(_, name)| known.get(name).is_none()) {
            None => Ok(()),
            Some((who, name)) => Err(Error::argument(format!(
                "{who} looks at {name}, which evaluations do not have: there are {}",
                known.names()
            ))),
        }
    }
}

fn no_labels() -> Error {
    Error::argument("the task gives no labels: return them with Outcome::label_ids, [n, ...]")
}

fn no_predictions() -> Error {
    Error::argument(
        "the task gives no predictions: return them with Outcome::predictions, [n, ...]",
    )
}
