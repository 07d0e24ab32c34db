//! A kernel whose tensors are longer than a binding: the same text, but such a tensor is bound as several windows, and what
//! was `x[i]` is a call of a function that finds the window.

use crate::kernel::{Binding, Dispatch, Part};
use std::fmt::Write;

/// `d` with those of its bindings that have `lengths`, in words, bound as windows of `window` words, a power of two.
///
/// # Errors
/// What the text does with such a binding besides loading and storing whole elements.
pub fn windows(d: &Dispatch, lengths: &[Option<usize>], window: usize) -> Result<Dispatch, String> {
    let text = without_comments(&d.wgsl());
    let mut arrays = Vec::new();
    let mut made = d.clone();
    made.generated.clear();
    for (at, length) in lengths.iter().enumerate() {
        let Some(length) = *length else { continue };
        let array = Array::declared(&text, at + 1)?;
        let binding = d.bindings[at];
        let start = binding.part.map_or(0, |p| p.offset);
        let count = length.div_ceil(window);
        let part = |k: usize| Part {
            offset: start + k * window,
            len: window.min(length - k * window),
        };
        made.bindings[at].part = Some(part(0));
        let first = made.bindings.len() + 1;
        let parts = (1..count).map(|k| Binding {
            part: Some(part(k)),
            ..binding
        });
        made.bindings.extend(parts);
        array.functions(&mut made.generated, first, (count, window), binding.write)?;
        arrays.push(array);
    }
    let names: Vec<&str> = arrays.iter().map(|a| a.name.as_str()).collect();
    made.source = rewritten(&text, &names)?.into();
    Ok(made)
}

/// A storage buffer as the text declares it.
struct Array {
    name: String,
    access: String,
    element: String,
    /// Words of an element.
    words: usize,
}

impl Array {
    /// The array at `binding`.
    fn declared(text: &str, binding: usize) -> Result<Self, String> {
        let lacks = || format!("its kernel declares no array at binding {binding}");
        let at = format!("@binding({binding}) var<storage,");
        let rest = text.split_once(&at).ok_or_else(lacks)?.1;
        let (access, rest) = rest.split_once('>').ok_or_else(lacks)?;
        let (name, rest) = rest.split_once(':').ok_or_else(lacks)?;
        let (ty, _) = rest.split_once(';').ok_or_else(lacks)?;
        let element = ty.trim().strip_prefix("array<");
        let element = element
            .and_then(|e| e.strip_suffix('>'))
            .ok_or_else(lacks)?;
        let words = words_of(text, element.trim());
        Ok(Self {
            name: name.trim().to_owned(),
            access: access.trim().to_owned(),
            element: element.trim().to_owned(),
            words: words.ok_or_else(|| format!("its kernel has elements of type {element}"))?,
        })
    }

    /// The further windows, bound from `first` on, and the functions that load and store.
    fn functions(
        &self,
        out: &mut String,
        first: usize,
        (count, window): (usize, usize),
        write: bool,
    ) -> Result<(), String> {
        let Self {
            name,
            access,
            element,
            words,
        } = self;
        let each = window / words;
        if u32::try_from(each * count).is_err() {
            return Err("and a kernel counts no more than 2^32 elements".to_owned());
        }
        for k in 1..count {
            let _ = writeln!(
                out,
                "@group(0) @binding({}) var<storage, {access}> {name}_{k}: array<{element}>;",
                first + k - 1
            );
        }
        // `None` for the window's load, the name of a value for its store.
        let mut find = |head: String, does: &dyn Fn(String) -> String| {
            let _ = writeln!(out, "fn {head} {{");
            for k in 0..count {
                let of = match k {
                    0 => format!("{name}[i]"),
                    _ => format!("{name}_{k}[i - {}u]", k * each),
                };
                let _ = match k + 1 == count {
                    true => writeln!(out, "    {}", does(of)),
                    false => writeln!(out, "    if (i < {}u) {{ {} }}", (k + 1) * each, does(of)),
                };
            }
            let _ = writeln!(out, "}}");
        };
        find(format!("{name}_load(i: u32) -> {element}"), &|of| {
            format!("return {of};")
        });
        if write {
            find(format!("{name}_store(i: u32, value: {element})"), &|of| {
                format!("{of} = value; return;")
            });
        }
        Ok(())
    }
}

/// Words of an element of type `ty`, through the text's aliases.
fn words_of(text: &str, ty: &str) -> Option<usize> {
    let vector = |n: usize, rest: &str| Some(n * words_of(text, rest.strip_suffix('>')?.trim())?);
    match ty {
        "f32" | "i32" | "u32" => Some(1),
        "u64" | "i64" => Some(2),
        _ => match ty.split_once('<') {
            Some(("vec2", rest)) => vector(2, rest),
            Some(("vec4", rest)) => vector(4, rest),
            Some(_) => None,
            None => {
                let rest = text.split_once(&format!("alias {ty} ="))?.1;
                words_of(text, rest.split_once(';')?.0.trim())
            }
        },
    }
}

