//! Files of every format, whole and broken: what is broken is an error that says where, and never a panic.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};

use wgrad::data::{
    CsvOptions, Dataset, Features, Fill, ImageDataset, Kind, SplitOptions, Table, TensorDataset,
    Texts, conllu, idx,
};
use wgrad::{Array, Error, Result};

/// A file of these bytes in a folder that lives as long as the value.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const JUNK: &[u8] = b"\xff\xfe\x00\x9c\x81\x00\xc3\x28\n\x01\x02\xf0\x28\x8c\x28\n";

/// A reader of one format, given the path of a file.
type Read = fn(&Path) -> Result<()>;

fn read_idx(path: &Path) -> Result<()> {
    idx::read(path).map(|_| ())
}

fn read_cifar(path: &Path) -> Result<()> {
    ImageDataset::cifar10_files(&[path]).map(|_| ())
}

fn read_csv(path: &Path) -> Result<()> {
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

fn read_tsv(path: &Path) -> Result<()> {
    Table::csv(path, &CsvOptions::tsv())?
        .numbers("a")
        .map(|_| ())
}

fn read_json(path: &Path) -> Result<()> {
    let table = Table::json_lines(path)?;
    table.numbers("a")?;
    table.labels("b", &[String::from("x")])?;
    Ok(())
}

fn read_lines(path: &Path) -> Result<()> {
    Texts::lines(&[path], "utf-8").map(|_| ())
}

fn read_folders(path: &Path) -> Result<()> {
    // The file is the one text of its class.
    let root = path.parent().and_then(Path::parent).unwrap();
    Texts::folders(root, "utf-8").map(|_| ())
}

fn read_conllu(path: &Path) -> Result<()> {
    conllu::read(path).map(|_| ())
}

const WORD: &str = "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n";

/// What is refused: format, content, and what the message says after the path.
fn broken() -> Vec<(&'static str, Read, Vec<u8>, &'static str)> {
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
    for (format, read, bytes, wanted) in broken() {
        let place = Place::new();
        let path = place.file("class/broken.txt", &bytes);
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
        assert!(
            found.starts_with(wanted),
            "{format}: {found}\nnot: {wanted}"
        );
    }
}

/// Whole files, cut at every place and with bytes changed: an error or not, but no panic.
#[test]
fn no_damage_makes_a_reader_panic() {
    let csv = b"a,b\n1,\"x\"\n2,\"y\ny\"\n".to_vec();
    let conll = format!("# text\n{WORD}2\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_\n\n").into_bytes();
    let json = b"{\"a\":1.5,\"b\":\"x\"}\n{\"a\":null,\"b\":\"\\u00e9\"}\n".to_vec();
    let idx = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4];
    let whole: [(Read, Vec<u8>); 8] = [
        (read_idx, gzip(&idx)),
        (read_idx, idx),
        (read_csv, csv.clone()),
        (read_tsv, csv),
        (read_json, json),
        (read_lines, b"one\ntwo\n".to_vec()),
        (read_folders, b"one\ntwo\n".to_vec()),
        (read_conllu, conll),
    ];
    let place = Place::new();
    for (read, bytes) in whole {
        for at in 0..bytes.len() {
            let _ = read(&place.file("class/cut.txt", &bytes[..at]));
            for change in [0x00, 0xff, b'"', b'\n', bytes[at] ^ 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] = change;
                let _ = read(&place.file("class/cut.txt", damaged));
            }
        }
    }
}

