//! What elementwise functions of two tensors also take: a number.

use crate::DType;
use crate::tensor::Tensor;

/// A tensor, or a number that stands for one: the second argument of [`Tensor::gt`] and its like.
pub trait Operand {
    /// As a tensor beside `tensor`, in the same trace. An `i32` is converted to a dtype that has numbers.
    fn beside(self, tensor: &Tensor) -> Tensor;
}

impl Operand for &Tensor {
    fn beside(self, _: &Tensor) -> Tensor {
        self.clone()
    }
}

impl Operand for f32 {
    fn beside(self, tensor: &Tensor) -> Tensor {
        tensor.trace().scalar(self)
    }
}

impl Operand for i32 {
    fn beside(self, tensor: &Tensor) -> Tensor {
        let trace = tensor.trace();
        match (tensor.dtype(), u32::try_from(self)) {
            (DType::F32, _) => trace.scalar(self as f32),
            (DType::U32, Ok(value)) => trace.scalar(value),
            _ => trace.scalar(self),
        }
    }
}
