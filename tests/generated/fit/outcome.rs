//! What a training leaves, without the times that it took.

use super::setup::Ran;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that has to be the same.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// Bits of weights, optimizer's slots and averages.
    pub weights: Vec<(String, Vec<u32>)>,
    /// Where it was: steps, best, logs.
    pub state: Value,
    pub history: Value,
    /// Files of callbacks, and the model and history of the output folder.
    pub files: BTreeMap<String, Value>,
    /// Checkpoints of the output folder, their files by name.
    pub checkpoints: BTreeMap<String, Value>,
}

impl Outcome {
    pub fn of(ran: &Ran, output: &Path, files: &Path) -> Self {
        let mut found = folder(files);
        let mut checkpoints = BTreeMap::new();
        for (name, file) in folder(output) {
            match name.split_once('/') {
                Some((of, _)) if of.starts_with("checkpoint-") => {
                    drop(checkpoints.insert(name, file))
                }
                _ if name.starts_with("report") || name.starts_with("curves") => {}
                _ => drop(found.insert(format!("output/{name}"), file)),
            }
        }
        Self {
            weights: ran.weights.clone(),
            state: plain(serde_json::to_value(&ran.state).unwrap()),
            history: plain(serde_json::to_value(&ran.history).unwrap()),
            files: found,
            checkpoints,
        }
    }

    /// Names of the checkpoints' folders.
    pub fn folders(&self) -> Vec<&str> {
        let names = self
            .checkpoints
            .keys()
            .filter_map(|n| n.strip_suffix("/trainer_state.json"));
        names.collect()
    }

    /// Panic where `other` differs, which went on in another folder, or was brought to ends that leave files of their own.
    pub fn assert_same(&self, other: &Self, whole: bool, note: &str) {
        assert_eq!(self.weights, other.weights, "weights: {note}");
        same("history", &self.history, &other.history, note);
        same("state", &self.state, &other.state, note);
        for (name, file) in &self.files {
            match other.files.get(name) {
                Some(found) => same(name, file, found, note),
                None => panic!("{name} is missing: {note}"),
            }
        }
        if !whole {
            return;
        }
        let names = |o: &Self| o.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "files: {note}");
        assert_eq!(self.folders(), other.folders(), "checkpoints: {note}");
        self.assert_common(other, note);
    }

    /// Panic where checkpoints that both have differ.
    pub fn assert_common(&self, other: &Self, note: &str) {
        for (name, file) in &self.checkpoints {
            if let Some(found) = other.checkpoints.get(name) {
                same(name, file, found, note);
            }
        }
    }
}

fn same(what: &str, a: &Value, b: &Value, note: &str) {
    assert!(a == b, "{what}: {note}\n{a:#}\n{b:#}");
}

/// The files below a folder by their names.
fn folder(of: &Path) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(of).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below = folder(&path).into_iter();
            all.extend(below.map(|(file, value)| (format!("{name}/{file}"), value)));
        } else {
            all.insert(name, read(&path));
        }
    }
    all
}

fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap();
    let text = || String::from_utf8_lossy(&bytes).into_owned();
    match path.extension().and_then(|e| e.to_str()) {
        Some("json") => plain(serde_json::from_slice(&bytes).unwrap()),
        Some("jsonl") => text()
            .lines()
            .map(|line| plain(serde_json::from_str(line).unwrap()))
            .collect(),
        Some("csv") => csv(&text()),
        Some("safetensors") => {
            let mut crc = flate2::Crc::new();
            crc.update(&bytes);
            crc.sum().into()
        }
        _ => Value::Null,
    }
}

/// The columns that are no times.
fn csv(text: &str) -> Value {
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split(',').collect()).collect();
    let kept = |(at, _): &(usize, &&str)| !is_time(rows[0][*at]);
    let row =
        |r: &Vec<&str>| -> Value { r.iter().enumerate().filter(kept).map(|(_, c)| *c).collect() };
    rows.iter().map(row).collect()
}

fn is_time(name: &str) -> bool {
    name.ends_with("runtime") || name.ends_with("_per_second") || name == "epoch_time"
}

/// JSON without times, the length of the run as it was asked for, and folders of files.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let asked = ["max_steps", "num_train_epochs", "crc32"];
            let fields = fields.into_iter();
            let kept = fields.filter(|(name, _)| !is_time(name) && !asked.contains(&name.as_str()));
            Value::Object(kept.map(|(name, v)| (name, plain(v))).collect())
        }
        Value::Array(all) => all.into_iter().map(plain).collect(),
        Value::String(text) => text.rsplit('/').next().unwrap_or_default().into(),
        other => other,
    }
}
