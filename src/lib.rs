//! wgrad trains neural networks on any GPU: a model is traced once into a graph, compiled to one plan, and
//! replayed as one submission a step.

pub mod array;
mod atomic;
pub mod dtype;
pub mod error;
pub mod shape;
pub mod weights;

pub use array::Array;
pub use dtype::DType;
pub use error::{Error, Result};
pub use shape::Shape;
