//! What a training run measured.

use super::Logs;
use crate::atomic::write_atomic;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers by name, one an epoch, as the history of Keras: `loss`, `accuracy`, `val_loss`, `val_accuracy` (for epochs in
/// which held-out data were evaluated; the last evaluation counts), `epoch_time` (seconds), `samples_per_second`,
/// `learning_rate`, `step` (updates so far). [`History::steps`] is finer, [`History::evaluations`] has all of those.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    #[serde(flatten)]
    epochs: BTreeMap<String, Column>,
    steps: BTreeMap<String, Column>,
    evaluations: BTreeMap<String, Column>,
}

/// Numbers one below the other; those that are not finite are `null` in JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Option<f64>>", into = "Vec<Option<f64>>")]
struct Column(Vec<f64>);

impl From<Vec<Option<f64>>> for Column {
    fn from(column: Vec<Option<f64>>) -> Self {
        let number = |x: Option<f64>| x.unwrap_or(f64::NAN);
        Self(column.into_iter().map(number).collect())
    }
}

impl From<Column> for Vec<Option<f64>> {
    fn from(column: Column) -> Self {
        let json = |x: f64| x.is_finite().then_some(x);
        column.0.into_iter().map(json).collect()
    }
}

impl History {
    /// The numbers called `name`, one an epoch; none where there are none.
    pub fn get(&self, name: &str) -> &[f64] {
        column(&self.epochs, name)
    }

    /// The last of the numbers called `name`.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.get(name).last().copied()
    }

    /// Number of epochs that ended.
    pub fn epochs(&self) -> usize {
        self.get("loss").len()
    }

    /// What was logged within epochs: `epoch` (passes since the start), `step`, `loss`, `accuracy`, `learning_rate`,
    /// `grad_norm`.
    pub fn steps(&self, name: &str) -> &[f64] {
        column(&self.steps, name)
    }

    /// Evaluations of the held-out data: `epoch`, `step`, `eval_loss`, `eval_accuracy` and other metrics.
    pub fn evaluations(&self, name: &str) -> &[f64] {
        column(&self.evaluations, name)
    }

    /// The metrics of evaluations without their `eval_`, the loss first.
    pub(super) fn metrics(&self) -> Vec<&str> {
        let names = self.evaluations.keys();
        let mut bare: Vec<&str> = names.filter_map(|n| n.strip_prefix("eval_")).collect();
        bare.retain(|n| *n != "runtime" && !n.ends_with("_per_second"));
        bare.sort_by_key(|n| *n != "loss");
        bare
    }

    pub(super) fn push_epoch(&mut self, row: &Logs) {
        push(&mut self.epochs, row);
    }

    pub(super) fn push_steps(&mut self, row: &Logs) {
        push(&mut self.steps, row);
    }

    pub(super) fn push_evaluation(&mut self, row: &Logs) {
        push(&mut self.evaluations, row);
    }

    /// Write it to a JSON file, which is replaced as a whole: an object of lists, those of single steps below `steps`, those
    /// of evaluations below `evaluations`.
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

fn column<'h>(of: &'h BTreeMap<String, Column>, name: &str) -> &'h [f64] {
    of.get(name).map_or(&[], |c| c.0.as_slice())
}

fn push(to: &mut BTreeMap<String, Column>, row: &Logs) {
    for (name, value) in row.iter() {
        to.entry(name.to_owned()).or_default().0.push(value);
    }
}
