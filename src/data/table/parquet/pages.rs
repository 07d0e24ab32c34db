//! What a Parquet file says about its sizes, checked before the reader takes memory for it: the reader believes it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use super::thrift::{Compact, I32, LIST, STRUCT};

/// Bytes of the footer behind the metadata: their length and the magic.
const FOOTER: u64 = 8;
/// What deflate packs into one byte at most; Snappy packs less.
const MAX_RATIO: u64 = 1032;
/// Deepest nesting of groups in a schema: it is read by recursion.
const DEEPEST: usize = 32;
/// Bytes that a value of a dictionary and a cell of a table take.
const VALUE: u64 = 32;
const CELL: u64 = 16;

/// Refuses a schema that is nested too deeply. What is no Parquet file at all the reader says.
pub(super) fn check_schema(file: &File, len: u64) -> std::io::Result<Option<&'static str>> {
    if len < FOOTER {
        return Ok(None);
    }
    let footer = range(file, len - FOOTER, FOOTER)?;
    let size = footer.iter().take(4).rev();
    let size = size.fold(0, |n, byte| n << 8 | u64::from(*byte));
    let Some(start) = (len - FOOTER).checked_sub(size) else {
        return Ok(None);
    };
    let metadata = range(file, start, size)?;
    Ok(match depth(&metadata) {
        Some(depth) if depth <= DEEPEST => None,
        Some(_) => Some("a schema that is nested too deeply"),
        None => Some("its metadata end too early"),
    })
}

fn range(mut file: &File, start: u64, len: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The nesting of the schema in `FileMetaData`.
fn depth(metadata: &[u8]) -> Option<usize> {
    let mut from = Compact::new(metadata);
    let (mut last, mut deepest) = (0, 0);
    while let Some((number, kind)) = from.field(&mut last)? {
        if (number, kind) != (2, LIST) {
            from.skip(kind)?;
            continue;
        }
        let (count, kind) = from.list()?;
        // children that are still to come, of each open group
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            let children = match kind {
                STRUCT => children(&mut from)?,
                _ => return None,
            };
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            deepest = deepest.max(open.len());
            if deepest > DEEPEST {
                return Some(deepest);
            }
        }
    }
    Some(deepest)
}

/// The number of children of a `SchemaElement`.
fn children(from: &mut Compact) -> Option<i64> {
    let (mut last, mut children) = (0, 0);
    while let Some(field) = from.field(&mut last)? {
        match field {
            (5, I32) => children = from.signed()?,
            (_, kind) => from.skip(kind)?,
        }
    }
    Some(children)
}

/// What a page says of itself.
#[derive(Default)]
struct Header {
    unpacked: i64,
    packed: i64,
    /// Values of a dictionary.
    entries: i64,
    /// Values of a page of data.
    values: i64,
}

impl Header {
    /// The `PageHeader` that comes next.
    fn read(from: &mut Compact) -> Option<Self> {
        let (mut last, mut header) = (0, Self::default());
        while let Some((number, kind)) = from.field(&mut last)? {
            match (number, kind) {
                (2, I32) => header.unpacked = from.signed()?,
                (3, I32) => header.packed = from.signed()?,
                (5 | 8, STRUCT) => header.values = Self::count(from)?,
                (7, STRUCT) => header.entries = Self::count(from)?,
                _ => from.skip(kind)?,
            }
        }
        let all = [
            header.unpacked,
            header.packed,
            header.entries,
            header.values,
        ];
        all.iter().all(|n| *n >= 0).then_some(header)
    }

    /// The field 1 of a structure.
    fn count(from: &mut Compact) -> Option<i64> {
        let (mut last, mut count) = (0, 0);
        while let Some(field) = from.field(&mut last)? {
            match field {
                (1, I32) => count = from.signed()?,
                (_, kind) => from.skip(kind)?,
            }
        }
        Some(count)
    }
}

