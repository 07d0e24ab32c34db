//! How a training goes, in Hugging Face's names.

mod check;

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

/// The course of the learning rate after the warm-up, as Hugging Face's `SchedulerType` with its `lr_scheduler_kwargs`. Others:
/// [`Trainer::schedule`](super::Trainer::schedule), and for `reduce_lr_on_plateau`
/// [`Trainer::plateau`](super::Trainer::plateau).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerType {
    /// Stays what it is.
    Constant,
    /// The same, where a warm-up is set.
    ConstantWithWarmup,
    /// Falls to 0 in a line.
    Linear,
    /// Falls to 0 along half a cosine.
    Cosine,
    /// Falls to 0 along half a cosine, several times, as [`Schedule::cosine_with_restarts`].
    CosineWithRestarts {
        /// How often; 1 in Hugging Face.
        num_cycles: u64,
    },
    /// Falls along half a cosine to a share of the rate, as [`Schedule::cosine_with_min_lr`].
    CosineWithMinLr {
        /// The share, from 0 to 1.
        min_lr_rate: f64,
    },
    /// Falls along a power of what is left, as [`Schedule::polynomial_with_warmup`].
    Polynomial {
        /// The power; 1 in Hugging Face.
        power: f64,
        /// The last rate; 1e-7 in Hugging Face.
        lr_end: f64,
    },
    /// Falls as the root of the steps grows, as [`Schedule::inverse_sqrt`].
    InverseSqrt,
    /// Stays what it is, then falls along half a cosine, as [`Schedule::warmup_stable_decay`].
    WarmupStableDecay {
        /// Updates in which it falls.
        num_decay_steps: u64,
        /// The share of the rate that it falls to; 0 in Hugging Face.
        min_lr_ratio: f64,
    },
}

/// Which checkpoint a training goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// None: it begins anew.
    #[default]
    No,
    /// The newest one in `output_dir`, that of most updates; there must be one.
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
    /// Decay of AdamW's running mean of the gradient; 0.9 by default.
    pub adam_beta1: f64,
    /// Decay of AdamW's running mean of its square; 0.999 by default.
    pub adam_beta2: f64,
    /// What AdamW adds to the denominator; 1e-8 by default.
    pub adam_epsilon: f32,
    /// Share of the target that [`Trainer::classifier`](super::Trainer::classifier) spreads over all classes, also in
    /// evaluations; 0 by default.
    pub label_smoothing_factor: f32,
    /// Samples in a batch; 32 by default. The last batch of an epoch may be smaller, and so may the only one of a smaller data
    /// set.
    pub train_batch_size: usize,
    /// Samples in a batch of the evaluation; by default four times `train_batch_size`.
    pub eval_batch_size: Option<usize>,
    /// Passes over the training data, fractions allowed; 3 by default.
    pub num_train_epochs: f64,
    /// Train for this many updates in place of `num_train_epochs`, over the data again and again if need be. A pass that
    /// `should_epoch_stop` ends counts as a whole one.
    pub max_steps: Option<u64>,
    /// Batches whose gradients make an update; 1 by default. What is left at the end of an epoch makes one too.
    pub gradient_accumulation_steps: usize,
    /// Global norm that gradients are scaled down to; by default none. With it `grad_norm` is logged.
    pub max_grad_norm: Option<f32>,
    /// Course of the learning rate; constant by default.
    pub lr_scheduler_type: SchedulerType,
    /// Updates in which the learning rate rises from 0; none by default.
    pub warmup_steps: f64,
    /// When held-out data are evaluated; after each epoch by default. Where [`Trainer::fit`](super::Trainer::fit) gets none, after
    /// each epoch is never.
    pub eval_strategy: IntervalStrategy,
    /// Updates between evaluations, for [`IntervalStrategy::Steps`]; by default `logging_steps`.
    pub eval_steps: Option<f64>,
    /// Updates, or for [`IntervalStrategy::Epoch`] epochs, before which there is no evaluation; 0 by default.
    pub eval_delay: f64,
    /// Whether held-out data are evaluated before the first update too; false by default. That evaluation may be the best one; a
    /// plateau does not count it.
    pub eval_on_start: bool,
    /// When means are logged; every `logging_steps` by default.
    pub logging_strategy: IntervalStrategy,
    /// Updates between logs; a hundredth of the run by default.
    pub logging_steps: f64,
    /// Whether the first update is logged too; false by default.
    pub logging_first_step: bool,
    /// When checkpoints are written to `output_dir`; after each epoch by default.
    pub save_strategy: SaveStrategy,
    /// Updates between checkpoints, for [`SaveStrategy::Steps`]; 500 by default.
    pub save_steps: f64,
    /// Checkpoints that are kept, 1 or more; all by default. The best one is kept beside them.
    pub save_total_limit: Option<usize>,
    /// Whether the model is that of the best evaluation at the end, with the averages of its weights where such are kept; false by
    /// default. An evaluation that is the best so far then always has a checkpoint.
    pub load_best_model_at_end: bool,
    /// What says which evaluation is best: `eval_loss`, or `loss` for short; the loss by default.
    pub metric_for_best_model: Option<String>,
    /// Whether larger is better; by default so unless the metric's name ends in `loss`, `error`, `perplexity`, `mae` or
    /// `mse`.
    pub greater_is_better: Option<bool>,
    /// Seed of the order of the samples; 0 by default.
    pub seed: u64,
    /// Threads that make batches of the data sets while the device works, 0 for none; 1 by default. A
    /// [`DataLoader`](crate::data::DataLoader) has its own.
    pub dataloader_num_workers: usize,
    /// Batches that each of them makes ahead; 2 by default.
    pub dataloader_prefetch_factor: Option<usize>,
    /// Whether a last batch of the training that is smaller than the others is left out; false by default. Models that cannot
    /// train on so few samples need it, as [`BatchNorm1d`](crate::nn::BatchNorm1d) does where one is left. Evaluations cover all
    /// samples.
    pub dataloader_drop_last: bool,
    /// Whether data sets that are arrays in memory ([`Dataset::resident`](crate::data::Dataset::resident)) are put on the device
    /// for the time of a training, whose steps then upload the indices of their samples alone, with the same results. By
    /// default they are on a hardware GPU, where they take no more than 512 MiB and a quarter of the memory limit; true is an
    /// error where they cannot be.
    pub data_on_device: Option<bool>,
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
            adam_beta1: BETAS.0,
            adam_beta2: BETAS.1,
            adam_epsilon: EPSILON,
            label_smoothing_factor: 0.0,
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
            eval_delay: 0.0,
            eval_on_start: false,
            logging_strategy: IntervalStrategy::Steps,
            logging_steps: 0.01,
            logging_first_step: false,
            save_strategy: SaveStrategy::Epoch,
            save_steps: 500.0,
            save_total_limit: None,
            load_best_model_at_end: false,
            metric_for_best_model: None,
            greater_is_better: None,
            seed: 0,
            dataloader_num_workers: 1,
            dataloader_prefetch_factor: None,
            dataloader_drop_last: false,
            data_on_device: None,
            resume_from_checkpoint: Resume::No,
            progress: Progress::Auto,
        }
    }
}

