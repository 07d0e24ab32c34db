//! Maps printed as WGSL: declarations of their operands and a function that a shader calls for a position.

use super::{Load, Map};
use crate::DType;
use crate::kernel::{Binding, Buf};
use crate::scalar::{Expr, Program, print};
use crate::shape::Layout;
use std::fmt::Write;

/// The variables that say where in the iteration space a shader is, each over `dims` dimensions of it.
#[derive(Debug, Clone, Copy)]
pub struct Space<'a> {
    /// Name of the `u32` variable, a row-major index over its dimensions.
    pub index: &'a str,
    /// How many dimensions it stands for, outermost variable first; `usize::MAX` takes all that are left.
    pub dims: usize,
}

/// What [`print_map`] gives.
#[derive(Debug, Default)]
pub struct Printed {
    /// Module-scope declarations of bindings.
    pub declarations: String,
    /// Statements that load and compute; then the value of each expression.
    pub body: String,
    /// The value of each expression.
    pub values: Vec<String>,
    /// Bindings, in order from the first one asked for.
    pub bindings: Vec<Binding>,
    /// Words of the uniform block that the statements refer to as `p.map`.
    pub words: Vec<u32>,
}

/// Print `map` for a shader that handles `width` (1 or 4) neighbouring positions at once.
///
/// `first` is the first free binding, `words` how many words of `p.map` are taken, `in_place` which operands the
/// step also writes. `None` where some operand cannot be loaded in fours.
pub fn print_map(
    map: &Map,
    spaces: &[Space],
    width: usize,
    buf: fn(usize) -> Buf,
    first: usize,
    words: usize,
    in_place: &[bool],
) -> Option<Printed> {
    let mut out = Printed::default();
    let mut names: Vec<(usize, bool, DType)> = Vec::new();
    let mut loads = vec!["core".to_owned()];
    let used: Vec<usize> = map.exprs.iter().flat_map(Expr::loads).collect();
    for (k, load) in map.loads.iter().enumerate() {
        if !used.contains(&(k + 1)) {
            loads.push(String::new());
            continue;
        }
        let parts = split(&load.layout, spaces);
        let wide = width == 4 && contiguous_in_fours(&parts, load.layout.offset);
        if width == 4 && !wide && !repeated_in_fours(&parts) {
            return None;
        }
        let name = match names
            .iter()
            .position(|n| *n == (load.operand, wide, load.dtype))
        {
            Some(at) => at,
            None => {
                let write = in_place.get(load.operand).copied().unwrap_or(false);
                declare(&mut out, load, names.len(), wide, write, buf, first);
                names.push((load.operand, wide, load.dtype));
                names.len() - 1
            }
        };
        let stem = stem(buf);
        let at = position(
            &mut out,
            &parts,
            load,
            spaces,
            (width, wide),
            words,
            &format!("{stem}{k}"),
        );
        let element = format!("{stem}{name}_[{at}]");
        loads.push(if width == 4 && !wide {
            splat(load, &element)
        } else {
            element
        });
    }
    // One buffer bound twice where it is also written would be two views of changing memory.
    if names.iter().any(|(o, w, d)| {
        in_place.get(*o).copied().unwrap_or(false)
            && names.iter().any(|n| n.0 == *o && *n != (*o, *w, *d))
    }) {
        return None;
    }
    let taken = &mut out.words;
    let (text, values) = print(
        &Program::new(&map.exprs),
        &|slot| loads[slot].clone(),
        &mut |value| {
            taken.push(value);
            at_word(words + taken.len() - 1)
        },
    );
    out.body.push_str(&text);
    out.values = values;
    Some(out)
}

/// A word of the uniform block.
fn at_word(at: usize) -> String {
    format!("p.map[{}u].{}", at / 4, ["x", "y", "z", "w"][at % 4])
}

fn stem(buf: fn(usize) -> Buf) -> &'static str {
    if matches!(buf(0), Buf::Prologue(_)) {
        "pre"
    } else {
        "post"
    }
}

