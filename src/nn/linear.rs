//! A fully connected layer.

use super::look::Python;
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
    pub(crate) scope: Scope,
}

/// The description of a [`Linear`].
#[derive(Debug, Clone)]
pub struct LinearBuilder {
    inputs: usize,
    outputs: usize,
    bias: bool,
    xavier: bool,
    zero_bias: bool,
}

impl Linear {
    /// From `inputs` to `outputs` features.
    pub fn new(inputs: usize, outputs: usize) -> LinearBuilder {
        LinearBuilder {
            inputs,
            outputs,
            bias: true,
            xavier: false,
            zero_bias: false,
        }
    }
}

impl LinearBuilder {
    /// Whether a bias is added; true by default.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Whether the weight is drawn as `torch.nn.init.xavier_uniform_` does.
    pub(crate) fn xavier(mut self, xavier: bool) -> Self {
        self.xavier = xavier;
        self
    }

    /// Whether the bias begins as zeros.
    pub(crate) fn zero_bias(mut self, zero: bool) -> Self {
        self.zero_bias = zero;
        self
    }

    /// The layer, with `weight` and `bias` drawn uniformly within `1 / sqrt(inputs)`. Sizes of 0 are an error that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Linear {
        let (i, o) = (self.inputs, self.outputs);
        let scope = Scope::new(params, "Linear").detail(format!(
            "in_features={i}, out_features={o}, bias={}",
            self.bias.python()
        ));
        let zero = format!("from {i} to {o} features: both must be 1 or more");
        scope.refuse(params, &[(i == 0 || o == 0, zero)]);
        let weight = match self.xavier {
            true => params.drawn("weight", [o, i], init::xavier_uniform(i, o, 1.0)),
            false => params.drawn("weight", [o, i], init::kaiming_uniform(i, 5f32.sqrt())),
        };
        let bias = || match self.zero_bias {
            true => params.drawn("bias", [o], init::constant(0.0)),
            false => params.drawn("bias", [o], init::bias(i)),
        };
        Linear {
            weight,
            bias: self.bias.then(bias),
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
