//! The state of a session in safetensors files; PyTorch's are read too.

use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::session::Session;
use crate::state::{AVERAGE, COUNTED, Count, State, StateKind};
use crate::weights::{self, COUNTERS, Reader};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

const UPDATES: &str = "updates";
const MICRO_STEP: &str = "micro_step";
const ACCUMULATED: &str = "accumulated";
const RATE: &str = "learning_rate.";

/// What became of each name in [`Session::load_partial`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// States that have the file's values.
    pub loaded: Vec<String>,
    /// States that the file holds in another shape or dtype, with both: left as they were.
    pub mismatched: Vec<String>,
    /// States that the file does not hold: left as they were.
    pub kept: Vec<String>,
    /// Names of the file that the model has not.
    pub unexpected: Vec<String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.loaded.len() + self.mismatched.len() + self.kept.len();
        write!(f, "loaded {} of {all}", self.loaded.len())?;
        for (title, names) in [
            ("skipped, of another shape", &self.mismatched),
            ("left as they were", &self.kept),
            ("in the file alone", &self.unexpected),
        ] {
            if !names.is_empty() {
                write!(f, "\n  {title}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

impl Session {
    /// Write parameters and buffers to a safetensors file, in PyTorch's names and layouts: `load_state_dict` takes them.
    /// The file is replaced as a whole, or stays what it was.
    ///
    /// # Errors
    /// [`Error::Io`]; the device's failures.
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let states = self.params().root().list();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        self.write(path.as_ref(), &own_names(&states), &[], &metadata)
    }

    /// Read parameters and buffers from a safetensors file or from PyTorch's `.pt` and `.pth` (see
    /// [`Reader`]), as `load_state_dict(strict=True)`: it must hold these, no others, and in these shapes. A `num_batches_tracked` of PyTorch's batch norm that the model has not is passed over; one that the file has
    /// not, as in files from before PyTorch 0.4.1, stays as it is. Tensors are read one by one.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with every name that does not fit; [`Error::File`] and [`Error::Io`] for files that are not
    /// whole. The session is then as it was, unless the file changed while it was read.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let states = self.params().root().list();
        let file = Reader::open(path)?;
        let counts = |name: &str| name.rsplit('.').next() == Some(COUNTERS);
        let there = |s: &State| !counts(&s.path) || file.shape(&s.path).is_some();
        let states: Vec<State> = states.into_iter().filter(there).collect();
        self.read_from(&file, &states, &counts)
    }

    /// Read what fits of a file as [`Session::load`] takes it, for transfer: states of this model that the file holds in their shape and
    /// dtype. The rest stays as it is; the report says what became of each.
    ///
    /// # Errors
    /// [`Error::Argument`] where nothing fits; [`Error::File`] and [`Error::Io`] for files that are not whole. The session
    /// is then as it was.
    pub fn load_partial(&mut self, path: impl AsRef<Path>) -> Result<LoadReport> {
        let states = self.params().root().list();
        let file = Reader::open(path)?;
        let mut report = LoadReport::default();
        for s in &states {
            let path = s.path.to_string();
            let Some(shape) = file.shape(&path) else {
                report.kept.push(path);
                continue;
            };
            let is = TensorType::new(s.shape.clone(), s.dtype);
            if *shape != s.shape {
                let line = format!("{path}: the model has {}, the file {shape}", is.shape);
                report.mismatched.push(line);
                continue;
            }
            let came = file.array_dtype(&path)?;
            if came != s.dtype {
                let line = format!("{path}: the model has {is}, the file {came} {shape}");
                report.mismatched.push(line);
                continue;
            }
            file.verify(&path)?;
            report.loaded.push(path);
        }
        let unknown = |name: &&String| states.iter().all(|s| *s.path != ***name);
        report.unexpected = file.names().iter().filter(unknown).cloned().collect();
        if report.loaded.is_empty() {
            return Err(Error::argument(format!(
                "{}: nothing in it fits this model\n{report}",
                file.path().display()
            )));
        }
        for path in &report.loaded {
            self.set(path, &file.read(path)?)?;
        }
        Ok(report)
    }

    /// As [`Session::save`], with the moving averages of weights in place of the weights, where they are kept.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub fn save_average(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let states = self.params().root().list();
        let average = |s: &State| self.params().get(&format!("{AVERAGE}/{}", s.path));
        let sources: Vec<State> = states
            .iter()
            .map(|s| average(s).unwrap_or_else(|| s.clone()))
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let entries: Vec<(String, State)> = states
            .iter()
            .zip(sources)
            .map(|(s, source)| (s.path.to_string(), source))
            .collect();
        self.write(path.as_ref(), &entries, &[], &metadata)
    }

    /// Write what optimizers keep, the counts of updates and of runs, and the learning rates to a safetensors file: with
    /// the weights, all that training needs to go on to the same bits. What was kept for parameters that are frozen now is
    /// part of it.
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
        for (group, updates, accumulated) in self.optimizer_counts() {
            metadata.insert(format!("{UPDATES}.{group}"), updates.to_string());
            metadata.insert(format!("{ACCUMULATED}.{group}"), accumulated.to_string());
        }
        let states = self.optimizer_states();
        // A slot has been updated as often as its optimizer has made updates, where the file says nothing else.
        let slots = |path: &str| states.iter().any(|s| *s.path == *path);
        for count in self.slot_counts() {
            if count.number != self.usual(count) || !slots(&count.path) {
                metadata.insert(slot_key(count), count.number.to_string());
            }
        }
        for count in self.slots_to_come() {
            metadata.insert(slot_key(&count), count.number.to_string());
        }
        let held = |path: &str| states.iter().any(|s| *s.path == *path);
        let mut waiting = self.params().waiting_slots();
        waiting.retain(|(path, _)| !held(path));
        self.write(path.as_ref(), &own_names(&states), &waiting, &metadata)
    }

    /// Read what [`Session::save_optimizer`] wrote. The training function must be compiled before: that is where the
    /// session learns which optimizer it has. What the file holds for parameters that are frozen waits until they are
    /// trained again.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn load_optimizer(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let file = Reader::open(path)?;
        let updates = number(&file, UPDATES)?;
        let micro_step = number(&file, MICRO_STEP)?;
        let accumulated: u32 = number_or(&file, ACCUMULATED, 0)?;
        let counts = file.metadata().keys().filter(|key| is_count(key));
        counts
            .into_iter()
            .try_for_each(|key| number::<u64>(&file, key).map(drop))?;
        let mut rates: BTreeMap<usize, f64> = BTreeMap::new();
        for key in file.metadata().keys() {
            let group = key.strip_prefix(RATE).and_then(|g| g.parse().ok());
            if let Some(group) = group {
                rates.insert(group, number(&file, key)?);
            }
        }
        let mut states = self.optimizer_states();
        // Parameters that were trained in no run have no slots in the file, which says so. Files of before have sums of
        // gradients that count alike.
        let never = [UPDATES, ACCUMULATED];
        let said = |s: &State| never.map(|k| file.metadata().get(&format!("{k}.{}", s.path)));
        let never = |s: &State| said(s).iter().flatten().any(|n| *n == "0");
        let lacks = |s: &State| {
            let may = of_all(&s.path) || never(s);
            may && !file.names().iter().any(|n| **n == *s.path)
        };
        let lacking: Vec<State> = states.iter().filter(|s| lacks(s)).cloned().collect();
        states.retain(|s| !lacks(s));
        let mut waiting = Vec::new();
        for name in file.names() {
            if states.iter().any(|s| *s.path == **name) {
                continue;
            }
            let idle = name.split_once('/').is_some_and(|(_, p)| self.is_idle(p));
            let shape = self.params().slot_of_frozen(name, idle);
            if shape.is_some_and(|shape| file.shape(name) == Some(&shape)) {
                waiting.push((Arc::from(name.as_str()), file.read(name)?));
            }
        }
        let known = |name: &str| waiting.iter().any(|(path, _)| **path == *name);
        self.read_from(&file, &states, &known)?;
        for state in &lacking {
            let sums = Array::scalar(accumulated as f32);
            let first = if of_all(&state.path) {
                &sums
            } else {
                &*state.init
            };
            self.set(&state.path, first)?;
        }
        self.set_counts(updates, micro_step);
        self.read_counts(&file, (updates, accumulated))?;
        self.params().wait_slots(waiting);
        self.learning_rates().extend(rates);
        Ok(())
    }

    /// Have optimizers and slots continue from what `file` says; `all` are the updates and the micro-steps of all together.
    fn read_counts(&mut self, file: &Reader, all: (u64, u32)) -> Result<()> {
        for (group, ..) in self.optimizer_counts() {
            // Files of before say it where it is another than that of all, of the optimizers that there were.
            let was = group == 0 || file.metadata().contains_key(&format!("{RATE}{group}"));
            let usual = if was { all } else { (0, 0) };
            let updates = number_or(file, &format!("{UPDATES}.{group}"), usual.0)?;
            let accumulated = number_or(file, &format!("{ACCUMULATED}.{group}"), usual.1)?;
            self.set_optimizer_counts(group, updates, accumulated);
        }
        // What waits for frozen parameters is counted too.
        let keys = file.metadata().keys().filter_map(|key| key.split_once('.'));
        let said = keys
            .filter(|(what, _)| is_count(what))
            .map(|(_, path)| path);
        for path in said.chain(file.names().iter().map(String::as_str)) {
            if path.contains('/') && !of_all(path) {
                self.count_slot(path);
            }
        }
        let mut numbers: HashMap<Arc<str>, u64> = HashMap::new();
        for count in self.slot_counts() {
            let number = number_or(file, &slot_key(count), self.usual(count))?;
            numbers.insert(count.path.clone(), number);
        }
        self.set_slot_counts(|c| numbers.get(&c.path).copied().unwrap_or(0));
        Ok(())
    }

    /// How often a slot has been updated that was in all updates of its optimizer.
    fn usual(&self, count: &Count) -> u64 {
        match count.gradient {
            true => u64::from(self.accumulated_of(count.first_group)),
            false => self.updates_of(count.first_group),
        }
    }

    fn optimizer_states(&self) -> Vec<State> {
        let mut states = self.params().all();
        states.retain(|s| s.kind == StateKind::Optimizer);
        states
    }

    /// Write states under names, read one by one from the device, and `further` arrays.
    fn write(
        &mut self,
        path: &Path,
        states: &[(String, State)],
        further: &[(Arc<str>, Arc<Array>)],
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let own = states.iter().map(|(name, s)| {
            let ty = TensorType::new(s.shape.clone(), s.dtype);
            (name.clone(), ty)
        });
        let others = further
            .iter()
            .map(|(name, a)| (name.to_string(), TensorType::of(a)));
        let entries: Vec<(String, TensorType)> = own.chain(others).collect();
        weights::write_each(path, &entries, metadata, &mut |at| match states.get(at) {
            Some((_, s)) => Ok(self.get_all(std::slice::from_ref(s))?.swap_remove(0)),
            None => Ok(further[at - states.len()].1.as_ref().clone()),
        })
    }

    /// Have `states` hold what `file` holds; nothing changes where one of them does not fit. Names that `may` be there
    /// besides are passed over.
    fn read_from(
        &mut self,
        file: &Reader,
        states: &[State],
        may: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let expected: Vec<_> = states
            .iter()
            .map(|s| (s.path.to_string(), s.shape.clone()))
            .collect();
        let found = file
            .names()
            .iter()
            .filter(|name| !may(name) || expected.iter().any(|(path, _)| path == *name));
        let found = found.filter_map(|name| Some((name.as_str(), file.shape(name)?)));
        weights::check_strict(file.path(), &expected, found)?;
        for s in states {
            let came = file.array_dtype(&s.path)?;
            if came != s.dtype {
                let is = TensorType::new(s.shape.clone(), s.dtype);
                let message = format!(
                    "{}: the model has {is}, the file {came} {}",
                    s.path, s.shape
                );
                return Err(Error::file(file.path(), None, message));
            }
        }
        states.iter().try_for_each(|s| file.verify(&s.path))?;
        for s in states {
            self.set(&s.path, &file.read(&s.path)?)?;
        }
        Ok(())
    }
}

