//! Several dimensions as one.

use super::{Build, Module};
use crate::state::Params;
use crate::tensor::Tensor;

/// The dimensions from the second on as one: `x [n, ...]` to `[n, m]`, as `torch.nn.Flatten`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flatten;

impl Flatten {
    fn detail(&self) -> String {
        "start_dim=1, end_dim=-1".to_owned()
    }
}

impl Build for Flatten {
    type Layer = Self;

    fn build(self, params: &Params) -> Self {
        params.built("Flatten", self.detail(), false);
        self
    }
}

/// As PyTorch prints it.
impl std::fmt::Display for Flatten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flatten({})", self.detail())
    }
}

impl Module for Flatten {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.flatten(1)
    }
}
