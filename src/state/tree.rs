//! What a model is made of, as text: the modules that were built, by path.

use super::{Params, Store, join};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// A module that was built at a path.
#[derive(Debug, Clone)]
pub(super) struct Described {
    path: String,
    kind: &'static str,
    detail: String,
    /// Modules of one inner module that lie at the same path, from the inside.
    around: Vec<&'static str>,
    /// Where the module really lies.
    lies_at: Option<String>,
    /// Whether the user named it.
    named: bool,
    /// Whether it is a layer that traces itself in a scope.
    scoped: bool,
}

impl Store {
    /// Remember that something was built at `path`.
    pub(super) fn place(&mut self, path: &str) {
        if self.places.last().is_none_or(|last| last != path) {
            self.places.push(path.to_owned());
        }
    }

    /// Paths of all layers in the order in which they were built, each after those that it is inside of.
    pub(super) fn layers(&self) -> Vec<&str> {
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        for path in &self.places {
            let dots = path.match_indices('.').map(|(at, _)| &path[..at]);
            for layer in dots.chain([path.as_str()]) {
                if seen.insert(layer) {
                    all.push(layer);
                }
            }
        }
        all
    }

    /// Where the module at `path` really lies, where it is another one's.
    pub(super) fn lies_at(&self, path: &str) -> Option<String> {
        let module = self.modules.iter().find(|m| m.path == path)?;
        module.lies_at.clone()
    }

    fn describe(&mut self, new: Described) {
        self.place(&new.path);
        let known = self.modules.iter_mut().find(|m| m.path == new.path);
        match known {
            Some(known) if known.named && !new.named => {}
            Some(known) => *known = new,
            None => self.modules.push(new),
        }
    }
}

impl Params {
    /// Say what the module at this handle's path is, for printing: the name of a struct with layers of its own, which
    /// PyTorch would print. Without it the tree says `Module`.
    ///
    /// ```
    /// use wgrad::nn::Linear;
    /// use wgrad::Params;
    /// struct Net { fc1: Linear, params: Params }
    /// impl std::fmt::Display for Net {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { self.params.fmt(f) }
    /// }
    /// let params = Params::new(42);
    /// params.describe("Net");
    /// let net = Net { fc1: Linear::new(3, 2).build(&params.at("fc1")), params };
    /// assert_eq!(net.to_string(), "Net(\n  (fc1): Linear(in_features=3, out_features=2, bias=True)\n)");
    /// # drop(net.fc1);
    /// ```
    pub fn describe(&self, kind: &'static str) {
        self.note(kind, String::new(), [true, false]);
    }

    /// [`Params::describe`], with what stands between the brackets: what `extra_repr` returns in PyTorch.
    pub fn describe_with(&self, kind: &'static str, detail: impl Into<String>) {
        self.note(kind, detail.into(), [true, false]);
    }

    /// Remember what the library built at this path; `scoped` where it traces itself in a scope.
    pub(crate) fn built(&self, kind: &'static str, detail: String, scoped: bool) {
        self.note(kind, detail, [false, scoped]);
    }

    fn note(&self, kind: &'static str, detail: String, [named, scoped]: [bool; 2]) {
        self.lock().describe(Described {
            path: self.prefix.clone(),
            kind,
            detail,
            around: Vec::new(),
            lies_at: None,
            named,
            scoped,
        });
    }

    /// Remember that the module at this path is that at `other`.
    pub(crate) fn built_elsewhere(&self, other: &Self) {
        if self.prefix == other.prefix {
            return;
        }
        let kind = other.kind().map_or("Module", |k| k.0);
        self.note(kind, String::new(), [false, false]);
        let mut store = self.lock();
        if let Some(m) = store.modules.iter_mut().find(|m| m.path == self.prefix) {
            m.lies_at = Some(other.prefix.clone());
        }
    }

