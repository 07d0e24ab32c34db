//! CSV and its relatives, by RFC 4180.

use std::collections::HashSet;
use std::path::Path;

use super::{Column, Kind, Table, Values};
use crate::data::file::{read_text, shorten};
use crate::error::{Error, Result};

/// Columns whatever the size of the file, and bytes of it for each more: a name and a cell, with what separates them. A column
/// takes some two hundred bytes of memory.
const MOST_COLUMNS: (usize, usize) = (1024, 4);

/// How a CSV file is read.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// What stands between cells. Default `,`.
    pub delimiter: char,
    /// Whether the first line names the columns. Default true; without, they are called `0`, `1`, …
    pub header: bool,
    /// Whether cells may be in double quotes, with quotes inside doubled. Default true.
    pub quoting: bool,
    /// Encoding by its name in the WHATWG standard: `utf-8`, `windows-1252`. Default `utf-8`.
    pub encoding: String,
    /// Cells that count as missing. Default: none at all, `NA`, `N/A`, `NaN`, `nan`, `null`, `?`.
    pub missing: Vec<String>,
    /// Types of columns by their names. Others hold numbers where every cell is one or missing, else texts.
    pub types: Vec<(String, Kind)>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        let missing = ["", "NA", "N/A", "NaN", "nan", "null", "?"];
        Self {
            delimiter: ',',
            header: true,
            quoting: true,
            encoding: String::from("utf-8"),
            missing: missing.map(String::from).to_vec(),
            types: vec![],
        }
    }
}

impl CsvOptions {
    /// Cells between tabs, which quotes do not join.
    pub fn tsv() -> Self {
        Self {
            delimiter: '\t',
            quoting: false,
            ..Self::default()
        }
    }
}

pub(super) fn read(path: &Path, options: &CsvOptions) -> Result<Table> {
    let delimiter = u8::try_from(options.delimiter).ok();
    let Some(delimiter) = delimiter.filter(|d| d.is_ascii() && !b"\"\r\n".contains(d)) else {
        return Err(Error::argument(format!(
            "a delimiter {:?}, allowed are ASCII characters but quotes and line ends",
            options.delimiter
        )));
    };
    let text = read_text(path, &options.encoding)?;
    if text.trim().is_empty() {
        return Err(Error::file(
            path,
            0,
            "expected a table, found an empty file",
        ));
    }
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .quoting(options.quoting)
        .from_reader(text.as_bytes());
    let hint = other_delimiter(&text, options.delimiter);
    let mut names: Vec<String> = Vec::new();
    let mut cells = Cells::default();
    let mut places = Vec::new();
    let mut last = (1, 0);
    let mut record = ::csv::StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|e| Error::line(path, last.0, format!("cannot be read as CSV: {e}")))?
    {
        let at = record.position().map_or(last.1, |p| p.byte() as usize);
        last = next_line(&text, last, at);
        if names.is_empty() {
            let (columns, bytes) = (record.len(), text.len());
            if columns > MOST_COLUMNS.0 + bytes / MOST_COLUMNS.1 {
                let message = format!("expected a table, found {columns} cells in {bytes} bytes");
                return Err(Error::line(path, last.0, message));
            }
            names = header(path, &record, options, &hint)?;
            if options.header {
                continue;
            }
        }
        if record.len() != names.len() {
            return Err(Error::line(
                path,
                last.0,
                format!(
                    "expected {} cells, found {}{hint}",
                    names.len(),
                    record.len()
                ),
            ));
        }
        record.iter().for_each(|cell| cells.push(cell));
        places.push(last.0);
    }
    // What follows an opening quote runs to the end of the file.
    let open = |text: &str| text.bytes().filter(|&b| b == b'"').count() % 2 == 1;
    if options.quoting && text.get(last.1..).is_some_and(open) {
        let message = "a quoted cell does not end (with quoting: false quotes mean nothing)";
        return Err(Error::line(path, last.0, message));
    }
    let width = names.len();
    let columns = names.into_iter().enumerate().map(|(k, name)| {
        let known = |cell: &&str| !options.missing.iter().any(|m| m == cell.trim());
        let cell = |row: usize| Some(cells.get(row * width + k)).filter(known);
        let cells: Vec<Option<&str>> = (0..places.len()).map(cell).collect();
        let declared = options.types.iter().find(|(n, _)| *n == name);
        let values = column(
            path,
            &name,
            &cells,
            declared.map(|(_, kind)| *kind),
            &places,
        )?;
        Ok(Column { name, values })
    });
    let table = Table::new(path, columns.collect::<Result<_>>()?, places);
    Ok(Table { hint, ..table })
}

