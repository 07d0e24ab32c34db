//! Logs in files.

use super::super::Logs;
use super::super::callback::{Callback, Event};
use crate::atomic::write_atomic;
use crate::error::{Error, Result};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Appends each log to a file of JSON lines: `{"epoch":1.0,"loss":0.31,...}`. A training that goes on from a checkpoint drops the
/// lines after it first.
#[derive(Debug, Clone)]
pub struct JsonLogger {
    path: PathBuf,
}

impl JsonLogger {
    /// One that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

/// Writes logs to a CSV file, one line for each, as Keras's `CSVLogger`: its columns are all names so far, cells that a log has
/// not are empty.
#[derive(Debug, Clone)]
pub struct CsvLogger {
    path: PathBuf,
    columns: Vec<String>,
}

impl CsvLogger {
    /// One that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            columns: Vec::new(),
        }
    }

    fn row(&self, logs: &Logs) -> String {
        let cell = |name: &String| logs.get(name).map_or(String::new(), |x| x.to_string());
        let cells: Vec<String> = self.columns.iter().map(cell).collect();
        cells.join(",") + "\n"
    }

    /// Write the whole file.
    fn rewrite<'l>(&mut self, all: impl Iterator<Item = &'l Logs> + Clone) -> Result<()> {
        for logs in all.clone() {
            self.widen(logs);
        }
        let mut text = self.columns.join(",") + "\n";
        all.for_each(|logs| text += &self.row(logs));
        write_atomic(&self.path, text.as_bytes())
    }

    /// Have columns for all of `logs`, and whether some are new.
    fn widen(&mut self, logs: &Logs) -> bool {
        let before = self.columns.len();
        for name in ["step", "epoch"]
            .into_iter()
            .chain(logs.iter().map(|l| l.0))
        {
            if !self.columns.iter().any(|c| c == name) {
                self.columns.push(name.to_owned());
            }
        }
        self.columns.len() > before
    }
}

fn append(path: &Path, line: &str) -> Result<()> {
    let io = |e| Error::io(path, e);
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(io)?.write_all(line.as_bytes()).map_err(io)
}

pub(super) fn make_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e)),
        None => Ok(()),
    }
}

fn json(logs: &Logs) -> String {
    serde_json::to_string(logs).unwrap_or_default() + "\n"
}

impl Callback for JsonLogger {
    fn name(&self) -> &'static str {
        "json_logger"
    }

    fn on_train_begin(&mut self, event: &mut Event) -> Result<()> {
        make_parent(&self.path)?;
        let lines: String = event.state.log_history.iter().map(json).collect();
        write_atomic(&self.path, lines.as_bytes())
    }

    fn on_logged(&mut self, _: &mut Event, logs: &Logs) -> Result<()> {
        append(&self.path, &json(logs))
    }
}

impl Callback for CsvLogger {
    fn name(&self) -> &'static str {
        "csv_logger"
    }

    fn on_train_begin(&mut self, event: &mut Event) -> Result<()> {
        make_parent(&self.path)?;
        self.columns.clear();
        self.rewrite(event.state.log_history.iter())
    }

    fn on_logged(&mut self, event: &mut Event, logs: &Logs) -> Result<()> {
        if self.widen(logs) {
            let before = event.state.log_history.iter();
            return self.rewrite(before.chain([logs]));
        }
        append(&self.path, &self.row(logs))
    }
}
