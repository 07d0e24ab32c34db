use super::*;
use crate::array::Array;
use crate::weights::write;
use std::fs;
use tempfile::TempDir;

const INDEX: &str = "model.safetensors.index.json";

/// A folder with `a`, `b` and `c` in two shards, and an index of `json`.
fn folder(json: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let array = |x: f32| Array::vector(vec![x, 2.0]);
    let one = [("b".to_owned(), array(1.0)), ("a".to_owned(), array(2.0))];
    let two = [("c".to_owned(), Array::scalar(3.0f32))];
    let format = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write(dir.path().join("one.safetensors"), &one, &format).unwrap();
    write(dir.path().join("two.safetensors"), &two, &format).unwrap();
    fs::write(dir.path().join(INDEX), json).unwrap();
    dir
}

const WHOLE: &str = r#"{"metadata": {"total_size": 20, "by": "x"}, "weight_map": {
    "a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}}"#;

fn message(json: &str) -> String {
    let dir = folder(json);
    let text = Reader::open(dir.path()).unwrap_err().to_string();
    let place = dir.path().join(INDEX).display().to_string();
    text.strip_prefix(&place).unwrap_or(&text).to_owned()
}

#[test]
fn shards_are_one_file() {
    let dir = folder(WHOLE);
    for path in [dir.path().to_owned(), dir.path().join(INDEX)] {
        let reader = Reader::open(path).unwrap();
        assert_eq!(reader.path(), dir.path().join(INDEX));
        assert_eq!(reader.names(), ["b", "a", "c"]);
        assert_eq!(reader.read("a").unwrap().to_f32(), [2.0, 2.0]);
        assert_eq!(reader.read("c").unwrap().item(), 3.0);
        assert_eq!(reader.bytes("b"), Some(8));
        let names = reader.files().map(|f| f.file_name().unwrap().to_owned());
        let names: Vec<_> = names.collect();
        assert_eq!(names, ["one.safetensors", "two.safetensors"]);
        let metadata: Vec<_> = reader.metadata().iter().collect();
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let want = [
            pair("by", "x"),
            pair("format", "pt"),
            pair("total_size", "20"),
        ];
        assert_eq!(
            metadata,
            want.iter().map(|(k, v)| (k, v)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_folder_is_its_whole_file_first() {
    let dir = folder(WHOLE);
    let whole = [("w".to_owned(), Array::scalar(1.0f32))];
    let path = dir.path().join("model.safetensors");
    write(&path, &whole, &BTreeMap::new()).unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().path(), path);
}

#[test]
fn a_fault_names_the_shard() {
    let dir = folder(WHOLE);
    let two = dir.path().join("two.safetensors");
    let mut bytes = fs::read(&two).unwrap();
    bytes.pop();
    fs::write(&two, bytes).unwrap();
    let text = Reader::open(dir.path()).unwrap_err().to_string();
    let shard = two.display().to_string();
    assert!(
        text.starts_with(&shard) && text.contains("truncated"),
        "{text}"
    );
}

#[test]
fn an_index_that_is_none() {
    for (json, want) in [
        ("", " at line 1: not an index of shards: EOF while parsing"),
        (
            "{\n\"a\": 1}",
            " at line 2: not an index of shards: missing field `weight_map`",
        ),
        (r#"{"weight_map": {}}"#, ": weight_map names no tensor"),
        (
            r#"{"weight_map": {"a": "../one.safetensors"}}"#,
            ": weight_map: '../one.safetensors' is not the name of a file beside the index",
        ),
        (
            r#"{"weight_map": {"a": "/etc/passwd"}}"#,
            ": weight_map: '/etc/passwd' is not the name of a file beside the index",
        ),
        (
            r#"{"weight_map": {"a": "one.safetensors", "c": "x.bin", "d": "y.bin"}}"#,
            ": 2 of 3 shards are not beside it: x.bin, y.bin",
        ),
        (
            r#"{"weight_map": {"a": "two.safetensors"}}"#,
            ": weight_map has a in two.safetensors, which holds no such tensor",
        ),
    ] {
        let got = message(json);
        assert!(got.starts_with(want), "{json}: {got}");
    }
    let dir = TempDir::new().unwrap();
    let text = Reader::open(dir.path()).unwrap_err().to_string();
    let want =
        "a directory without weights: none of model.safetensors, model.safetensors.index.json, ";
    assert!(text.contains(want), "{text}");
}
