//! Modules made of modules.

use super::{Build, Module, Scope};
use crate::error::Site;
use crate::state::Params;
use crate::tensor::Tensor;
use std::ops::Deref;

/// `x` itself, as `torch.nn.Identity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity;

impl Identity {
    fn detail(&self) -> String {
        String::new()
    }
}

impl Build for Identity {
    type Layer = Self;

    fn build(self, params: &Params) -> Self {
        params.built("Identity", self.detail(), false);
        self
    }
}

/// As PyTorch prints it.
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.detail())
    }
}

impl Module for Identity {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.clone()
    }
}

/// `x` plus what the inner module makes of it, which must have the shape of `x` (He et al., 2016). The inner module's
/// parameters lie at the path of the whole.
///
/// ```
/// use wgrad::{Params, nn::{Linear, Relu, Residual, Sequential}};
/// let params = Params::new(0);
/// let block = Sequential::new(&params.at("block"))
///     .add(Linear::new(8, 8))
///     .add(Relu);
/// let net = Sequential::new(&params)
///     .add(Residual(block))
///     .add(Residual(Linear::new(8, 8)));
/// # drop(net);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Residual<M>(pub M);

impl<B: Build> Build for Residual<B> {
    type Layer = Residual<B::Layer>;

    #[track_caller]
    fn build(self, params: &Params) -> Self::Layer {
        let inner = self.0.build(params);
        params.wrapped("Residual");
        Residual(inner)
    }
}

/// The inner module, in brackets.
impl<M: std::fmt::Display> std::fmt::Display for Residual<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.0.to_string().replace('\n', "\n  ");
        write!(f, "Residual(\n  (inner): {inner}\n)")
    }
}

impl<M: Module> Module for Residual<M> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.0.forward(x);
        if y.shape() != x.shape() && !y.is_poisoned() {
            let message = format!(
                "{} to {}: takes a module that keeps the shape",
                x.shape(),
                y.shape()
            );
            return x.trace().misuse("residual", message, Site::here());
        }
        x.add(&y)
    }
}

/// Layers of one type by number, as `torch.nn.ModuleList`: the parameters of the first lie below `0.`, those of the
/// second below `1.`. It reads as a slice.
///
/// ```
/// use wgrad::{Params, nn::{Linear, ModuleList}};
/// let params = Params::new(0);
/// let layers = ModuleList::new(&params.at("layers"), (0..3).map(|_| Linear::new(4, 4)));
/// assert_eq!(layers.len(), 3);
/// assert_eq!(params.list()[2].path.as_ref(), "layers.1.weight");
/// ```
#[derive(Debug, Clone)]
pub struct ModuleList<M> {
    layers: Vec<M>,
    pub(crate) scope: Scope,
}

impl<M> ModuleList<M> {
    /// Each of `layers` built at its number below the path of `params`.
    #[track_caller]
    pub fn new<B: Build<Layer = M>>(params: &Params, layers: impl IntoIterator<Item = B>) -> Self {
        let scope = Scope::new(params, "ModuleList");
        let mut all = Vec::new();
        for (number, layer) in layers.into_iter().enumerate() {
            all.push(layer.build(&params.at(number.to_string())));
        }
        Self { layers: all, scope }
    }
}

impl<M> Deref for ModuleList<M> {
    type Target = [M];

    fn deref(&self) -> &[M] {
        &self.layers
    }
}

impl<'a, M> IntoIterator for &'a ModuleList<M> {
    type Item = &'a M;
    type IntoIter = std::slice::Iter<'a, M>;

    fn into_iter(self) -> Self::IntoIter {
        self.layers.iter()
    }
}