/// The default of [`TrainingArguments::learning_rate`].
pub(super) const LEARNING_RATE: f64 = 1e-3;
/// The defaults of AdamW.
const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f32 = 1e-8;

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

impl Intervals {
    /// Passes over the data, the last of which may be in part.
    pub fn passes(&self) -> u64 {
        self.max_steps.div_ceil(self.updates_per_epoch)
    }
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
            return Err(Error::argument(format!(
                "warmup_steps {warmup} of {max_steps} steps in all: takes fewer"
            )));
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
        let schedule = match self.lr_scheduler_type {
            SchedulerType::Constant if warmup == 0 => return Ok(None),
            SchedulerType::Constant | SchedulerType::ConstantWithWarmup => {
                Schedule::constant_with_warmup(warmup)
            }
            SchedulerType::Linear => Schedule::linear_with_warmup(warmup, max_steps),
            SchedulerType::Cosine => Schedule::cosine_with_warmup(warmup, max_steps),
            SchedulerType::CosineWithRestarts { num_cycles } => {
                Schedule::cosine_with_restarts(warmup, max_steps, num_cycles)
            }
            SchedulerType::CosineWithMinLr { min_lr_rate } => {
                Schedule::cosine_with_min_lr(warmup, max_steps, min_lr_rate)
            }
            SchedulerType::Polynomial { power, lr_end } => {
                Schedule::polynomial_with_warmup(warmup, max_steps, power, lr_end)
            }
            SchedulerType::InverseSqrt => Ok(Schedule::inverse_sqrt(warmup)),
            SchedulerType::WarmupStableDecay {
                num_decay_steps,
                min_lr_ratio,
            } => Schedule::warmup_stable_decay(warmup, num_decay_steps, max_steps, min_lr_ratio),
        };
        schedule.map(Some)
    }
}

/// The number of steps that `x` stands for in a run of `max_steps`.
fn resolved(x: f64, max_steps: u64) -> u64 {
    match x < 1.0 {
        true => (x * max_steps as f64).ceil() as u64,
        false => x as u64,
    }
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
