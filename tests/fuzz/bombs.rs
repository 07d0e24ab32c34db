//! Files that were made to hurt: small ones that would become large, sizes that overflow, nesting without end. Each is an error,
//! or is read in memory that is in proportion.

use crate::targets::target;
use std::io::Write;

/// Whether a reader of the target reads it; panics where it does what no reader may.
fn reads(name: &str, bytes: &[u8]) -> bool {
    target(name).check(bytes) > 0
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let (at, len) = (file.len() as u32, content.len() as u32);
        let sizes = [len.to_le_bytes(), len.to_le_bytes()].concat();
        let name_len = (name.len() as u16).to_le_bytes();
        file.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        file.extend([&sizes[..], &name_len, &[0; 2], name.as_bytes(), content].concat());
        directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend([&sizes[..], &name_len, &[0; 12], &at.to_le_bytes()].concat());
        directory.extend(name.as_bytes());
    }
    let (start, size) = (file.len() as u32, directory.len() as u32);
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(&directory);
    file.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count].concat());
    file.extend([&size.to_le_bytes()[..], &start.to_le_bytes(), &[0; 2]].concat());
    file
}

/// A PyTorch file of one storage, and of a pickle without its frame.
fn torch(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    let pickle = [b"\x80\x02", pickle, b"."].concat();
    zip(&[("a/data.pkl", &pickle), ("a/data/0", storage)])
}

fn text(value: &str) -> Vec<u8> {
    [
        b"X",
        &(value.len() as u32).to_le_bytes()[..],
        value.as_bytes(),
    ]
    .concat()
}

/// Memo 0: the storage of `count` elements that is called `key`.
fn storage(class: &str, key: &str, count: u32) -> Vec<u8> {
    let class = format!("ctorch\n{class}Storage\n");
    let [kind, key, device] = ["storage", key, "cpu"].map(text);
    let count = [b"J", &count.to_le_bytes()[..]].concat();
    [
        b"(",
        &kind[..],
        class.as_bytes(),
        &key,
        &device,
        &count,
        b"tQq\0",
    ]
    .concat()
}

fn numbers(all: &[u32]) -> Vec<u8> {
    let number = |n: &u32| [b"J", &n.to_le_bytes()[..]].concat();
    [
        b"(".to_vec(),
        all.iter().flat_map(number).collect(),
        b"t".to_vec(),
    ]
    .concat()
}

const REBUILD: &[u8] = b"ctorch._utils\n_rebuild_tensor_v2\n";

/// A tensor of the storage in memo 0.
fn tensor(offset: &[u8], shape: &[u32], strides: &[u32]) -> Vec<u8> {
    let (shape, strides) = (numbers(shape), numbers(strides));
    [REBUILD, b"(h\0", offset, &shape, &strides, b"tR"].concat()
}

#[test]
fn pickles_that_name_one_thing_many_times() {
    let many = 12_000;
    let module = text("torch");
    // a name that merely begins as a known one does
    let name = text(&format!("float{}", "x".repeat(30_000)));
    let class = [
        &module[..],
        b"q\0",
        &name,
        b"q\x010",
        &b"h\0h\x01\x930".repeat(many),
    ]
    .concat();
    assert!(!reads("torch", &torch(&class, b"")));
    // a storage's key
    let key = storage("Float", &"k".repeat(4000), 0);
    let id = [
        &key[..key.len() - 3],
        b"q\x01",
        &b"Q0h\x01".repeat(many),
        b"Q",
    ]
    .concat();
    reads("torch", &torch(&id, b""));
    // a tensor of many dimensions
    let ones = numbers(&[1; 64]);
    let arguments = [b"(h\0K\0", &ones[..], &ones, b"tq\x01"].concat();
    let one = [&storage("Float", "0", 1)[..], REBUILD, b"q\x02", &arguments].concat();
    let tensors = [&one[..], &b"00h\x02h\x01R".repeat(many)].concat();
    reads("torch", &torch(&tensors, &[0; 4]));
    // a dictionary of a list
    let pairs = [b"]q\0(".to_vec(), b"K\0K\0\x86".repeat(2000), b"e".to_vec()].concat();
    let class = b"ccollections\nOrderedDict\nq\x01h\0\x85q\x02";
    let dicts = [&pairs[..], class, &b"0h\x01h\x02R".repeat(many)].concat();
    reads("torch", &torch(&dicts, b""));
}

