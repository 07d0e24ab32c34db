//! Moving averages of the weights.

use super::super::callback::{Callback, Event};
use super::loggers::make_parent;
use crate::error::Result;
use crate::optim::MinimizeOptions;
use std::path::PathBuf;

/// Keeps a moving average of the weights, on the device, as [`MinimizeOptions::ema`]: evaluations use it. At the end the model
/// has the averages for weights, as with Keras's `SwapEMAWeights`, or they are written to a file of their own. Where the weights of
/// the best evaluation are put back at the end, so are their averages.
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

    fn swaps_averages(&self) -> bool {
        self.swap
    }

    fn on_train_end(&mut self, event: &mut Event) -> Result<()> {
        match &self.path {
            Some(path) => {
                make_parent(path)?;
                event.session.save_average(path)
            }
            None => Ok(()),
        }
    }
}