/// Bytes that the pages of a file make of it, by what they say.
///
/// # Errors
/// What does not fit together; the system's errors.
pub(super) fn needed(
    file: &File,
    len: u64,
    metadata: &ParquetMetaData,
) -> std::io::Result<std::result::Result<u64, String>> {
    let mut needed = 0u64;
    for (group, at) in metadata.row_groups().iter().zip(1..) {
        for column in group.columns() {
            let name = column.column_path().string();
            let wrong = |what: &str| format!("row group {at}, column '{name}': {what}");
            let first = column.dictionary_page_offset();
            let start = u64::try_from(first.unwrap_or(column.data_page_offset()));
            let (Ok(start), Ok(size)) = (start, u64::try_from(column.compressed_size())) else {
                return Ok(Err(wrong("a negative offset or size")));
            };
            if start.checked_add(size).is_none_or(|end| end > len) {
                return Ok(Err(wrong("it lies outside of the file")));
            }
            let bytes = range(file, start, size)?;
            let mut from = Compact::new(&bytes);
            while !from.rest().is_empty() {
                let Some(header) = Header::read(&mut from) else {
                    return Ok(Err(wrong("a page without a whole header")));
                };
                let [unpacked, packed, entries, values] = [
                    header.unpacked,
                    header.packed,
                    header.entries,
                    header.values,
                ]
                .map(|n| n.unsigned_abs());
                // the values of a dictionary are texts of four bytes or more, or numbers of as many
                if unpacked > packed.saturating_mul(MAX_RATIO).saturating_add(MAX_RATIO)
                    || entries > unpacked
                {
                    return Ok(Err(wrong("a page that cannot hold what it says")));
                }
                let of_page = (unpacked + entries * VALUE).saturating_add(values * CELL);
                needed = needed.saturating_add(of_page);
                if from.pass(packed as usize).is_none() {
                    return Ok(Err(wrong("a page that ends too early")));
                }
            }
        }
    }
    Ok(Ok(needed))
}

/// A row group whose pages are checked.
pub(super) struct Checked<'a>(pub Box<dyn RowGroupReader + 'a>);

impl RowGroupReader for Checked<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.0.metadata()
    }

    fn num_columns(&self) -> usize {
        self.0.num_columns()
    }

    fn get_column_page_reader(&self, i: usize) -> Result<Box<dyn PageReader>> {
        let levels = self.0.metadata().column(i).column_descr().max_def_level() > 0;
        let pages = self.0.get_column_page_reader(i)?;
        Ok(Box::new(Pages { pages, levels }))
    }

    fn get_column_bloom_filter(&self, i: usize) -> Option<&parquet::bloom_filter::Sbbf> {
        self.0.get_column_bloom_filter(i)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// Pages whose counts of differences are those of their values.
struct Pages {
    pages: Box<dyn PageReader>,
    /// Whether levels come before the values.
    levels: bool,
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        let fits = page
            .as_ref()
            .is_none_or(|page| self.fits(page) == Some(true));
        match fits {
            true => Ok(page),
            false => Err(ParquetError::General(
                "a page of differences that cannot hold what it says".to_owned(),
            )),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Pages {
    /// Whether the lengths in a page of differences are no more than its values, for which there is memory.
    fn fits(&self, page: &Page) -> Option<bool> {
        let (buffer, start, values) = match page {
            Page::DataPage {
                buf, num_values, ..
            } => {
                // their length comes first
                let length = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) as usize + 4;
                let levels = match self.levels {
                    true => buf.first_chunk().map(length)?,
                    false => 0,
                };
                (buf, levels, *num_values)
            }
            Page::DataPageV2 {
                buf,
                num_values,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                (buf, usize::try_from(levels).ok()?, *num_values)
            }
            Page::DictionaryPage { .. } => return Some(true),
        };
        let lists = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => return Some(true),
        };
        let mut from = Compact::new(buffer.get(start..)?);
        for _ in 0..lists {
            if differences(&mut from)? > u64::from(values) {
                return Some(false);
            }
        }
        Some(true)
    }
}

/// Passes over numbers in the encoding DELTA_BINARY_PACKED; how many they are.
fn differences(from: &mut Compact) -> Option<u64> {
    let (block, parts, count) = (from.unsigned()?, from.unsigned()?, from.unsigned()?);
    from.unsigned()?;
    let of_part = block.checked_div(parts)?;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        from.unsigned()?;
        let mut widths = Compact::new(from.rest());
        from.pass(usize::try_from(parts).ok()?)?;
        for _ in 0..parts {
            let width = u64::from(widths.byte()?);
            if left == 0 {
                continue;
            }
            let bytes = width.checked_mul(of_part)?.div_ceil(8);
            // the last part may be cut short
            let bytes = usize::try_from(bytes).ok()?.min(from.rest().len());
            from.pass(bytes)?;
            left = left.saturating_sub(of_part.max(1));
        }
    }
    Some(count)
}
