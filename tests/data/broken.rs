//! The table of broken files: format, content, message. Those of features and of weights are in `further`, checkpoints in
//! `tests/trainer/damage.rs`.

use crate::{JUNK, Place, further, gzip};
use std::path::Path;
use wgrad::data::{CsvOptions, ImageDataset, Kind, Table, Texts, conllu, idx};
use wgrad::{Error, Result};

/// A reader of one format, given the path of a file.
pub type Read = fn(&Path) -> Result<()>;

/// A broken file: format, reader, content, and what the message says after the path.
pub type Row = (&'static str, Read, Vec<u8>, &'static str);

/// A file's name in a folder that is the root of a data set, by its format.
pub fn name(format: &str) -> &'static str {
    match format {
        "image" => "class/broken.png",
        _ => "class/broken.txt",
    }
}

pub fn read_idx(path: &Path) -> Result<()> {
    idx::read(path).map(|_| ())
}

pub fn read_cifar(path: &Path) -> Result<()> {
    ImageDataset::cifar10_files(&[path]).map(|_| ())
}

pub fn read_csv(path: &Path) -> Result<()> {
    let types = vec![(String::from("a"), Kind::Number)];
    let table = Table::csv(
        path,
        &CsvOptions {
            types,
            ..CsvOptions::default()
        },
    )?;
    table.numbers("a")?;
    table.labels("b", &[String::from("x"), String::from("y")])?;
    Ok(())
}

pub fn read_tsv(path: &Path) -> Result<()> {
    Table::csv(path, &CsvOptions::tsv())?
        .numbers("a")
        .map(|_| ())
}

pub fn read_json(path: &Path) -> Result<()> {
    let table = Table::json_lines(path)?;
    table.numbers("a")?;
    table.labels("b", &[String::from("x")])?;
    Ok(())
}

pub fn read_lines(path: &Path) -> Result<()> {
    Texts::lines(&[path], "utf-8").map(|_| ())
}

pub fn read_folders(path: &Path) -> Result<()> {
    // The file is the one text of its class.
    let root = path.parent().and_then(Path::parent).unwrap();
    Texts::folders(root, "utf-8").map(|_| ())
}

pub fn read_conllu(path: &Path) -> Result<()> {
    conllu::read(path).map(|_| ())
}

pub const WORD: &str = "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n";