/// What to say where the first line has no `delimiter`, but another one that is common; nothing elsewhere.
fn other_delimiter(text: &str, delimiter: char) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let common = [',', ';', '\t', '|'].into_iter();
    let other = common.max_by_key(|&c| line.matches(c).count());
    match other.filter(|&c| line.contains(c) && !line.contains(delimiter)) {
        Some(c) => format!(
            " (between the cells of the first line stands {c:?}: CsvOptions {{ delimiter: {c:?}, ..Default::default() }})"
        ),
        None => String::new(),
    }
}

/// The cells of all rows, one after the other: a record of its own for each row would take many times its text.
#[derive(Default)]
struct Cells {
    text: String,
    /// Where each ends in the text.
    ends: Vec<usize>,
}

impl Cells {
    fn push(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.ends.push(self.text.len());
    }

    fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[at]]
    }
}

/// The line and the byte at which the record at byte `at` or after begins, from those of the one before. What ends a
/// line belongs to the record before.
fn next_line(text: &str, (line, byte): (u64, usize), at: usize) -> (u64, usize) {
    let bytes = text.as_bytes();
    let ends = bytes[at..].iter().take_while(|b| b"\r\n".contains(b));
    let start = at + ends.count();
    let lines = bytes[byte..start].iter().filter(|&&b| b == b'\n').count();
    (line + lines as u64, start)
}

/// The names of the columns, from the first record.
fn header(
    path: &Path,
    first: &::csv::StringRecord,
    options: &CsvOptions,
    hint: &str,
) -> Result<Vec<String>> {
    let names: Vec<String> = if options.header {
        first.iter().map(|cell| cell.trim().to_owned()).collect()
    } else {
        (0..first.len()).map(|k| k.to_string()).collect()
    };
    let mut seen = HashSet::new();
    if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
        let message = format!("two columns are named '{}'", shorten(name));
        return Err(Error::line(path, 1, message));
    }
    if let Some((name, _)) = options.types.iter().find(|(n, _)| !names.contains(n)) {
        let message = format!(
            "no column '{name}', there are {}{hint}",
            shorten(&names.join(", "))
        );
        return Err(Error::line(path, 1, message));
    }
    Ok(names)
}

fn column(
    path: &Path,
    name: &str,
    cells: &[Option<&str>],
    declared: Option<Kind>,
    places: &[u64],
) -> Result<Values> {
    let number = |cell: &str| cell.trim().parse::<f64>().ok();
    let texts = || Values::Text(cells.iter().map(|c| c.map(String::from)).collect());
    if declared == Some(Kind::Text) {
        return Ok(texts());
    }
    let mut numbers = Vec::with_capacity(cells.len());
    for (cell, &place) in cells.iter().zip(places) {
        match (cell, cell.and_then(number)) {
            (Some(cell), None) if declared.is_some() => {
                let message = format!(
                    "column '{}': expected a number, found '{}'",
                    shorten(name),
                    shorten(cell)
                );
                return Err(Error::line(path, place, message));
            }
            (Some(_), None) => return Ok(texts()),
            (_, number) => numbers.push(number),
        }
    }
    Ok(Values::Number(numbers))
}
