//! `detach`: the same value, through which no gradient flows.

use crate::error::Site;
use crate::graph::TensorType;
use crate::op::{Kind, OpDef};
use crate::shape::Layout;
use crate::tensor::{Tensor, Vjp};

/// See the module.
#[derive(Debug)]
pub struct Detach;

impl OpDef for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::View
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(inputs.to_vec())
    }

    fn vjp(&self, _: &Vjp) -> Vec<Option<Tensor>> {
        vec![None]
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.clone())
    }
}

impl Tensor {
    /// The same value as a constant: no gradient flows through it.
    #[track_caller]
    pub fn detach(&self) -> Tensor {
        self.apply(Detach, &[], Site::here())
    }
}
