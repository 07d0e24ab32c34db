//! What a training run measured, epoch by epoch.

use crate::atomic::write_atomic;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers by name, one an epoch, as the history of Keras: `loss`, `accuracy`, `val_loss`, `val_accuracy`, `epoch_time`
/// (seconds), `samples_per_second`, `learning_rate`, `step` (updates so far). In [`History::steps`] they are finer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct History {
    #[serde(flatten)]
    epochs: BTreeMap<&'static str, Vec<f64>>,
    steps: BTreeMap<&'static str, Vec<f64>>,
}

impl History {
    /// The numbers called `name`, one an epoch; none where there are none.
    pub fn get(&self, name: &str) -> &[f64] {
        self.epochs.get(name).map_or(&[], Vec::as_slice)
    }

    /// The last of the numbers called `name`.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.get(name).last().copied()
    }

    /// Number of epochs that ended.
    pub fn epochs(&self) -> usize {
        self.get("loss").len()
    }

    /// Means over a few steps each, about 20 an epoch: `epoch` (epochs since the start), `loss`, `accuracy`.
    pub fn steps(&self, name: &str) -> &[f64] {
        self.steps.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn push_epoch(&mut self, row: &[(&'static str, f64)]) {
        push(&mut self.epochs, row);
    }

    pub(super) fn push_steps(&mut self, row: &[(&'static str, f64)]) {
        push(&mut self.steps, row);
    }

    /// Write it to a JSON file, which is replaced as a whole: an object of lists, those of single steps below `steps`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::argument(format!("a history that is no JSON: {e}")))?;
        json.push(b'\n');
        write_atomic(path, &json)
    }
}

fn push(to: &mut BTreeMap<&'static str, Vec<f64>>, row: &[(&'static str, f64)]) {
    for (name, value) in row {
        to.entry(name).or_default().push(*value);
    }
}
