//! CSV, JSON lines, and columns as numbers.

use crate::{Place, gzip, message};
use wgrad::Array;
use wgrad::data::{CsvOptions, Dataset, Features, Fill, Kind, SplitOptions, Table, TensorDataset};

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

#[test]
fn another_delimiter_is_named() {
    let place = Place::new();
    let path = place.file("t.csv", "price;rooms\n1,5;2\n");
    let text = message(Table::csv(&path, &CsvOptions::default()));
    let hint = " (between the cells of the first line stands ';': CsvOptions { delimiter: ';', ..Default::default() })";
    assert!(
        text.ends_with(&format!("expected 1 cells, found 2{hint}")),
        "{text}"
    );
    let path = place.file("u.csv", "price\trooms\n1\t2\n");
    let table = Table::csv(&path, &CsvOptions::default()).unwrap();
    let text = message(table.numbers("rooms"));
    assert!(
        text.contains("no column 'rooms'") && text.contains(r"delimiter: '\t'"),
        "{text}"
    );
    // One column of texts is a table as well.
    let path = place.file("v.csv", "review\nfine; really\n");
    let table = Table::csv(&path, &CsvOptions::default()).unwrap();
    let text = message(table.numbers("rooms"));
    assert!(text.ends_with("there are review"), "{text}");
}