    /// Remember that the module at this path is inside of another one.
    pub(crate) fn wrapped(&self, kind: &'static str) {
        let mut store = self.lock();
        if let Some(m) = store.modules.iter_mut().find(|m| m.path == self.prefix) {
            m.around.push(kind);
        }
    }

    /// What lies at this path, and whether it traces itself in a scope.
    pub(crate) fn kind(&self) -> Option<(&'static str, bool)> {
        let store = self.lock();
        let found = store.modules.iter().find(|m| m.path == self.prefix);
        found.map(|m| (m.around.last().copied().unwrap_or(m.kind), m.scoped))
    }
}

/// The modules at and below this handle's path as a tree, as PyTorch prints a model. Those that nothing says the name of
/// ([`Params::describe`]) are a `Module`.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (modules, places) = {
            let store = self.lock();
            (store.modules.clone(), store.places.clone())
        };
        let mut tree = Tree::default();
        for m in &modules {
            tree.modules.insert(&m.path, m);
            tree.elsewhere.extend(m.lies_at.as_deref());
        }
        places.iter().for_each(|path| tree.place(path));
        f.write_str(&tree.text(&self.prefix, &mut Vec::new()))
    }
}

#[derive(Default)]
struct Tree<'a> {
    modules: HashMap<&'a str, &'a Described>,
    /// Names below a path, in the order in which they were built.
    children: HashMap<&'a str, Vec<&'a str>>,
    placed: HashSet<&'a str>,
    /// Modules that are printed where they are used.
    elsewhere: HashSet<&'a str>,
}

impl<'a> Tree<'a> {
    fn place(&mut self, path: &'a str) {
        if path.is_empty() || !self.placed.insert(path) {
            return;
        }
        let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
        self.place(above);
        self.children.entry(above).or_default().push(name);
    }

    /// The module at `path`, found below those `open`.
    fn text(&self, path: &str, open: &mut Vec<String>) -> String {
        let module = self.modules.get(path);
        let kind = module.map_or("Module", |m| m.kind);
        if open.iter().any(|p| p == path) {
            return format!("{kind}(...)");
        }
        open.push(path.to_owned());
        let inner = match module.and_then(|m| m.lies_at.as_deref()) {
            Some(other) => self.text(other, open),
            None => {
                let detail = module.map_or("", |m| m.detail.as_str());
                let mut lines = self.below(path, kind, open);
                match (detail.is_empty(), lines.is_empty()) {
                    (_, true) => format!("{kind}({detail})"),
                    (true, _) => block(kind, &lines),
                    (false, _) => {
                        lines.insert(0, detail.to_owned());
                        block(kind, &lines)
                    }
                }
            }
        };
        open.pop();
        let around = module.map_or(&[][..], |m| &m.around);
        let wrap = |text: String, kind: &&str| block(kind, &[format!("(inner): {text}")]);
        around.iter().fold(inner, wrap)
    }

    /// The modules below `path`; equal neighbours in a list are one line.
    fn below(&self, path: &str, kind: &str, open: &mut Vec<String>) -> Vec<String> {
        let names = self.children.get(path).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<(&str, &str, usize, String)> = Vec::new();
        for name in names {
            let full = join(path, name);
            if self.elsewhere.contains(full.as_str()) {
                continue;
            }
            let text = self.text(&full, open);
            match found.last_mut() {
                Some((_, last, count, same)) if kind == "ModuleList" && *same == text => {
                    (*last, *count) = (name, *count + 1);
                }
                _ => found.push((name, name, 1, text)),
            }
        }
        let line = |(first, last, count, text): (&str, &str, usize, String)| match count {
            1 => format!("({first}): {text}"),
            _ => format!("({first}-{last}): {count} x {text}"),
        };
        found.into_iter().map(line).collect()
    }
}

/// `kind(` and the lines, indented.
fn block(kind: &str, lines: &[String]) -> String {
    let indented = lines.iter().map(|l| l.replace('\n', "\n  "));
    let indented: Vec<String> = indented.collect();
    format!("{kind}(\n  {}\n)", indented.join("\n  "))
}
