//! Folders `checkpoint-N`: written whole or not at all, checked before they are read.

use super::callback::{TrainerControl, TrainerState};
use super::history::History;
use super::report::PICTURES;
use super::run::Position;
use crate::atomic::{sync_directory, write_atomic};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const PREFIX: &str = "checkpoint-";
const VERSION: u32 = 2;
/// The largest count that a training may have come to: all up to it are whole as floats too.
const MOST: u64 = 1 << 53;
/// Weights and buffers.
pub(super) const MODEL: &str = "model.safetensors";
/// What optimizers keep.
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";
/// Everything else.
pub(super) const STATE: &str = "trainer_state.json";
/// What names of checkpoints end in while others take their place.
const REPLACED: &str = "-replaced.tmp";

/// What `trainer_state.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    version: u32,
    #[serde(flatten)]
    pub state: TrainerState,
    pub position: Position,
    pub data: DataState,
    /// Best metric, metrics without improvement, metrics to pass over.
    pub plateau: Option<(Option<f64>, u64, u64)>,
    pub callbacks: BTreeMap<String, serde_json::Value>,
    /// What callbacks have asked for and was not carried out yet.
    #[serde(default)]
    pub control: TrainerControl,
    pub history: History,
    /// Sizes and CRC-32 of the other files.
    files: BTreeMap<String, (u64, u32)>,
    /// CRC-32 of this file before its name.
    crc32: u32,
}

/// What the order of the data depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataState {
    pub seed: u64,
    pub samples: usize,
    pub batch_size: usize,
    pub gradient_accumulation_steps: usize,
    #[serde(default)]
    pub drop_last: bool,
    /// Seed of the held-out part of the training data, where there is one.
    #[serde(default)]
    pub split_seed: Option<u64>,
}

impl Saved {
    pub fn new(state: TrainerState, position: Position, data: DataState, history: History) -> Self {
        Self {
            version: VERSION,
            state,
            position,
            data,
            plateau: None,
            callbacks: BTreeMap::new(),
            control: TrainerControl::default(),
            history,
            files: BTreeMap::new(),
            crc32: 0,
        }
    }

    /// Refuse to go on with other data.
    pub fn check(&self, folder: &Path, data: DataState) -> Result<()> {
        let (was, is) = (self.data, data);
        let steps = |d: DataState| d.gradient_accumulation_steps;
        let split = |d: DataState| d.split_seed.map_or("none".to_owned(), |s| s.to_string());
        let differs = |name: &str, was: String, is: String| {
            (was != is).then(|| format!("{name} {was}, this training has {is}"))
        };
        let number = |name, was: usize, is: usize| differs(name, was.to_string(), is.to_string());
        let samples = |d: DataState| format!("{} samples", d.samples);
        let fault = differs("seed", was.seed.to_string(), is.seed.to_string())
            .or_else(|| differs("a training set of", samples(was), samples(is)))
            .or_else(|| number("train_batch_size", was.batch_size, is.batch_size))
            .or_else(|| number("gradient_accumulation_steps", steps(was), steps(is)))
            .or_else(|| {
                let (was, is) = (was.drop_last.to_string(), is.drop_last.to_string());
                differs("dataloader_drop_last", was, is)
            })
            .or_else(|| differs("the ValidationSplit seed", split(was), split(is)));
        match fault {
            None => Ok(()),
            Some(fault) => Err(Error::argument(format!(
                "{}: made with {fault}: it cannot go on in the middle of an epoch",
                folder.display()
            ))),
        }
    }
}

/// The folder of the checkpoint after `step` updates.
pub(super) fn folder(output: &Path, step: u64) -> PathBuf {
    output.join(format!("{PREFIX}{step}"))
}

