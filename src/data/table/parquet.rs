//! Parquet, by its rows.

mod pages;
mod thrift;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{Repetition, Type};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::record::Field;

use super::{Column, Kind, Table, Values};
use crate::data::file::{most, shorten};
use crate::error::{Error, Result};

/// Bytes of a cell, its text left out.
const CELL: u64 = size_of::<Option<String>>() as u64;

pub(super) fn read(path: &Path) -> Result<Table> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    // The reader is made for whole files and may panic on damaged ones.
    let table = catch_unwind(AssertUnwindSafe(|| rows(path, file)));
    table.unwrap_or_else(|_| {
        let message = "the Parquet file is damaged: it cannot be decoded";
        Err(Error::file(path, None, message))
    })
}

fn rows(path: &Path, file: File) -> Result<Table> {
    let fault = |message: String| Error::file(path, None, message);
    let io = |e| Error::io(path, e);
    let len = file.metadata().map_err(io)?.len();
    if let Some(message) = pages::check_schema(&file, len).map_err(io)? {
        return Err(fault(format!("expected a Parquet file: {message}")));
    }
    let own = file.try_clone().map_err(io)?;
    let reader = SerializedFileReader::new(file)
        .map_err(|e| fault(format!("expected a Parquet file: {e}")))?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let mut columns = Vec::new();
    for field in schema.root_schema().get_fields() {
        let name = field.name().to_owned();
        let simple =
            field.is_primitive() && field.get_basic_info().repetition() != Repetition::REPEATED;
        let kind = simple.then(|| kind(field.get_physical_type())).flatten();
        let Some(kind) = kind else {
            return Err(fault(format!(
                "column '{}': expected numbers, texts or truth values, found another type",
                shorten(&name)
            )));
        };
        columns.push(Column {
            name,
            values: Values::of(kind),
        });
    }
    let most = most(len);
    let too_large = |bytes: u64| {
        fault(format!(
            "it unpacks to {bytes} bytes or more, {most} at most for a file of {len}: split it, or write it less packed"
        ))
    };
    let needed = pages::needed(&own, len, reader.metadata()).map_err(io)?;
    let needed = needed.map_err(|m| fault(format!("the Parquet file is damaged: {m}")))?;
    if needed > most {
        return Err(too_large(needed));
    }
    let damaged = |e| fault(format!("the Parquet file is damaged: {e}"));
    let (mut count, mut taken) = (0, 0);
    for group in 0..reader.num_row_groups() {
        let group = pages::Checked(reader.get_row_group(group).map_err(damaged)?);
        for record in group.get_row_iter(None).map_err(damaged)? {
            count += 1;
            let record = record
                .map_err(|e| fault(format!("the Parquet file is damaged in row {count}: {e}")))?;
            for (column, (_, field)) in columns.iter_mut().zip(record.get_column_iter()) {
                taken += add(&mut column.values, field).map_err(|m| {
                    let name = shorten(&column.name);
                    fault(format!("row {count}, column '{name}': {m}"))
                })?;
            }
            if taken > most {
                return Err(too_large(taken));
            }
        }
    }
    let rows = reader.metadata().file_metadata().num_rows();
    if rows != count as i64 {
        return Err(fault(format!(
            "the Parquet file is damaged: expected {rows} rows, found {count}"
        )));
    }
    Ok(Table {
        lines: false,
        ..Table::new(path, columns, (1..=count).collect())
    })
}

fn kind(physical: Type) -> Option<Kind> {
    match physical {
        Type::BOOLEAN | Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE => {
            Some(Kind::Number)
        }
        Type::BYTE_ARRAY => Some(Kind::Text),
        _ => None,
    }
}

/// Adds a cell; the bytes that it takes.
fn add(values: &mut Values, field: &Field) -> Result<u64, String> {
    if matches!(field, Field::Null) {
        values.push_missing();
        return Ok(CELL);
    }
    let mut taken = CELL;
    match values {
        Values::Number(cells) => {
            let number = match *field {
                Field::Bool(x) => f64::from(x),
                Field::Byte(x) => f64::from(x),
                Field::Short(x) => f64::from(x),
                Field::Int(x) => f64::from(x),
                Field::Long(x) => x as f64,
                Field::UByte(x) => f64::from(x),
                Field::UShort(x) => f64::from(x),
                Field::UInt(x) => f64::from(x),
                Field::ULong(x) => x as f64,
                Field::Float(x) => f64::from(x),
                Field::Double(x) => x,
                _ => return Err(format!("expected a number, found {field}")),
            };
            cells.push(Some(number));
        }
        Values::Text(cells) => {
            let text = match field {
                Field::Str(text) => text.clone(),
                Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec())
                    .map_err(|_| String::from("expected text in UTF-8, found other bytes"))?,
                _ => return Err(format!("expected a text, found {field}")),
            };
            taken += text.len() as u64;
            cells.push(Some(text));
        }
    }
    Ok(taken)
}
