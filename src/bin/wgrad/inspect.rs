//! `wgrad inspect`.

use super::{say, size, table};
use std::path::PathBuf;
use wgrad::Result;
use wgrad::weights::Reader;

/// What to show.
#[derive(clap::Args)]
pub struct Options {
    /// A .safetensors, .pt or .pth file, the .index.json of shards, or a folder that holds one of these
    file: PathBuf,
}

/// Show names, dtypes, shapes and sizes of a file's tensors.
pub fn inspect(options: &Options) -> Result<bool> {
    let file = Reader::open(&options.file)?;
    let mut rows = Vec::new();
    let (mut elements, mut bytes) = (0u64, 0u64);
    for name in file.names() {
        let (Some(shape), Some(dtype), Some(n)) =
            (file.shape(name), file.dtype(name), file.bytes(name))
        else {
            continue;
        };
        elements += shape.numel() as u64;
        bytes += n;
        rows.push(vec![
            name.escape_debug().to_string(),
            dtype,
            shape.to_string(),
            size(n),
        ]);
    }
    for (key, value) in file.metadata() {
        say(&format!("{}: {}", key.escape_debug(), value.escape_debug()));
    }
    if !rows.is_empty() {
        say(&table(&["name", "dtype", "shape", "size"], &rows, &[3]));
    }
    let shards = match file.files().len() {
        1 => String::new(),
        n => format!(" in {n} files"),
    };
    say(&format!(
        "{} tensors, {elements} elements, {}{shards}",
        rows.len(),
        size(bytes)
    ));
    Ok(true)
}