fn message<T>(result: Result<T>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn tables_read_what_is_there() {
    let place = Place::new();
    let path = place.file(
        "a.csv",
        "id,note,price,kind\r\n1,\"a, \"\"b\"\"\",2.5,x\r\n2,\"two\nlines\",,y\r\n3,é,-1e3,x\r\n",
    );
    let table = Table::csv(&path, &CsvOptions::default()).unwrap();
    assert_eq!(table.len(), 3);
    assert_eq!(table.numbers("id").unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(
        table.texts("note").unwrap(),
        ["a, \"b\"", "two\nlines", "é"]
    );
    assert_eq!(table.categories("kind").unwrap(), ["x", "y"]);
    let kinds = table.categories("kind").unwrap();
    assert_eq!(table.labels("kind", &kinds).unwrap(), [0, 1, 0]);
    assert_eq!(
        message(table.numbers("price")),
        format!(
            "{} at line 3: column 'price': expected a number, the cell is empty",
            path.display()
        )
    );
    let part = table.select(&[2, 0]).unwrap();
    assert_eq!(part.numbers("price").unwrap(), [-1000.0, 2.5]);
    assert_eq!(
        message(table.select(&[3])),
        "no sample 3 in a data set of 3 samples"
    );

    let plain = CsvOptions {
        header: false,
        delimiter: ';',
        encoding: String::from("windows-1252"),
        types: vec![(String::from("0"), Kind::Text)],
        ..CsvOptions::default()
    };
    let path = place.file("b.csv", gzip(b"1;caf\xe9\n2;\x85"));
    let table = Table::csv(&path, &plain).unwrap();
    assert_eq!(table.texts("0").unwrap(), ["1", "2"]);
    assert_eq!(table.texts("1").unwrap(), ["café", "…"]);

    let quotes = place.file("c.tsv", "say\tn\n\"hm\t1\n");
    let table = Table::csv(quotes, &CsvOptions::tsv()).unwrap();
    assert_eq!(table.texts("say").unwrap(), ["\"hm"]);

    let json = place.file(
        "d.jsonl",
        "{\"b\": \"x\", \"a\": 1}\n\n{\"a\": true, \"late\": 4}\n",
    );
    let table = Table::json_lines(json).unwrap();
    let names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "late"]);
    assert_eq!(table.numbers("a").unwrap(), [1.0, 1.0]);
    assert_eq!(
        *table.column("late").unwrap(),
        wgrad::data::Values::Number(vec![None, Some(4.0)])
    );

    let wrong = CsvOptions {
        encoding: String::from("utf-99"),
        ..CsvOptions::default()
    };
    assert!(message(Table::csv(&path, &wrong)).starts_with("no encoding 'utf-99', there are"));
    let wrong = CsvOptions {
        delimiter: '→',
        ..CsvOptions::default()
    };
    assert_eq!(
        message(Table::csv(&path, &wrong)),
        "a delimiter '→', allowed are ASCII characters but quotes and line ends"
    );
}

#[test]
fn features_measure_the_training_part_alone() {
    let place = Place::new();
    let path = place.file(
        "a.csv",
        "x,y,k,c\n1,10,a,5\n3,,b,5\n5,40,,5\n100,7,a,5\n,0,c,5\n",
    );
    let table = Table::csv(&path, &CsvOptions::default()).unwrap();
    let train = table.select(&[0, 1, 2]).unwrap();
    let test = table.select(&[3]).unwrap();
    let features = Features::new()
        .standardized(&["x", "c"])
        .numbers(&["y"])
        .one_hot(&["k"])
        .fill(Fill::Median);
    let encoder = features.clone().fit(&train).unwrap();
    assert_eq!(encoder.names(), ["x", "c", "y", "k=a", "k=b"]);
    let std = (8.0f64 / 3.0).sqrt();
    assert_eq!(encoder.scale("x"), Some((3.0, std)));
    assert_eq!(encoder.scale("k"), None);
    let low = (-2.0 / std) as f32;
    assert_eq!(
        encoder.encode(&train).unwrap(),
        Array::new(
            [3, 5],
            vec![
                low, 0.0, 10.0, 1.0, 0.0, 0.0, 0.0, 25.0, 0.0, 1.0, -low, 0.0, 40.0, 0.0, 0.0f32
            ]
        )
        .unwrap()
    );
    let row = encoder.encode(&test).unwrap();
    assert_eq!(row.to_f32()[0], (97.0 / std) as f32);
    let path = path.display();
    assert_eq!(
        message(encoder.encode(&table)),
        format!("{path} at line 6: column 'k': expected one of the 2 categories a, b, found 'c'")
    );
    assert_eq!(
        message(features.clone().fill(Fill::Refuse).fit(&train)),
        format!("{path} at line 3: column 'y': expected a number, the cell is empty")
    );
    let lenient = features.clone().ignore_unknown().fit(&train).unwrap();
    assert_eq!(lenient.encode(&table).unwrap().to_f32()[23..], [0.0, 0.0]);
    let indexed = Features::new().indexed(&["k"]).fit(&test).unwrap();
    assert_eq!(indexed.encode(&test).unwrap().to_f32(), [0.0]);
    assert_eq!(
        message(Features::new().fit(&train)),
        "features of 0 columns and 3 rows"
    );
    let (train, test) = table
        .train_test_split(&SplitOptions::default(), None)
        .unwrap();
    assert_eq!((train.len(), test.len()), (3, 2));
}

