//! Dropout.

use super::{Build, Module, Scope};
use crate::state::Params;
use crate::tensor::Tensor;

/// Zeroes each element with probability `p` in training and scales the others by `1 / (1 - p)`, as `torch.nn.Dropout`;
/// in evaluation it returns `x` itself.
#[derive(Debug, Clone)]
pub struct Dropout {
    p: f32,
    scope: Option<Scope>,
}

impl Dropout {
    /// Dropout with probability `p`, 0 to 1. [`Dropout::build`] gives it a path, which makes its random numbers
    /// independent of other layers'.
    pub fn new(p: f32) -> Self {
        Self { p, scope: None }
    }

    /// The layer at the path of `params`. A `p` outside of 0 to 1 is an error that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Self {
        let scope = Scope::new(params, "Dropout");
        let bad = !(0.0..=1.0).contains(&self.p);
        let message = format!("p is {}: a probability, 0 to 1", self.p);
        scope.refuse(params, &[(bad, message)]);
        Self {
            scope: Some(scope),
            ..self
        }
    }
}

impl Build for Dropout {
    type Layer = Self;

    #[track_caller]
    fn build(self, params: &Params) -> Self {
        Dropout::build(self, params)
    }
}

impl Module for Dropout {
    fn forward(&self, x: &Tensor) -> Tensor {
        match &self.scope {
            Some(scope) => scope.run(x, || x.dropout(self.p)),
            None => x.dropout(self.p),
        }
    }
}

/// Zeroes each channel of each sample of `x [n, c, …]` with probability `p` in training and scales the others by
/// `1 / (1 - p)`, as `torch.nn.Dropout2d` (Tompson et al., 2015); in evaluation it returns `x` itself.
#[derive(Debug, Clone)]
pub struct FeatureDropout(Dropout);

/// Of `x [n, c, l]`, as `torch.nn.Dropout1d`.
pub type Dropout1d = FeatureDropout;
/// Of `x [n, c, h, w]`, as `torch.nn.Dropout2d`.
pub type Dropout2d = FeatureDropout;
/// Of `x [n, c, d, h, w]`, as `torch.nn.Dropout3d`.
pub type Dropout3d = FeatureDropout;

impl FeatureDropout {
    /// Dropout of channels with probability `p`, 0 to 1. See [`Dropout::new`].
    pub fn new(p: f32) -> Self {
        Self(Dropout::new(p))
    }

    /// The layer at the path of `params`. See [`Dropout::build`].
    #[track_caller]
    pub fn build(self, params: &Params) -> Self {
        Self(self.0.build(params))
    }
}

impl Build for FeatureDropout {
    type Layer = Self;

    #[track_caller]
    fn build(self, params: &Params) -> Self {
        FeatureDropout::build(self, params)
    }
}

impl Module for FeatureDropout {
    fn forward(&self, x: &Tensor) -> Tensor {
        let p = self.0.p;
        match &self.0.scope {
            Some(scope) => scope.run(x, || x.feature_dropout(p)),
            None => x.feature_dropout(p),
        }
    }
}