#[test]
fn pickles_of_many_small_things() {
    for opcode in [
        &b"]"[..],
        b"}",
        b")",
        b"N",
        b"2",
        b"K\0\x85",
        b"\x85",
        b"q\x01",
        b"(t",
        b"(t0",
        b"U\0",
    ] {
        let many = opcode.repeat(60_000 / opcode.len());
        reads("torch", &torch(&[b"N", &many[..]].concat(), b""));
        // after a stack that was high once
        let high = [b"(".to_vec(), b"N".repeat(20_000), b"t0".to_vec(), many].concat();
        reads("torch", &torch(&high, b""));
    }
    reads("torch", &torch(&b"(".repeat(60_000), b""));
}

#[test]
fn dictionaries_that_name_one_another() {
    // each holds the one before twice: two to the thirtieth tensors
    let [one, two] = ["a", "b"].map(text);
    let mut pickle = [storage("Float", "0", 1), tensor(b"K\0", &[1], &[1])].concat();
    pickle.extend(b"q\x01");
    for _ in 0..30 {
        pickle.extend([b"}(", &one[..], b"h\x01", &two, b"h\x01uq\x01"].concat());
    }
    assert!(!reads("torch", &torch(&pickle, &[0; 4])));
    // names of many bytes
    let long = text(&"n".repeat(4000));
    let mut pickle = [storage("Float", "0", 1), tensor(b"K\0", &[1], &[1])].concat();
    pickle.extend([b"q\x01}(", &long[..]].concat());
    pickle.extend(b"](".to_vec());
    pickle.extend(b"h\x01".repeat(20_000));
    pickle.extend(b"eu");
    assert!(!reads("torch", &torch(&pickle, &[0; 4])));
}

#[test]
fn tensors_that_are_larger_than_their_storage() {
    // an offset that overflows where a size is 0
    let offset = [b"\x8a\x08", &i64::MAX.to_le_bytes()[..]].concat();
    let none = [storage("Float", "0", 1), tensor(&offset, &[0], &[1])].concat();
    assert!(!reads("torch", &torch(&none, &[0; 4])));
    let sizes = [
        storage("Float", "0", 1),
        tensor(b"K\0", &[0, 1 << 30, 1 << 30, 1 << 30], &[1; 4]),
    ]
    .concat();
    assert!(!reads("torch", &torch(&sizes, &[0; 4])));
    // one element for many
    for class in ["Float", "Byte", "Half", "Double"] {
        let wide = [storage(class, "0", 1), tensor(b"K\0", &[1 << 24], &[0])].concat();
        assert!(!reads("torch", &torch(&wide, &[0; 8])));
    }
    // a small one is read
    let small = [storage("Float", "0", 1), tensor(b"K\0", &[1 << 10], &[0])].concat();
    assert!(reads("torch", &torch(&small, &[0; 4])));
    // many of one storage; a few are tied weights
    for (many, whole) in [(400, false), (3, true)] {
        let one = tensor(b"K\0", &[1 << 16], &[1]);
        let all = [
            storage("Byte", "0", 1 << 16),
            b"](".to_vec(),
            one.repeat(many),
            b"e".to_vec(),
        ]
        .concat();
        assert_eq!(reads("torch", &torch(&all, &[0; 1 << 16])), whole);
    }
}

