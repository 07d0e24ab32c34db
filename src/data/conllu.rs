//! CoNLL-U, the format of Universal Dependencies: a word a line in ten columns, an empty line after each sentence.

use std::path::Path;

use super::file::{read_text, shorten};
use crate::error::{Error, Result};

/// The 17 universal part-of-speech tags in alphabetical order: a label is a place in this list.
pub const UPOS: [&str; 17] = [
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
    "PUNCT", "SCONJ", "SYM", "VERB", "X",
];

/// A tagged sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Its words as they are written.
    pub forms: Vec<String>,
    /// The tag of each word, a place in [`UPOS`].
    pub tags: Vec<i32>,
}

/// The sentences of the file at `path`, gzipped or not. Ranges of words (`5-6`) and empty nodes (`8.1`) are left out.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::File`] where it is not UTF-8 or has no sentence; [`Error::Line`] for a
/// line without ten columns, a word out of turn, one without a form, an unknown tag, and a last sentence without the
/// empty line that ends it.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Sentence>> {
    let path = path.as_ref();
    let text = read_text(path, "utf-8")?;
    let mut sentences = Vec::new();
    let mut sentence = Sentence::default();
    let mut last = 0;
    for (i, line) in text.lines().enumerate() {
        last = i as u64 + 1;
        if line.is_empty() {
            if !sentence.forms.is_empty() {
                sentences.push(std::mem::take(&mut sentence));
            }
        } else if !line.starts_with('#') {
            word(line, &mut sentence).map_err(|message| Error::line(path, last, message))?;
        }
    }
    if !sentence.forms.is_empty() {
        let message = "the file ends within a sentence, expected an empty line after it";
        return Err(Error::line(path, last, message));
    }
    if sentences.is_empty() {
        return Err(Error::file(path, 0, "expected sentences, found none"));
    }
    Ok(sentences)
}

fn word(line: &str, sentence: &mut Sentence) -> Result<(), String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [id, form, _, tag, ..] = columns[..] else {
        return Err(format!("expected 10 columns, found {}", columns.len()));
    };
    if columns.len() != 10 {
        return Err(format!("expected 10 columns, found {}", columns.len()));
    }
    let number = |part: &str| part.parse::<usize>().is_ok();
    if id
        .split_once(['-', '.'])
        .is_some_and(|(a, b)| number(a) && number(b))
    {
        return Ok(());
    }
    let next = sentence.forms.len() + 1;
    if id.parse() != Ok(next) {
        return Err(format!(
            "expected word {next} of a sentence, found '{}'",
            shorten(id)
        ));
    }
    if form.is_empty() {
        return Err(String::from("expected a form, found an empty cell"));
    }
    let Ok(place) = UPOS.binary_search(&tag) else {
        return Err(format!(
            "expected one of the {} universal tags, found '{}'",
            UPOS.len(),
            shorten(tag)
        ));
    };
    sentence.forms.push(form.to_owned());
    sentence.tags.push(place as i32);
    Ok(())
}
