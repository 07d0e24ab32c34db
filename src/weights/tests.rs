use super::write::METADATA;
use super::*;
use std::fs;
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A file of `header` and `data`, in a directory that lives as long as what comes beside it.
fn file_of(header: &str, data: &[u8]) -> (TempDir, PathBuf) {
    raw(&[
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        data,
    ]
    .concat())
}

fn raw(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.safetensors");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn open_error((_dir, path): (TempDir, PathBuf)) -> (Option<u64>, String) {
    match Reader::open(&path).unwrap_err() {
        Error::File {
            path: p,
            offset,
            message,
        } if p == path => (offset, message),
        other => panic!("{other:?}"),
    }
}

fn entries(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn samples() -> Vec<(String, Array)> {
    vec![
        (
            "z.weight".into(),
            Array::of([2, 3], vec![1.5f32, -0.0, f32::INFINITY, 1e-42, 5.0, -6.0]),
        ),
        (
            "mask".into(),
            Array::from_words([3], DType::Bool, vec![1, 0, 1]),
        ),
        ("a \"quoted\" ü".into(), Array::scalar(-7i32)),
        ("empty".into(), Array::zeros([4, 0, 2])),
        ("u".into(), Array::vector(vec![u32::MAX, 0])),
    ]
}

#[test]
fn what_is_written_is_read_back() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("w.safetensors");
    let metadata: BTreeMap<_, _> = (0..9)
        .map(|i| (format!("k{i}"), format!("v\n{i}")))
        .collect();
    write(&path, &samples(), &metadata).unwrap();
    let bytes = fs::read(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.metadata(), &metadata);
    assert_eq!(reader.tensors["z.weight"].start % 8, 0);
    let mut expected = samples();
    let mask = expected.remove(1);
    expected.push(mask);
    assert!(reader.read_all().unwrap() == expected);
    assert_eq!(reader.shape("empty"), Some(&Shape::from([4, 0, 2])));
    write(&path, &samples(), &metadata).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(entries(&dir), ["w.safetensors"]);
}

#[test]
fn a_file_without_tensors_is_a_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("w.safetensors");
    write(&path, &[], &BTreeMap::new()).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert!(reader.names().is_empty() && reader.metadata().is_empty());
    assert!(reader.read_strict(&[]).unwrap().is_empty());
}

#[test]
fn what_python_wrote_is_converted() {
    let reader = Reader::open(fixture("dtypes.safetensors")).unwrap();
    assert_eq!(reader.metadata()["made_by"], "make_fixtures.py");
    let values = vec![0.0f32, -1.5, 65504.0, 6.103_515_6e-5];
    for name in ["f16", "f32", "f64"] {
        assert!(
            reader.read(name).unwrap() == Array::of([2, 2], values.clone()),
            "{name}"
        );
    }
    assert!(
        reader.read("bf16").unwrap()
            == Array::of([2, 2], vec![0.0f32, -1.5, 65536.0, 6.103_515_6e-5])
    );
    assert_eq!(reader.read_f64("f64_exact").unwrap(), [0.1, -1e300, 5e-324]);
    assert_eq!(
        reader.read("f64_exact").unwrap().to_f32(),
        [0.1, f32::NEG_INFINITY, 0.0]
    );
    let integers = vec![0i32, -1, i32::MAX, i32::MIN];
    for name in ["i32", "i64"] {
        assert!(
            reader.read(name).unwrap() == Array::vector(integers.clone()),
            "{name}"
        );
    }
    assert!(reader.read("u32").unwrap() == Array::vector(vec![0u32, u32::MAX]));
    assert!(reader.read("u8").unwrap() == Array::vector(vec![0u32, 255]));
    assert!(reader.read("bool").unwrap() == Array::from_words([2], DType::Bool, vec![1, 0]));
    assert!(reader.read("scalar").unwrap() == Array::scalar(2.5f32));
    assert!(reader.read("empty_f16").unwrap() == Array::zeros([0, 3]));
}

#[test]
fn what_cannot_be_converted_names_its_tensor() {
    let reader = Reader::open(fixture("refused.safetensors")).unwrap();
    let error = |name| reader.read(name).err().unwrap().to_string();
    assert!(error("i64_wide").ends_with("i64_wide: 2147483648 does not fit in 32 bits"));
    // The second of two elements.
    let at = reader.tensors["i64_wide"].start + 8;
    assert!(error("i64_wide").contains(&format!(" at byte {at}: ")));
    assert!(error("i16").ends_with("i16: tensors of dtype I16 are not supported"));
    assert!(error("u64").ends_with("u64: tensors of dtype U64 are not supported"));
    assert!(error("nothing").ends_with("refused.safetensors: holds no tensor nothing"));
    let error = reader.read_f64("i16").unwrap_err().to_string();
    assert!(error.ends_with("i16: expected dtype F64, found I16"));
}

