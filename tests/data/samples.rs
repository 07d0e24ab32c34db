//! The data of the examples.

use crate::message;
use std::fs;
use std::path::Path;
use wgrad::data::{CsvOptions, Features, Fill, SplitOptions, Table, Texts, conllu};

/// The real sets in `examples/data`, as their `README.md` describes them.
#[test]
fn samples_of_the_examples_are_as_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    let lines =
        ["rt-polarity/rt-polarity.neg", "rt-polarity/rt-polarity.pos"].map(|f| root.join(f));
    let texts = Texts::lines(&lines, "windows-1252").unwrap();
    assert_eq!(
        wgrad::data::class_counts(&texts.labels).unwrap(),
        [5331, 5331]
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
