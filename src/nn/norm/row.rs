//! Layer and root mean square normalisation.

use super::super::look::{Python, tuple};
use super::super::{Build, Module, Scope};
use super::{Affine, refuse};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// Each row of the last dimensions of `x [..., shape…]` less its mean and divided by its deviation, times
/// `weight [shape…]`, plus `bias [shape…]`: `torch.nn.LayerNorm` (Ba et al., 2016).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    affine: Affine,
    options: LayerNormBuilder,
    pub(crate) scope: Scope,
}

/// The description of a [`LayerNorm`].
#[derive(Debug, Clone)]
pub struct LayerNormBuilder {
    shape: Vec<usize>,
    eps: f32,
    affine: bool,
    bias: bool,
}

/// Each row of the last dimensions of `x [..., shape…]` divided by the root of its mean square, times
/// `weight [shape…]`: `torch.nn.RMSNorm` (Zhang and Sennrich, 2019).
#[derive(Debug, Clone)]
pub struct RmsNorm {
    affine: Affine,
    options: RmsNormBuilder,
    pub(crate) scope: Scope,
}

/// The description of an [`RmsNorm`].
#[derive(Debug, Clone)]
pub struct RmsNormBuilder {
    shape: Vec<usize>,
    eps: f32,
    affine: bool,
}

impl LayerNorm {
    /// Over the last dimensions, of the sizes `shape`: `[64]`, or `[8, 16]`.
    pub fn new(shape: impl Into<Vec<usize>>) -> LayerNormBuilder {
        LayerNormBuilder {
            shape: shape.into(),
            eps: 1e-5,
            affine: true,
            bias: true,
        }
    }

    /// The weight, if there is one.
    pub fn weight(&self) -> Option<&Param> {
        self.affine.weight.as_ref()
    }

    /// The bias, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.affine.bias.as_ref()
    }
}

impl LayerNormBuilder {
    /// What is added to the variance; 1e-5 by default.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Whether there are weight and bias; true by default.
    pub fn elementwise_affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Whether there is a bias beside the weight; true by default.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// The layer, with weights of 1 and biases of 0. An empty shape, sizes of 0 and an `eps` below 0 are errors that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> LayerNorm {
        let scope = Scope::new(params, "LayerNorm").detail(format!(
            "{}, eps={}, elementwise_affine={}, bias={}",
            tuple(&self.shape),
            self.eps.python(),
            self.affine.python(),
            (self.affine && self.bias).python(),
        ));
        refuse_shape(&scope, params, &self.shape, self.eps);
        LayerNorm {
            affine: Affine::new(params, &self.shape, self.affine, self.affine && self.bias),
            options: self,
            scope,
        }
    }
}

impl RmsNorm {
    /// Over the last dimensions, of the sizes `shape`: `[64]`, or `[8, 16]`.
    pub fn new(shape: impl Into<Vec<usize>>) -> RmsNormBuilder {
        RmsNormBuilder {
            shape: shape.into(),
            eps: f32::EPSILON,
            affine: true,
        }
    }

    /// The weight, if there is one.
    pub fn weight(&self) -> Option<&Param> {
        self.affine.weight.as_ref()
    }
}

impl RmsNormBuilder {
    /// What is added to the mean square; [`f32::EPSILON`] by default.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Whether there is a weight; true by default.
    pub fn elementwise_affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// The layer, with weights of 1. An empty shape, sizes of 0 and an `eps` below 0 are errors that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> RmsNorm {
        let scope = Scope::new(params, "RMSNorm").detail(format!(
            "{}, eps={}, elementwise_affine={}",
            tuple(&self.shape),
            Some(self.eps).filter(|e| *e != f32::EPSILON).python(),
            self.affine.python(),
        ));
        refuse_shape(&scope, params, &self.shape, self.eps);
        RmsNorm {
            affine: Affine::new(params, &self.shape, self.affine, false),
            options: self,
            scope,
        }
    }
}

fn refuse_shape(scope: &Scope, params: &Params, shape: &[usize], eps: f32) {
    let bad = shape.is_empty() || shape.contains(&0);
    let message = format!("normalized shape {shape:?}: takes sizes of 1 or more, at least one");
    scope.refuse(params, &[(bad, message)]);
    refuse(scope, params, 1, eps);
}

impl Build for LayerNormBuilder {
    type Layer = LayerNorm;

    #[track_caller]
    fn build(self, params: &Params) -> LayerNorm {
        LayerNormBuilder::build(self, params)
    }
}

impl Build for RmsNormBuilder {
    type Layer = RmsNorm;

    #[track_caller]
    fn build(self, params: &Params) -> RmsNorm {
        RmsNormBuilder::build(self, params)
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let [weight, bias] = self.affine.values(x.trace());
            let o = &self.options;
            x.layer_norm(&o.shape, weight.as_ref(), bias.as_ref(), o.eps)
        })
    }
}

impl Module for RmsNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let [weight, _] = self.affine.values(x.trace());
            x.rms_norm(&self.options.shape, weight.as_ref(), self.options.eps)
        })
    }
}
