//! Texts from folders and line files, sentences from CoNLL-U.

use crate::{Place, message};
use std::fs;
use wgrad::data::{Dataset, Texts, conllu};
use wgrad::{Array, Error};

/// A word with its tag, as CoNLL-U has it.
const WORD: &str = "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n";

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
