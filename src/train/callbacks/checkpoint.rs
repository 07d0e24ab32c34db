//! Weights in files of one's own naming.

use super::super::callback::{Callback, Event};
use super::super::checkpoints::remove_file;
use super::super::{Logs, TrainingArguments};
use super::loggers::make_parent;
use super::{Monitor, free_name};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Writes the weights to safetensors files, as Keras's and Lightning's `ModelCheckpoint`: at each evaluation, or at those that
/// are the best so far, or every so many updates. At evaluations they are the weights that were measured: where averages are kept,
/// those. For going on with a training there are
/// [`TrainingArguments::save_strategy`] and its checkpoints.
///
/// Paths may name numbers: `best-{epoch:.1}-{eval_accuracy:.3}.safetensors`, `step-{step:06}.safetensors`. `{name:.N}` has
/// `N` decimals, `{name:0N}` is padded to `N` digits; `val_` is read as `eval_`.
#[derive(Debug, Clone)]
pub struct ModelCheckpoint {
    pattern: String,
    monitor: Monitor,
    best_only: bool,
    every: Option<u64>,
    last: Option<PathBuf>,
    seen: Written,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Written {
    best: Option<f64>,
    path: Option<PathBuf>,
    /// The best file, in a checkpoint.
    #[serde(default)]
    kept: Option<String>,
}

/// The best file, in a checkpoint: the name without its ending.
const KEPT: &str = "model_checkpoint";

impl ModelCheckpoint {
    /// One that writes to `pattern` at each evaluation.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            monitor: Monitor::new("loss"),
            best_only: false,
            every: None,
            last: None,
            seen: Written::default(),
        }
    }

    /// Only at evaluations whose `metric` is the best so far; the file of the one before is removed.
    pub fn save_best_only(mut self, metric: &str) -> Self {
        (self.monitor, self.best_only) = (Monitor::new(metric), true);
        self
    }

    /// With larger or smaller values being better, whatever the metric's name.
    pub fn greater_is_better(mut self, larger: bool) -> Self {
        self.monitor.larger = larger;
        self
    }

    /// Every `steps` updates in place of at evaluations; the metrics in the path are then `loss`, `epoch` and `step`.
    pub fn every(mut self, steps: u64) -> Self {
        self.every = Some(steps);
        self
    }

    /// The weights of the end, to this file too.
    pub fn save_last(mut self, path: impl Into<PathBuf>) -> Self {
        self.last = Some(path.into());
        self
    }
}

/// Have the same file be at `to`, without a copy where the file system can.
fn link(from: &Path, to: &Path) -> Result<()> {
    let made = std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop));
    made.map_err(|e| Error::io(to, e))
}

fn save(event: &mut Event, path: &Path) -> Result<()> {
    make_parent(path)?;
    event.session.save(path)
}

impl Callback for ModelCheckpoint {
    fn name(&self) -> &'static str {
        "model_checkpoint"
    }

    fn monitors(&self) -> Option<String> {
        self.best_only.then(|| self.monitor.name.clone())
    }

    fn check(&self, args: &TrainingArguments) -> Result<()> {
        if self.every == Some(0) {
            return Err(Error::argument(
                "ModelCheckpoint: every 0 steps: takes 1 or more",
            ));
        }
        if self.every.is_some() && self.best_only {
            return Err(Error::argument(
                "ModelCheckpoint with every and save_best_only: an evaluation alone says what is best",
            ));
        }
        match self.every {
            Some(_) => Ok(()),
            None => self.monitor.check("ModelCheckpoint", args),
        }
    }

    fn reset(&mut self) {
        self.seen = Written::default();
    }

    fn on_step_end(&mut self, event: &mut Event) -> Result<()> {
        let step = event.state.global_step;
        if self.every.is_some_and(|n| step.is_multiple_of(n)) {
            let numbers = Logs::from([
                ("loss", event.state.loss),
                ("epoch", event.state.epoch),
                ("step", step as f64),
            ]);
            let path = PathBuf::from(filled(&self.pattern, &numbers)?);
            save(event, &path)?;
        }
        Ok(())
    }

    fn on_evaluate(&mut self, event: &mut Event, metrics: &Logs) -> Result<()> {
        if self.every.is_some() {
            return Ok(());
        }
        let value = metrics.get(&self.monitor.name).unwrap_or(f64::NAN);
        if self.best_only && !self.monitor.better(value, self.seen.best, 0.0) {
            return Ok(());
        }
        self.seen.best = Some(value).filter(|v| v.is_finite());
        let path = PathBuf::from(filled(&self.pattern, metrics)?);
        make_parent(&path)?;
        match event.averages {
            true => event.session.save_average(&path)?,
            false => event.session.save(&path)?,
        }
        let before = self.seen.path.replace(path.clone());
        match before.filter(|b| self.best_only && *b != path) {
            // It is gone already where a training went on from before this evaluation.
            Some(before) => remove_file(&before),
            None => Ok(()),
        }
    }

    fn on_train_end(&mut self, event: &mut Event) -> Result<()> {
        match &self.last {
            Some(path) => save(event, path),
            None => Ok(()),
        }
    }

    fn state(&mut self, folder: &Path) -> Result<Option<serde_json::Value>> {
        self.seen.kept = None;
        if let Some(path) = self.seen.path.as_ref().filter(|_| self.best_only) {
            let name = free_name(folder, KEPT);
            if path.exists() {
                link(path, &folder.join(&name))?;
                self.seen.kept = Some(name);
            }
        }
        Ok(serde_json::to_value(&self.seen).ok())
    }

    fn load_state(&mut self, state: &serde_json::Value, folder: &Path) -> Result<()> {
        self.seen = Written::deserialize(state)
            .map_err(|e| Error::file(folder, None, format!("model_checkpoint: {e}")))?;
        // What came after this checkpoint may have taken its place.
        match (&self.seen.path, &self.seen.kept) {
            (Some(path), Some(kept)) if !path.exists() => {
                make_parent(path)?;
                link(&folder.join(kept), path)
            }
            _ => Ok(()),
        }
    }
}

/// `pattern` with numbers in place of `{name}`.
fn filled(pattern: &str, numbers: &Logs) -> Result<String> {
    let fault = |what: String| {
        Err(Error::argument(format!(
            "ModelCheckpoint: the path '{pattern}' {what}"
        )))
    };
    let mut text = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((field, after)) = after.split_once('}') else {
            return fault("has a { without its }".into());
        };
        let (name, format) = field.split_once(':').unwrap_or((field, ""));
        let bare = name.strip_prefix("val_");
        let name = bare.map_or(name.to_owned(), |bare| format!("eval_{bare}"));
        let Some(x) = numbers.get(&name) else {
            let names = numbers.names();
            return fault(format!(
                "names {name}, which there is not: there are {names}"
            ));
        };
        text += before;
        let digits = |d: &str| d.parse::<usize>().ok();
        text += &match (
            format.strip_prefix('.').map(digits),
            format.strip_prefix('0').map(digits),
        ) {
            (Some(Some(decimals)), _) => format!("{x:.decimals$}"),
            (_, Some(Some(width))) => format!("{x:0width$.0}"),
            _ if format.is_empty() => x.to_string(),
            _ => return fault(format!("has the format '{format}': takes .N or 0N")),
        };
        rest = after;
    }
    Ok(text + rest)
}
