//! `assign`: a state takes a new value, after every reader of the old one.

use crate::error::Site;
use crate::graph::{StateRange, TensorType};
use crate::op::{Kind, OpDef};
use crate::ops::detach::Detach;
use crate::state::Param;
use crate::tensor::{Tensor, Trace};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Assign {
    /// What takes the value.
    pub to: StateRange,
}

impl OpDef for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Assign(self.to)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if inputs[0].numel() != self.to.len {
            return Err(format!(
                "a value {} to a state of {} elements",
                inputs[0], self.to.len
            ));
        }
        Ok(inputs.to_vec())
    }
}

impl Trace {
    /// Have the state at `to` hold `value` after the run. Within this run every reader sees the old value. A trace for
    /// evaluation has no assigns: there this does nothing. A second value replaces the first.
    #[track_caller]
    pub fn assign(&self, to: StateRange, value: &Tensor) {
        let own = self.own("assign", &[value], Site::here()).is_some();
        if self.is_training() && own {
            if let Some(before) = self.assigned(to) {
                self.replace(before, Arc::new(Detach));
            }
            value.apply(Assign { to }, &[], Site::here());
        }
    }

    /// What `param` is to hold after the run, as far as the trace has come: what it was assigned, else its value.
    pub(crate) fn latest(&self, param: &Param) -> Tensor {
        let range = self.params().state(param).range;
        match self.assigned(range) {
            Some(node) => self.tensor(self.node(node).inputs[0]),
            None => self.param(param),
        }
    }
}
