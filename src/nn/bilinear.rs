//! A bilinear form of two inputs.

use super::look::Python;
use super::{Scope, init};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// `a [..., in1] · weight[o] · b [..., in2] + bias[o]` to `[..., out]`, as `torch.nn.Bilinear`: `weight [out, in1, in2]`,
/// `bias [out]`. It takes two tensors, so it is no [`Module`](super::Module).
#[derive(Debug, Clone)]
pub struct Bilinear {
    /// `[out, in1, in2]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    pub(crate) scope: Scope,
}

/// The description of a [`Bilinear`].
#[derive(Debug, Clone, Copy)]
pub struct BilinearBuilder {
    inputs: [usize; 2],
    outputs: usize,
    bias: bool,
}

impl Bilinear {
    /// From `inputs1` and `inputs2` to `outputs` features.
    pub fn new(inputs1: usize, inputs2: usize, outputs: usize) -> BilinearBuilder {
        BilinearBuilder {
            inputs: [inputs1, inputs2],
            outputs,
            bias: true,
        }
    }

    /// The nodes that compute it for `a [..., in1]` and `b [..., in2]`.
    pub fn forward(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.scope.run(a, || {
            let g = a.trace();
            let bias = self.bias.as_ref().map(|b| g.param(b));
            a.bilinear(b, &g.param(&self.weight), bias.as_ref())
        })
    }
}

impl BilinearBuilder {
    /// Whether a bias is added; true by default.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// The layer, with `weight` and `bias` drawn uniformly within `1 / sqrt(inputs1)`. Sizes of 0 are an error that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Bilinear {
        let ([i, j], o) = (self.inputs, self.outputs);
        let scope = Scope::new(params, "Bilinear").detail(format!(
            "in1_features={i}, in2_features={j}, out_features={o}, bias={}",
            self.bias.python()
        ));
        let message = format!("from {i} and {j} to {o} features: all must be 1 or more");
        scope.refuse(params, &[([i, j, o].contains(&0), message)]);
        Bilinear {
            weight: params.drawn("weight", [o, i, j], init::bias(i)),
            bias: self.bias.then(|| params.drawn("bias", [o], init::bias(i))),
            scope,
        }
    }
}