#[test]
fn texts_and_sentences_read_what_is_there() {
    let place = Place::new();
    let lines = [
        place.file("rt.neg", b"dull\x85 film\nslow\r\n"),
        place.file("rt.pos", b"caf\xe9"),
    ];
    let texts = Texts::lines(&lines, "windows-1252").unwrap();
    assert_eq!(texts.texts, ["dull… film", "slow", "café"]);
    assert_eq!(texts.labels, [0, 0, 1]);
    assert_eq!(texts.classes, ["rt.neg", "rt.pos"]);
    let ids = texts.encode(|text| Ok(text.split(' ').map(|w| w.len() as i32).collect()));
    let ids = ids.unwrap();
    assert_eq!(
        ids.sample(0, 0).unwrap(),
        [Array::vector(vec![7i32, 4]), Array::scalar(0i32)]
    );

    let place = Place::new();
    place.file("train/pos/1.txt", "good");
    place.file("train/neg/2.txt", "worse");
    place.file("train/neg/10.txt", "bad");
    place.file("train/neg/notes.md", "not a text");
    place.file("train/urls.txt", "not a class");
    let texts = Texts::folders(place.path().join("train"), "utf-8").unwrap();
    assert_eq!(texts.texts, ["bad", "worse", "good"]);
    assert_eq!(texts.labels, [0, 0, 1]);
    assert_eq!(texts.classes, ["neg", "pos"]);
    let empty = place.path().join("empty");
    fs::create_dir_all(empty.join("neg")).unwrap();
    assert_eq!(
        message(Texts::folders(&empty, "utf-8")),
        format!(
            "{}: expected files that end in .txt, found none",
            empty.join("neg").display()
        )
    );
    assert_eq!(
        message(Texts::folders(empty.join("neg"), "utf-8")),
        format!(
            "{}: expected a folder for each class, found none",
            empty.join("neg").display()
        )
    );
    assert!(matches!(
        Texts::folders(place.path().join("none"), "utf-8"),
        Err(Error::Io { .. })
    ));

    let word =
        |id: &str, form: &str, tag: &str| format!("{id}\t{form}{}", WORD[5..].replace("DET", tag));
    let file = [
        String::from("# text = don't\n"),
        word("1-2", "don't", "_"),
        word("1", "do", "AUX"),
        word("2", "n't", "PART"),
        word("2.1", "it", "PRON"),
        String::from("\n\n"),
        word("1", "Yes", "INTJ"),
        String::from("\n"),
    ];
    let sentences = conllu::read(place.file("a.conllu", file.concat())).unwrap();
    assert_eq!(sentences.len(), 2);
    assert_eq!(sentences[0].forms, ["do", "n't"]);
    assert_eq!(
        sentences[0]
            .tags
            .iter()
            .map(|&t| conllu::UPOS[t as usize])
            .collect::<Vec<_>>(),
        ["AUX", "PART"]
    );
    assert_eq!(sentences[1].tags, [6]);
}

#[test]
fn what_a_table_holds_trains() {
    let place = Place::new();
    let rows: Vec<String> = (0..40).map(|i| format!("{},{}\n", i, i % 4)).collect();
    let path = place.file("a.csv", format!("x,k\n{}", rows.concat()));
    let table = Table::csv(path, &CsvOptions::default()).unwrap();
    let (train, test) = table
        .train_test_split(&SplitOptions::default(), Some("k"))
        .unwrap();
    let kinds = train.categories("k").unwrap();
    assert_eq!(kinds, ["0", "1", "2", "3"]);
    let x = Features::new().standardized(&["x"]).fit(&train).unwrap();
    let set = |part: &Table| {
        let y = Array::vector(part.labels("k", &kinds).unwrap());
        TensorDataset::new(vec![x.encode(part).unwrap(), y]).unwrap()
    };
    assert_eq!((set(&train).len(), set(&test).len()), (30, 10));
    let counts = wgrad::data::class_counts(&set(&test).labels().unwrap()).unwrap();
    assert!(counts.iter().all(|c| (2..=3).contains(c)), "{counts:?}");
}

