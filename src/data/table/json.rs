//! JSON lines: an object a line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Column, Kind, Table, Values};
use crate::data::file::{read_text, shorten};
use crate::error::{Error, Result};

/// Cells of a table whatever the size of the file, and for each of its bytes: rows of few keys each make a table of many empty
/// cells.
const MOST_CELLS: (usize, usize) = (1 << 20, 2);

/// A value of a row; what is in lists and objects is passed over, as they are refused.
enum Cell {
    Null,
    Number(f64),
    Text(String),
    Array,
    Object,
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Cell;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Null)
            }
            fn visit_bool<E>(self, x: bool) -> Result<Cell, E> {
                Ok(Cell::Number(f64::from(x)))
            }
            fn visit_u64<E>(self, x: u64) -> Result<Cell, E> {
                Ok(Cell::Number(x as f64))
            }
            fn visit_i64<E>(self, x: i64) -> Result<Cell, E> {
                Ok(Cell::Number(x as f64))
            }
            fn visit_f64<E>(self, x: f64) -> Result<Cell, E> {
                Ok(Cell::Number(x))
            }
            fn visit_str<E>(self, x: &str) -> Result<Cell, E> {
                Ok(Cell::Text(x.to_owned()))
            }
            fn visit_string<E>(self, x: String) -> Result<Cell, E> {
                Ok(Cell::Text(x))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Cell, A::Error> {
                while all.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Cell::Array)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Cell, A::Error> {
                while all.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Cell::Object)
            }
        }
        from.deserialize_any(Value)
    }
}

/// The cells of a column that are there.
struct Found {
    rows: Vec<usize>,
    values: Values,
}

pub(super) fn read(path: &Path) -> Result<Table> {
    let text = read_text(path, "utf-8")?;
    let mut columns = BTreeMap::<String, Found>::new();
    let mut places = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = i as u64 + 1;
        let object: BTreeMap<String, Cell> = serde_json::from_str(line)
            .map_err(|e| Error::line(path, place, format!("expected a JSON object: {e}")))?;
        let row = places.len();
        for (name, value) in object {
            add(&mut columns, row, &name, value).map_err(|message| {
                Error::line(path, place, format!("key '{}': {message}", shorten(&name)))
            })?;
        }
        places.push(place);
    }
    if places.is_empty() {
        let message = "expected a JSON object in each line, found an empty file";
        return Err(Error::file(path, 0, message));
    }
    let (rows, keys) = (places.len(), columns.len());
    let most = MOST_CELLS.0.saturating_add(MOST_CELLS.1 * text.len());
    if rows.checked_mul(keys).is_none_or(|cells| cells > most) {
        let message = format!(
            "{rows} rows of {keys} keys in all make a table that is nearly empty: at most {most} cells for a file of this size"
        );
        return Err(Error::file(path, None, message));
    }
    drop(text);
    let columns = columns.into_iter().map(|(name, found)| Column {
        name,
        values: found.spread(rows),
    });
    Ok(Table::new(path, columns.collect(), places))
}

impl Found {
    /// The whole column; other cells are missing.
    fn spread(self, rows: usize) -> Values {
        fn all<T>(rows: usize, at: Vec<usize>, cells: Vec<Option<T>>) -> Vec<Option<T>> {
            let mut column: Vec<Option<T>> = std::iter::repeat_with(|| None).take(rows).collect();
            for (row, cell) in at.into_iter().zip(cells) {
                column[row] = cell;
            }
            column
        }
        match self.values {
            Values::Number(cells) => Values::Number(all(rows, self.rows, cells)),
            Values::Text(cells) => Values::Text(all(rows, self.rows, cells)),
        }
    }
}

/// Adds the value of row `row` to its column.
fn add(
    columns: &mut BTreeMap<String, Found>,
    row: usize,
    name: &str,
    value: Cell,
) -> Result<(), String> {
    let (kind, what) = match &value {
        Cell::Null => return Ok(()),
        Cell::Number(_) => (Kind::Number, "a number"),
        Cell::Text(_) => (Kind::Text, "a text"),
        Cell::Array => return Err(expected("an array")),
        Cell::Object => return Err(expected("an object")),
    };
    let column = match columns.get_mut(name) {
        Some(column) => column,
        None => columns.entry(name.to_owned()).or_insert_with(|| Found {
            rows: Vec::new(),
            values: Values::of(kind),
        }),
    };
    match (&mut column.values, value) {
        (Values::Number(cells), Cell::Number(number)) => cells.push(Some(number)),
        (Values::Text(cells), Cell::Text(text)) => cells.push(Some(text)),
        (Values::Number(_), _) => {
            return Err(format!(
                "expected a number as in the lines before, found {what}"
            ));
        }
        (Values::Text(_), _) => {
            return Err(format!(
                "expected a text as in the lines before, found {what}"
            ));
        }
    }
    column.rows.push(row);
    Ok(())
}

fn expected(found: &str) -> String {
    format!("expected a number, a text or a truth value, found {found}")
}
