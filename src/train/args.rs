//! How a training goes, in Hugging Face's names.

use super::Progress;
use crate::error::{Error, Result};
use crate::optim::Schedule;
use serde::Serialize;
use std::path::PathBuf;

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalStrategy {
    /// Never.
    No,
    /// Every so many updates.
    Steps,
    /// At the end of each epoch.
    Epoch,
}

/// When checkpoints are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SaveStrategy {
    /// Never.
    No,
    /// Every `save_steps` updates, and after the last one.
    Steps,
    /// At the end of each epoch.
    Epoch,
    /// When an evaluation is the best so far.
    Best,
}

/// The course of the learning rate, as Hugging Face's `SchedulerType`. Others: [`Trainer::schedule`](super::Trainer::schedule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerType {
    /// Stays what it is after the warm-up.
    Constant,
    /// Falls to 0 in a line.
    Linear,
    /// Falls to 0 along half a cosine.
    Cosine,
}

/// Which checkpoint a training goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// None: it begins anew.
    #[default]
    No,
    /// The newest one in `output_dir`, which must have one.
    Latest,
    /// The newest one in `output_dir`, where there is one: the same call begins and goes on.
    LatestIfAny,
    /// This one.
    From(PathBuf),
}

/// How [`Trainer::fit`](super::Trainer::fit) trains: the names of Hugging Face's `TrainingArguments`, with the defaults of
/// PyTorch and Keras where those are made for fine-tuning. Steps are updates of the weights. Numbers of steps below 1 are
/// parts of the whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingArguments {
    /// Where checkpoints, the model, the history, curves and report are written; by default nowhere. It is made where it
    /// does not exist.
    pub output_dir: Option<PathBuf>,
    /// Whether checkpoints that are in `output_dir` already are removed; by default they are in the way.
    pub overwrite_output_dir: bool,
    /// Learning rate of AdamW; 1e-3 by default. Another optimizer ([`Trainer::optimizer`](super::Trainer::optimizer)) has
    /// its own.
    pub learning_rate: f64,
    /// Weight decay of AdamW; 0 by default.
    pub weight_decay: f32,
    /// Samples in a batch; 32 by default. The last batch of an epoch may be smaller.
    pub train_batch_size: usize,
    /// Samples in a batch of the evaluation; by default four times `train_batch_size`.
    pub eval_batch_size: Option<usize>,
    /// Passes over the training data, fractions allowed; 3 by default.
    pub num_train_epochs: f64,
    /// Train for this many updates in place of `num_train_epochs`, over the data again and again if need be.
    pub max_steps: Option<u64>,
    /// Batches whose gradients make an update; 1 by default. What is left at the end of an epoch makes one too.
    pub gradient_accumulation_steps: usize,
    /// Global norm that gradients are scaled down to; by default none. With it `grad_norm` is logged.
    pub max_grad_norm: Option<f32>,
    /// Course of the learning rate; constant by default.
    pub lr_scheduler_type: SchedulerType,
    /// Updates in which the learning rate rises from 0; none by default.
    pub warmup_steps: f64,
    /// When held-out data are evaluated; after each epoch by default.
    pub eval_strategy: IntervalStrategy,
    /// Updates between evaluations, for [`IntervalStrategy::Steps`]; by default `logging_steps`.
    pub eval_steps: Option<f64>,
    /// When means are logged; every `logging_steps` by default.
    pub logging_strategy: IntervalStrategy,
    /// Updates between logs; a hundredth of the run by default.
    pub logging_steps: f64,
    /// When checkpoints are written to `output_dir`; after each epoch by default.
    pub save_strategy: SaveStrategy,
    /// Updates between checkpoints, for [`SaveStrategy::Steps`]; 500 by default.
    pub save_steps: f64,
    /// Checkpoints that are kept, 1 or more; all by default. The best one is kept beside them.
    pub save_total_limit: Option<usize>,
    /// Whether the model is that of the best evaluation at the end; false by default.
    pub load_best_model_at_end: bool,
    /// What says which evaluation is best: `eval_loss`, or `loss` for short; the loss by default.
    pub metric_for_best_model: Option<String>,
    /// Whether larger is better; by default so unless the metric's name ends in `loss`, `error`, `perplexity`, `mae` or
    /// `mse`.
    pub greater_is_better: Option<bool>,
    /// Seed of the order of the samples; 0 by default.
    pub seed: u64,
    /// Which checkpoint to go on from; none by default.
    pub resume_from_checkpoint: Resume,
    /// What is shown meanwhile.
    pub progress: Progress,
}

