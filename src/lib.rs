//! wgrad trains neural networks on any GPU: a model is traced once into a graph, compiled to one plan, and
//! replayed as one submission a step.

pub mod array;
pub mod data;
pub mod dtype;
pub mod error;
pub mod shape;

pub use array::Array;
pub use dtype::DType;
pub use error::{Error, Result};
pub use shape::Shape;
