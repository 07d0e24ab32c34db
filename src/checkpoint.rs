//! The state of a session in safetensors files.

use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::session::Session;
use crate::state::{State, StateKind};
use crate::weights::{self, Reader};
use std::collections::BTreeMap;
use std::path::Path;

/// Counters that PyTorch's batch norm keeps and nothing here needs.
const COUNTERS: &str = "num_batches_tracked";
const UPDATES: &str = "updates";
const MICRO_STEP: &str = "micro_step";
const ACCUMULATED: &str = "accumulated";
const RATE: &str = "learning_rate.";

impl Session {
    /// Write parameters and buffers to a safetensors file, in PyTorch's names and layouts: `load_state_dict` takes them.
    /// The file is replaced as a whole, or stays what it was.
    ///
    /// # Errors
    /// [`Error::Io`]; the device's failures.
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let states = self.params().root().list();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        self.write(path.as_ref(), &states, &metadata)
    }

    /// Read parameters and buffers from a safetensors file, as `load_state_dict(strict=True)`: it must hold these, no
    /// others, and in these shapes. `num_batches_tracked` of PyTorch's batch norm is passed over.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with every name that does not fit; [`Error::File`] and [`Error::Io`] for files that are not
    /// whole. The session is then as it was.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let states = self.params().root().list();
        let file = Reader::open(path)?;
        self.read_from(&file, &states)
    }

    /// Write what optimizers keep, the counts of updates and of runs, and the learning rates to a safetensors file: with
    /// the weights, all that training needs to go on to the same bits.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub fn save_optimizer(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let mut metadata = BTreeMap::from([
            (UPDATES.to_owned(), self.updates().to_string()),
            (MICRO_STEP.to_owned(), self.micro_step().to_string()),
            (ACCUMULATED.to_owned(), self.accumulated().to_string()),
        ]);
        for (group, rate) in self.learning_rates() {
            metadata.insert(format!("{RATE}{group}"), rate.to_string());
        }
        let states = self.optimizer_states();
        self.write(path.as_ref(), &states, &metadata)
    }

    /// Read what [`Session::save_optimizer`] wrote. The training function must be compiled before: that is where the
    /// session learns which optimizer it has.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn load_optimizer(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let file = Reader::open(path)?;
        let updates = number(&file, UPDATES)?;
        let micro_step = number(&file, MICRO_STEP)?;
        let accumulated = match file.metadata().contains_key(ACCUMULATED) {
            true => number(&file, ACCUMULATED)?,
            false => 0,
        };
        let mut rates: BTreeMap<usize, f64> = BTreeMap::new();
        for key in file.metadata().keys() {
            let group = key.strip_prefix(RATE).and_then(|g| g.parse().ok());
            if let Some(group) = group {
                rates.insert(group, number(&file, key)?);
            }
        }
        let states = self.optimizer_states();
        self.read_from(&file, &states)?;
        self.set_counts(updates, micro_step);
        self.set_accumulated(accumulated);
        self.learning_rates().extend(rates);
        Ok(())
    }

    fn optimizer_states(&self) -> Vec<State> {
        let mut states = self.params().all();
        states.retain(|s| s.kind == StateKind::Optimizer);
        states
    }

    fn write(
        &mut self,
        path: &Path,
        states: &[State],
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let values = self.get_all(states)?;
        let named: Vec<(String, Array)> = states
            .iter()
            .map(|s| s.path.to_string())
            .zip(values)
            .collect();
        weights::write(path, &named, metadata)
    }

    /// Have `states` hold what `file` holds; nothing changes where one of them does not fit.
    fn read_from(&mut self, file: &Reader, states: &[State]) -> Result<()> {
        let expected: Vec<_> = states
            .iter()
            .map(|s| (s.path.to_string(), s.shape.clone()))
            .collect();
        let counter = |name: &str| name.rsplit('.').next() == Some(COUNTERS);
        let found = file
            .names()
            .iter()
            .filter(|name| !counter(name) || expected.iter().any(|(path, _)| path == *name));
        let found = found.filter_map(|name| Some((name.as_str(), file.shape(name)?)));
        weights::check_strict(file.path(), &expected, found)?;
        let mut values = Vec::new();
        for s in states {
            let value = file.read(&s.path)?;
            if value.dtype() != s.dtype {
                let (is, came) = (
                    TensorType::new(s.shape.clone(), s.dtype),
                    TensorType::of(&value),
                );
                let message = format!("{}: the model has {is}, the file {came}", s.path);
                return Err(Error::file(file.path(), None, message));
            }
            values.push(value);
        }
        for (s, value) in states.iter().zip(&values) {
            self.set(&s.path, value)?;
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(file: &Reader, key: &str) -> Result<T> {
    let text = file.metadata().get(key);
    text.and_then(|t| t.parse().ok()).ok_or_else(|| {
        let message = format!("not an optimizer's state: no number '{key}' in its metadata");
        Error::file(file.path(), None, message)
    })
}