impl Default for TrainingArguments {
    fn default() -> Self {
        Self {
            output_dir: None,
            overwrite_output_dir: false,
            learning_rate: LEARNING_RATE,
            weight_decay: 0.0,
            train_batch_size: 32,
            eval_batch_size: None,
            num_train_epochs: 3.0,
            max_steps: None,
            gradient_accumulation_steps: 1,
            max_grad_norm: None,
            lr_scheduler_type: SchedulerType::Constant,
            warmup_steps: 0.0,
            eval_strategy: IntervalStrategy::Epoch,
            eval_steps: None,
            logging_strategy: IntervalStrategy::Steps,
            logging_steps: 0.01,
            save_strategy: SaveStrategy::Epoch,
            save_steps: 500.0,
            save_total_limit: None,
            load_best_model_at_end: false,
            metric_for_best_model: None,
            greater_is_better: None,
            seed: 0,
            resume_from_checkpoint: Resume::No,
            progress: Progress::Auto,
        }
    }
}

/// The default of [`TrainingArguments::learning_rate`].
pub(super) const LEARNING_RATE: f64 = 1e-3;

/// Steps between events of a run whose length is known; `None` for events that steps do not bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Intervals {
    pub max_steps: u64,
    pub updates_per_epoch: u64,
    pub logging: Option<u64>,
    pub eval: Option<u64>,
    pub save: Option<u64>,
    pub warmup: u64,
}

fn refuse<T>(message: String) -> Result<T> {
    Err(Error::argument(message))
}

impl TrainingArguments {
    /// The metric that says which evaluation is best, with its `eval_`.
    pub fn best_metric(&self) -> String {
        eval_name(self.metric_for_best_model.as_deref().unwrap_or("loss"))
    }

    /// Whether larger values of [`TrainingArguments::best_metric`] are better.
    pub fn larger_is_better(&self) -> bool {
        self.greater_is_better
            .unwrap_or_else(|| larger_is_better(&self.best_metric()))
    }

