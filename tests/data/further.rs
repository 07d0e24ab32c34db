//! Broken files of weights, and of the formats that need a feature.

use crate::JUNK;
use crate::broken::{Read, Row};
use std::path::Path;
use wgrad::Result;
use wgrad::weights::Reader;

pub fn read_weights(path: &Path) -> Result<()> {
    Reader::open(path)?.read_all().map(drop)
}

#[cfg(feature = "image")]
pub fn read_image(path: &Path) -> Result<()> {
    use wgrad::data::{Dataset, ImageDataset};
    let root = path.parent().and_then(Path::parent).unwrap();
    ImageDataset::folder(root, [4, 4])?.sample(0, 0).map(drop)
}

#[cfg(feature = "parquet")]
pub fn read_parquet(path: &Path) -> Result<()> {
    wgrad::data::Table::parquet(path).map(drop)
}

#[cfg(feature = "text")]
pub fn read_tokenizer(path: &Path) -> Result<()> {
    wgrad::text::Tokenizer::from_file(path).map(drop)
}

#[cfg(feature = "text")]
pub fn read_vocab(path: &Path) -> Result<()> {
    wgrad::text::Tokenizer::from_bert_vocab(path, true).map(drop)
}

/// A safetensors file of this header and these data.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

pub const PARQUET: &[u8] = include_bytes!("../fixtures/rows.parquet");
pub const TORCH: &[u8] = include_bytes!("../fixtures/torch/nested.pt");
pub const TOKENIZER: &[u8] = include_bytes!("../fixtures/text/bpe_tokenizer.json");
pub const VOCAB: &[u8] = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\n##ly\n";

pub fn one(dtype: &str, shape: &str, end: usize, data: usize) -> Vec<u8> {
    let header =
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
    safetensors(&header, &vec![0; data])
}

/// What is refused.
pub fn broken() -> Vec<Row> {
    let row =
        |name, read: Read, bytes: &[u8], message| -> Row { (name, read, bytes.to_vec(), message) };
    let mut rows = vec![
        row(
            "safetensors",
            read_weights,
            b"",
            " at byte 0: not a safetensors file: 0 bytes, the shortest has 8",
        ),
        row(
            "safetensors",
            read_weights,
            JUNK,
            " at byte 0: not a safetensors file, or a truncated one: a header of ",
        ),
        row(
            "safetensors",
            read_weights,
            &safetensors("{\"a\": ?}", &[]),
            " at byte 15: not a safetensors header: ",
        ),
        row(
            "safetensors",
            read_weights,
            &one("F32", "[2]", 8, 5),
            " at byte 67: truncated or overlong: the header describes 70 bytes, the file has 67",
        ),
        row(
            "safetensors",
            read_weights,
            &one("F32", "[3]", 8, 8),
            ": not a safetensors header: ",
        ),
        row(
            "safetensors",
            read_weights,
            &one("C64", "[1]", 8, 8),
            " at byte 62: a: tensors of dtype C64 are not supported",
        ),
        row(
            "torch",
            read_weights,
            &TORCH[..900],
            " at byte 900: a truncated zip file: it ends before its directory",
        ),
        row(
            "torch",
            read_weights,
            include_bytes!("../fixtures/torch/os_system.pt"),
            " at byte 53: refused to load posix.system, nothing of a pickle is executed",
        ),
        row(
            "torch",
            read_weights,
            include_bytes!("../fixtures/torch/opcode.pt"),
            " at byte 42: pickle opcode 'I' (0x49) is not one that a state_dict needs: refused",
        ),
        row(
            "torch",
            read_weights,
            include_bytes!("../fixtures/torch/legacy.pt"),
            " at byte 0: a PyTorch file in the form before 1.6, which is not read",
        ),
    ];
    rows.extend(of_features());
    rows
}

fn of_features() -> Vec<Row> {
    #[allow(unused_mut, reason = "without features there are none")]
    let mut rows: Vec<Row> = Vec::new();
    #[cfg(feature = "image")]
    for bytes in [
        &b""[..],
        JUNK,
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
    ] {
        rows.push((
            "image",
            read_image,
            bytes.to_vec(),
            ": expected a PNG, JPEG, BMP, GIF or WebP image",
        ));
    }
    #[cfg(feature = "parquet")]
    for bytes in [&b""[..], JUNK, b"PAR1PAR1", &PARQUET[..PARQUET.len() / 2]] {
        rows.push((
            "parquet",
            read_parquet,
            bytes.to_vec(),
            ": expected a Parquet file",
        ));
    }
    #[cfg(feature = "parquet")]
    rows.push((
        "parquet",
        read_parquet,
        include_bytes!("../fixtures/list.parquet").to_vec(),
        ": column 'ids': expected numbers, texts or truth values, found another type",
    ));
    #[cfg(feature = "text")]
    for bytes in [&b""[..], JUNK, b"{}", b"[1]", &TOKENIZER[..500]] {
        rows.push((
            "tokenizer.json",
            read_tokenizer,
            bytes.to_vec(),
            ": not a tokenizer.json: ",
        ));
    }
    #[cfg(feature = "text")]
    for (bytes, message) in [
        (&b""[..], ": not the vocabulary of a BERT: no line is [PAD]"),
        (JUNK, " at byte 0: not a vocabulary: not UTF-8"),
        (
            b"[PAD]\n[UNK]\n[CLS]\n",
            ": not the vocabulary of a BERT: no line is [SEP]",
        ),
        (
            b"a\nb\na\n",
            " at byte 4: not a vocabulary: line 3 is 'a' again, as line 1",
        ),
    ] {
        rows.push(("vocab.txt", read_vocab, bytes.to_vec(), message));
    }
    rows
}
