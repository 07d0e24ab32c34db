//! wgrad trains neural networks on any GPU: a model is traced once into a graph, compiled to one plan, and
//! replayed as one submission a step.
//!
//! For those who know PyTorch or Keras there is a guide each, side by side: [`from_pytorch`], [`from_keras`].

pub mod array;
mod atomic;
pub mod autodiff;
pub mod caps;
pub mod checkpoint;
pub mod data;
pub mod device;
pub mod dtype;
pub mod error;
pub mod fused;
pub mod glob;
pub mod graph;
mod host;
#[cfg(feature = "hub")]
pub mod hub;
mod json;
pub mod kernel;
pub mod nn;
pub mod op;
pub mod ops;
pub mod optim;
pub mod plan;
pub mod rng;
pub mod scalar;
pub mod session;
pub mod shape;
pub mod state;
pub mod tensor;
#[cfg(feature = "text")]
pub mod text;
#[cfg(feature = "train")]
pub mod train;
pub mod weights;

pub use array::Array;
pub use dtype::DType;
pub use error::{Error, Result};
pub use graph::TensorType;
pub use session::{Function, Mode, Session, eval};
pub use shape::Shape;
pub use state::{Held, Param, Params};
pub use tensor::{Tensor, Trace};

/// The README's program is a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The guides are pages of the documentation, and their programs doc tests, where the features that they use are on.
#[cfg(any(
    all(doc, not(doctest)),
    all(doctest, feature = "image", feature = "text")
))]
#[doc = include_str!("../docs/from-pytorch.md")]
pub mod from_pytorch {}

#[cfg(any(
    all(doc, not(doctest)),
    all(doctest, feature = "image", feature = "text")
))]
#[doc = include_str!("../docs/from-keras.md")]
pub mod from_keras {}