/// The parts of real sets in `examples/data`, as their `README.md` describes them.
#[test]
fn samples_of_the_examples_are_as_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    let lines =
        ["rt-polarity/rt-polarity.neg", "rt-polarity/rt-polarity.pos"].map(|f| root.join(f));
    let texts = Texts::lines(&lines, "windows-1252").unwrap();
    assert_eq!(
        wgrad::data::class_counts(&texts.labels).unwrap(),
        [1500, 1500]
    );
    assert!(texts.texts[0].starts_with("simplistic , silly and tedious"));
    let broken = message(Texts::lines(&lines, "utf-8"));
    let wanted = "rt-polarity.neg at byte 3777: expected text in UTF-8, found the bytes e9 (";
    assert!(broken.contains(wanted), "{broken}");

    for (file, sentences, words) in [
        ("en_ewt-ud-train.first1000.conllu.gz", 1000, 21_857),
        ("en_ewt-ud-dev.first200.conllu.gz", 200, 4_007),
    ] {
        let found = conllu::read(root.join("ud-english-ewt").join(file)).unwrap();
        assert_eq!(found.len(), sentences);
        let tags: Vec<i32> = found.iter().flat_map(|s| s.tags.clone()).collect();
        assert_eq!(tags.len(), words);
        let counts = wgrad::data::class_counts(&tags).unwrap();
        assert!(
            counts.len() == 17 && counts.iter().all(|&n| n > 0),
            "{counts:?}"
        );
    }

    let path = root.join("california-housing/every-fifth.csv");
    let table = Table::csv(path, &CsvOptions::default()).unwrap();
    assert_eq!((table.len(), table.columns().len()), (4_128, 10));
    let wgrad::data::Values::Number(rooms) = table.column("total_bedrooms").unwrap() else {
        panic!("texts");
    };
    assert_eq!(rooms.iter().filter(|cell| cell.is_none()).count(), 44);
    let kinds = table.categories("ocean_proximity").unwrap();
    assert_eq!(kinds.len(), 5);
    let (train, test) = table
        .train_test_split(&SplitOptions::default(), None)
        .unwrap();
    let names = ["median_income", "total_bedrooms", "latitude"];
    let features = Features::new()
        .standardized(&names)
        .one_hot(&["ocean_proximity"])
        .ignore_unknown()
        .fill(Fill::Median)
        .fit(&train)
        .unwrap();
    let rows = features.encode(&train).unwrap();
    let column = |k: usize| {
        rows.to_f32()
            .chunks(rows.shape()[1])
            .map(|r| f64::from(r[k]))
            .collect::<Vec<_>>()
    };
    for k in 0..names.len() {
        let mean = column(k).iter().sum::<f64>() / train.len() as f64;
        let square = column(k).iter().map(|x| x * x).sum::<f64>() / train.len() as f64;
        assert!(
            mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-5,
            "{mean} {square}"
        );
    }
    assert_eq!(features.encode(&test).unwrap().shape()[0], test.len());
    let text = fs::read_to_string(root.join("tinyshakespeare/input.first.txt")).unwrap();
    assert_eq!((text.len(), text.lines().count()), (199_995, 7_553));
}

#[cfg(feature = "image")]
mod images {
    use super::*;

    /// A PNG with two pixels for each class's colour, written by the library itself.
    fn picture(path: &Path, values: &[f32]) {
        let image = Array::new([1, 1, 2, values.len() / 2], values).unwrap();
        wgrad::data::image_grid(path, &image, 1).unwrap();
    }

