//! `pack`: values one after the other in one flat buffer, so that one pass handles all of them.
//!
//! The planner has each value written where it belongs; there is nothing left to compute.

use crate::error::Site;
use crate::graph::TensorType;
use crate::op::{Kind, OpDef};
use crate::tensor::{Tensor, Trace, Vjp};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Pack {
    /// Each value starts at a multiple of this many elements, as one after the last would; what lies between is 0.
    pub align: usize,
}

impl OpDef for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Pack(self.align)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let end = inputs.iter().fold(0usize, |at, i| {
            (at + i.numel()).next_multiple_of(self.align)
        });
        Ok(vec![TensorType::new([end], inputs[0].dtype)])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (grad, mut at) = (g.grad(0), 0usize);
        let piece = |x: &Tensor| {
            let from = at;
            at = (at + x.numel()).next_multiple_of(self.align);
            Some(
                grad.narrow(0, from, x.numel())
                    .reshape_to(x.shape().clone()),
            )
        };
        g.inputs.iter().map(piece).collect()
    }
}

impl Trace {
    /// `tensors` flattened, one after the other, each from a multiple of `align` elements.
    #[track_caller]
    pub fn pack(&self, tensors: &[Tensor], align: usize) -> Tensor {
        let inputs: Vec<&Tensor> = tensors.iter().collect();
        self.push1(Arc::new(Pack { align }), &inputs, Site::here())
    }
}
