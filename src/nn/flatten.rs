//! Several dimensions as one.

use super::{Build, Module};
use crate::state::Params;
use crate::tensor::Tensor;

/// The dimensions from the second on as one: `x [n, ...]` to `[n, m]`, as `torch.nn.Flatten`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flatten;

impl Build for Flatten {
    type Layer = Self;

    fn build(self, _: &Params) -> Self {
        self
    }
}

impl Module for Flatten {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.flatten(1)
    }
}
