//! Element types.

use std::fmt;

/// The type of a tensor's elements. Each takes four bytes on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 32-bit signed integer: class labels, token ids, indices.
    I32,
    /// 32-bit unsigned integer.
    U32,
    /// A truth value, held as a `u32` of 0 or 1.
    Bool,
}

impl DType {
    /// Bytes of one element on the device.
    pub const SIZE: usize = 4;

    /// Whether gradients flow through values of this type.
    pub fn is_float(self) -> bool {
        self == Self::F32
    }

    /// The type of a storage buffer's elements in WGSL.
    pub fn wgsl(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::U32 | Self::Bool => "u32",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::Bool => "bool",
        })
    }
}