/// The checkpoints in a folder with their steps, oldest first.
pub(super) fn list(output: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for (name, path) in entries(output)? {
        let step = name.strip_prefix(PREFIX).and_then(|n| n.parse().ok());
        if let Some(step) = step.filter(|_| path.is_dir()) {
            found.push((step, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let listed = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|e| Error::io(folder, e))?,
    };
    let mut all = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        all.push((name, entry.path()));
    }
    Ok(all)
}

/// Remove what processes that were killed have left half-written, and put back what they were about to replace.
pub(super) fn sweep(output: &Path) -> Result<()> {
    let ours = [PREFIX, "history.json", "report.html", MODEL];
    let ours: Vec<&str> = ours.into_iter().chain(PICTURES).collect();
    for (name, path) in entries(output)? {
        let hidden = name.strip_prefix('.').filter(|n| n.ends_with(".tmp"));
        if !hidden.is_some_and(|n| ours.iter().any(|start| n.starts_with(start))) {
            continue;
        }
        if let Some((place, _)) = hidden.and_then(|n| n.split_once('.'))
            && name.ends_with(REPLACED)
            && !output.join(place).exists()
        {
            fs::rename(&path, output.join(place)).map_err(|e| Error::io(&path, e))?;
        } else if path.is_dir() {
            remove(&path)?;
        } else {
            remove_file(&path)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(folder, e)),
        _ => Ok(()),
    }
}

/// Remove a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}

/// Remove checkpoints of `output`.
pub(super) fn remove_all(output: &Path) -> Result<()> {
    list(output)?.iter().try_for_each(|(_, path)| discard(path))
}

/// Remove a checkpoint: renamed first, so that none is there in part.
fn discard(folder: &Path) -> Result<()> {
    let hidden = beside(folder, "-old.tmp");
    remove(&hidden)?;
    fs::rename(folder, &hidden).map_err(|e| Error::io(folder, e))?;
    remove(&hidden)
}

fn beside(folder: &Path, ending: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{}{ending}", std::process::id()))
}

/// A checkpoint whose files are gathered in a folder beside its own, which is gone with it.
pub(super) struct Draft {
    folder: PathBuf,
    temporary: PathBuf,
    saved: Saved,
}

impl Draft {
    /// One of `folder`, where `fill` writes the first files.
    pub fn new(folder: PathBuf, fill: impl FnOnce(&Path) -> Result<Saved>) -> Result<Self> {
        let temporary = beside(&folder, "-new.tmp");
        remove(&temporary)?;
        let made = fs::create_dir_all(&temporary).map_err(|e| Error::io(&temporary, e));
        match made.and_then(|()| fill(&temporary)) {
            Ok(saved) => Ok(Self {
                folder,
                temporary,
                saved,
            }),
            Err(error) => {
                // The first error counts.
                let _ = remove(&temporary);
                Err(error)
            }
        }
    }

    /// The best checkpoint that it names.
    pub fn best(&self) -> Option<PathBuf> {
        self.saved.state.best_model_checkpoint.clone()
    }

    /// Have the checkpoint be there, with the files that `fill` writes too: all is synced and then renamed.
    pub fn write(self, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let (folder, temporary) = (&self.folder, &self.temporary);
        fill(temporary)?;
        let mut saved = self.saved.clone();
        for (name, path) in entries(temporary)? {
            saved.files.insert(name, sum(&path)?);
        }
        write_state(temporary, &mut saved)?;
        let replaced = beside(folder, REPLACED);
        if folder.exists() {
            remove(&replaced)?;
            fs::rename(folder, &replaced).map_err(|e| Error::io(folder, e))?;
        }
        fs::rename(temporary, folder).map_err(|e| Error::io(folder, e))?;
        let parent = folder.parent().unwrap_or(Path::new("."));
        sync_directory(parent).map_err(|e| Error::io(parent, e))?;
        remove(&replaced)?;
        Ok(folder.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What stays is swept away when a training begins.
        let _ = remove(&self.temporary);
    }
}

/// Have the checkpoint `folder` hold what callbacks asked for after it was written.
pub(super) fn amend(folder: &Path, control: TrainerControl) -> Result<()> {
    let mut saved = read_state(folder)?;
    saved.control = control;
    write_state(folder, &mut saved)
}

fn write_state(folder: &Path, saved: &mut Saved) -> Result<()> {
    saved.crc32 = sum_of_state(&json(saved)?);
    write_atomic(folder.join(STATE), &json(saved)?)
}

fn json(saved: &Saved) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(saved)
        .map_err(|e| Error::argument(format!("a state that is no JSON: {e}")))?;
    json.push(b'\n');
    Ok(json)
}

/// CRC-32 of a state's file as far as the name of that.
fn sum_of_state(json: &[u8]) -> u32 {
    let name = b"\"crc32\"";
    let at = json.windows(name.len()).rposition(|w| w == name);
    let mut crc = flate2::Crc::new();
    crc.update(&json[..at.unwrap_or(json.len())]);
    crc.sum()
}

/// Size and CRC-32 of a file.
fn sum(path: &Path) -> Result<(u64, u32)> {
    let io = |e| Error::io(path, e);
    let mut file = std::io::BufReader::with_capacity(1 << 20, fs::File::open(path).map_err(io)?);
    let mut crc = flate2::CrcWriter::new(std::io::sink());
    let size = std::io::copy(&mut file, &mut crc).map_err(io)?;
    Ok((size, crc.crc().sum()))
}

/// The state of a checkpoint.
pub(super) fn read_state(folder: &Path) -> Result<Saved> {
    let path = folder.join(STATE);
    let json = fs::read(&path).map_err(|e| Error::io(&path, e))?;
    let saved: Saved = crate::json::weigh(&json)
        .and_then(|()| serde_json::from_slice(&json))
        .map_err(|e| Error::file(&path, None, format!("not the state of a training: {e}")))?;
    if saved.version != VERSION {
        let message = format!("version {}: this reads {VERSION}", saved.version);
        return Err(Error::file(&path, None, message));
    }
    let (crc, written) = (sum_of_state(&json), saved.crc32);
    if crc != written {
        let message = format!("CRC-32 {crc:08x}: {written:08x} was written");
        return Err(Error::file(&path, None, message));
    }
    let (_, bad, cooldown) = saved.plateau.unwrap_or_default();
    let state = [
        saved.state.global_step,
        saved.state.best_global_step.unwrap_or(0),
        saved.data.samples as u64,
        bad,
        cooldown,
    ];
    if let Some(count) = saved.position.counts().chain(state).find(|n| *n > MOST) {
        let message = format!("not the state of a training: a count of {count}");
        return Err(Error::file(&path, None, message));
    }
    Ok(saved)
}

/// The state of a checkpoint, all of whose files are what was written.
pub(super) fn read(folder: &Path) -> Result<Saved> {
    let saved = read_state(folder)?;
    for (name, (size, crc)) in &saved.files {
        let path = folder.join(name);
        let (found, found_crc) = sum(&path)?;
        if found != *size {
            let message = format!("{found} bytes: {size} were written");
            return Err(Error::file(&path, None, message));
        }
        if found_crc != *crc {
            let message = format!("CRC-32 {found_crc:08x}: {crc:08x} was written");
            return Err(Error::file(&path, None, message));
        }
    }
    Ok(saved)
}

/// The state of the newest checkpoint in `output`. One that is broken is an error that offers the one before.
pub(super) fn newest(output: &Path) -> Result<Option<(PathBuf, Saved)>> {
    let mut all = list(output)?;
    let Some((_, last)) = all.pop() else {
        return Ok(None);
    };
    let fault = match read(&last) {
        Ok(saved) => return Ok(Some((last, saved))),
        Err(fault) => fault,
    };
    let whole = all.iter().rev().find(|(_, path)| read(path).is_ok());
    let offer = match whole {
        Some((_, path)) => format!(
            "{} before it is whole: go on from there with Resume::From, or remove the broken one",
            path.display()
        ),
        None => "there is no other: remove it to begin anew".to_owned(),
    };
    Err(Error::file(
        &last,
        None,
        format!("this checkpoint is broken ({fault}); {offer}"),
    ))
}

/// Remove the oldest checkpoints in `output` until `limit` are left, but neither that of `step`, the newest, nor the best ones. Where
/// there are more, all of later steps go first: a training has gone back from there.
pub(super) fn prune(output: &Path, limit: usize, step: u64, best: &[&PathBuf]) -> Result<()> {
    let mut all = list(output)?;
    if all.len() > limit {
        let later = all.iter().filter(|(of, _)| *of > step);
        later.into_iter().try_for_each(|(_, path)| discard(path))?;
        all.retain(|(of, _)| *of <= step);
    }
    let newest = folder(output, step);
    let stays = |path: &PathBuf| *path == newest || best.contains(&path);
    let excess = all.len().saturating_sub(limit);
    let old = all.iter().map(|(_, path)| path).filter(|p| !stays(p));
    old.take(excess).try_for_each(|path| discard(path))
}
