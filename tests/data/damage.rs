//! Whole files of every format, cut at every byte and with bytes changed at random: an error that says which file, or other
//! values, and no panic.

use crate::broken::{self, Read, WORD, name};
use crate::{Place, further, gzip};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad::Error;

/// Longest file of which every beginning is tried.
const SMALL: usize = 2048;
/// Most bytes of a file that are changed one by one.
const CHANGED: usize = 250;
/// Random damages of each file.
const DAMAGES: usize = 250;

/// Format, reader, a whole file, and whether every beginning of it is refused.
fn whole() -> Vec<(&'static str, Read, Vec<u8>, bool)> {
    let csv = b"a,b\n\"1\n\",x\n2,\"y\"\n".to_vec();
    let tsv = b"a\tb\n1\tx\n2\tz\n".to_vec();
    let conll = format!("# text\n{WORD}2\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_\n\n");
    let json = b"{\"a\":1.5,\"b\":\"x\"}\n{\"a\":-2e3,\"b\":\"\\u0078\"}\n".to_vec();
    let idx = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4];
    let cifar = [&[3][..], &[7; 3072]].concat();
    #[allow(unused_mut, reason = "without features there are no others")]
    let mut files: Vec<(&'static str, Read, Vec<u8>, bool)> = vec![
        ("gzip", broken::read_idx, gzip(&idx), true),
        ("idx", broken::read_idx, idx, true),
        ("cifar", broken::read_cifar, cifar, true),
        ("csv", broken::read_csv, csv, false),
        ("tsv", broken::read_tsv, tsv, false),
        ("json", broken::read_json, json, false),
        ("lines", broken::read_lines, b"one\ntwo\n".to_vec(), false),
        (
            "folders",
            broken::read_folders,
            b"one\ntwo\n".to_vec(),
            false,
        ),
        ("conllu", broken::read_conllu, conll.into_bytes(), false),
        (
            "safetensors",
            further::read_weights,
            further::one("F32", "[2]", 8, 8),
            true,
        ),
        (
            "torch",
            further::read_weights,
            further::TORCH.to_vec(),
            true,
        ),
    ];
    #[cfg(feature = "image")]
    files.push(("image", further::read_image, picture(), false));
    #[cfg(feature = "parquet")]
    files.push((
        "parquet",
        further::read_parquet,
        further::PARQUET.to_vec(),
        true,
    ));
    #[cfg(feature = "text")]
    files.push((
        "tokenizer.json",
        further::read_tokenizer,
        further::TOKENIZER.to_vec(),
        false,
    ));
    #[cfg(feature = "text")]
    files.push((
        "vocab.txt",
        further::read_vocab,
        further::VOCAB.to_vec(),
        false,
    ));
    files
}

/// A PNG.
#[cfg(feature = "image")]
fn picture() -> Vec<u8> {
    let place = Place::new();
    let path = place.path().join("a.png");
    let image = wgrad::Array::new([1, 1, 2, 2], vec![0.0f32, 1.0, 0.5, 0.25]).unwrap();
    wgrad::data::image_grid(&path, &image, 1).unwrap();
    std::fs::read(path).unwrap()
}

/// Numbers that are the same each time (Steele, Lea and Flood, 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Read a file of `bytes`; whether it is refused.
fn refused(place: &Place, format: &str, read: Read, bytes: &[u8], what: &str) -> bool {
    let path = place.file(name(format), bytes);
    let result = catch_unwind(AssertUnwindSafe(|| read(&path)));
    let Ok(result) = result else {
        panic!("{format}, {what}: the reader panicked on {bytes:?}");
    };
    let Err(error) = result else {
        return false;
    };
    let message = error.to_string();
    let known = matches!(
        error,
        Error::File { .. } | Error::Line { .. } | Error::Io { .. } | Error::OutOfMemory(_)
    );
    assert!(
        known && message.contains(&path.display().to_string()),
        "{format}, {what}: {error:?}"
    );
    true
}

#[test]
fn no_damage_makes_a_reader_panic() {
    let place = Place::new();
    for (format, read, bytes, each) in whole() {
        assert!(!refused(&place, format, read, &bytes, "whole"), "{format}");
        let step = bytes.len().div_ceil(SMALL);
        for at in (0..bytes.len()).step_by(step) {
            let cut = refused(&place, format, read, &bytes[..at], "cut");
            assert!(cut || !each, "{format}: cut at {at} it is read");
        }
        for at in (0..bytes.len()).step_by(bytes.len().div_ceil(CHANGED)) {
            for change in [0x00, 0xff, b'"', b'\n', bytes[at] ^ 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] = change;
                refused(&place, format, read, &damaged, "a byte changed");
            }
        }
        let mut random = SplitMix64(7);
        let mut refusals = 0;
        for _ in 0..DAMAGES {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(8) {
                let at = random.below(damaged.len());
                damaged[at] = random.below(256) as u8;
            }
            refusals += usize::from(refused(&place, format, read, &damaged, "damaged"));
        }
        assert!(refusals > 0, "{format}: nothing is refused");
    }
}
