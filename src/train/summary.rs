//! A model as a table.

use crate::plan::{Memory, human};
use crate::session::{Function, Session};
use crate::state::{State, StateKind};
use std::fmt;

/// A model as a table, as that of `torchinfo`: layers in the order in which they run, what each returns, its parameters;
/// totals; memory by kind.
#[derive(Debug, Clone)]
pub struct Summary {
    rows: Vec<[String; 3]>,
    /// Elements of parameters that training changes.
    pub trainable: usize,
    /// Elements of parameters that it does not.
    pub frozen: usize,
    /// Elements of buffers, such as running statistics.
    pub buffers: usize,
    /// Memory that the function needs, predicted from its plan.
    pub memory: Memory,
}

impl Summary {
    /// The model of `session`, with the layers that ran in `function`.
    pub fn new(session: &Session, function: Option<&Function>) -> Self {
        let states = session.params().root().list();
        let mut listed = vec![false; states.len()];
        let mut rows = Vec::new();
        for call in function.map_or(&[][..], |f| f.layers()) {
            let prefix = format!("{}.", call.path);
            let mut count = 0;
            for (s, done) in states.iter().zip(&mut listed) {
                if is_parameter(s) && !*done && s.path.starts_with(&prefix) {
                    (count, *done) = (count + s.shape.numel(), true);
                }
            }
            rows.push([
                format!("{} ({})", call.path, call.kind),
                call.output.shape.to_string(),
                thousands(count),
            ]);
        }
        for (s, _) in states
            .iter()
            .zip(&listed)
            .filter(|(s, done)| is_parameter(s) && !**done)
        {
            let count = thousands(s.shape.numel());
            rows.push([s.path.to_string(), format!("({})", s.shape), count]);
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
            memory: function.map_or_else(Memory::default, |f| session.predicted_memory(f)),
        }
    }
}

fn is_parameter(s: &State) -> bool {
    s.kind == StateKind::Parameter
}

/// `61706` as `61,706`.
fn thousands(n: usize) -> String {
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
        let head = ["layer", "output", "parameters"].map(str::to_owned);
        let width = |k: usize| {
            let cells = std::iter::once(&head).chain(&self.rows);
            cells.map(|row| row[k].chars().count()).max().unwrap_or(0)
        };
        let (a, b, c) = (width(0), width(1), width(2));
        let rule = "─".repeat(a + b + c + 4);
        for (i, [layer, output, parameters]) in std::iter::once(&head).chain(&self.rows).enumerate()
        {
            writeln!(f, "{layer:<a$}  {output:<b$}  {parameters:>c$}")?;
            if i == 0 {
                writeln!(f, "{rule}")?;
            }
        }
        writeln!(f, "{rule}")?;
        write!(f, "parameters: {} trainable", thousands(self.trainable))?;
        if self.frozen > 0 {
            write!(f, ", {} frozen", thousands(self.frozen))?;
        }
        if self.buffers > 0 {
            write!(f, "; {} in buffers", thousands(self.buffers))?;
        }
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
