//! Prints arrays as PyTorch prints tensors with its default options.

use std::fmt::{self, Write};

use super::{Array, Data};
use crate::dtype::DType;

/// Digits after the point.
const PRECISION: usize = 4;
/// More elements than this are summarised.
const THRESHOLD: usize = 1000;
/// Items shown at each end of a summarised dimension.
const EDGE_ITEMS: usize = 3;
/// Columns after which a line wraps.
const LINE_WIDTH: usize = 80;
const PREFIX: &str = "tensor(";

/// As PyTorch prints a tensor: `tensor([1.5000, 2.0000])`, more than 1000 elements summarised. Other
/// dtypes than `f32` and `bool` are named at the end, as in `tensor([1, 2], dtype=i32)`.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::from(PREFIX);
        let mut suffixes = Vec::new();
        if self.numel() == 0 {
            text.push_str("[]");
            if self.shape.rank() != 1 {
                suffixes.push(format!("size={}", tuple(&self.shape)));
            }
        } else {
            let printer = Printer::new(self);
            printer.print(&mut text, 0, 0, PREFIX.len())?;
        }
        let inferred =
            self.dtype() == DType::F32 || (self.dtype() == DType::Bool && self.numel() > 0);
        if !inferred {
            suffixes.push(format!("dtype={}", self.dtype()));
        }
        // PyTorch counts the last line two columns longer than it is.
        let mut line = text.len() - text.rfind('\n').map_or(0, |at| at + 1) + 2;
        for suffix in suffixes {
            if line + suffix.len() + 2 > LINE_WIDTH {
                write!(text, ",\n{:indent$}{suffix}", "", indent = PREFIX.len())?;
                line = PREFIX.len() + suffix.len();
            } else {
                write!(text, ", {suffix}")?;
                line += suffix.len() + 2;
            }
        }
        text.push(')');
        f.write_str(&text)
    }
}

/// The same as its `Display`.
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A tuple in Python's syntax.
fn tuple(sizes: &[usize]) -> String {
    let list = sizes
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    format!("({list}{})", if sizes.len() == 1 { "," } else { "" })
}

struct Printer<'a> {
    array: &'a Array,
    strides: Vec<usize>,
    summarize: bool,
    style: Style,
    /// Columns that each element is padded to.
    width: usize,
}

/// How an element is written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// Integers and truth values, as they are.
    Plain,
    /// Floats that are all integers: `1.`.
    Integral,
    Fixed,
    Scientific,
}

impl<'a> Printer<'a> {
    fn new(array: &'a Array) -> Self {
        let strides = array
            .shape
            .strides()
            .into_iter()
            .map(|s| s as usize)
            .collect();
        let summarize = array.numel() > THRESHOLD;
        let mut printer = Self {
            array,
            strides,
            summarize,
            style: Style::Plain,
            width: 1,
        };
        let mut shown = Vec::new();
        printer.visit(0, 0, &mut shown);
        if let Data::F32(v) = &array.data {
            shown.retain(|&i| v[i].is_finite() && v[i] != 0.0);
            printer.style = Style::of(shown.iter().map(|&i| f64::from(v[i])));
        }
        printer.width = shown
            .iter()
            .map(|&i| printer.element(i).len())
            .fold(1, usize::max);
        printer
    }

    /// The indices that are shown of a dimension of `n`; `None` stands for the dots.
    fn shown(&self, n: usize) -> impl Iterator<Item = Option<usize>> + use<> {
        let cut = self.summarize && n > 2 * EDGE_ITEMS;
        let (head, tail) = if cut {
            (EDGE_ITEMS, n - EDGE_ITEMS)
        } else {
            (n, n)
        };
        (0..head)
            .map(Some)
            .chain(cut.then_some(None))
            .chain((tail..n).map(Some))
    }

    /// Collects the positions of the elements that are shown.
    fn visit(&self, dim: usize, at: usize, out: &mut Vec<usize>) {
        if dim == self.array.shape.rank() {
            return out.push(at);
        }
        for i in self.shown(self.array.shape[dim]).flatten() {
            self.visit(dim + 1, at + i * self.strides[dim], out);
        }
    }

    /// One element, unpadded.
    fn element(&self, i: usize) -> String {
        match &self.array.data {
            Data::F32(v) => self.style.float(f64::from(v[i])),
            Data::I32(v) => v[i].to_string(),
            Data::U32(v) => v[i].to_string(),
            Data::Bool(v) => String::from(if v[i] != 0 { "True" } else { "False" }),
        }
    }

    /// Writes what lies at `at` from dimension `dim` on, its bracket in column `indent`.
    fn print(&self, out: &mut String, dim: usize, at: usize, indent: usize) -> fmt::Result {
        let rank = self.array.shape.rank();
        if dim == rank {
            return write!(out, "{:>width$}", self.element(at), width = self.width);
        }
        out.push('[');
        let last = dim + 1 == rank;
        let per_line = (LINE_WIDTH.saturating_sub(indent) / (self.width + 2)).max(1);
        for (k, i) in self.shown(self.array.shape[dim]).enumerate() {
            if k > 0 && last && k % per_line != 0 {
                out.push_str(", ");
            } else if k > 0 {
                let breaks = "\n".repeat(if last { 1 } else { rank - dim - 1 });
                write!(out, ",{breaks}{:indent$} ", "")?;
            }
            match i {
                Some(i) => self.print(out, dim + 1, at + i * self.strides[dim], indent + 1)?,
                None => out.push_str(if last { " ..." } else { "..." }),
            }
        }
        out.push(']');
        Ok(())
    }
}

impl Style {
    /// PyTorch's choice for these finite values other than zero.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut min, mut max, mut integral) = (f64::INFINITY, 0.0, true);
        for value in values {
            (min, max) = (value.abs().min(min), value.abs().max(max));
            integral &= value.fract() == 0.0;
        }
        if max > 0.0 && (max / min > 1000.0 || max > 1e8 || min < 1e-4) {
            Self::Scientific
        } else if integral {
            Self::Integral
        } else {
            Self::Fixed
        }
    }

    fn float(self, value: f64) -> String {
        if value.is_nan() {
            return String::from("nan");
        }
        if value.is_infinite() {
            return String::from(if value > 0.0 { "inf" } else { "-inf" });
        }
        match self {
            Self::Scientific => {
                let text = format!("{value:.PRECISION$e}");
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, exponent) = exponent
                    .strip_prefix('-')
                    .map_or(('+', exponent), |e| ('-', e));
                format!("{digits}e{sign}{exponent:0>2}")
            }
            Self::Fixed => format!("{value:.PRECISION$}"),
            Self::Integral | Self::Plain => format!("{value:.0}."),
        }
    }
}

#[cfg(test)]
mod tests;