/// What is refused.
fn broken() -> Vec<Row> {
    let record = |label: u8| [&[label][..], &[7; 3072]].concat();
    let row = |name, read, bytes: &[u8], message| (name, read, bytes.to_vec(), message);
    vec![
        row(
            "idx",
            read_idx as Read,
            b"",
            " at byte 0: the magic number takes 4 bytes, found 0",
        ),
        row(
            "idx",
            read_idx,
            JUNK,
            " at byte 0: the magic number is 4294836380 (0xfffe009c), expected 2051",
        ),
        row(
            "idx",
            read_idx,
            &[0, 0, 8, 1, 0, 0, 0, 3, 1, 2],
            " at byte 8: an array [3] takes 3 bytes, found 2",
        ),
        row(
            "idx",
            read_idx,
            &[0, 0, 8, 1, 255, 255, 255, 255, 1],
            " at byte 8: an array [4294967295] takes 4294967295 bytes, found 1",
        ),
        row(
            "idx",
            read_idx,
            &gzip(&[0; 64])[..20],
            ": the gzip stream is corrupt",
        ),
        row(
            "cifar",
            read_cifar,
            b"",
            " at byte 0: expected records of 3073 bytes, found an empty file",
        ),
        row(
            "cifar",
            read_cifar,
            JUNK,
            " at byte 0: a record takes 3073 bytes, found 16",
        ),
        row(
            "cifar",
            read_cifar,
            &[record(9), vec![1; 5]].concat(),
            " at byte 3073: a record takes 3073 bytes, found 5",
        ),
        row(
            "cifar",
            read_cifar,
            &[record(9), record(10)].concat(),
            " at byte 3073: expected a label of 0 to 9, found 10",
        ),
        row(
            "cifar",
            read_cifar,
            &gzip(&record(1))[..15],
            ": the gzip stream is corrupt",
        ),
        row(
            "csv",
            read_csv,
            b"",
            " at byte 0: expected a table, found an empty file",
        ),
        row(
            "csv",
            read_csv,
            b"\n \n",
            " at byte 0: expected a table, found an empty file",
        ),
        row(
            "csv",
            read_csv,
            JUNK,
            " at byte 0: expected text in UTF-8, found the bytes ff",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n1,x\n2,\x85\n",
            " at byte 10: expected text in UTF-8, found the bytes 85",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n1,x\n2\n",
            " at line 3: expected 2 cells, found 1",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n1,x\n2,y,z\n",
            " at line 3: expected 2 cells, found 3",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n\"1\n\",x\nq,y\n",
            " at line 4: column 'a': expected a number, found 'q'",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n,x\n",
            " at line 2: column 'a': expected a number, the cell is empty",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n1,x\n1,NA\n",
            " at line 3: column 'b': expected a category, the cell is empty",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n1,x\n1,z\n",
            " at line 3: column 'b': expected one of the 2 categories x, y, found 'z'",
        ),
        row(
            "csv",
            read_csv,
            b"a,b\n1,x\n1,\"y\n1,x\n",
            " at line 3: a quoted cell does not end",
        ),
        row(
            "csv",
            read_csv,
            b"a,b,a\n1,x,1\n",
            " at line 1: two columns are named 'a'",
        ),
        row(
            "csv",
            read_csv,
            b"b,c\n1,2\n",
            " at line 1: no column 'a', there are b, c",
        ),
        row(
            "csv",
            read_csv,
            b"a,c\n1,2\n",
            ": no column 'b', there are a, c",
        ),
        row(
            "tsv",
            read_tsv,
            b"a\tb\n1\t2\t3\n",
            " at line 2: expected 2 cells, found 3",
        ),
        row(
            "tsv",
            read_tsv,
            b"a\tb\nq\t2\n",
            ": column 'a' holds texts, expected numbers",
        ),
        row(
            "json",
            read_json,
            b"",
            " at byte 0: expected a JSON object in each line, found an empty file",
        ),
        row(
            "json",
            read_json,
            JUNK,
            " at byte 0: expected text in UTF-8",
        ),
        row(
            "json",
            read_json,
            b"{\"a\":1,\"b\":\"x\"}\n{\"a\":1,\"b\":\"",
            " at line 2: expected a JSON object: EOF while parsing a string",
        ),
        row(
            "json",
            read_json,
            b"[1]\n",
            " at line 1: expected a JSON object: invalid type: sequence",
        ),
        row(
            "json",
            read_json,
            b"{\"a\":1}\n\n{\"a\":\"1\"}\n",
            " at line 3: key 'a': expected a number as in the lines before, found a text",
        ),
        row(
            "json",
            read_json,
            b"{\"a\":\"1\"}\n{\"a\":true}\n",
            " at line 2: key 'a': expected a text as in the lines before, found a number",
        ),
        row(
            "json",
            read_json,
            b"{\"a\":[1]}\n",
            " at line 1: key 'a': expected a number, a text or a truth value, found an array",
        ),
        row(
            "json",
            read_json,
            b"{\"a\":1}\n{\"b\":\"x\"}\n",
            " at line 2: column 'a': expected a number, the cell is empty",
        ),
        row(
            "json",
            read_json,
            b"{\"a\":1,\"b\":\"z\"}\n",
            " at line 1: column 'b': expected one of the 1 categories x, found 'z'",
        ),
        row(
            "lines",
            read_lines,
            b"",
            " at byte 0: expected a text in each line, found an empty file",
        ),
        row(
            "lines",
            read_lines,
            JUNK,
            " at byte 0: expected text in UTF-8",
        ),
        row(
            "lines",
            read_lines,
            b"good\n \nbad\n",
            " at line 2: expected a text, found an empty line",
        ),
        row(
            "lines",
            read_lines,
            b"caf\xe9 noir\n",
            " at byte 3: expected text in UTF-8, found the bytes e9",
        ),
        row(
            "lines",
            read_lines,
            &gzip(b"good film\n")[..18],
            ": the gzip stream is corrupt",
        ),
        row(
            "folders",
            read_folders,
            JUNK,
            " at byte 0: expected text in UTF-8",
        ),
        row(
            "conllu",
            read_conllu,
            b"",
            " at byte 0: expected sentences, found none",
        ),
        row(
            "conllu",
            read_conllu,
            b"# only a comment\n\n",
            " at byte 0: expected sentences, found none",
        ),
        row(
            "conllu",
            read_conllu,
            JUNK,
            " at byte 0: expected text in UTF-8",
        ),
        row(
            "conllu",
            read_conllu,
            WORD.as_bytes(),
            " at line 1: the file ends within a sentence",
        ),
        row(
            "conllu",
            read_conllu,
            b"1\tThe\tthe\tDET\n\n",
            " at line 1: expected 10 columns, found 4",
        ),
        row(
            "conllu",
            read_conllu,
            b"1\tThe",
            " at line 1: expected 10 columns, found 2",
        ),
        row(
            "conllu",
            read_conllu,
            format!("{WORD}{WORD}\n").as_bytes(),
            " at line 2: expected word 2 of a sentence, found '1'",
        ),
        row(
            "conllu",
            read_conllu,
            WORD.replace("DET", "NOPE").as_bytes(),
            " at line 1: expected one of the 17 universal tags, found 'NOPE'",
        ),
        row(
            "conllu",
            read_conllu,
            WORD.replace("The", "").as_bytes(),
            " at line 1: expected a form, found an empty cell",
        ),
    ]
}

#[test]
fn broken_files_are_errors_that_say_where() {
    let mut faults = String::new();
    for (format, read, bytes, wanted) in broken().into_iter().chain(further::broken()) {
        let place = Place::new();
        let path = place.file(name(format), &bytes);
        let error = read(&path).expect_err(wanted);
        assert!(
            matches!(error, Error::File { .. } | Error::Line { .. }),
            "{format}: {error:?}"
        );
        let message = error.to_string();
        let (path, found) = (path.display().to_string(), &message[..]);
        let Some(found) = found.strip_prefix(&path) else {
            panic!("{format}: no path in {message}");
        };
        // Where a gzip stream broke is not pinned down to the byte.
        let found = if wanted.starts_with(": the gzip") {
            &found[found.find(": ").unwrap()..]
        } else {
            found
        };
        if !found.starts_with(wanted) {
            faults += &format!("{format}: {found}\nnot: {wanted}\n");
        }
    }
    assert!(faults.is_empty(), "{faults}");
}
