//! JSON lines: an object a line.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Column, Kind, Table, Values};
use crate::data::file::read_text;
use crate::error::{Error, Result};

pub(super) fn read(path: &Path) -> Result<Table> {
    let text = read_text(path, "utf-8")?;
    let mut columns = BTreeMap::<String, Values>::new();
    let mut places = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = i as u64 + 1;
        let object: Map<String, Value> = serde_json::from_str(line)
            .map_err(|e| Error::line(path, place, format!("expected a JSON object: {e}")))?;
        let rows = places.len();
        for (name, value) in object {
            add(&mut columns, rows, &name, value)
                .map_err(|message| Error::line(path, place, format!("key '{name}': {message}")))?;
        }
        places.push(place);
        for values in columns.values_mut().filter(|v| v.len() == rows) {
            values.push_missing();
        }
    }
    if places.is_empty() {
        let message = "expected a JSON object in each line, found an empty file";
        return Err(Error::file(path, 0, message));
    }
    let columns = columns
        .into_iter()
        .map(|(name, values)| Column { name, values });
    Ok(Table::new(path, columns.collect(), places))
}

/// Adds the value to its column, which has `rows` cells.
fn add(
    columns: &mut BTreeMap<String, Values>,
    rows: usize,
    name: &str,
    value: Value,
) -> Result<(), String> {
    let (kind, what) = match &value {
        Value::Null => return Ok(()),
        Value::Bool(_) | Value::Number(_) => (Kind::Number, "a number"),
        Value::String(_) => (Kind::Text, "a text"),
        Value::Array(_) => return Err(expected("an array")),
        Value::Object(_) => return Err(expected("an object")),
    };
    let values = columns.entry(name.to_owned()).or_insert_with(|| {
        let mut values = Values::of(kind);
        (0..rows).for_each(|_| values.push_missing());
        values
    });
    match (values, value) {
        (Values::Number(cells), Value::Bool(truth)) => cells.push(Some(f64::from(truth))),
        (Values::Number(cells), Value::Number(number)) => cells.push(number.as_f64()),
        (Values::Text(cells), Value::String(text)) => cells.push(Some(text)),
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
    Ok(())
}

fn expected(found: &str) -> String {
    format!("expected a number, a text or a truth value, found {found}")
}