    #[test]
    fn folders_are_classes() {
        let place = Place::new();
        for (name, first) in [("b/1.png", 1.0), ("a/x.png", 0.0), ("a/y.PNG", 1.0)] {
            let path = place.file(name, "");
            picture(&path, &[first, 0.0, 0.0, 1.0]);
        }
        let data = ImageDataset::folder(place.path(), [6, 6]).unwrap();
        assert_eq!(data.class_names(), ["a", "b"]);
        assert_eq!(data.labels().unwrap(), [0, 0, 1]);
        let sample = data.sample(1, 0).unwrap();
        assert_eq!(**sample[0].shape(), [3, 6, 6]);
        // The image stands in a black frame of two pixels; all three channels are alike.
        let x = sample[0].to_f32();
        let middle = |c: usize| [14, 15, 20, 21].map(|i| x[c * 36 + i]);
        assert_eq!(middle(0), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(middle(2), middle(0));
        assert_eq!(x.iter().filter(|&&v| v == 0.0).count(), 3 * 34);
        let small = ImageDataset::folder(place.path(), [3, 4]).unwrap();
        let red = image::RgbImage::from_pixel(8, 8, image::Rgb([250, 10, 10]));
        red.save(place.path().join("b/2.jpeg")).unwrap();
        let found = ImageDataset::folder(place.path(), [8, 8]).unwrap();
        let x = found.sample(3, 0).unwrap().remove(0).to_f32();
        let near = |i: usize, byte: f32| (x[i] * 255.0 - byte).abs() < 8.0;
        assert!(near(0, 250.0) && near(64, 10.0) && near(191, 10.0));
        assert_eq!(**small.batch(&[0, 2], 0).unwrap()[0].shape(), [2, 3, 3, 4]);
        assert_eq!(
            message(ImageDataset::folder(place.path(), [0, 4])),
            "images of size [0, 4]"
        );
    }

    #[test]
    fn broken_images_are_errors() {
        let place = Place::new();
        let whole = place.file("whole/a.png", "");
        picture(&whole, &[0.0, 1.0, 0.5, 0.25]);
        let whole = fs::read(whole).unwrap();
        for bytes in [
            &b""[..],
            JUNK,
            &whole[..whole.len() / 2],
            b"\xff\xd8\xff\xe0\x00\x10JFIF",
        ] {
            let place = Place::new();
            let path = place.file("c/a.png", bytes);
            let data = ImageDataset::folder(place.path(), [4, 4]).unwrap();
            let start = format!("{}: expected a PNG or JPEG image", path.display());
            let error = message(data.sample(0, 0));
            assert!(error.starts_with(&start), "{error}");
        }
        let place = Place::new();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            place.file("c/a.png", damaged);
            let data = ImageDataset::folder(place.path(), [4, 4]).unwrap();
            let _ = data.sample(0, 0);
        }
        let empty = Place::new();
        fs::create_dir(empty.path().join("c")).unwrap();
        assert_eq!(
            message(ImageDataset::folder(empty.path(), [4, 4])),
            format!(
                "{}: expected files that end in .png, .jpg, .jpeg, found none",
                empty.path().join("c").display()
            )
        );
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;

    /// Three rows of text, label, weight and truth, one of them without a weight, written by
    /// `tests/interop/make_parquet.py`.
    const ROWS: &[u8] = include_bytes!("fixtures/rows.parquet");

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
        let list = include_bytes!("fixtures/list.parquet");
        assert!(
            refused(list).contains(
                "column 'ids': expected numbers, texts or truth values, found another type"
            )
        );
        for at in 0..ROWS.len() {
            let mut damaged = ROWS.to_vec();
            damaged[at] ^= 0xff;
            let _ = read(&place.file("a.parquet", damaged));
        }
    }
}

#[cfg(feature = "train")]
mod training {
    use super::*;
    use wgrad::data::{DataLoader, DataLoaderOptions, Sample, WeightedRandomSampler};
    use wgrad::device::{DeviceKind, DeviceOptions};
    use wgrad::nn::{Embedding, Linear, Module};
    use wgrad::train::metrics::{ConfusionMatrix, EvalPrediction};
    use wgrad::train::{Progress, TrainOptions, Trainer};
    use wgrad::{Mode, Params, Session, Tensor, TensorType};

