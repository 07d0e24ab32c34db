//! Scalar expressions applied over whole tensors: what a fused step computes before and after its operator.

mod cpu;
mod gpu;

pub use cpu::Evaluator;
pub use gpu::{Printed, Space, print_map};

use crate::dtype::DType;
use crate::scalar::Expr;
use crate::shape::Layout;

/// An operand of a [`Map`], seen through a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Load {
    /// Which of the map's operands.
    pub operand: usize,
    /// Where in it the element for each position lies.
    pub layout: Layout,
    /// Type of its elements.
    pub dtype: DType,
}

/// Expressions over the positions of a shape. Operand slot 0 is the operator's own result, slots from 1 on are `loads`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Map {
    /// One value a position each.
    pub exprs: Vec<Expr>,
    /// What they load.
    pub loads: Vec<Load>,
}

impl Map {
    /// The operator's own result, unchanged.
    pub fn identity(dtype: DType) -> Self {
        Self {
            exprs: vec![Expr::load(0, dtype)],
            loads: Vec::new(),
        }
    }

    /// Whether it is [`Map::identity`].
    pub fn is_identity(&self) -> bool {
        self.exprs.len() == 1 && self.exprs[0] == Expr::load(0, self.exprs[0].dtype())
    }

    /// Number of different operands.
    pub fn operands(&self) -> usize {
        self.loads.iter().map(|l| l.operand + 1).max().unwrap_or(0)
    }

    /// The same over positions whose dimensions from `kept` on come first.
    pub fn swapped(&self, kept: usize) -> Self {
        let swap = |l: &Load| {
            let order: Vec<usize> = (kept..l.layout.shape.rank()).chain(0..kept).collect();
            Load {
                layout: l.layout.permute(&order),
                ..l.clone()
            }
        };
        Self {
            exprs: self.exprs.clone(),
            loads: self.loads.iter().map(swap).collect(),
        }
    }
}