/// States under their paths.
fn own_names(states: &[State]) -> Vec<(String, State)> {
    let named = |s: &State| (s.path.to_string(), s.clone());
    states.iter().map(named).collect()
}

/// Under which name a file has how often a slot was updated.
fn slot_key(count: &Count) -> String {
    let what = if count.gradient { ACCUMULATED } else { UPDATES };
    format!("{what}.{}", count.path)
}

/// Whether a name of the metadata, or what it begins with, is that of a count.
fn is_count(key: &str) -> bool {
    let what = key.split('.').next();
    [UPDATES, ACCUMULATED].into_iter().any(|k| what == Some(k))
}

/// Whether a slot is one number for all parameters of an optimizer.
fn of_all(path: &str) -> bool {
    path.split_once('/')
        .is_some_and(|(slot, _)| slot == COUNTED)
}

fn number_or<T: std::str::FromStr>(file: &Reader, key: &str, or: T) -> Result<T> {
    match file.metadata().contains_key(key) {
        true => number(file, key),
        false => Ok(or),
    }
}

fn number<T: std::str::FromStr>(file: &Reader, key: &str) -> Result<T> {
    let text = file.metadata().get(key);
    text.and_then(|t| t.parse().ok()).ok_or_else(|| {
        let message = format!("not an optimizer's state: no number '{key}' in its metadata");
        Error::file(file.path(), None, message)
    })
}
