//! The directory of a zip file whose entries are stored as they are: what PyTorch writes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// What a zip file begins with.
pub(super) const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";

/// Bytes of a local header, a central one, the end, its locator and the end of the 64-bit form, before what varies.
const LOCAL_SIZE: u64 = 30;
const CENTRAL_SIZE: usize = 46;
const END_SIZE: usize = 22;
const LOCATOR_SIZE: u64 = 20;
const END_64_SIZE: usize = 56;

/// Largest central directory that is read.
const MAX_DIRECTORY: u64 = 256 << 20;
/// Longest comment behind the directory.
const MAX_COMMENT: u64 = 0xffff;

/// Where an entry's bytes lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Byte offset of the first.
    pub start: u64,
    /// How many.
    pub len: u64,
}

/// Where things lie, and the file they lie in.
struct Zip<'a> {
    path: &'a Path,
    file: &'a File,
    length: u64,
}

/// The entries of a zip file by name.
///
/// # Errors
/// [`Error::File`] with the byte offset where it is no whole zip file, where an entry is compressed or encrypted, lies
/// outside of the file or comes twice; [`Error::Io`] where it cannot be read.
pub(super) fn entries(path: &Path, file: &File) -> Result<BTreeMap<String, Entry>> {
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let zip = Zip { path, file, length };
    let (start, size) = zip.directory()?;
    if size > MAX_DIRECTORY.min(length) || start > length - size {
        let message = format!(
            "not a zip file, or a truncated one: a directory of {size} bytes at {start} in a file of {length}"
        );
        return zip.fault(start, message);
    }
    let directory = zip.bytes(start, size)?;
    let mut found = BTreeMap::new();
    let mut at = 0;
    while at < directory.len() {
        let (name, entry, next) = zip.entry(&directory, at, start)?;
        if found.insert(name.clone(), entry).is_some() {
            return zip.fault(start + at as u64, format!("two entries are called {name}"));
        }
        at = next;
    }
    Ok(found)
}

impl Zip<'_> {
    fn fault<T>(&self, at: u64, message: impl Into<String>) -> Result<T> {
        Err(Error::file(self.path, at, message))
    }

    /// `len` bytes from `start` on, which the caller knows to lie in the file.
    fn bytes(&self, start: u64, len: u64) -> Result<Vec<u8>> {
        let mut file = self.file;
        let mut bytes = vec![0; len as usize];
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|e| Error::io(self.path, e))?;
        Ok(bytes)
    }

    /// Where the central directory lies: its start and its size.
    fn directory(&self) -> Result<(u64, u64)> {
        let tail = self.length.min(MAX_COMMENT + END_SIZE as u64);
        let from = self.length - tail;
        let bytes = self.bytes(from, tail)?;
        let ends = (0..=bytes.len().saturating_sub(END_SIZE)).rev();
        let Some(end) = ends.into_iter().find(|&i| bytes[i..].starts_with(END)) else {
            return self.fault(
                self.length,
                "a truncated zip file: it ends before its directory",
            );
        };
        let (size, start) = (number(&bytes, end + 12, 4), number(&bytes, end + 16, 4));
        let at = from + end as u64;
        if at >= LOCATOR_SIZE {
            let locator = self.bytes(at - LOCATOR_SIZE, LOCATOR_SIZE)?;
            if locator.starts_with(LOCATOR_64) {
                let at = number(&locator, 8, 8);
                if at > self.length.saturating_sub(END_64_SIZE as u64) {
                    return self.fault(at, "a damaged zip file: its directory lies outside of it");
                }
                let end = self.bytes(at, END_64_SIZE as u64)?;
                if !end.starts_with(END_64) {
                    return self.fault(at, "a damaged zip file: no directory where it should be");
                }
                return Ok((number(&end, 48, 8), number(&end, 40, 8)));
            }
        }
        Ok((start, size))
    }

    /// The entry at `at` of a directory that begins at byte `start`: its name, where it lies, and where the next begins.
    fn entry(&self, directory: &[u8], at: usize, start: u64) -> Result<(String, Entry, usize)> {
        let here = start + at as u64;
        let header = &directory[at..];
        if header.len() < CENTRAL_SIZE || !header.starts_with(CENTRAL) {
            return self.fault(here, "a damaged zip file: its directory ends in an entry");
        }
        let half = |at| number(header, at, 2) as usize;
        let (name, extra, comment) = (half(28), half(30), half(32));
        let end = CENTRAL_SIZE + name + extra + comment;
        if end > header.len() {
            return self.fault(here, "a damaged zip file: its directory ends in an entry");
        }
        let Ok(text) = std::str::from_utf8(&header[CENTRAL_SIZE..CENTRAL_SIZE + name]) else {
            return self.fault(here, "an entry of the zip file whose name is not UTF-8");
        };
        let (flags, method) = (half(8), half(10));
        if method != 0 || flags & 1 != 0 {
            return self.fault(
                here,
                format!(
                    "{text}: a compressed or encrypted entry, PyTorch's are stored as they are"
                ),
            );
        }
        let wide = &header[CENTRAL_SIZE + name..CENTRAL_SIZE + name + extra];
        let fields = [
            number(header, 24, 4),
            number(header, 20, 4),
            number(header, 42, 4),
        ];
        let Some([len, stored, local]) = widen(fields, wide) else {
            return self.fault(here, format!("{text}: an entry without its 64-bit sizes"));
        };
        let outside = || {
            let message = format!(
                "a truncated zip file: {text}, {len} bytes at {local}, in a file of {} bytes",
                self.length
            );
            Error::file(self.path, self.length.min(local), message)
        };
        if len != stored || local > self.length.saturating_sub(LOCAL_SIZE) {
            return Err(outside());
        }
        let head = self.bytes(local, LOCAL_SIZE)?;
        if !head.starts_with(LOCAL) {
            return self.fault(local, format!("{text}: no entry where the directory says"));
        }
        let first = local + LOCAL_SIZE + number(&head, 26, 2) + number(&head, 28, 2);
        if first.checked_add(len).is_none_or(|end| end > self.length) {
            return Err(outside());
        }
        let entry = Entry { start: first, len };
        Ok((text.to_owned(), entry, at + end))
    }
}

/// Size, stored size and offset, from the extra field `extra` where the directory's own are too small for them.
fn widen(fields: [u64; 3], mut extra: &[u8]) -> Option<[u64; 3]> {
    const WIDE: u64 = 0xffff_ffff;
    let mut wide: &[u8] = &[];
    while extra.len() >= 4 {
        let (tag, len) = (number(extra, 0, 2), number(extra, 2, 2) as usize);
        let body = extra.get(4..4 + len)?;
        if tag == 1 {
            wide = body;
        }
        extra = &extra[4 + len..];
    }
    let mut values = fields;
    for value in values.iter_mut().filter(|v| **v == WIDE) {
        wide.get(..8)?;
        *value = number(wide, 0, 8);
        wide = &wide[8..];
    }
    Some(values)
}

/// The little-endian number of `size` bytes at `at`.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let bytes = &bytes[at..at + size];
    bytes
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u64::from(*byte))
}
