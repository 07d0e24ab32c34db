//! The tables of names in the guides from PyTorch and from Keras name what the sources have, and all of it.

use crate::readme;
use std::collections::BTreeSet;

const PYTORCH: &str = include_str!("../../docs/from-pytorch.md");
const KERAS: &str = include_str!("../../docs/from-keras.md");

/// Methods of tensors that are for operators of one's own.
const FOR_OPERATORS: &[&str] = &["apply", "is_poisoned", "recurrence", "trace", "ty"];

/// The code in the second column of a guide's table of names.
fn code(guide: &str) -> Vec<&str> {
    let section = guide.split("\n## Names\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|l| l.strip_prefix("| "));
    let second = rows.filter_map(|row| row.split(" | ").nth(1));
    let code: Vec<&str> = second
        .flat_map(|c| c.split('`').skip(1).step_by(2))
        .collect();
    assert!(code.len() > 100, "{code:?}");
    code
}

/// Names in code that follow a dot or two colons, with what stands before: `.relu`, `nn::Linear`.
fn names(code: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let part = |c: char| c.is_alphanumeric() || c == '_';
    for text in code {
        for (at, _) in text.match_indices(['.', ':']) {
            let (before, rest) = (&text[..at], &text[at + 1..]);
            let name = rest.split(|c| !part(c)).next().unwrap();
            let head = before.strip_suffix(':').unwrap_or("");
            let head = head.rsplit(|c| !part(c)).next().unwrap();
            match &text[at..=at] {
                _ if !name.starts_with(char::is_alphabetic) => false,
                "." => found.insert(format!(".{name}")),
                _ => !head.is_empty() && found.insert(format!("{head}::{name}")),
            };
        }
    }
    found
}

/// The lines between `start` and the next `}` of one file, in which macros have their rows.
fn rows(file: &str, start: &str) -> Vec<String> {
    let lines = readme::lines(file);
    let from = lines.iter().position(|l| l.ends_with(start)).unwrap();
    let inside = lines[from + 1..].iter().take_while(|l| *l != "}");
    inside.cloned().collect()
}

/// The public methods of tensors.
fn methods() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut inside = false;
    let sources = readme::lines("src/ops").into_iter();
    for line in sources.chain(readme::lines("src/tensor.rs")) {
        inside = line == "impl Tensor {" || inside && line != "}";
        if let Some(rest) = line.strip_prefix("    pub fn ").filter(|_| inside) {
            all.extend(rest.split(['(', '<']).take(1).map(str::to_owned));
        }
    }
    // `relu();`, `add add;`
    for start in ["unary! {", "binary! {"] {
        let rows = rows("src/ops/map.rs", start);
        let names = rows.iter().filter(|l| !l.contains("//"));
        all.extend(names.map(|l| l.trim().split(['(', ' ']).next().unwrap().to_owned()));
    }
    // `1, "[n, c, l]": max_pool1d, …;`
    for row in rows("src/ops/pool.rs", "methods! {") {
        let list = row.rsplit(':').next().unwrap().trim_end_matches(';');
        all.extend(list.split(',').map(|n| n.trim().to_owned()));
    }
    all.retain(|name| !FOR_OPERATORS.contains(&name.as_str()));
    assert!(all.len() > 120, "{} methods: {all:?}", all.len());
    all
}

/// Whatever has a name in the sources: functions, fields, types, variants, rows of macros.
fn known() -> BTreeSet<String> {
    let lines = readme::lines("src")
        .into_iter()
        .map(|l| l.trim().to_owned());
    let lines: Vec<String> = lines.filter(|l| !l.starts_with("//")).collect();
    let mut known = methods();
    for start in [
        "pub ",
        "fn ",
        "pub fn ",
        "pub struct ",
        "pub enum ",
        "pub trait ",
        "pub type ",
    ] {
        known.extend(readme::named(&lines, start).map(str::to_owned));
    }
    let words = readme::named(&lines, "").filter(|n| n.starts_with(char::is_uppercase));
    known.extend(words.map(str::to_owned));
    known
}

#[test]
fn name_what_there_is() {
    let known = known();
    for (guide, text) in [("from-pytorch.md", PYTORCH), ("from-keras.md", KERAS)] {
        let names = names(&code(text));
        let last = |n: &&String| !known.contains(n.rsplit(['.', ':']).next().unwrap());
        let wrong: Vec<_> = names.iter().filter(last).collect();
        assert!(
            wrong.is_empty(),
            "{guide} names what is not in the sources: {wrong:?}"
        );
    }
}

#[test]
fn the_one_from_pytorch_names_all() {
    let names = names(&code(PYTORCH));
    let small: BTreeSet<String> = names.iter().map(|n| n.to_lowercase()).collect();
    let missing = |heads: &[&str], all: Vec<String>| -> Vec<String> {
        let there = |n: &String| {
            heads
                .iter()
                .any(|h| small.contains(&format!("{h}{}", n.to_lowercase())))
        };
        all.into_iter().filter(|n| !there(n)).collect()
    };
    let mut all = missing(&["nn::"], readme::all_layers());
    all.extend(missing(&["."], readme::all_losses()));
    all.extend(missing(&["optim::", "adam::"], readme::all_optimizers()));
    all.extend(missing(&["schedule::", "optim::"], readme::all_schedules()));
    let init = readme::lines("src/nn/init/by_shape.rs");
    let init = init.split(|l| l == "impl Init {").nth(1).unwrap().to_vec();
    let made = init
        .iter()
        .take_while(|l| *l != "}")
        .filter(|l| l.contains("-> Self {") && !l.contains("self"));
    let made: Vec<String> = made.cloned().collect();
    all.extend(missing(
        &["init::"],
        readme::named(&made, "    pub fn ")
            .map(str::to_owned)
            .collect(),
    ));
    all.extend(missing(&[".", "tensor::"], methods().into_iter().collect()));
    assert!(
        all.is_empty(),
        "not in the table of from-pytorch.md: {all:?}"
    );
}

#[test]
fn the_one_from_keras_names_all_of_keras() {
    let names = names(&code(KERAS));
    let losses = readme::all_keras_losses();
    let missing: Vec<_> = losses
        .iter()
        .filter(|n| !names.contains(&format!("keras::{n}")))
        .collect();
    assert!(
        missing.is_empty(),
        "not in the table of from-keras.md: {missing:?}"
    );
}
