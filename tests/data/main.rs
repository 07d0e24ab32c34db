//! Files of every format, whole and broken: what is broken is an error that says where, and never a panic.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};

use wgrad::Result;

mod broken;
mod damage;
mod further;
#[cfg(feature = "image")]
mod images;
#[cfg(feature = "parquet")]
mod parquet;
mod samples;
mod tables;
mod texts;
#[cfg(feature = "train")]
mod training;

/// A file of these bytes in a folder that lives as long as the value.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const JUNK: &[u8] = b"\xff\xfe\x00\x9c\x81\x00\xc3\x28\n\x01\x02\xf0\x28\x8c\x28\n";

fn message<T>(result: Result<T>) -> String {
    result.err().unwrap().to_string()
}
