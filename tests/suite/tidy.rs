//! The tree itself: layers, lengths, words that may not stay.

use std::path::{Path, PathBuf};

/// Modules by row. A module uses its own row and those below.
const ROWS: &[&[&str]] = &[
    &["error", "shape", "dtype", "array", "glob", "json"],
    &[
        "op", "graph", "tensor", "state", "scalar", "fused", "kernel", "caps", "rng",
    ],
    &["ops"],
    &["autodiff"],
    &["plan"],
    &["device"],
    &["session", "checkpoint", "weights", "atomic", "host"],
    &["nn", "optim"],
    &["train", "data", "text", "hub", "lib", "bin"],
];

/// Uses of a higher row that stay, and why.
const UPWARD: &[(&str, &str, &str)] = &[("tensor", "ops", "a leaf is an operator too")];

/// Names at the crate's root that are a module's.
const NAMES: &[(&str, &str)] = &[
    ("Array", "array"),
    ("DType", "dtype"),
    ("Error", "error"),
    ("Result", "error"),
    ("TensorType", "graph"),
    ("Function", "session"),
    ("Mode", "session"),
    ("Session", "session"),
    ("eval", "session"),
    ("Shape", "shape"),
    ("Params", "state"),
    ("Tensor", "tensor"),
    ("Trace", "tensor"),
];

/// Modules below the session that use files, time or threads, and why.
const HOST: &[(&str, &str)] = &[];

/// Most lines of a source, its tests left out.
const LONGEST: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folder` with one of the endings, but for cases and what was built.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "snapshots"].contains(&name.as_str()) {
            found.extend(files(&path, endings));
        } else if path
            .extension()
            .is_some_and(|e| endings.iter().any(|n| e == *n))
        {
            found.push(path);
        }
    }
    found
}

/// Library code: sources without comments and tests, with the module that each belongs to.
fn sources() -> Vec<(PathBuf, String, String)> {
    let mut all = Vec::new();
    for path in files(&root().join("src"), &["rs"]) {
        if path.file_name().is_some_and(|n| n == "tests.rs") {
            continue;
        }
        let below = path.strip_prefix(root().join("src")).unwrap();
        let first = below
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
        all.push((
            below.to_owned(),
            module,
            lines.collect::<Vec<_>>().join("\n"),
        ));
    }
    all
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|r| r.contains(&module))
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// What `crate::…` names in `code`, groups included.
fn used(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(group) => {
                let end = group.find("};").unwrap_or(group.len());
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group[..end].char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && c.is_alphabetic() => {
                            found.push(word(&group[at..]).to_owned());
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
            None => found.push(word(part).to_owned()),
        }
    }
    found
}

#[test]
fn a_module_uses_rows_below_its_own() {
    let mut faults = Vec::new();
    for (path, module, code) in sources() {
        let Some(own) = row(&module) else {
            faults.push(format!("{}: {module} has no row", path.display()));
            continue;
        };
        for name in used(&code) {
            let of = NAMES
                .iter()
                .find(|n| n.0 == name)
                .map_or(name.as_str(), |n| n.1);
            let allowed = UPWARD.iter().any(|u| (u.0, u.1) == (module.as_str(), of));
            if row(of).is_some_and(|r| r > own) && !allowed {
                faults.push(format!(
                    "{}: {module} (row {own}) uses {of}",
                    path.display()
                ));
            }
        }
    }
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_below_the_session_uses_the_machine() {
    let session = row("session").unwrap();
    for (path, module, code) in sources() {
        let below = row(&module).is_some_and(|r| r < session);
        if below && !HOST.iter().any(|h| h.0 == module) {
            for word in [
                "std::time",
                "std::thread",
                "std::fs",
                "std::net",
                "std::process",
            ] {
                assert!(!code.contains(word), "{} uses {word}", path.display());
            }
        }
    }
}

#[test]
fn sources_are_short() {
    for (path, _, code) in sources() {
        let lines = code.lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines", path.display());
    }
    for path in files(&root().join("tests"), &["rs"]) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines", path.display());
    }
}

#[test]
fn shaders_belong_to_operators() {
    let stem = |p: &PathBuf| p.file_stem().unwrap().to_string_lossy().into_owned();
    let operators: Vec<String> = files(&root().join("src/ops"), &["rs"])
        .iter()
        .map(stem)
        .collect();
    let code: String = sources().into_iter().map(|s| s.2).collect();
    for path in files(&root().join("shaders"), &["wgsl"]) {
        let name = stem(&path);
        let lib = path.parent().is_some_and(|p| p.ends_with("lib"));
        let belongs = operators
            .iter()
            .any(|o| name == *o || name.starts_with(&format!("{o}_")));
        assert!(lib || belongs, "{name}.wgsl belongs to no file of src/ops");
        let file = format!("/{name}.wgsl\")");
        assert!(code.contains(&file), "{name}.wgsl is used by nothing");
    }
}

#[test]
fn words_that_may_not_stay() {
    let macros = ["todo", "unimplemented", "dbg"].map(|m| format!("{m}!("));
    for (path, _, code) in sources() {
        for word in &macros {
            assert!(!code.contains(word), "{}: {word}", path.display());
        }
    }
    let machine = ["home", "root", "work", "Users", "tmp"].map(|m| format!("/{m}/"));
    let mut texts = vec![root().join("Cargo.toml")];
    for folder in ["src", "shaders", "tests", "examples", "benches"] {
        texts.extend(files(
            &root().join(folder),
            &["rs", "wgsl", "md", "toml", "py", "txt"],
        ));
    }
    for entry in std::fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        texts.extend(path.extension().is_some_and(|e| e == "md").then_some(path));
    }
    for path in texts {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in &machine {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}
