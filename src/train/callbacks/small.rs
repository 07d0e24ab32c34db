//! Callbacks of a few lines.

use super::super::Logs;
use super::super::callback::{Callback, Event};
use crate::error::Result;

/// Ends the training where a loss is NaN or infinite, as Keras's `TerminateOnNaN`, in place of an error: the history is that
/// of the time before, and no model is written but what checkpoints hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct TerminateOnNan;

impl Callback for TerminateOnNan {
    fn name(&self) -> &'static str {
        "terminate_on_nan"
    }

    fn on_loss(&mut self, event: &mut Event, _: u64, loss: f64) -> Result<()> {
        event.control.should_training_stop |= !loss.is_finite();
        Ok(())
    }
}

/// Logs the learning rate of every parameter group, as Lightning's: `learning_rate` is that of the first,
/// `learning_rate/1` and so on those of [`MinimizeOptions::groups`](crate::optim::MinimizeOptions::groups).
#[derive(Debug, Clone, Copy, Default)]
pub struct LearningRateMonitor;

impl Callback for LearningRateMonitor {
    fn name(&self) -> &'static str {
        "learning_rate_monitor"
    }

    fn on_log(&mut self, event: &mut Event, logs: &mut Logs) -> Result<()> {
        if logs.get("learning_rate").is_some() {
            let rates = event.session.rates().into_iter().filter(|(g, _)| *g > 0);
            rates.for_each(|(group, rate)| logs.set(format!("learning_rate/{group}"), rate));
        }
        Ok(())
    }
}
