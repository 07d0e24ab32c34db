//! The binary format of CIFAR-10: records of one label and 32 x 32 pixels, red, then green, then blue.

use std::path::Path;

use super::Bytes;
use super::file::read_bytes;
use crate::error::{Error, Result};

/// Bytes of an image.
const PIXELS: usize = 3 * 32 * 32;
/// Bytes of a record.
const RECORD: usize = 1 + PIXELS;

/// The ten classes in the order of their labels.
pub(super) const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// The images `[n, 3, 32, 32]` and labels `[n]` of `files`, gzipped or not, one after the other.
pub(super) fn read<P: AsRef<Path>>(files: &[P]) -> Result<(Bytes, Bytes)> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for path in files {
        let path = path.as_ref();
        let bytes = read_bytes(path)?;
        let whole = bytes.len() / RECORD * RECORD;
        if bytes.is_empty() {
            return Err(Error::file(
                path,
                0,
                format!("expected records of {RECORD} bytes, found an empty file"),
            ));
        }
        if whole != bytes.len() {
            return Err(Error::file(
                path,
                whole as u64,
                format!(
                    "a record takes {RECORD} bytes, found {}",
                    bytes.len() - whole
                ),
            ));
        }
        for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
            if usize::from(record[0]) >= CLASSES.len() {
                return Err(Error::file(
                    path,
                    (i * RECORD) as u64,
                    format!("expected a label of 0 to 9, found {}", record[0]),
                ));
            }
            labels.push(record[0]);
            images.extend_from_slice(&record[1..]);
        }
    }
    Ok((
        Bytes::new([labels.len(), 3, 32, 32], images)?,
        Bytes::new([labels.len()], labels)?,
    ))
}
