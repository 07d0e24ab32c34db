//! Moving averages of the weights.

use super::super::TrainingArguments;
use super::super::callback::{Callback, Event};
use crate::error::{Error, Result};
use crate::optim::MinimizeOptions;
use crate::state::AVERAGE;
use std::path::PathBuf;

/// Keeps a moving average of the weights, on the device, as [`MinimizeOptions::ema`]: evaluations use it. At the end the model
/// has the averages for weights, as with Keras's `SwapEMAWeights`, or they are written to a file of their own.
#[derive(Debug, Clone)]
pub struct Ema {
    decay: f64,
    swap: bool,
    path: Option<PathBuf>,
}

impl Ema {
    /// An average of which each update keeps `decay`: 0.999, say.
    pub fn new(decay: f64) -> Self {
        Self {
            decay,
            swap: true,
            path: None,
        }
    }

    /// Whether the model has the averages at the end; true by default.
    pub fn swap_at_end(mut self, swap: bool) -> Self {
        self.swap = swap;
        self
    }

    /// Write the averages of the end to this file.
    pub fn save_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }
}

impl Callback for Ema {
    fn name(&self) -> &'static str {
        "ema"
    }

    fn configure(&mut self, options: &mut MinimizeOptions) {
        options.ema = Some(self.decay);
    }

    fn check(&self, args: &TrainingArguments) -> Result<()> {
        if self.swap && args.load_best_model_at_end {
            return Err(Error::argument(
                "Ema that swaps at the end, and load_best_model_at_end: set swap_at_end to false",
            ));
        }
        Ok(())
    }

    fn on_train_end(&mut self, event: &mut Event) -> Result<()> {
        let session = &mut event.session;
        if let Some(path) = &self.path {
            session.save_average(path)?;
        }
        if !self.swap {
            return Ok(());
        }
        let mut averages = session.params().all();
        let prefix = format!("{AVERAGE}/");
        averages.retain(|s| s.path.starts_with(&prefix));
        let values = session.get_all(&averages)?;
        for (state, value) in averages.iter().zip(&values) {
            session.set(&state.path[prefix.len()..], value)?;
        }
        Ok(())
    }
}
