//! Numbers as digits and in English words.

use wgrad::data::TensorDataset;
use wgrad::{Array, Result};

/// The target's words; the first three fill up, begin and end.
const WORDS: &str = "_ < > zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen \
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand";
/// Words of a target at most, with its begin or its end.
pub const LONGEST: usize = 8;
/// Digits of a source; 10 fills up.
pub const DIGITS: usize = 4;

/// The words, by number.
pub fn words() -> Vec<&'static str> {
    WORDS.split_whitespace().collect()
}

/// `n` in words, by number.
fn english(n: usize) -> Vec<i32> {
    let word = |name: &str| words().iter().position(|w| *w == name).unwrap_or(0) as i32;
    match n {
        0..20 => vec![3 + n as i32],
        20..100 if n.is_multiple_of(10) => vec![21 + n as i32 / 10],
        20..100 => [english(n / 10 * 10), english(n % 10)].concat(),
        _ => {
            let (unit, name) = [(100, "hundred"), (1_000, "thousand")][usize::from(n >= 1_000)];
            let mut all = english(n / unit);
            all.push(word(name));
            all.extend(if n.is_multiple_of(unit) {
                vec![]
            } else {
                english(n % unit)
            });
            all
        }
    }
}

/// The digits of `n`, and what fills up.
pub fn digits(n: usize) -> Vec<i32> {
    let mut ids: Vec<i32> = n.to_string().bytes().map(|b| i32::from(b - b'0')).collect();
    ids.resize(DIGITS, 10);
    ids
}

/// Samples of digits `[4]`, a target that begins `[8]` and the same one further, to its end `[8]`.
pub fn data() -> Result<TensorDataset> {
    let mut columns = [vec![], vec![], vec![]];
    for n in 0..10_000 {
        let mut target = [vec![1], english(n), vec![2]].concat();
        target.resize(LONGEST + 1, 0);
        columns[0].extend(digits(n));
        columns[1].extend(&target[..LONGEST]);
        columns[2].extend(&target[1..]);
    }
    let shape = |c: &[i32]| [10_000, c.len() / 10_000];
    let arrays = columns.map(|c| Array::new(shape(&c), c));
    TensorDataset::new(arrays.into_iter().collect::<Result<_>>()?)
}
