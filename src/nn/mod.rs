//! Layers: they name parameters and add nodes to a trace, as those of `torch.nn`.
//!
//! A layer is configured, then built at a path: `Conv2d::new(1, 6, 5).padding(1).build(&params.at("conv1"))`. Bad
//! arguments are kept with the line that built the layer, and [`Session::new`](crate::Session::new) returns them.
#![expect(
    clippy::new_ret_no_self,
    reason = "`new` begins a layer's description, `build` ends it"
)]

mod activation;
mod attention;
mod bilinear;
mod container;
mod conv;
mod conv_transpose;
mod dropout;
mod embedding;
mod flatten;
pub mod init;
mod linear;
mod look;
mod norm;
mod pool;
mod position;
mod prelu;
mod recurrent;
mod sequential;
mod transformer;
mod upsample;

pub use activation::*;
pub use attention::{Masks, MultiheadAttention, MultiheadAttentionBuilder};
pub use bilinear::{Bilinear, BilinearBuilder};
pub use container::{Identity, ModuleList, Residual};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, ConvBuilder, Sizes};
pub use conv_transpose::{
    ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, ConvTransposeBuilder,
};
pub use dropout::{Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureDropout};
pub use embedding::{Embedding, EmbeddingBuilder};
pub use flatten::Flatten;
pub use linear::{Linear, LinearBuilder};
pub use norm::*;
pub use pool::*;
pub use position::{
    LearnedPositions, LearnedPositionsBuilder, SinusoidalPositions, SinusoidalPositionsBuilder,
};
pub use prelu::{Prelu, PreluBuilder};
pub use recurrent::{
    Gru, GruKind, Lstm, LstmKind, OneState, Recurrent, RecurrentBuilder, RecurrentKind,
    RecurrentWeights, Rnn, RnnKind,
};
pub use sequential::Sequential;
pub use transformer::*;
pub use upsample::Upsample;

// What options of layers, functions and losses are made of.
pub use crate::ops::attention::AttentionOptions;
pub use crate::ops::binary_cross_entropy::BinaryCrossEntropyOptions;
pub use crate::ops::classification::CrossEntropyOptions;
pub use crate::ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
pub use crate::ops::interpolate::{InterpolateMode, InterpolateOptions};
pub use crate::ops::pool::PoolOptions;
pub use crate::ops::reduction::Reduction;
pub use crate::ops::window::Spatial;
pub use crate::scalar::GeluApprox;

use crate::error::Site;
use crate::state::Params;
use crate::tensor::Tensor;
use std::fmt;
use std::sync::Arc;

/// A function of one tensor, as `torch.nn.Module`. Closures are modules too: `|x: &Tensor| x.relu()`.
pub trait Module: Send + Sync {
    /// The nodes that compute the module for `x`, in the trace of `x`.
    fn forward(&self, x: &Tensor) -> Tensor;
}

impl<F: Fn(&Tensor) -> Tensor + Send + Sync> Module for F {
    fn forward(&self, x: &Tensor) -> Tensor {
        self(x)
    }
}

/// The description of a layer, from which it is built at a path.
pub trait Build {
    /// The layer.
    type Layer: Module + 'static;

    /// The layer with its parameters below the path of `params`.
    #[track_caller]
    fn build(self, params: &Params) -> Self::Layer;
}

impl<F: Fn(&Tensor) -> Tensor + Send + Sync + 'static> Build for F {
    type Layer = F;

    fn build(self, params: &Params) -> F {
        params.built("Lambda", String::new(), false);
        self
    }
}

/// A layer's path, type and source line: what misuses inside of it name, and what a summary lists.
#[derive(Clone)]
pub struct Scope {
    params: Params,
    path: Arc<str>,
    kind: &'static str,
    site: Site,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.kind, self.path)
    }
}

impl Scope {
    /// A layer of type `kind` (`Conv2d`) at the path of `params`, built by the caller.
    #[track_caller]
    pub fn new(params: &Params, kind: &'static str) -> Self {
        params.built(kind, String::new(), true);
        Self::unnamed(params, kind)
    }

    /// As [`Scope::new`], for a module that is described already.
    #[track_caller]
    pub(crate) fn unnamed(params: &Params, kind: &'static str) -> Self {
        Self {
            params: params.clone(),
            path: params.path().into(),
            kind,
            site: Site::here(),
        }
    }

    /// With what stands between the brackets where the layer is printed: PyTorch's `extra_repr`.
    pub fn detail(self, text: impl Into<String>) -> Self {
        self.params.built(self.kind, text.into(), true);
        self
    }

    /// The layer's handle.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Trace the layer for `x`.
    pub fn run(&self, x: &Tensor, f: impl FnOnce() -> Tensor) -> Tensor {
        x.trace().layer(&self.path, self.kind, self.site, f)
    }

    /// Keep the first of `faults` that holds: sizes that a layer cannot have.
    pub(crate) fn refuse(&self, params: &Params, faults: &[(bool, String)]) {
        if let Some((_, message)) = faults.iter().find(|(holds, _)| *holds) {
            let message = format!("{}: {message}", self.kind);
            params.refuse(&self.path, &message, self.site);
        }
    }
}
