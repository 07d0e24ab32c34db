//! Arrays on the host: what goes into a session and what comes out.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::Shape;

mod print;

/// A dense row-major array on the host.
#[derive(Clone, PartialEq)]
pub struct Array {
    shape: Shape,
    data: Data,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    Bool(Vec<u32>),
}

/// A Rust type that an [`Array`] can hold: `f32`, `i32`, `u32`.
pub trait Element: bytemuck::Pod {
    /// Its dtype.
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}
impl Element for i32 {
    const DTYPE: DType = DType::I32;
}
impl Element for u32 {
    const DTYPE: DType = DType::U32;
}

impl Array {
    /// An array of `values` in row-major order.
    ///
    /// # Errors
    /// [`Error::Argument`] where the shape does not hold as many elements as came.
    pub fn new<T: Element>(shape: impl Into<Shape>, values: impl Into<Vec<T>>) -> Result<Self> {
        let (shape, values) = (shape.into(), values.into());
        if shape.numel() != values.len() {
            let (want, got) = (shape.numel(), values.len());
            return Err(Error::argument(format!(
                "an array {shape} holds {want} elements, {got} came"
            )));
        }
        Ok(Self::of(shape, values))
    }

    /// As [`Array::new`], for lengths that fit by construction.
    pub(crate) fn of<T: Element>(shape: impl Into<Shape>, values: Vec<T>) -> Self {
        let data = match T::DTYPE {
            DType::F32 => Data::F32(bytemuck::cast_vec(values)),
            DType::I32 => Data::I32(bytemuck::cast_vec(values)),
            _ => Data::U32(bytemuck::cast_vec(values)),
        };
        let array = Self {
            shape: shape.into(),
            data,
        };
        debug_assert_eq!(array.shape.numel(), array.words().len());
        array
    }

    /// A one-dimensional array.
    pub fn vector<T: Element>(values: impl Into<Vec<T>>) -> Self {
        let values = values.into();
        Self::of([values.len()], values)
    }

    /// A scalar, shape `[]`.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self::of([], vec![value])
    }

    /// All elements `value`.
    pub fn full<T: Element>(shape: impl Into<Shape>, value: T) -> Self {
        let shape = shape.into();
        let n = shape.numel();
        Self::of(shape, vec![value; n])
    }

    /// All zero.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Self::full(shape, 0.0f32)
    }

    /// All one.
    pub fn ones(shape: impl Into<Shape>) -> Self {
        Self::full(shape, 1.0f32)
    }

    /// An array of dtype `dtype` from its bits, one word an element.
    pub(crate) fn from_words(shape: impl Into<Shape>, dtype: DType, words: Vec<u32>) -> Self {
        let data = match dtype {
            DType::F32 => Data::F32(bytemuck::cast_vec(words)),
            DType::I32 => Data::I32(bytemuck::cast_vec(words)),
            DType::U32 => Data::U32(words),
            DType::Bool => Data::Bool(words),
        };
        Self {
            shape: shape.into(),
            data,
        }
    }

    /// Its bits, one word an element.
    pub(crate) fn words(&self) -> &[u32] {
        match &self.data {
            Data::F32(v) => bytemuck::cast_slice(v),
            Data::I32(v) => bytemuck::cast_slice(v),
            Data::U32(v) | Data::Bool(v) => v,
        }
    }

    /// The sizes of its dimensions.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        match &self.data {
            Data::F32(_) => DType::F32,
            Data::I32(_) => DType::I32,
            Data::U32(_) => DType::U32,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.shape.numel()
    }

    /// Its elements in row-major order.
    ///
    /// # Errors
    /// [`Error::Argument`] where `T` is not the array's dtype.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        let fits =
            T::DTYPE == self.dtype() || (T::DTYPE == DType::U32 && self.dtype() == DType::Bool);
        if fits {
            Ok(bytemuck::cast_slice(self.words()))
        } else {
            Err(Error::argument(format!(
                "the array {} holds {}, not {}",
                self.shape,
                self.dtype(),
                T::DTYPE
            )))
        }
    }

    /// The elements as `f32`, whatever the dtype.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::I32(v) => v.iter().map(|&x| x as f32).collect(),
            Data::U32(v) | Data::Bool(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The one element of an array that has one, as PyTorch's `item()`; NaN where it has more or none.
    pub fn item(&self) -> f32 {
        if self.numel() != 1 {
            return f32::NAN;
        }
        match &self.data {
            Data::F32(v) => v[0],
            Data::I32(v) => v[0] as f32,
            Data::U32(v) | Data::Bool(v) => v[0] as f32,
        }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`Error::Argument`] where the number of elements differs.
    pub fn reshape(mut self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.numel() != self.numel() {
            return Err(Error::argument(format!(
                "an array {} cannot be reshaped to {shape}",
                self.shape
            )));
        }
        self.shape = shape;
        Ok(self)
    }
}
