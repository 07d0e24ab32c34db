//! Over how many items losses are means, so that means of several batches can be weighted by them.

use super::Trace;
use crate::graph::{Leaf, Value};
use crate::op::Kind;
use crate::tensor::Tensor;
use std::collections::HashSet;

/// How many items a loss is the mean of.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Items {
    Number(f32),
    Of(Value),
}

impl Trace {
    /// Say that the loss `t` is a mean over this many items.
    pub(crate) fn mean_over(&self, t: &Tensor, items: usize) {
        if let Some(value) = t.value {
            let items = Items::Number(items as f32);
            self.0.borrow_mut().items.insert(value, items);
        }
    }

    /// Say that the loss `t` is a mean over `items`, `[]`.
    pub(crate) fn mean_over_counted(&self, t: &Tensor, items: &Tensor) {
        if let (Some(value), Some(items)) = (t.value, items.value) {
            self.0.borrow_mut().items.insert(value, Items::Of(items));
        }
    }

    /// The number of items, f32 `[]`, that the loss `t` is a mean over, where the losses that it is computed from say one
    /// and the same; and whether it was counted in the run, not known from shapes.
    pub(crate) fn items(&self, t: &Tensor) -> Option<(Tensor, bool)> {
        let value = t.value.filter(|_| self.is(&t.trace))?;
        Some(match self.items_of(value)? {
            Items::Number(n) => (self.scalar(n), false),
            Items::Of(value) => (self.tensor(value), true),
        })
    }

    fn items_of(&self, value: Value) -> Option<Items> {
        if let Some(items) = self.0.borrow().items.get(&value) {
            return Some(*items);
        }
        let node = self.node(value.node);
        if !matches!(node.op.kind(), Kind::Map(_)) || node.outputs[0].numel() != 1 {
            return None;
        }
        // What no argument has a part in, a penalty say, is no mean over a batch.
        let mut found = node.inputs.iter().filter(|v| self.takes_arguments(**v));
        let first = self.items_of(*found.next()?)?;
        found
            .all(|v| self.items_of(*v) == Some(first))
            .then_some(first)
    }

    /// Whether a value is computed from an argument of the function.
    fn takes_arguments(&self, value: Value) -> bool {
        let inner = self.0.borrow();
        let (mut seen, mut next) = (HashSet::new(), vec![value.node]);
        while let Some(at) = next.pop() {
            let node = &inner.graph.nodes[at];
            if matches!(node.op.kind(), Kind::Leaf(Leaf::Input(_))) {
                return true;
            }
            let inputs = node.inputs.iter().map(|v| v.node);
            next.extend(inputs.filter(|n| seen.insert(*n)));
        }
        false
    }
}
