//! What happens in a training, for others to take part in.

use super::{Logs, Summary, TrainingArguments};
use crate::array::Array;
use crate::error::Result;
use crate::optim::MinimizeOptions;
use crate::session::Session;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a training is, as Hugging Face's `TrainerState`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    /// Updates so far.
    pub global_step: u64,
    /// Updates in all.
    pub max_steps: u64,
    /// Passes over the data so far, with the part of the one that runs.
    pub epoch: f64,
    /// Passes over the data in all.
    pub num_train_epochs: f64,
    /// Samples in a pass.
    pub train_samples: usize,
    /// Mean loss of the pass that runs, or of the last one.
    #[serde(default, with = "super::logs::number")]
    pub loss: f64,
    /// Accuracy of the same, where the task counts what is right.
    #[serde(default)]
    pub accuracy: Option<f64>,
    /// Samples a second in the pass that runs, or in the last one.
    #[serde(skip)]
    pub samples_per_second: f64,
    /// The best value of the metric that says which evaluation is best.
    pub best_metric: Option<f64>,
    /// Updates when it was measured.
    pub best_global_step: Option<u64>,
    /// The checkpoint of that evaluation.
    pub best_model_checkpoint: Option<PathBuf>,
    /// All that was logged, in its order.
    pub log_history: Vec<Logs>,
}

/// What callbacks ask of the training loop; each is carried out after the event and set back. Logs, evaluations and checkpoints that
/// are asked for within an update come after it, each of them once an update at most. What was asked for when a checkpoint is
/// written is a part of it, but for the end of the training: one that goes on from there does go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainerControl {
    /// End the training before the next batch. In the middle of a pass the events of its end come all the same, as in Hugging
    /// Face's trainer, and a checkpoint of then is one of the middle of the pass: a training that goes on from it is as if it had
    /// never ended there.
    pub should_training_stop: bool,
    /// End the epoch before the next batch. It counts as one of the passes; batches of an update that is not complete are
    /// dropped.
    pub should_epoch_stop: bool,
    /// Log the means so far.
    pub should_log: bool,
    /// Evaluate the held-out data.
    pub should_evaluate: bool,
    /// Write a checkpoint.
    pub should_save: bool,
}

/// What an event brings to a [`Callback`].
#[non_exhaustive]
pub struct Event<'e> {
    /// How the training goes.
    pub args: &'e TrainingArguments,
    /// Where it is.
    pub state: &'e TrainerState,
    /// What to do next.
    pub control: &'e mut TrainerControl,
    /// The model as a table.
    pub summary: Option<&'e Summary>,
    /// Whether evaluations use moving averages of the weights.
    pub averages: bool,
    /// The session, with the weights.
    pub session: &'e mut Session,
}

/// Takes part in a training, as Hugging Face's `TrainerCallback`, whose names its events have. Every method does nothing by
/// default; an error ends the training. Steps are submitted ahead of their results: [`Callback::on_step_end`] comes when a
/// step is on its way, [`Callback::on_loss`] when its loss is known, at the latest before logs, evaluations and checkpoints.
///
/// Gradients and update are one submission, so that nothing happens between them: in place of `on_pre_optimizer_step` there
/// is [`Callback::on_gradients`], `on_optimizer_step` is [`Callback::on_step_end`], and what `on_init_end` would do
/// [`Callback::check`] and [`Callback::configure`] do before the training.
#[allow(unused_variables, reason = "the names are the documentation")]
pub trait Callback: Send {
    /// Its name, under which checkpoints keep its state.
    fn name(&self) -> &'static str;

    /// Change what a step does, before the first.
    fn configure(&mut self, options: &mut MinimizeOptions) {}

    /// The metric of evaluations that it looks at: `eval_loss`. It is checked before the training.
    fn monitors(&self) -> Option<String> {
        None
    }

    /// What is wrong with its options or with these arguments, before anything is trained.
    ///
    /// # Errors
    /// What cannot work.
    fn check(&self, args: &TrainingArguments) -> Result<()> {
        Ok(())
    }

    /// A training begins: forget what was counted in one before. Where it goes on from a checkpoint, [`Callback::load_state`]
    /// follows.
    fn reset(&mut self) {}

    /// The training begins or goes on.
    fn on_train_begin(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// The training has ended: put weights of an earlier time in place of the last ones here, before anything looks at them, and
    /// say whether that was done.
    fn restore_weights(&mut self, event: &mut Event) -> Result<bool> {
        Ok(false)
    }

    /// Whether the model has the averages of its weights in their place at the end, those of the best evaluation where its
    /// weights are put back.
    fn swaps_averages(&self) -> bool {
        false
    }

    /// The training has ended and the weights are the final ones; the files of `output_dir` are not written yet.
    fn on_train_end(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// A pass over the data begins; not where a training goes on in the middle of one.
    fn on_epoch_begin(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// A pass over the data has ended.
    fn on_epoch_end(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// The next update begins.
    fn on_step_begin(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// A batch was submitted whose gradients are accumulated for a later update.
    fn on_substep_end(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// An update was submitted.
    fn on_step_end(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// The loss of batch `batch` of the training, counted from 0, is known. Where it is not finite, the training ends with an
    /// error unless this sets `should_training_stop`.
    fn on_loss(&mut self, event: &mut Event, batch: u64, loss: f64) -> Result<()> {
        Ok(())
    }

    /// Whether [`Callback::on_gradients`] is to have the gradients of update `step`, counted from 1. They are read back then;
    /// the function that returns them is compiled when they are first wanted.
    fn wants_gradients(&self, step: u64) -> bool {
        false
    }

    /// The gradients of update `step`, by the path of their parameter, as the optimizer gets them: accumulated, with penalties,
    /// clipped. They are known when its loss is.
    fn on_gradients(
        &mut self,
        event: &mut Event,
        step: u64,
        gradients: &[(Arc<str>, Array)],
    ) -> Result<()> {
        Ok(())
    }

    /// Means are logged; what is added to `logs` is too. Callbacks that write logs down do so in [`Callback::on_logged`].
    fn on_log(&mut self, event: &mut Event, logs: &mut Logs) -> Result<()> {
        Ok(())
    }

    /// Means were logged: `logs` with what every callback has added.
    fn on_logged(&mut self, event: &mut Event, logs: &Logs) -> Result<()> {
        Ok(())
    }

    /// Held-out data were evaluated.
    fn on_evaluate(&mut self, event: &mut Event, metrics: &Logs) -> Result<()> {
        Ok(())
    }

    /// A batch was evaluated, in an evaluation or a prediction.
    fn on_prediction_step(&mut self, event: &mut Event) -> Result<()> {
        Ok(())
    }

    /// [`Trainer::predict`](super::Trainer::predict) has predicted.
    fn on_predict(&mut self, event: &mut Event, metrics: &Logs) -> Result<()> {
        Ok(())
    }

    /// A checkpoint was written.
    fn on_save(&mut self, event: &mut Event, checkpoint: &Path) -> Result<()> {
        Ok(())
    }

    /// What a training that goes on needs to know, for a checkpoint; `folder` takes files beside it.
    fn state(&mut self, folder: &Path) -> Result<Option<serde_json::Value>> {
        Ok(None)
    }

    /// Go on from a state that [`Callback::state`] gave.
    fn load_state(&mut self, state: &serde_json::Value, folder: &Path) -> Result<()> {
        Ok(())
    }
}