    struct Bag {
        embedding: Embedding,
        linear: Linear,
    }

    impl Module for Bag {
        /// `ids [n, t]` to logits `[n, 2]`
        fn forward(&self, ids: &Tensor) -> Tensor {
            let words = self.embedding.forward(ids).sum(&[1], false);
            self.linear.forward(&words)
        }
    }

    /// Ids padded with 0 to the longest of the batch.
    fn pad(samples: Vec<Sample>) -> Result<Vec<Array>> {
        let longest = samples.iter().map(|s| s[0].numel()).max().unwrap_or(0);
        let (mut ids, mut labels) = (Vec::new(), Vec::new());
        for (i, sample) in samples.iter().enumerate() {
            ids.extend_from_slice(sample[0].as_slice::<i32>()?);
            ids.resize((i + 1) * longest, 0);
            labels.extend_from_slice(sample[1].as_slice::<i32>()?);
        }
        Ok(vec![
            Array::new([samples.len(), longest], ids)?,
            Array::vector(labels),
        ])
    }

    /// Sentences of unequal length and classes of unequal size, padded by batch and drawn by weight.
    #[test]
    fn learns_texts_that_are_padded_and_balanced() {
        let place = Place::new();
        let line = |i: usize, word: &str| {
            format!(
                "{}{word}{}\n",
                "film ".repeat(i % 5),
                " of it".repeat(i % 3)
            )
        };
        let bad: String = (0..120).map(|i| line(i, "dull")).collect();
        let good: String = (0..12).map(|i| line(i, "bright")).collect();
        let files = [place.file("neg", bad), place.file("pos", good)];
        let texts = Texts::lines(&files, "utf-8").unwrap();
        let words = ["<pad>", "film", "of", "it", "dull", "bright"];
        let ids = texts.encode(|text| {
            let id = |word| words.iter().position(|w| *w == word).unwrap_or(0) as i32;
            Ok(text.split(' ').map(id).collect())
        });
        let ids = ids.unwrap();
        let options = DataLoaderOptions {
            batch_size: 12,
            num_workers: 2,
            ..DataLoaderOptions::default()
        };
        let loader = |options| DataLoader::new(ids.clone(), options).unwrap().collate(pad);
        let balanced = WeightedRandomSampler::balanced(&texts.labels, 0).unwrap();
        let train = loader(options.clone()).sampler(balanced).unwrap();
        let valid = loader(options);

        let params = Params::new(0);
        let model = Bag {
            embedding: Embedding::new(words.len(), 4).build(&params.at("embedding")),
            linear: Linear::new(4, 2).build(&params.at("linear")),
        };
        let device = DeviceOptions {
            kind: Some(DeviceKind::Cpu),
            ..DeviceOptions::default()
        };
        let mut session = Session::with_options(&params, &device).unwrap();
        let options = TrainOptions {
            epochs: 12,
            progress: Progress::Silent,
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::classifier(&mut session, &model, options)
            .optimizer(wgrad::optim::Adam::new(0.03));
        let history = trainer.fit_loaders(&train, &valid).unwrap();
        assert_eq!(history.last("val_accuracy"), Some(1.0));
        assert_eq!(trainer.evaluate_loader(&valid).unwrap().accuracy, Some(1.0));
        drop(trainer);

        let types = [TensorType::i32([12, 7])];
        let mut predict = session
            .compile(Mode::Eval, &types, |_, x| vec![model.forward(&x[0])])
            .unwrap();
        let batches = valid.epoch(0).map(|batch| {
            let batch = batch?;
            let logits = session.run(&mut predict, &[&batch[0]])?.remove(0);
            Ok((logits, batch[1].clone()))
        });
        let batches: Vec<(Array, Array)> = batches.collect::<Result<_>>().unwrap();
        let eval = EvalPrediction::of_batches(&batches).unwrap();
        let labels = eval.labels.as_slice().unwrap();
        let matrix = ConfusionMatrix::new(&eval.classes().unwrap(), labels, None).unwrap();
        assert_eq!((matrix.count(0, 0), matrix.count(1, 1)), (120, 12));
    }
}
