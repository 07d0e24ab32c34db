//! Callbacks that come with the trainer.

mod checkpoint;
mod early_stopping;
mod ema;
mod lambda;
mod loggers;
mod small;
mod tensorboard;

pub use checkpoint::ModelCheckpoint;
pub use early_stopping::EarlyStopping;
pub use ema::Ema;
pub use lambda::Lambda;
pub use loggers::{CsvLogger, JsonLogger};
pub use small::{LearningRateMonitor, TerminateOnNan};
pub use tensorboard::TensorBoard;

use super::args::{eval_name, larger_is_better};
use super::{IntervalStrategy, TrainingArguments};
use crate::error::{Error, Result};

/// A metric of evaluations and which of its values are better.
#[derive(Debug, Clone, PartialEq)]
struct Monitor {
    name: String,
    larger: bool,
}

impl Monitor {
    fn new(name: &str) -> Self {
        let name = eval_name(name);
        Self {
            larger: larger_is_better(&name),
            name,
        }
    }

    /// Whether `value` is better than `best` by more than `min_delta`. NaN never is.
    fn better(&self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        match (best, self.larger) {
            (None, _) => !value.is_nan(),
            (Some(best), true) => value > best + min_delta,
            (Some(best), false) => value < best - min_delta,
        }
    }

    /// Check that there will be evaluations.
    fn check(&self, who: &str, args: &TrainingArguments) -> Result<()> {
        if args.eval_strategy != IntervalStrategy::No {
            return Ok(());
        }
        Err(Error::argument(format!(
            "{who} looks at {} of evaluations: eval_strategy is No",
            self.name
        )))
    }
}
