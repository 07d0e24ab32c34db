//! Leaves: arguments, states, constants, scalars of the run.

use crate::graph::{Leaf, TensorType};
use crate::op::{Kind, OpDef};

/// A value that no operator computes.
#[derive(Debug)]
pub struct LeafOp {
    /// What it is.
    pub leaf: Leaf,
    /// Its type.
    pub ty: TensorType,
}

impl OpDef for LeafOp {
    fn name(&self) -> &'static str {
        "leaf"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Leaf(&self.leaf)
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![self.ty.clone()])
    }
}