fn safetensors(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn shapes_that_cannot_be_counted() {
    let largest = u64::MAX;
    for shape in [
        format!("[0,{largest},{largest}]"),
        format!("[{largest},{largest},0]"),
        format!("[{}0]", "1,".repeat(20_000)),
        format!("[{}]", "-1"),
    ] {
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#);
        assert!(
            !reads("safetensors", &safetensors(&header)),
            "{}",
            header.len()
        );
    }
    let entry = |k: usize| format!(r#""{k}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    let many: Vec<String> = (0..5000).map(entry).collect();
    assert!(reads(
        "safetensors",
        &safetensors(&format!("{{{}}}", many.join(",")))
    ));
}

#[test]
fn json_of_many_small_things() {
    let objects = vec![r#"{"":0}"#; 20_000].join(",");
    let index =
        format!(r#"{{"weight_map":{{"a":"one.safetensors"}},"metadata":{{"m":[{objects}]}}}}"#);
    assert!(!reads("index", index.as_bytes()));
    assert!(!reads(
        "json",
        format!("{{\"a\":[{objects}]}}\n").as_bytes()
    ));
    let lists = "[".repeat(100_000);
    for name in ["index", "json", "safetensors"] {
        assert!(!reads(name, lists.as_bytes()));
    }
    // a key of its own in each row: a table of the square of that
    let keys: String = (0..6000).map(|k| format!("{{\"{k}\":1}}\n")).collect();
    assert!(!reads("json", keys.as_bytes()));
    let keys: String = (0..300).map(|k| format!("{{\"{k}\":\"x\"}}\n")).collect();
    assert!(reads("json", keys.as_bytes()));
    #[cfg(feature = "text")]
    assert!(!reads("tokenizer", format!("[{objects}]").as_bytes()));
    #[cfg(feature = "train")]
    assert!(!reads(
        "trainer_state",
        format!("{{\"callbacks\":{{\"a\":[{objects}]}}}}").as_bytes()
    ));
}

#[test]
fn tables_of_many_small_cells() {
    for row in ["1\n", "a\n", "1,2,3,4,5,6,7,8\n", "\"\"\n"] {
        let rows = row.repeat(200_000 / row.len());
        let table = format!("{}{rows}", row.replace(',', "x,").replace('\n', "y\n"));
        assert!(reads("csv", table.as_bytes()), "{row:?}");
    }
    // in UTF-16 it is a name
    reads("csv", ",".repeat(200_000).as_bytes());
    let names: Vec<String> = (0..5000).map(|k| k.to_string()).collect();
    let wide = format!("{}\n{}\n", names.join(","), names.join(","));
    assert!(reads("csv", wide.as_bytes()));
    assert!(reads("json", "{\"a\":1}\n".repeat(30_000).as_bytes()));
    assert!(reads("lines", "a\n".repeat(100_000).as_bytes()));
    let word = "1\ta\t_\tX\t\t\t\t\t\t\n\n";
    assert!(reads("conllu", word.repeat(10_000).as_bytes()));
    assert!(!reads("conllu", "\t".repeat(200_000).as_bytes()));
    assert!(!reads("conllu", "t".repeat(200_000).as_bytes()));
}

#[test]
fn streams_that_unpack_to_far_more() {
    let zeros = vec![0; 1 << 20];
    let packed = |bytes: &[u8]| {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    };
    // members one after the other are one stream
    let bomb = packed(&zeros).repeat(90);
    for name in ["csv", "json", "lines", "conllu", "cifar"] {
        assert!(!reads(name, &bomb), "{name}");
    }
    let claim = |n: u32| [&[0, 0, 8, 1][..], &n.to_be_bytes()].concat();
    assert!(!reads(
        "idx",
        &[packed(&claim(90 << 20)), bomb.clone()].concat()
    ));
    // what says that much and ends
    assert!(!reads(
        "idx",
        &[
            packed(&claim(90 << 20)),
            bomb[..bomb.len() / 90 * 60].to_vec()
        ]
        .concat()
    ));
    assert!(reads(
        "idx",
        &[packed(&claim(3 << 20)), packed(&zeros).repeat(3)].concat()
    ));
}

#[cfg(feature = "image")]
fn png(width: u32, height: u32, lines: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8], content: &[u8]| {
        let body = [kind, content].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        [
            &(content.len() as u32).to_be_bytes()[..],
            &body,
            &crc.sum().to_be_bytes(),
        ]
        .concat()
    };
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let mut to = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(lines).unwrap();
    let data = to.finish().unwrap();
    let all = [
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &data),
        chunk(b"IEND", b""),
    ]
    .concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &all].concat()
}

#[cfg(feature = "image")]
#[test]
fn images_that_say_they_are_huge() {
    let seed = |name: &str| std::fs::read(format!("tests/fuzz/seeds/jpeg/{name}.jpg")).unwrap();
    for side in [3000, 30_000, 65_500, 1 << 30, u32::MAX >> 1] {
        assert!(!reads("png", &png(side, side, &[0; 100])), "{side}");
        assert!(
            !reads("png", &png(1, side, &[0; 100])) || side < 4000,
            "{side}"
        );
    }
    for name in ["rgb", "progressive", "l", "cmyk"] {
        let mut jpeg = seed(name);
        let at = jpeg
            .windows(2)
            .position(|w| w == [0xff, 0xc0] || w == [0xff, 0xc2])
            .unwrap();
        jpeg[at + 5..at + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        assert!(!reads("jpeg", &jpeg), "{name}");
    }
    // one line of many pixels: resized in the other direction first, it would be many
    let long = png(6_000_000, 1, &[0; 18_000_001]);
    assert!(!reads("png", &long));
    assert!(reads("png", &png(1000, 1000, &[0; 3_001_000])));
}

#[cfg(feature = "parquet")]
mod tables {
    use super::reads;
    use parquet::basic::{Compression, Repetition, Type};
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::types::Type as Schema;
    use std::sync::Arc;

    /// A column of `rows` texts, all alike.
    fn alike(rows: usize, text: &str) -> Vec<u8> {
        let column = Schema::primitive_type_builder("s", Type::BYTE_ARRAY)
            .with_repetition(Repetition::REQUIRED)
            .with_converted_type(parquet::basic::ConvertedType::UTF8);
        let fields = vec![Arc::new(column.build().unwrap())];
        let schema = Schema::group_type_builder("rows")
            .with_fields(fields)
            .build()
            .unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let mut file = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut file, Arc::new(schema), Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values = vec![ByteArray::from(text); rows];
        column
            .typed::<ByteArrayType>()
            .write_batch(&values, None, None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        file
    }

    #[test]
    fn runs_of_one_value() {
        assert!(reads("parquet", &alike(1000, "x")));
        // each cell is a text of its own
        assert!(!reads("parquet", &alike(3000, &"x".repeat(100_000))));
    }

    fn varint(mut n: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while n > 0x7f {
            bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
        bytes
    }

    #[test]
    fn schemas_without_end() {
        // each group holds the next: SchemaElement { repetition REQUIRED, name "g", one child }
        let depth = 50_000;
        let group = b"\x35\x00\x18\x01g\x15\x02\x00".repeat(depth);
        let leaf = b"\x15\x02\x25\x00\x18\x01x\x00";
        let list = [b"\x29\xfc", &varint(depth as u64 + 1)[..], &group, leaf].concat();
        let metadata = [b"\x15\x02", &list[..], b"\x16\x00\x19\x0c\x00"].concat();
        let len = (metadata.len() as u32).to_le_bytes();
        let file = [b"PAR1", &metadata[..], &len, b"PAR1"].concat();
        assert!(!reads("parquet", &file));
    }
}

#[cfg(feature = "text")]
#[test]
fn vocabularies() {
    let tokens = |n: u32| (0..n).map(|k| format!("{k:x}")).collect::<Vec<String>>();
    let special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
    assert!(reads(
        "vocab",
        format!("{special}{}\n", tokens(60_000).join("\n")).as_bytes()
    ));
    let pairs = |n: u32| {
        let entry = |(k, token): (usize, String)| format!("\"{token}\":{k}");
        tokens(n)
            .into_iter()
            .enumerate()
            .map(entry)
            .collect::<Vec<String>>()
            .join(",")
    };
    for model in [
        format!(
            r#"{{"type":"WordLevel","unk_token":"0","vocab":{{{}}}}}"#,
            pairs(20_000)
        ),
        format!(
            r#"{{"type":"BPE","vocab":{{{}}},"merges":[]}}"#,
            pairs(20_000)
        ),
        format!(
            r#"{{"type":"Unigram","unk_id":0,"vocab":[{}]}}"#,
            tokens(20_000)
                .iter()
                .map(|t| format!("[\"{t}abcdefgh\",0.0]"))
                .collect::<Vec<_>>()
                .join(",")
        ),
    ] {
        let whole = format!(r#"{{"version":"1.0","added_tokens":[],"model":{model}}}"#);
        assert!(reads("tokenizer", whole.as_bytes()), "{}", &model[..40]);
    }
}

#[cfg(feature = "train")]
#[test]
fn states_whose_counts_overflow() {
    let target = target("trainer_state");
    let whole = String::from_utf8((target.made)(&target).remove(0)).unwrap();
    assert_eq!(target.check(whole.as_bytes()), 2);
    // every number of the file, one at a time
    let digits: Vec<(usize, usize)> = whole
        .match_indices(|c: char| c.is_ascii_digit())
        .map(|(at, _)| at)
        .filter(|at| !whole[..*at].ends_with(|c: char| c.is_ascii_digit() || c == '.'))
        .map(|at| (at, whole[at..].find(|c: char| !c.is_ascii_digit()).unwrap()))
        .collect();
    for (at, len) in digits {
        for number in ["18446744073709551615", "9223372036854775807", "0"] {
            let state = format!("{}{number}{}", &whole[..at], &whole[at + len..]);
            target.check(state.as_bytes());
        }
    }
}