#[test]
fn a_missing_file_is_an_io_error() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("none.safetensors");
    let error = Reader::open(&path).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path: p, .. } if *p == path),
        "{error}"
    );
}

#[test]
fn broken_files_say_where() {
    let (at, message) = open_error(raw(b"short"));
    assert_eq!(
        (at, message.as_str()),
        (
            Some(5),
            "not a safetensors file: 5 bytes, the shortest has 8"
        )
    );
    let (at, message) = open_error(raw(&[0xff; 64]));
    assert!(
        at == Some(0) && message.contains("a header of 18446744073709551615 bytes in a file of 64")
    );
    let (at, message) = open_error(raw(&[&9u64.to_le_bytes()[..], b"{}"].concat()));
    assert!(at == Some(0) && message.contains("a header of 9 bytes in a file of 10"));
    let (at, message) = open_error(file_of("{\"a\": ?}", &[]));
    assert!(
        at == Some(15) && message.starts_with("not a safetensors header: "),
        "{at:?} {message}"
    );
    let (_, message) = open_error(file_of("[]", &[]));
    assert!(
        message.starts_with("not a safetensors header: "),
        "{message}"
    );

    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let header = one("F32", "[2]", "[0,8]");
    let end = 8 + header.len() as u64;
    let (at, message) = open_error(file_of(&header, &[0; 5]));
    assert_eq!(at, Some(end + 5));
    assert_eq!(
        message,
        format!(
            "truncated or overlong: the header describes {} bytes, the file has {}",
            end + 8,
            end + 5
        )
    );
    assert_eq!(open_error(file_of(&header, &[0; 9])).0, Some(end + 8));

    for header in [
        one("F32", "[2]", "[0,4]"),
        one("F32", "[2]", "[8,0]"),
        one("F32", "[2]", "[4,12]"),
        one("F32", "[4611686018427387904,4]", "[0,0]"),
        one("F31", "[2]", "[0,8]"),
        one("F32", "[-2]", "[0,8]"),
    ] {
        let (_, message) = open_error(file_of(&header, &[0; 12]));
        assert!(
            message.starts_with("not a safetensors header: "),
            "{header}: {message}"
        );
    }
}

#[test]
fn strict_reading_orders_and_lists_every_fault() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("w.safetensors");
    let zeros = |name: &str, shape: &[usize]| (name.to_owned(), Array::zeros(shape));
    let stored = [
        zeros("a", &[2]),
        zeros("b", &[]),
        zeros("c", &[3, 1]),
        zeros("d", &[0]),
    ];
    write(&path, &stored, &BTreeMap::new()).unwrap();
    let reader = Reader::open(&path).unwrap();
    let expect = |list: &[(&str, &[usize])]| -> Vec<_> {
        list.iter()
            .map(|&(name, shape)| (name.to_owned(), Shape::from(shape)))
            .collect()
    };
    let all = expect(&[("d", &[0]), ("a", &[2]), ("c", &[3, 1]), ("b", &[])]);
    let shapes: Vec<_> = reader
        .read_strict(&all)
        .unwrap()
        .iter()
        .map(|a| a.shape().clone())
        .collect();
    assert_eq!(
        shapes,
        all.into_iter().map(|(_, shape)| shape).collect::<Vec<_>>()
    );

    let other = expect(&[("x", &[1]), ("c", &[3]), ("y", &[]), ("b", &[1])]);
    match reader.read_strict(&other).err().unwrap() {
        Error::Checkpoint {
            path: p,
            missing,
            unexpected,
            mismatched,
        } => {
            assert_eq!(
                (p, missing, unexpected),
                (
                    path,
                    vec!["x".into(), "y".into()],
                    vec!["a".into(), "d".into()]
                )
            );
            assert_eq!(
                mismatched,
                [
                    "c: the model has [3], the file [3,1]",
                    "b: the model has [1], the file []"
                ]
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_are_taken_are_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("w.safetensors");
    for names in [["a", "a"], ["a", METADATA]] {
        let tensors = names.map(|name| (name.to_owned(), Array::scalar(1.0f32)));
        assert!(matches!(
            write(&path, &tensors, &BTreeMap::new()),
            Err(Error::Argument(_))
        ));
    }
    assert!(entries(&dir).is_empty());
}
