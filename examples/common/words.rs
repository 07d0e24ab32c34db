//! Words by number.

use std::collections::HashMap;

/// Words by number: 0 fills up, 1 is for words that are not known.
pub struct Vocabulary(HashMap<String, i32>);

impl Vocabulary {
    /// The words that come at least twice, the most frequent first.
    pub fn new<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = HashMap::<&str, usize>::new();
        words.for_each(|w| *counts.entry(w).or_default() += 1);
        let mut words: Vec<_> = counts.into_iter().filter(|(_, n)| *n > 1).collect();
        words.sort_by_key(|(word, n)| (usize::MAX - n, *word));
        let numbered = words
            .iter()
            .zip(2..)
            .map(|((w, _), id)| (w.to_string(), id));
        Self(numbered.collect())
    }

    /// Numbers in use.
    pub fn len(&self) -> usize {
        self.0.len() + 2
    }

    /// The number of a word.
    pub fn id(&self, word: &str) -> i32 {
        self.0.get(word).copied().unwrap_or(1)
    }
}