    /// Check what does not depend on data.
    ///
    /// # Errors
    /// [`Error::Argument`] for numbers out of range and for combinations that cannot work, which it names.
    pub fn check(&self) -> Result<()> {
        let (epochs, warmup) = (self.num_train_epochs, self.warmup_steps);
        if self.max_steps.is_none() && !(epochs > 0.0 && epochs.is_finite()) {
            return refuse(format!("num_train_epochs {epochs}: takes more than 0"));
        }
        if self.max_steps == Some(0) {
            return refuse("max_steps 0: takes 1 or more".into());
        }
        for (name, x) in [
            ("train_batch_size", self.train_batch_size),
            ("eval_batch_size", self.eval_batch_size.unwrap_or(1)),
            ("save_total_limit", self.save_total_limit.unwrap_or(1)),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps,
            ),
        ] {
            if x == 0 {
                return refuse(format!("{name} 0: takes 1 or more"));
            }
        }
        if !(self.learning_rate >= 0.0 && self.learning_rate.is_finite()) {
            let rate = self.learning_rate;
            return refuse(format!("learning_rate {rate}: takes 0 or more"));
        }
        if let Some(norm) = self.max_grad_norm.filter(|n| n.is_nan() || *n <= 0.0) {
            return refuse(format!(
                "max_grad_norm {norm}: takes more than 0, or None for gradients as they are"
            ));
        }
        if warmup != 0.0 {
            interval("warmup_steps", warmup)?;
        }
        if self.logging_strategy == IntervalStrategy::Steps {
            interval("logging_steps", self.logging_steps)?;
        }
        if self.eval_strategy == IntervalStrategy::Steps {
            interval("eval_steps", self.eval_steps.unwrap_or(self.logging_steps))?;
        }
        if self.save_strategy == SaveStrategy::Steps {
            interval("save_steps", self.save_steps)?;
        }
        self.check_best()?;
        self.check_folder()
    }

    fn check_best(&self) -> Result<()> {
        let evaluates = self.eval_strategy != IntervalStrategy::No;
        if self.save_strategy == SaveStrategy::Best && !evaluates {
            return refuse("save_strategy Best needs evaluations: eval_strategy is No".into());
        }
        if !self.load_best_model_at_end {
            return Ok(());
        }
        if self.output_dir.is_none() {
            return refuse(
                "load_best_model_at_end needs checkpoints: set output_dir, or use EarlyStopping with \
                 restore_best_weights"
                    .into(),
            );
        }
        let matching = match (self.eval_strategy, self.save_strategy) {
            (IntervalStrategy::No, _) => {
                return refuse(
                    "load_best_model_at_end needs evaluations: eval_strategy is No".into(),
                );
            }
            (_, SaveStrategy::Best) => true,
            (IntervalStrategy::Epoch, save) => save == SaveStrategy::Epoch,
            (IntervalStrategy::Steps, save) => save == SaveStrategy::Steps,
        };
        if !matching {
            return refuse(format!(
                "load_best_model_at_end needs a checkpoint at each evaluation: eval_strategy is {:?}, save_strategy {:?}; \
                 set both the same, or save_strategy to Best",
                self.eval_strategy, self.save_strategy
            ));
        }
        if self.save_strategy == SaveStrategy::Steps {
            let eval = self.eval_steps.unwrap_or(self.logging_steps);
            let save = self.save_steps;
            if (eval < 1.0) != (save < 1.0) {
                return refuse(format!(
                    "load_best_model_at_end needs eval_steps and save_steps both as numbers of steps or both as parts of \
                     the run: they are {eval} and {save}"
                ));
            }
            let times = save / eval;
            if (times - times.round()).abs() > 1e-6 || times < 0.5 {
                return refuse(format!(
                    "load_best_model_at_end needs save_steps to be a multiple of eval_steps: {save} is none of {eval}"
                ));
            }
        }
        Ok(())
    }

    fn check_folder(&self) -> Result<()> {
        if self.output_dir.is_some() {
            return Ok(());
        }
        match self.resume_from_checkpoint {
            Resume::Latest | Resume::LatestIfAny => refuse(
                "resume_from_checkpoint looks for checkpoints in output_dir: set it, or name the checkpoint with \
                 Resume::From"
                    .into(),
            ),
            _ if self.save_total_limit.is_some() => {
                refuse("save_total_limit without output_dir: no checkpoint is written".into())
            }
            _ => Ok(()),
        }
    }

    /// Check what the optimizer has to do with these arguments.
    pub(super) fn check_optimizer(&self, rate_of_optimizer: f64) -> Result<()> {
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        if rate != LEARNING_RATE && rate != rate_of_optimizer {
            return refuse(format!(
                "learning_rate {rate} and an optimizer with the rate {rate_of_optimizer}: set it there alone"
            ));
        }
        if decay != 0.0 {
            return refuse(format!(
                "weight_decay {decay} and an optimizer: set the decay there alone"
            ));
        }
        Ok(())
    }

    /// Steps between events of a run over epochs of `batches` batches.
    pub(super) fn intervals(&self, batches: usize) -> Result<Intervals> {
        let updates_per_epoch = batches.div_ceil(self.gradient_accumulation_steps).max(1) as u64;
        let max_steps = self.max_steps.unwrap_or_else(|| {
            let steps = self.num_train_epochs * updates_per_epoch as f64;
            (steps.ceil() as u64).max(1)
        });
        let every = |on: bool, x: f64| on.then(|| resolved(x, max_steps).max(1));
        let warmup = match self.warmup_steps {
            0.0 => 0,
            x => resolved(x, max_steps),
        };
        if warmup >= max_steps {
            return refuse(format!(
                "warmup_steps {warmup} of {max_steps} steps in all: takes fewer"
            ));
        }
        let eval_steps = self.eval_steps.unwrap_or(self.logging_steps);
        let eval = every(self.eval_strategy == IntervalStrategy::Steps, eval_steps);
        let mut save = every(self.save_strategy == SaveStrategy::Steps, self.save_steps);
        if let (Some(save), Some(eval), true) = (&mut save, eval, self.load_best_model_at_end) {
            // Parts of the run are rounded up: a checkpoint still falls on an evaluation.
            *save = save.next_multiple_of(eval);
        }
        Ok(Intervals {
            max_steps,
            updates_per_epoch,
            logging: every(
                self.logging_strategy == IntervalStrategy::Steps,
                self.logging_steps,
            ),
            eval,
            save,
            warmup,
        })
    }

    /// The course of the learning rate over a run.
    pub(super) fn schedule(&self, run: &Intervals) -> Result<Option<Schedule>> {
        let (warmup, max_steps) = (run.warmup, run.max_steps);
        Ok(match (self.lr_scheduler_type, warmup) {
            (SchedulerType::Constant, 0) => None,
            (SchedulerType::Constant, _) => Some(Schedule::constant_with_warmup(warmup)?),
            (SchedulerType::Linear, _) => Some(Schedule::linear_with_warmup(warmup, max_steps)?),
            (SchedulerType::Cosine, _) => Some(Schedule::cosine_with_warmup(warmup, max_steps)?),
        })
    }
}

/// The number of steps that `x` stands for in a run of `max_steps`.
fn resolved(x: f64, max_steps: u64) -> u64 {
    match x < 1.0 {
        true => (x * max_steps as f64).ceil() as u64,
        false => x as u64,
    }
}

fn interval(name: &str, x: f64) -> Result<()> {
    if !(x > 0.0 && x.is_finite()) || (x > 1.0 && x.fract() != 0.0) {
        return refuse(format!(
            "{name} {x}: takes a whole number of steps, or a part of the run below 1"
        ));
    }
    Ok(())
}

/// A metric of the evaluation with its `eval_`: `loss`, `val_loss` and `eval_loss` are the same.
pub(super) fn eval_name(name: &str) -> String {
    let bare = name.strip_prefix("eval_").or(name.strip_prefix("val_"));
    format!("eval_{}", bare.unwrap_or(name))
}

/// Whether larger values of a metric of this name are better, as far as a name says.
pub(super) fn larger_is_better(name: &str) -> bool {
    let small = ["loss", "error", "perplexity", "mae", "mse", "rmse"];
    !small.iter().any(|end| name.ends_with(end))
}
