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
use crate::session::Session;
use crate::state::{AVERAGE, State};
use std::path::Path;

/// The moving averages of weights that a session keeps.
pub(super) fn averages_of(session: &Session) -> Vec<State> {
    let prefix = format!("{AVERAGE}/");
    let mut states = session.params().all();
    states.retain(|s| s.path.starts_with(&prefix));
    states
}

/// A name for a file of weights in a checkpoint's folder, where there may be several callbacks of a kind.
fn free_name(folder: &Path, stem: &str) -> String {
    let mut name = format!("{stem}.safetensors");
    let mut n = 1;
    while folder.join(&name).exists() {
        name = format!("{stem}-{n}.safetensors");
        n += 1;
    }
    name
}

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

    /// Whether `value` is better than `best` by more than `min_delta`; without one, better than the worst infinity. NaN never is.
    fn better(&self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        match self.larger {
            true => value > best.map_or(f64::NEG_INFINITY, |best| best + min_delta),
            false => value < best.map_or(f64::INFINITY, |best| best - min_delta),
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
