//! What the integers that operators take must lie in: kept while tracing, looked at when the function is compiled.

use super::{Inner, Trace};
use crate::DType;
use crate::error::{Misuse, Site};
use crate::graph::Value;
use crate::shape::Layout;
use crate::tensor::Tensor;
use std::fmt;

/// The values that integers may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What the values are, for the message: `class labels`.
    pub what: &'static str,
    /// First value that is too large.
    pub end: usize,
    /// A value that is allowed besides.
    pub except: Option<i32>,
}

impl Limit {
    /// From 0 up to `end`, excluded.
    pub fn below(end: usize, what: &'static str) -> Self {
        Self {
            what,
            end,
            except: None,
        }
    }

    /// Whether `value` is one of them.
    pub fn admits(&self, value: i32) -> bool {
        let within = usize::try_from(value).is_ok_and(|v| v < self.end);
        within || Some(value) == self.except
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end.checked_sub(1) {
            Some(last) => write!(f, "{} from 0 to {last}", self.what),
            None => write!(f, "no {} at all", self.what),
        }
    }
}

/// What an integer argument must lie in, checked before each run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRange {
    /// Position among the arguments.
    pub input: usize,
    /// What its values may be.
    pub limit: Limit,
    /// Which of its elements are meant.
    pub view: Layout,
}

/// Integers of the graph that an operator takes, and what they may be.
#[derive(Debug, Clone)]
pub struct Indices {
    /// The integers.
    pub value: Value,
    /// What they may be.
    pub limit: Limit,
    /// The operator that takes them, where it was called: a misuse without its message.
    pub taken: Misuse,
}

impl Trace {
    /// Note that `op` takes the integers `t`, and what they may be. Those that are an argument of the function are checked
    /// before each run; others when the function is compiled, where that can be known, else by the device in each run: see
    /// [`DeviceOptions::check_indices`](crate::device::DeviceOptions::check_indices).
    pub fn require_range(&self, op: &str, t: &Tensor, limit: Limit, site: Site) {
        let Some(value) = self.own(op, &[t], site).and(t.value) else {
            return;
        };
        if t.dtype() != DType::I32 || t.numel() == 0 {
            return;
        }
        let mut inner = self.0.borrow_mut();
        let taken = inner.here(op, String::new(), site);
        inner.indices.push(Indices {
            value,
            limit,
            taken,
        });
    }

    /// Have `t` stand for column `column` of a batch that is taken from held data: what its values must lie in is then in
    /// [`Function::column_ranges`](crate::Function::column_ranges), to be checked once for all data.
    #[track_caller]
    pub fn stands_for(&self, t: &Tensor, column: usize) {
        let own = self.own("stands_for", &[t], Site::here());
        if let Some(value) = own.and(t.value) {
            self.0.borrow_mut().columns.insert(value, column);
        }
    }

    /// `Some` where `tensors` are of this trace and none is poisoned; what is wrong with them is kept.
    pub(crate) fn own(&self, op: &str, tensors: &[&Tensor], site: Site) -> Option<()> {
        tensors.iter().for_each(|t| self.adopt(t));
        if tensors.iter().any(|t| t.is_poisoned()) {
            return None;
        }
        if tensors.iter().any(|t| !self.is(t.trace())) {
            let message = "takes tensors of one trace: one of another function came";
            self.misuse(op, message, site);
            return None;
        }
        Some(())
    }

    /// Whether `other` is the same trace.
    pub(super) fn is(&self, other: &Trace) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Inner {
    /// A misuse of `op` in the layer that is running.
    pub(super) fn here(&self, op: &str, message: String, site: Site) -> Misuse {
        let (path, scope_site) = self.scopes.last().cloned().unwrap_or_default();
        Misuse {
            path: path.to_string(),
            op: op.to_owned(),
            message,
            site: scope_site.unwrap_or(site),
        }
    }
}