fn splat(load: &Load, element: &str) -> String {
    format!("vec4<{}>({element})", load.dtype.wgsl())
}

fn declare(
    out: &mut Printed,
    load: &Load,
    name: usize,
    wide: bool,
    write: bool,
    buf: fn(usize) -> Buf,
    first: usize,
) {
    let (access, scalar) = (if write { "read_write" } else { "read" }, load.dtype.wgsl());
    let element = if wide {
        format!("vec4<{scalar}>")
    } else {
        scalar.to_owned()
    };
    let binding = first + out.bindings.len();
    let _ = writeln!(
        out.declarations,
        "@group(0) @binding({binding}) var<storage, {access}> {}{name}_: array<{element}>;",
        stem(buf)
    );
    out.bindings.push(Binding::whole(buf(load.operand), write));
}

/// The layout's collapsed dimensions for each variable.
fn split(layout: &Layout, spaces: &[Space]) -> Vec<Vec<(usize, isize)>> {
    let mut from = 0;
    let part = |space: &Space| {
        let to = from + space.dims.min(layout.shape.rank() - from);
        let view = Layout {
            shape: layout.shape[from..to].into(),
            strides: layout.strides[from..to].to_vec(),
            offset: 0,
        };
        from = to;
        view.collapse()
    };
    spaces.iter().map(part).collect()
}

/// Whether four neighbours (in the last variable) are one aligned vector of the operand.
fn contiguous_in_fours(parts: &[Vec<(usize, isize)>], offset: usize) -> bool {
    let Some((last, outer)) = parts.split_last() else {
        return false;
    };
    let Some(((n, 1), rows)) = last.split_last() else {
        return false;
    };
    offset.is_multiple_of(4)
        && n.is_multiple_of(4)
        && rows
            .iter()
            .chain(outer.iter().flatten())
            .all(|(_, s)| s % 4 == 0)
}

/// Whether four neighbours are one element repeated.
fn repeated_in_fours(parts: &[Vec<(usize, isize)>]) -> bool {
    match parts.last().and_then(|last| last.last()) {
        None => true,
        Some((n, stride)) => *stride == 0 && n % 4 == 0,
    }
}

/// Statements that compute where the load's element lies; returns the index expression. In fours, the last variable
/// counts vectors.
fn position(
    out: &mut Printed,
    parts: &[Vec<(usize, isize)>],
    load: &Load,
    spaces: &[Space],
    (width, wide): (usize, bool),
    words: usize,
    name: &str,
) -> String {
    let scale = if wide { 4 } else { 1 };
    let mut word = |value: isize| {
        let at = words + out.words.len();
        out.words.push(value as i32 as u32);
        at_word(at)
    };
    let mut terms: Vec<String> = Vec::new();
    let mut statements = String::new();
    if load.layout.offset != 0 {
        terms.push(word((load.layout.offset / scale) as isize));
    }
    for (v, (part, space)) in parts.iter().zip(spaces).enumerate() {
        let vectors = width == 4 && v + 1 == parts.len();
        if part.iter().all(|(_, s)| *s == 0) {
            continue;
        }
        let mut rest = space.index.to_owned();
        for (d, &(n, s)) in part.iter().enumerate().rev() {
            let inner = d + 1 == part.len();
            let size = if inner && vectors { n / 4 } else { n };
            // The outermost coordinate is what is left.
            let next = format!("{name}_{v}_{d}");
            let coordinate = if d == 0 {
                rest.clone()
            } else {
                let size = word(size as isize);
                let _ = writeln!(statements, "    let {next} = quotient({rest}, {size});");
                format!("({rest} - {next} * {size})")
            };
            let stride = match s {
                1 => 1,
                s => s / scale as isize,
            };
            match stride {
                0 => {}
                1 => terms.push(coordinate),
                _ => terms.push(format!("{coordinate} * {}", word(stride))),
            }
            if d > 0 {
                rest = next;
            }
        }
    }
    out.body.push_str(&statements);
    if terms.is_empty() {
        "0u".to_owned()
    } else {
        terms.join(" + ")
    }
}
