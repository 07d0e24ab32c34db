//! The machine that a session runs on: how much memory it has, where it keeps caches.

use crate::error::Result;
use std::path::PathBuf;

/// Bytes of memory of this machine, where the system tells.
pub(crate) fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The file for compiled pipelines under `key`; none where `WGRAD_CACHE` is `off` or there is no home.
fn pipeline_file(key: &str) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    let folder = match set("WGRAD_CACHE") {
        Some(off) if off == "off" => return None,
        Some(folder) => PathBuf::from(folder),
        None => match set("XDG_CACHE_HOME") {
            Some(folder) => PathBuf::from(folder).join("wgrad"),
            None => PathBuf::from(set("HOME")?).join(".cache").join("wgrad"),
        },
    };
    Some(folder.join(key))
}

/// The compiled pipelines that an earlier session kept.
pub(crate) fn read_pipelines(key: &str) -> Option<Vec<u8>> {
    std::fs::read(pipeline_file(key)?).ok()
}

/// Keep compiled pipelines for later sessions.
pub(crate) fn write_pipelines(key: &str, data: &[u8]) -> Result<()> {
    let Some(file) = pipeline_file(key) else {
        return Ok(());
    };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|e| crate::Error::io(folder, e))?;
    }
    crate::atomic::write_atomic(&file, data)
}