fn without_comments(text: &str) -> String {
    let line = |l: &str| {
        l.split_once("//")
            .map_or(l, |(code, _)| code)
            .trim_end()
            .to_owned()
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    let mut rest = lines.join("\n");
    while let Some(start) = rest.find("/*") {
        let end = rest[start..]
            .find("*/")
            .map_or(rest.len(), |e| start + e + 2);
        rest.replace_range(start..end, " ");
    }
    rest
}

/// The text with each load and store of the arrays `names` as a call, but where a function's own variable or parameter has
/// such a name.
fn rewritten(text: &str, names: &[&str]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text;
    while let Some(at) = find_function(rest) {
        let (before, function) = rest.split_at(at);
        out.push_str(before);
        let open = function.find('{').unwrap_or(function.len());
        let end = closing(function, open, '{', '}').map_or(function.len(), |e| e + 1);
        let (head, body) = function[..end].split_at(open);
        let mut seen = Vec::new();
        for name in names {
            if !declares(head, name) && !shadows(body, name)? {
                seen.push(*name);
            }
        }
        out.push_str(head);
        out.push_str(&Block { names: &seen }.text(body)?);
        rest = &function[end..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the next function begins.
fn find_function(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find("fn ") {
        let at = from + at;
        if text[..at].chars().next_back().is_none_or(|c| !is_name(c)) {
            return Some(at);
        }
        from = at + 3;
    }
    None
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a function with this `head` has a parameter `name`.
fn declares(head: &str, name: &str) -> bool {
    let names = |(at, word): (usize, &str)| {
        word == name && head[at + word.len()..].trim_start().starts_with(':')
    };
    words(head).any(names)
}

/// Whether `name` is a variable of the function with this `body`.
///
/// # Errors
/// It is one in a part of the function, and something else in another.
fn shadows(body: &str, name: &str) -> Result<bool, String> {
    let places: Vec<usize> = words(body).filter(|w| w.1 == name).map(|w| w.0).collect();
    let declared = |at: &&usize| {
        let before = body[..**at].trim_end();
        ["let", "var", "const"].iter().any(|k| before.ends_with(k))
    };
    let Some(&from) = places.iter().find(declared) else {
        return Ok(false);
    };
    let mut depth = 0;
    let block = body[from..].char_indices().find(|(_, c)| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        depth < 0
    });
    let to = block.map_or(body.len(), |(at, _)| from + at);
    let member = |at: usize| body[..at].ends_with('.');
    match places
        .iter()
        .all(|&at| (from..to).contains(&at) || member(at))
    {
        true => Ok(true),
        false => Err(format!(
            "and {name} is a tensor and a variable in one function of its kernel"
        )),
    }
}

/// The words of `text` and where they begin.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let parts = text.split(|c: char| !is_name(c));
    let with_places = parts.map(move |w| (w.as_ptr() as usize - text.as_ptr() as usize, w));
    with_places.filter(|(_, w)| !w.is_empty())
}

/// Where what opens at `open` is closed.
fn closing(text: &str, open: usize, up: char, down: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text[open..].char_indices() {
        if c == up {
            depth += 1;
        } else if c == down {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(open + at);
            }
        }
    }
    None
}

/// Statements in which some names are arrays.
struct Block<'a> {
    names: &'a [&'a str],
}

impl Block<'_> {
    fn text(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut done = 0;
        for (at, word) in words(text) {
            let member = text[..at].ends_with('.');
            if at < done || member || !self.names.contains(&word) {
                continue;
            }
            let cannot = |what: &str| {
                format!("and its kernel {what} {word}, which cannot be bound in parts")
            };
            let before = text[..at].trim_end();
            let from = at + word.len();
            if !text[from..].starts_with('[') {
                return Err(cannot("takes all of"));
            }
            let taken = before.strip_suffix('&').map(str::trim_end);
            if taken.is_some_and(|b| b.ends_with(['(', ',', '=', '&'])) {
                return Err(cannot("takes a pointer into"));
            }
            let close = closing(text, from, '[', ']')
                .ok_or_else(|| cannot("has brackets without end after"))?;
            out.push_str(&text[done..at]);
            let index = self.text(&text[from + 1..close])?;
            done = self.access(&mut out, text, close + 1, (word, &index))?;
        }
        out.push_str(&text[done..]);
        Ok(out)
    }

    /// What stands at and after `word[index]`, which ends at `end`; returns where it has read to.
    fn access(
        &self,
        out: &mut String,
        text: &str,
        end: usize,
        (word, index): (&str, &str),
    ) -> Result<usize, String> {
        let load = format!("{word}_load(u32({index}))");
        let after = &text[end..];
        // Parts of the element that follow: `.x`, `[2]`.
        let part = after.trim_start_matches(|c: char| is_name(c) || matches!(c, '.' | '[' | ']'));
        let (operator, value) = assignment(part.trim_start());
        if operator == "++"
            || operator == "--"
            || (!operator.is_empty() && part.len() != after.len())
        {
            return Err(format!(
                "and its kernel changes a part of an element of {word}"
            ));
        }
        if operator.is_empty() {
            out.push_str(&load);
            return Ok(end);
        }
        let length = statement(value);
        let new = self.text(value[..length].trim())?;
        let new = match operator.strip_suffix('=') {
            Some("") | None => new,
            Some(operation) => format!("{load} {operation} ({new})"),
        };
        out.push_str(&format!("{word}_store(u32({index}), {new})"));
        Ok(text.len() - value.len() + length)
    }
}

/// The assignment that `text` begins with, and what comes after it; none where it begins with another operator.
fn assignment(text: &str) -> (&str, &str) {
    const ALL: [&str; 13] = [
        "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++", "--", "=",
    ];
    let found = ALL
        .iter()
        .find(|o| text.starts_with(**o) && !text.starts_with("=="));
    found.map_or(("", text), |o| text.split_at(o.len()))
}

/// Bytes up to the end of the statement that `text` begins with.
fn statement(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return at,
            ')' | ']' | '}' => depth -= 1,
            ';' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
