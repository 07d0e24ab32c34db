//! Parquet files, whole and broken.

use crate::{JUNK, Place, message};
use std::path::Path;
use wgrad::Result;
use wgrad::data::Table;

/// Three rows of text, label, weight and truth, one of them without a weight, written by
/// `tests/interop/make_parquet.py`.
const ROWS: &[u8] = include_bytes!("../fixtures/rows.parquet");

fn read(path: &Path) -> Result<Table> {
    Table::parquet(path)
}

#[test]
fn columns_are_those_of_the_file() {
    let place = Place::new();
    let table = read(&place.file("a.parquet", ROWS)).unwrap();
    assert_eq!(table.texts("text").unwrap(), ["good", "bäd", ""]);
    assert_eq!(table.numbers("label").unwrap(), [1.0, 0.0, -3.0]);
    assert_eq!(table.numbers("truth").unwrap(), [1.0, 0.0, 1.0]);
    assert!(
        message(table.numbers("weight"))
            .ends_with(": row 2: column 'weight': expected a number, the cell is empty")
    );
}

#[test]
fn broken_files_are_errors() {
    let place = Place::new();
    let refused = |bytes: &[u8]| {
        let path = place.file("a.parquet", bytes);
        let error = message(read(&path));
        assert!(
            error.starts_with(&format!("{}: ", path.display())),
            "{error}"
        );
        error
    };
    for bytes in [&b""[..], JUNK, b"PAR1PAR1", &ROWS[..ROWS.len() / 2]] {
        assert!(refused(bytes).contains("expected a Parquet file"));
    }
    let list = include_bytes!("../fixtures/list.parquet");
    assert!(
        refused(list)
            .contains("column 'ids': expected numbers, texts or truth values, found another type")
    );
    for at in 0..ROWS.len() {
        let mut damaged = ROWS.to_vec();
        damaged[at] ^= 0xff;
        let _ = read(&place.file("a.parquet", damaged));
    }
}
