//! The README's table of layers, losses, optimizers and schedules names all that the sources have, and no more.

use std::collections::BTreeSet;
use std::path::Path;

const README: &str = include_str!("../../README.md");

/// What is public beside the layers: bases of several, parts, options.
const NO_LAYERS: &[&str] = &[
    "conv",
    "convtranspose",
    "batchnorm",
    "instancenorm",
    "featuredropout",
    "recurrent",
    "recurrentweights",
    "masks",
    "transformermasks",
    "scope",
    "sizes",
];

/// The names in backticks of the README's rows that begin with `row`, in small letters: `Conv1d/2d` is two.
fn listed(row: &str) -> BTreeSet<String> {
    let rows = README
        .lines()
        .filter(|l| l.starts_with(&format!("| {row} |")));
    let mut names = BTreeSet::new();
    for text in rows {
        for quoted in text.split('`').skip(1).step_by(2) {
            let mut parts = quoted.split('/');
            let first = parts.next().unwrap().to_lowercase();
            let base = first
                .trim_end_matches(|c: char| c == 'd' || c.is_ascii_digit())
                .to_owned();
            names.extend(parts.map(|p| format!("{base}{p}")));
            names.insert(first);
        }
    }
    assert!(!names.is_empty(), "the README has no row of {row}");
    names
}

/// The lines of a file or of all files of a folder.
pub fn lines(path: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut files = vec![path];
    let mut all = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let text = std::fs::read_to_string(path).unwrap();
            all.extend(text.lines().map(str::to_owned));
        }
    }
    all
}

/// What follows `start` in each line, up to the first letter that is none of a name's.
pub fn named<'a>(lines: &'a [String], start: &'a str) -> impl Iterator<Item = &'a str> {
    let rest = lines.iter().filter_map(move |l| l.strip_prefix(start));
    let name = |rest: &'a str| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    };
    rest.filter_map(name).filter(|name| !name.is_empty())
}

fn compare(row: &str, found: impl IntoIterator<Item = String>) {
    let found: BTreeSet<String> = found.into_iter().map(|n| n.to_lowercase()).collect();
    let listed = listed(row);
    let missing: Vec<_> = found.difference(&listed).collect();
    let more: Vec<_> = listed.difference(&found).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "README, {row}: missing {missing:?}, not in the sources {more:?}"
    );
}

/// The layers in the sources.
pub fn all_layers() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let sources = lines("src/nn");
    all.extend(named(&sources, "pub struct ").map(str::to_owned));
    all.extend(named(&sources, "pub type ").map(str::to_owned));
    // Rows of macros: `Relu(ReLU) = …`, `Elu(ELU) { … } = …`, `MaxPool1d, 1, …;`.
    for file in ["src/nn/activation.rs", "src/nn/pool.rs"] {
        let rows = lines(file);
        let rows: Vec<String> = rows
            .into_iter()
            .filter(|l| l.contains(" = |x") || l.ends_with(';') && l.contains("d, "))
            .collect();
        let names = named(&rows, "    ");
        all.extend(
            names
                .filter(|n| n.starts_with(char::is_uppercase))
                .map(str::to_owned),
        );
    }
    let init = lines("src/nn/init");
    let init: Vec<&str> = named(&init, "pub struct ").collect();
    all.retain(|name| {
        let small = name.to_lowercase();
        let part = name.ends_with("Builder") || name.ends_with("Kind");
        !part && !init.contains(&name.as_str()) && !NO_LAYERS.contains(&small.as_str())
    });
    assert!(all.len() > 70, "{all:?}");
    all
}

/// The losses in the sources that are methods of tensors.
pub fn all_losses() -> Vec<String> {
    let mut all = Vec::new();
    for file in ["loss", "classification", "binary_cross_entropy"] {
        let lines = lines(&format!("src/ops/{file}.rs"));
        let names = named(&lines, "    pub fn ").map(|n| n.trim_end_matches("_with").to_owned());
        all.extend(names);
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

/// Keras's losses in the sources.
pub fn all_keras_losses() -> Vec<String> {
    let keras = lines("src/ops/keras.rs");
    named(&keras, "pub fn ").map(str::to_owned).collect()
}

/// The optimizers in the sources.
pub fn all_optimizers() -> Vec<String> {
    let sources = lines("src/optim");
    let mut all: Vec<_> = named(&sources, "impl Optimizer for ")
        .map(str::to_owned)
        .collect();
    if sources.iter().any(|l| l.starts_with("    pub fn adamw(")) {
        all.push("AdamW".to_owned());
    }
    all
}

/// The schedules in the sources.
pub fn all_schedules() -> Vec<String> {
    let files = ["schedule.rs", "schedule/with_warmup.rs"];
    let schedule = files
        .map(|file| {
            lines(&format!("src/optim/{file}")).join(
                "
",
            )
        })
        .join(
            "
",
        );
    let mut all = Vec::new();
    for function in schedule.split("\n    pub fn ").skip(1) {
        let (name, rest) = function.split_once('(').unwrap();
        let head = rest.split('{').next().unwrap();
        let new = name == "new";
        if !new && head.contains("-> Self") || head.contains("-> Result<Self") {
            all.push(name.split('<').next().unwrap().to_owned());
        }
    }
    all.push("Plateau".to_owned());
    all
}

#[test]
fn layers() {
    compare("layers", all_layers());
}

#[test]
fn losses() {
    compare("losses", all_losses());
    compare("Keras's losses", all_keras_losses());
}

#[test]
fn optimizers_and_schedules() {
    compare("optimizers", all_optimizers());
    compare("schedules", all_schedules());
}
