//! Weights in several files, and the index that says which tensor is in which: `model.safetensors.index.json`, as Hugging
//! Face writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{MAX_HEADER, Reader};
use crate::error::{Error, Result};

/// What the weights of a folder are called, in the order in which they are looked for.
const IN_FOLDER: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    metadata: BTreeMap<String, serde_json::Value>,
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// The file, or the index, of a folder's weights.
pub(super) fn in_folder(folder: &Path) -> Result<PathBuf> {
    let mut paths = IN_FOLDER.iter().map(|name| folder.join(name));
    paths.find(|p| p.is_file()).ok_or_else(|| {
        let message = format!(
            "a directory without weights: none of {}",
            IN_FOLDER.join(", ")
        );
        Error::file(folder, None, message)
    })
}

/// Whether a file is an index, by its name.
pub(super) fn is_index(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy());
    name.is_some_and(|n| n.ends_with(".index.json"))
}

/// Names of the files that an index names, in order.
///
/// # Errors
/// As [`open`], without a look at the files.
#[cfg(feature = "hub")]
pub(crate) fn files(path: &Path) -> Result<Vec<String>> {
    let named: BTreeSet<String> = read(path)?.weight_map.into_values().collect();
    Ok(named.into_iter().collect())
}

/// Opens all shards of an index.
///
/// # Errors
/// [`Error::File`] where the index is none, or names a shard or a tensor that is not there; as [`Reader::open`] for
/// each shard.
pub(super) fn open(path: &Path) -> Result<Reader> {
    let index = read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    let missing: Vec<&str> = names
        .iter()
        .map(|name| name.as_str())
        .filter(|name| !folder.join(name).is_file())
        .collect();
    if !missing.is_empty() {
        return Err(Error::file(
            path,
            None,
            format!(
                "{} of {} shards are not beside it: {}",
                missing.len(),
                names.len(),
                missing.join(", ")
            ),
        ));
    }
    let mut whole = Reader {
        path: path.to_owned(),
        parts: Vec::new(),
        metadata: BTreeMap::new(),
        names: Vec::new(),
        tensors: Default::default(),
    };
    for (at, name) in names.into_iter().enumerate() {
        let mut shard = Reader::open_one(&folder.join(name))?;
        for tensor in std::mem::take(&mut shard.names) {
            // A tensor that lies in two shards is that of the shard which the index names.
            let elsewhere = index.weight_map.get(&tensor).is_some_and(|n| n != name);
            let Some(mut place) = shard.tensors.remove(&tensor).filter(|_| !elsewhere) else {
                continue;
            };
            place.part = at;
            if whole.tensors.insert(tensor.clone(), place).is_some() {
                let message = format!("{tensor} is in two shards and not in weight_map");
                return Err(Error::file(path, None, message));
            }
            whole.names.push(tensor);
        }
        whole.metadata.append(&mut shard.metadata);
        whole.parts.append(&mut shard.parts);
    }
    for (tensor, name) in &index.weight_map {
        if !whole.tensors.contains_key(tensor) {
            let message = format!("weight_map has {tensor} in {name}, which holds no such tensor");
            return Err(Error::file(path, None, message));
        }
    }
    for (key, value) in index.metadata {
        let text = value.as_str().map_or(value.to_string(), str::to_owned);
        whole.metadata.insert(key, text);
    }
    Ok(whole)
}

fn read(path: &Path) -> Result<Index> {
    let io = |e| Error::io(path, e);
    let mut json = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(MAX_HEADER + 1)
        .read_to_end(&mut json)
        .map_err(io)?;
    if json.len() as u64 > MAX_HEADER {
        let message = format!("an index of more than {MAX_HEADER} bytes");
        return Err(Error::file(path, None, message));
    }
    let weighed = crate::json::weigh(&json);
    let index: Index = weighed
        .and_then(|()| serde_json::from_slice(&json))
        .map_err(|e| {
            let message = format!("not an index of shards: {e}");
            Error::line(path, e.line().max(1) as u64, message)
        })?;
    if index.weight_map.is_empty() {
        return Err(Error::file(path, None, "weight_map names no tensor"));
    }
    let plain =
        |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':', '?', '#']);
    if let Some(name) = index.weight_map.values().find(|name| !plain(name)) {
        let message = format!("weight_map: '{name}' is not the name of a file beside the index");
        return Err(Error::file(path, None, message));
    }
    Ok(index)
}

#[cfg(test)]
mod tests;
