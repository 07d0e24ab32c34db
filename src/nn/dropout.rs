//! Dropout.

use super::look::Python;
use super::{Build, Module, Scope};
use crate::state::Params;
use crate::tensor::Tensor;
use std::fmt;

/// Zeroes each element with probability `p` in training and scales the others by `1 / (1 - p)`, as `torch.nn.Dropout`;
/// in evaluation it leaves `x` as it is.
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
        self.build_as(params, "Dropout")
    }

    #[track_caller]
    fn build_as(self, params: &Params, kind: &'static str) -> Self {
        let scope = Scope::new(params, kind).detail(self.detail());
        let bad = !(0.0..=1.0).contains(&self.p);
        let message = format!("p is {}: a probability, 0 to 1", self.p);
        scope.refuse(params, &[(bad, message)]);
        Self {
            scope: Some(scope),
            ..self
        }
    }

    fn detail(&self) -> String {
        format!("p={}, inplace=False", self.p.python())
    }
}

/// As PyTorch prints it.
impl fmt::Display for Dropout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dropout({})", self.detail())
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
/// `1 / (1 - p)`, as `torch.nn.Dropout2d` (Tompson et al., 2015); in evaluation it leaves `x` as it is.
#[derive(Debug, Clone)]
pub struct FeatureDropout<const D: usize>(Dropout);

/// Of `x [n, c, l]`, as `torch.nn.Dropout1d`.
pub type Dropout1d = FeatureDropout<1>;
/// Of `x [n, c, h, w]`, as `torch.nn.Dropout2d`.
pub type Dropout2d = FeatureDropout<2>;
/// Of `x [n, c, d, h, w]`, as `torch.nn.Dropout3d`.
pub type Dropout3d = FeatureDropout<3>;

/// As PyTorch prints it.
impl<const D: usize> fmt::Display for FeatureDropout<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", Self::KIND, self.0.detail())
    }
}

impl<const D: usize> FeatureDropout<D> {
    const KIND: &str = ["Dropout1d", "Dropout2d", "Dropout3d"][D - 1];

    /// Dropout of channels with probability `p`, 0 to 1. See [`Dropout::new`].
    pub fn new(p: f32) -> Self {
        Self(Dropout::new(p))
    }

    /// The layer at the path of `params`. See [`Dropout::build`].
    #[track_caller]
    pub fn build(self, params: &Params) -> Self {
        Self(self.0.build_as(params, Self::KIND))
    }
}

impl<const D: usize> Build for FeatureDropout<D> {
    type Layer = Self;

    #[track_caller]
    fn build(self, params: &Params) -> Self {
        FeatureDropout::<D>::build(self, params)
    }
}

impl<const D: usize> Module for FeatureDropout<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let p = self.0.p;
        match &self.0.scope {
            Some(scope) => scope.run(x, || x.feature_dropout(p)),
            None => x.feature_dropout(p),
        }
    }
}
