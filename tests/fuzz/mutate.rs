//! Damaged files: whole ones, changed at random in the ways in which files go wrong and in those that readers fear.

use crate::draws::{between, chance, one_of};
use wgrad::rng::Rng;

/// Longest file that is made.
const LONGEST: usize = 1 << 16;

/// Numbers at which sizes and offsets go wrong.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x10_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x4000_0000_0000_0000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Pieces of text that mean something in one of the formats.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\n",
    b"\r\n",
    b"\t",
    b",",
    b";",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"-0",
    b"NaN",
    b"nan",
    b"inf",
    b"\\u0000",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xf0\x9f\x98\x80",
    b"18446744073709551615",
    b"9223372036854775808",
    b"\"\":",
    b"{\"\":0},",
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"torch.float",
    b"ctorch\nFloatStorage\n",
    b"ccollections\nOrderedDict\n",
    b")R",
    b"}q\0",
    b"(t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"h\0",
    b"q\0",
    b"\x94",
    b"\x93",
    b"I16",
    b"F8_E4M3",
    b"C64",
    b"..",
    b"\x1f\x8b\x08",
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"\xff\xd8",
    b"\xff\xc2",
    b"\xff\xda",
    b"\xff\xd9",
    b"PAR1",
    b"1-2\t",
    b"1.1\t",
    b"# ",
    b"[UNK]",
    b"##",
];

/// One of `seeds`, changed one to sixteen times.
pub fn mutated(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = one_of(rng, seeds).clone();
    // few changes reach deep into a reader, many reach what is rare
    let many = 1 << between(rng, 0, 4);
    for _ in 0..between(rng, 1, many) {
        change(rng, &mut bytes, seeds);
        bytes.truncate(LONGEST);
    }
    bytes
}

/// A range of `len` bytes, at most `most` long.
fn range(rng: &mut Rng, len: usize, most: usize) -> std::ops::Range<usize> {
    let start = between(rng, 0, len);
    start..between(rng, start, len.min(start + most))
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let len = bytes.len();
    let at = between(rng, 0, len);
    match rng.below(11) {
        0 if at < len => bytes[at] ^= 1 << rng.below(8),
        1 if at < len => bytes[at] = rng.word() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(range(rng, len, 64))),
        4 => {
            let token = one_of(rng, TOKENS);
            bytes.splice(at..at, token.iter().copied());
        }
        5 => {
            let token = one_of(rng, TOKENS);
            let end = len.min(at + token.len());
            bytes.splice(at..end, token.iter().copied());
        }
        6 => {
            let width = 1 << rng.below(4);
            let number = *one_of(rng, NUMBERS);
            let mut number = number.to_le_bytes()[..width].to_vec();
            if chance(rng, 30) {
                number.reverse();
            }
            let end = len.min(at + width);
            bytes.splice(at..end, number);
        }
        7 => written_number(rng, bytes, at),
        8 => {
            let other = one_of(rng, seeds);
            let part = other[range(rng, other.len(), 256)].to_vec();
            let end = if chance(rng, 50) {
                at
            } else {
                len.min(at + part.len())
            };
            bytes.splice(at..end, part);
        }
        9 => {
            let part = bytes[range(rng, len, 64)].to_vec();
            bytes.splice(at..at, part);
        }
        // the same piece over and over: what a reader makes of each must stay in proportion
        10 if chance(rng, 20) => {
            let part = bytes[range(rng, len, 32)].to_vec();
            let times = 1 << between(rng, 1, 12);
            bytes.splice(at..at, part.repeat(times));
        }
        _ => {}
    }
}

/// Another number in place of the one in digits at `at` or after it.
fn written_number(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let digit = |b: &u8| b.is_ascii_digit();
    let Some(start) = bytes[at..].iter().position(digit).map(|n| at + n) else {
        return;
    };
    let end = start + bytes[start..].iter().take_while(|b| digit(b)).count();
    let number = one_of(rng, NUMBERS).to_string();
    bytes.splice(start..end, number.into_bytes());
}
