//! A model as a table.

use crate::dtype::DType;
use crate::plan::{Memory, human};
use crate::session::{Function, Session};
use crate::state::{State, StateKind};
use crate::tensor::LayerCall;
use std::collections::HashSet;
use std::fmt;

/// A model as a table, as Keras's `summary` and that of `torchinfo`: layers in the order in which they run, those inside of
/// others below them, each with what it returns, its own parameters, whether training changes them, and the multiply-adds
/// of its own operators; totals; memory by kind.
///
/// The multiply-adds are those of the whole batch, of one forward pass: multiplications with an addition in products,
/// convolutions, attention and recurrence.
#[derive(Debug, Clone)]
pub struct Summary {
    rows: Vec<[String; 6]>,
    /// Elements of parameters that training changes.
    pub trainable: usize,
    /// Elements of parameters that it does not.
    pub frozen: usize,
    /// Elements of buffers, such as running statistics.
    pub buffers: usize,
    /// Multiply-adds of one forward pass of a batch.
    pub multiply_adds: u64,
    /// Memory that the function needs, predicted from its plan.
    pub memory: Memory,
}

/// What the columns are, and whether they are numbers.
const HEAD: [(&str, bool); 6] = [
    ("layer (type)", false),
    ("output", false),
    ("parameters", true),
    ("trainable", false),
    ("multiply-adds", true),
    ("bytes", true),
];

/// Where there is nothing to say.
const NONE: &str = "-";

impl Summary {
    /// The model of `session`, with the layers that ran in `function`.
    pub fn new(session: &Session, function: Option<&Function>) -> Self {
        let states = session.params().root().list();
        let calls = function.map_or(&[][..], |f| f.layers());
        let parameters: Vec<&State> = states.iter().filter(|s| is_parameter(s)).collect();
        let owners: Vec<Option<&str>> = parameters.iter().map(|s| owner(s, calls)).collect();
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        // The layers that this one is inside of: their paths are not said again.
        let mut around: Vec<&str> = Vec::new();
        for call in calls {
            let again = !seen.insert(call.path.clone());
            let own = parameters.iter().zip(&owners);
            let own = own.filter(|(_, owner)| **owner == Some(&call.path));
            let own: Vec<&State> = own.map(|(s, _)| *s).collect();
            around.truncate(call.depth);
            let outer = around
                .last()
                .and_then(|outer| call.path.strip_prefix(*outer));
            let path = outer.and_then(|rest| rest.strip_prefix('.'));
            let path = path.unwrap_or(&call.path);
            around.push(call.path.as_ref());
            let name = match (path, again) {
                ("", _) => call.kind.to_owned(),
                (path, false) => format!("{path} ({})", call.kind),
                (path, true) => format!("{path} ({}, again)", call.kind),
            };
            let [count, trainable, bytes] = match again {
                true => [NONE; 3].map(str::to_owned),
                false => columns(&own),
            };
            rows.push([
                format!("{}{name}", "  ".repeat(call.depth)),
                call.output.shape.to_string(),
                count,
                trainable,
                number(call.multiply_adds),
                bytes,
            ]);
        }
        for (s, _) in parameters.iter().zip(&owners).filter(|(_, o)| o.is_none()) {
            let [count, trainable, bytes] = columns(&[s]);
            let (name, shape) = (s.path.to_string(), format!("({})", s.shape));
            rows.push([name, shape, count, trainable, NONE.to_owned(), bytes]);
        }
        let sum = |of: &dyn Fn(&State) -> bool| -> usize {
            let those = states.iter().filter(|s| of(s));
            those.map(|s| s.shape.numel()).sum()
        };
        Self {
            rows,
            trainable: sum(&|s| is_parameter(s) && s.trainable),
            frozen: sum(&|s| is_parameter(s) && !s.trainable),
            buffers: sum(&|s| !is_parameter(s)),
            multiply_adds: function.map_or(0, Function::multiply_adds),
            memory: function.map_or_else(Memory::default, |f| session.predicted_memory(f)),
        }
    }
}

fn is_parameter(s: &State) -> bool {
    s.kind == StateKind::Parameter
}

/// The innermost of the layers that ran which has the parameter below its path.
fn owner<'a>(s: &State, calls: &'a [LayerCall]) -> Option<&'a str> {
    let below = |path: &str| {
        let rest = s.path.strip_prefix(path);
        path.is_empty() || rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let paths = calls.iter().map(|c| c.path.as_ref());
    paths
        .filter(|path| below(path))
        .max_by_key(|path| path.len())
}

/// Number of elements, whether training changes them, bytes.
fn columns(states: &[&State]) -> [String; 3] {
    let count: usize = states.iter().map(|s| s.shape.numel()).sum();
    let bytes = states.iter().map(|s| s.shape.numel() * DType::SIZE);
    let trainable = states.iter().filter(|s| s.trainable).count();
    let word = match trainable {
        _ if states.is_empty() => NONE,
        0 => "no",
        n if n == states.len() => "yes",
        _ => "in part",
    };
    let bytes = match states.is_empty() {
        true => NONE.to_owned(),
        false => human(bytes.sum::<usize>() as u64),
    };
    [number(count as u64), word.to_owned(), bytes]
}

/// A number to be read, or that there is none.
fn number(n: u64) -> String {
    match n {
        0 => NONE.to_owned(),
        _ => thousands(n),
    }
}

/// `61706` as `61,706`.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(|(name, _)| name.to_owned());
        let widths: [usize; 6] = std::array::from_fn(|k| {
            let cells = std::iter::once(&head).chain(&self.rows);
            cells.map(|row| row[k].chars().count()).max().unwrap_or(0)
        });
        let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
        for (i, row) in std::iter::once(&head).chain(&self.rows).enumerate() {
            let cells = row.iter().zip(widths).zip(HEAD);
            let cells = cells.map(|((cell, width), (_, right))| match right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            if i == 0 {
                writeln!(f, "{rule}")?;
            }
        }
        writeln!(f, "{rule}")?;
        let count = |n: usize| thousands(n as u64);
        write!(f, "parameters: {} trainable", count(self.trainable))?;
        write!(f, ", {} frozen", count(self.frozen))?;
        if self.buffers > 0 {
            write!(f, "; {} in buffers", count(self.buffers))?;
        }
        let total = thousands(self.multiply_adds);
        write!(f, "\nmultiply-adds of one forward pass: {total}")?;
        write!(f, "\nmemory: {} in all", human(self.memory.total()))?;
        let kinds = self.memory.rows();
        let kinds: Vec<String> = kinds
            .iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(name, bytes)| format!("{name} {}", human(*bytes)))
            .collect();
        write!(f, " ({})", kinds.join(", "))
    }
}
