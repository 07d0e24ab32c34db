//! Handles into a graph that is being traced, and what an operator's gradient rule works on.

mod trace;

pub use trace::{Indices, InputRange, LayerCall, Limit, Part, Trace, Traced};

use crate::dtype::DType;
use crate::error::Site;
use crate::graph::{TensorType, Value};
use crate::op::OpDef;
use crate::shape::Shape;
use std::sync::Arc;

/// A value in a trace: shape and dtype are known, elements are not.
#[derive(Clone)]
pub struct Tensor {
    trace: Trace,
    value: Option<Value>,
    ty: TensorType,
}

impl Tensor {
    /// The trace that it belongs to.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Its shape; `[]` where a misuse poisoned it.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// Its dtype.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// Shape and dtype.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Size of dimension `d` (negative from the end); 0 where there is none.
    pub fn size(&self, d: isize) -> usize {
        self.shape().dim(d).map_or(0, |d| self.shape()[d])
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.ty.numel()
    }

    /// Whether a misuse kept it from being computed.
    pub fn is_poisoned(&self) -> bool {
        self.value.is_none()
    }

    /// Its place in the graph.
    pub(crate) fn value(&self) -> Option<Value> {
        self.value
    }

    /// Apply an operator of one output to this and `others`: what the builder method of an operator calls, one of the
    /// user's too. `site` is the line that a misuse names, [`Site::here`] in a method that is `#[track_caller]`.
    pub fn apply(&self, op: impl OpDef, others: &[&Tensor], site: Site) -> Tensor {
        let mut inputs = vec![self];
        inputs.extend(others);
        self.trace.push1(Arc::new(op), &inputs, site)
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({})", self.ty)
    }
}

/// What an operator's gradient rule works on.
pub struct Vjp<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// The operator's inputs.
    pub inputs: Vec<Tensor>,
    /// Its outputs and what it kept.
    pub outputs: Vec<Tensor>,
    /// Gradients of the outputs; `None` where the result does not depend on one.
    pub grads: Vec<Option<Tensor>>,
    /// Which inputs need a gradient.
    pub wanted: Vec<bool>,
    /// Where the operator was applied.
    pub site: Site,
}

impl Vjp<'_> {
    /// Gradient of output `i`; zeros where the result does not depend on it.
    pub fn grad(&self, i: usize) -> Tensor {
        let zeros = || {
            self.trace
                .scalar(0.0)
                .expand(self.outputs[i].shape().clone())
        };
        self.grads[i].clone().unwrap_or_else(zeros)
    }

    /// For operators without a gradient: name it, if one is wanted.
    pub fn no_gradient(&self, op: &str) -> Vec<Option<Tensor>> {
        if self.wanted.contains(&true) {
            self.trace.misuse(op, "has no gradient", self.site);
        }
        vec![None; self.inputs.len()]
    }
}
