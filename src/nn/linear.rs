//! A fully connected layer.

use super::{Build, Module, Scope, init};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// `x [..., in] · weightᵀ + bias` to `[..., out]`, as `torch.nn.Linear`: `weight [out, in]`, `bias [out]`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    scope: Scope,
}

/// The description of a [`Linear`].
#[derive(Debug, Clone)]
pub struct LinearBuilder {
    inputs: usize,
    outputs: usize,
    bias: bool,
}

impl Linear {
    /// From `inputs` to `outputs` features.
    pub fn new(inputs: usize, outputs: usize) -> LinearBuilder {
        LinearBuilder {
            inputs,
            outputs,
            bias: true,
        }
    }
}

impl LinearBuilder {
    /// Whether a bias is added; true by default.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// The layer, with `weight` and `bias` drawn uniformly within `1 / sqrt(inputs)`. Sizes of 0 are an error that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Linear {
        let scope = Scope::new(params, "Linear");
        let (i, o) = (self.inputs, self.outputs);
        let zero = format!("from {i} to {o} features: both must be 1 or more");
        scope.refuse(params, &[(i == 0 || o == 0, zero)]);
        Linear {
            weight: params.parameter("weight", [o, i], init::kaiming_uniform(i, 5f32.sqrt())),
            bias: self
                .bias
                .then(|| params.parameter("bias", [o], init::bias(i))),
            scope,
        }
    }
}

impl Build for LinearBuilder {
    type Layer = Linear;

    #[track_caller]
    fn build(self, params: &Params) -> Linear {
        LinearBuilder::build(self, params)
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let y = x.matmul(&x.trace().param(&self.weight).t());
            match &self.bias {
                Some(bias) => y.add(&x.trace().param(bias)),
                None => y,
            }
        })
    }
}
