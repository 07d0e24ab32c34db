//! Parquet, by its rows.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{Repetition, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::{Column, Kind, Table, Values};
use crate::error::{Error, Result};

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
                "column '{name}': expected numbers, texts or truth values, found another type"
            )));
        };
        columns.push(Column {
            name,
            values: Values::of(kind),
        });
    }
    let records = reader
        .get_row_iter(None)
        .map_err(|e| fault(format!("the Parquet file is damaged: {e}")))?;
    let mut count = 0;
    for record in records {
        count += 1;
        let record = record
            .map_err(|e| fault(format!("the Parquet file is damaged in row {count}: {e}")))?;
        for (column, (_, field)) in columns.iter_mut().zip(record.get_column_iter()) {
            add(&mut column.values, field)
                .map_err(|m| fault(format!("row {count}, column '{}': {m}", column.name)))?;
        }
    }
    if reader.metadata().file_metadata().num_rows() != count as i64 {
        return Err(fault(format!(
            "the Parquet file is damaged: expected {} rows, found {count}",
            reader.metadata().file_metadata().num_rows()
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

fn add(values: &mut Values, field: &Field) -> Result<(), String> {
    if matches!(field, Field::Null) {
        values.push_missing();
        return Ok(());
    }
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
            cells.push(Some(text));
        }
    }
    Ok(())
}
