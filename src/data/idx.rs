//! The IDX format of MNIST: big-endian sizes, then one byte an element; gzipped or not.

use std::ops::RangeInclusive;
use std::path::Path;

use super::file::Source;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// A dense row-major array of bytes: pixels and labels, a quarter of what they take as an
/// [`Array`](crate::Array).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    shape: Shape,
    data: Vec<u8>,
}

impl Bytes {
    /// The bytes `data` in row-major order.
    ///
    /// # Errors
    /// [`Error::Argument`] where the shape does not hold as many as came.
    pub fn new(shape: impl Into<Shape>, data: impl Into<Vec<u8>>) -> Result<Self> {
        let (shape, data) = (shape.into(), data.into());
        if shape
            .iter()
            .try_fold(1usize, |n, &size| n.checked_mul(size))
            != Some(data.len())
        {
            return Err(Error::argument(format!(
                "{} bytes do not make an array {shape}",
                data.len()
            )));
        }
        Ok(Self { shape, data })
    }

    /// The sizes of its dimensions.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its bytes in row-major order.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// The `u8` IDX file at `path`, of one to four dimensions, gzipped or not whatever its name.
///
/// # Errors
/// [`Error::Io`] where it cannot be read. [`Error::File`] where it is not such a file, is cut short, goes on
/// past its end, or its gzip stream is corrupt: the offset counts unpacked bytes, and packed ones for the
/// last. Nothing larger than the file holds is allocated; a gzip stream may unpack to 64 times its size and 64 MiB.
pub fn read(path: impl AsRef<Path>) -> Result<Bytes> {
    read_ranks(path.as_ref(), 1..=4)
}

/// As [`read`], for images: `[n, rows, columns]`, or `[n, channels, rows, columns]`.
///
/// # Errors
/// As [`read`]; [`Error::File`] for other ranks.
pub fn read_images(path: impl AsRef<Path>) -> Result<Bytes> {
    read_ranks(path.as_ref(), 3..=4)
}

/// As [`read`], for labels: `[n]`.
///
/// # Errors
/// As [`read`]; [`Error::File`] for other ranks.
pub fn read_labels(path: impl AsRef<Path>) -> Result<Bytes> {
    read_ranks(path.as_ref(), 1..=1)
}

fn read_ranks(path: &Path, ranks: RangeInclusive<u8>) -> Result<Bytes> {
    let mut source = Source::open(path)?;
    let mut header = [0; 4];
    source.fill(&mut header, "the magic number")?;
    let rank = match header {
        [0, 0, 8, rank] if ranks.contains(&rank) => rank,
        _ => {
            let (magic, wanted) = (u32::from_be_bytes(header), expected(&ranks));
            return Err(Error::file(
                path,
                0,
                format!("the magic number is {magic} ({magic:#010x}), {wanted}"),
            ));
        }
    };
    let mut shape = Vec::new();
    for _ in 0..rank {
        let mut size = [0; 4];
        source.fill(&mut size, "a size")?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let shape = Shape::from(shape);
    let len = shape
        .iter()
        .try_fold(1u64, |n, &size| n.checked_mul(size as u64));
    let room = source.room();
    let Some(len) = len.filter(|&n| n <= room) else {
        let bytes = len.map_or(String::from("more than 2^64"), |n| n.to_string());
        let found = if source.packed() {
            "the gzip stream holds at most"
        } else {
            "found"
        };
        return Err(Error::file(
            path,
            source.at(),
            format!("an array {shape} takes {bytes} bytes, {found} {room}"),
        ));
    };
    let data = source.take(len, &format!("an array {shape}"))?;
    source.end()?;
    Ok(Bytes { shape, data })
}

/// The magic numbers that `ranks` allows, as a clause.
fn expected(ranks: &RangeInclusive<u8>) -> &'static str {
    match (ranks.start(), ranks.end()) {
        (1, 1) => "expected 2049 for labels (images have 2051)",
        (3, _) => "expected 2051 for images (labels have 2049)",
        _ => {
            "expected 2051 for images or 2049 for labels (in general 2048 + dimensions, 1 to 4, of u8)"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const LABELS: [u8; 11] = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// What `read` makes of a file with this content.
    fn parse(bytes: &[u8]) -> Result<Bytes> {
        parse_ranks(bytes, 1..=4)
    }

    fn parse_ranks(bytes: &[u8], ranks: RangeInclusive<u8>) -> Result<Bytes> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read_ranks(file.path(), ranks)
    }

    /// Offset and message of the error.
    fn fault<T>(result: Result<T>) -> (Option<u64>, String) {
        match result.err().unwrap() {
            Error::File {
                offset, message, ..
            } => (offset, message),
            other => panic!("{other}"),
        }
    }

    #[track_caller]
    fn refused(bytes: &[u8], offset: u64, message: &str) {
        assert_eq!(fault(parse(bytes)), (Some(offset), String::from(message)));
    }

    #[test]
    fn reads_every_rank_packed_or_not() {
        let labels = Bytes::new([3], [7, 8, 9]).unwrap();
        assert_eq!(parse(&LABELS).unwrap(), labels);
        assert_eq!(parse(&gzip(&LABELS)).unwrap(), labels);
        let members = [gzip(&LABELS[..9]), gzip(&LABELS[9..])].concat();
        assert_eq!(parse(&members).unwrap(), labels);
        for rank in 1..=4u8 {
            let sizes = (0..rank).flat_map(|d| [0, 0, 0, d + 1]);
            let n = (1..=rank).product::<u8>();
            let file: Vec<u8> = [0, 0, 8, rank]
                .into_iter()
                .chain(sizes)
                .chain(0..n)
                .collect();
            let shape: Shape = (1..=usize::from(rank)).collect();
            assert_eq!(
                parse(&file).unwrap(),
                Bytes::new(shape, (0..n).collect::<Vec<u8>>()).unwrap()
            );
        }
        assert_eq!(
            parse(&[0, 0, 8, 1, 0, 0, 0, 0]).unwrap(),
            Bytes::new([0], []).unwrap()
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read("no/such/file").err().unwrap();
        assert!(
            matches!(&error, Error::Io { path, .. } if path == Path::new("no/such/file")),
            "{error}"
        );
    }

    #[test]
    fn truncated_files_say_what_was_expected() {
        refused(&[], 0, "the magic number takes 4 bytes, found 0");
        refused(&[0, 0, 8], 0, "the magic number takes 4 bytes, found 3");
        refused(&LABELS[..6], 4, "a size takes 4 bytes, found 2");
        refused(&LABELS[..10], 8, "an array [3] takes 3 bytes, found 2");
        refused(
            &gzip(&LABELS[..10]),
            8,
            "an array [3] takes 3 bytes, found 2",
        );
        refused(&gzip(&[]), 0, "the magic number takes 4 bytes, found 0");
    }

    #[test]
    fn bytes_past_the_end_are_refused() {
        let long = [&LABELS[..], &[1]].concat();
        refused(&long, 11, "the array ends here, but more bytes follow");
        refused(
            &gzip(&long),
            11,
            "the array ends here, but more bytes follow",
        );
    }

    #[test]
    fn a_wrong_magic_number_is_said() {
        let general = "expected 2051 for images or 2049 for labels (in general 2048 + dimensions, 1 to 4, of u8)";
        refused(
            b"\x89PNG",
            0,
            &format!("the magic number is 2303741511 (0x89504e47), {general}"),
        );
        refused(
            &[0, 0, 8, 5, 0],
            0,
            &format!("the magic number is 2053 (0x00000805), {general}"),
        );
        refused(
            &[0, 0, 8, 0],
            0,
            &format!("the magic number is 2048 (0x00000800), {general}"),
        );
        refused(
            &[0, 0, 13, 1],
            0,
            &format!("the magic number is 3329 (0x00000d01), {general}"),
        );
        let (_, message) = fault(parse_ranks(&LABELS, 3..=4));
        assert_eq!(
            message,
            "the magic number is 2049 (0x00000801), expected 2051 for images (labels have 2049)"
        );
        let (_, message) = fault(parse_ranks(&[0, 0, 8, 3], 1..=1));
        assert_eq!(
            message,
            "the magic number is 2051 (0x00000803), expected 2049 for labels (images have 2051)"
        );
    }

    #[test]
    fn absurd_sizes_are_refused_before_they_are_allocated() {
        let huge = [&[0, 0, 8, 2], &[0xff; 8][..], &[0]].concat();
        let array = "an array [4294967295,4294967295] takes 18446744065119617025 bytes";
        refused(&huge, 12, &format!("{array}, found 1"));
        let packed = gzip(&huge);
        let most = packed.len() * 1032 - 12;
        refused(
            &packed,
            12,
            &format!("{array}, the gzip stream holds at most {most}"),
        );
        let over = [&[0, 0, 8, 3], &[0xff; 12][..]].concat();
        let array = "an array [4294967295,4294967295,4294967295] takes more than 2^64 bytes";
        refused(&over, 16, &format!("{array}, found 0"));
    }

    #[test]
    fn corrupt_gzip_is_said() {
        let whole = gzip(&LABELS);
        let (offset, message) = fault(parse(&whole[..whole.len() - 9]));
        assert_eq!(offset, Some(whole.len() as u64 - 9));
        assert!(
            message.starts_with("the gzip stream is corrupt: "),
            "{message}"
        );
        // The last eight bytes are the checksum and the length.
        let mut changed = whole.clone();
        changed[whole.len() - 8] ^= 1;
        let (offset, message) = fault(parse(&changed));
        assert_eq!(
            (offset, message.as_str()),
            (
                Some(whole.len() as u64),
                "the gzip stream is corrupt: corrupt gzip stream does not have a matching checksum"
            )
        );
        let (_, message) = fault(parse(&[0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]));
        assert_eq!(message, "the gzip stream is corrupt: invalid gzip header");
        let garbage = [&whole[..], b"garbage"].concat();
        let (_, message) = fault(parse(&garbage));
        assert!(
            message.starts_with("the gzip stream is corrupt: "),
            "{message}"
        );
    }

    #[test]
    fn bytes_must_fill_their_shape() {
        let message = Bytes::new([2, 3], [0; 5]).err().unwrap().to_string();
        assert_eq!(message, "5 bytes do not make an array [2,3]");
        assert!(Bytes::new([usize::MAX, 2], []).is_err());
    }
}
