//! Files being read: unpacked where they are gzipped, decoded where they are text.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek};
use std::path::Path;

use encoding_rs::{DecoderResult, Encoding};
use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

/// What deflate packs into one byte at most.
const MAX_DEFLATE_RATIO: u64 = 1032;
/// What a file may become in memory: this many times its bytes, as honest files do, and [`MOST_BESIDES`], so that small ones may
/// be packed as well as they like.
const MOST_RATIO: u64 = 64;
/// See [`MOST_RATIO`].
const MOST_BESIDES: u64 = 64 << 20;

/// Bytes that a file of `len` may become in memory; one that would take more is refused before it does.
pub(super) fn most(len: u64) -> u64 {
    len.saturating_mul(MOST_RATIO).saturating_add(MOST_BESIDES)
}

/// A file being read, unpacked where it is gzipped.
pub(super) struct Source<'a> {
    path: &'a Path,
    stream: Stream,
    /// Bytes of the file.
    len: u64,
    /// Unpacked bytes read so far.
    at: u64,
}

enum Stream {
    Plain(BufReader<File>),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

impl<'a> Source<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut file = BufReader::new(file);
        let packed = file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
        let stream = if packed {
            Stream::Gzip(Box::new(MultiGzDecoder::new(file)))
        } else {
            Stream::Plain(file)
        };
        Ok(Self {
            path,
            stream,
            len,
            at: 0,
        })
    }

    pub(super) fn packed(&self) -> bool {
        matches!(self.stream, Stream::Gzip(_))
    }

    /// Unpacked bytes read so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The most bytes that can still come.
    pub(super) fn room(&self) -> u64 {
        let total = if self.packed() {
            self.len.saturating_mul(MAX_DEFLATE_RATIO)
        } else {
            self.len
        };
        total.saturating_sub(self.at)
    }

    /// The next `len` bytes, which hold `what`; memory is taken as they come.
    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<Vec<u8>> {
        let start = self.at;
        let mut bytes = Vec::new();
        if !self.packed() {
            self.reserve(&mut bytes, usize::try_from(len).unwrap_or(usize::MAX))?;
        }
        self.append(&mut bytes, len)?;
        if (bytes.len() as u64) < len {
            let found = bytes.len();
            return Err(Error::file(
                self.path,
                start,
                format!("{what} takes {len} bytes, found {found}"),
            ));
        }
        Ok(bytes)
    }

    /// Reads all of `buffer`, which holds `what`.
    pub(super) fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<()> {
        let start = self.at;
        let mut filled = 0;
        while filled < buffer.len() {
            let n = self.read(&mut buffer[filled..])?;
            if n == 0 {
                let want = buffer.len();
                return Err(Error::file(
                    self.path,
                    start,
                    format!("{what} takes {want} bytes, found {filled}"),
                ));
            }
            filled += n;
        }
        Ok(())
    }

    /// Refuses anything left. What unpacks to its very end has also passed gzip's checksum.
    pub(super) fn end(&mut self) -> Result<()> {
        let end = self.at;
        if self.read(&mut [0])? > 0 {
            return Err(Error::file(
                self.path,
                end,
                "the array ends here, but more bytes follow",
            ));
        }
        Ok(())
    }

    /// All that is left.
    fn rest(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, u64::MAX)?;
        Ok(bytes)
    }

    /// Adds what is left, at most `len` bytes.
    fn append(&mut self, bytes: &mut Vec<u8>, len: u64) -> Result<()> {
        let mut chunk = vec![0; 1 << 16];
        let mut left = len;
        while left > 0 {
            let want = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = self.read(&mut chunk[..want])?;
            if n == 0 {
                break;
            }
            if self.packed() && self.at > most(self.len) {
                return Err(Error::file(
                    self.path,
                    None,
                    format!(
                        "the gzip stream of {} bytes unpacks to more than {}: if that is meant, unpack it before",
                        self.len,
                        most(self.len)
                    ),
                ));
            }
            self.reserve(bytes, n)?;
            bytes.extend_from_slice(&chunk[..n]);
            left -= n as u64;
        }
        Ok(())
    }

    fn reserve(&self, bytes: &mut Vec<u8>, more: usize) -> Result<()> {
        bytes.try_reserve(more).map_err(|_| {
            Error::OutOfMemory(format!(
                "{}: more than {} bytes",
                self.path.display(),
                bytes.len()
            ))
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = loop {
            let read = match &mut self.stream {
                Stream::Plain(file) => file.read(buffer),
                Stream::Gzip(gzip) => gzip.read(buffer),
            };
            match read {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let n = read.map_err(|e| match (&mut self.stream, e.kind()) {
            (
                Stream::Gzip(gzip),
                ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof,
            ) => {
                let offset = gzip.get_mut().stream_position().ok();
                Error::file(
                    self.path,
                    offset,
                    format!("the gzip stream is corrupt: {e}"),
                )
            }
            _ => Error::io(self.path, e),
        })?;
        self.at += n as u64;
        Ok(n)
    }
}

/// The bytes of the file at `path`.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    Source::open(path)?.rest()
}

/// The text of the file at `path`, in the encoding of that name; a byte order mark is left out.
pub(super) fn read_text(path: &Path, encoding: &str) -> Result<String> {
    let Some(encoding) = Encoding::for_label(encoding.as_bytes()) else {
        return Err(Error::argument(format!(
            "no encoding '{encoding}', there are utf-8, windows-1252, iso-8859-2, utf-16le and others of the WHATWG standard"
        )));
    };
    let bytes = read_bytes(path)?;
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let mut text = String::new();
    let room = decoder
        .max_utf8_buffer_length_without_replacement(bytes.len())
        .filter(|&n| text.try_reserve(n).is_ok());
    if room.is_none() {
        return Err(Error::OutOfMemory(format!(
            "{}: a text of {} bytes",
            path.display(),
            bytes.len()
        )));
    }
    let (result, read) = decoder.decode_to_string_without_replacement(&bytes, &mut text, true);
    let DecoderResult::Malformed(bad, after) = result else {
        return Ok(text);
    };
    let end = read.saturating_sub(usize::from(after));
    let start = end.saturating_sub(usize::from(bad));
    let found: Vec<String> = bytes[start..end]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Err(Error::file(
        path,
        start as u64,
        format!(
            "expected text in {}, found the bytes {} (another encoding can be named)",
            encoding.name(),
            found.join(" ")
        ),
    ))
}

/// The first 60 characters of a text, for messages.
pub(super) fn shorten(text: &str) -> String {
    let mut start: String = text.chars().take(60).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
