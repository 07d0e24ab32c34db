//! What elementwise functions of two tensors also take: a number.

use crate::DType;
use crate::tensor::Tensor;

/// A tensor, or a number that stands for one: the second argument of [`Tensor::gt`] and its like.
pub trait Operand {
    /// As a tensor beside `tensor`, in the same trace. An `i32` is converted to a dtype that has numbers.
    fn beside(self, tensor: &Tensor) -> Tensor;
}

/// What helps where two dtypes should be one.
pub(crate) fn other_dtype(first: DType, second: DType) -> String {
    match (first, second) {
        (_, DType::F32) if !first.is_float() => "convert the first with to_f32()".to_owned(),
        (DType::F32, _) if !second.is_float() => "convert the second with to_f32()".to_owned(),
        (DType::Bool, DType::Bool) => "convert both with to_f32() or to(DType::I32)".to_owned(),
        (DType::Bool, _) => format!("convert the first with to(DType::{second:?})"),
        (_, DType::Bool) => format!("convert the second with to(DType::{first:?})"),
        _ if first == second => "convert both with to_f32()".to_owned(),
        _ => format!("convert the second with to(DType::{first:?})"),
    }
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
