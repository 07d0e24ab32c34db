//! Other sizes, by interpolation.

use super::look::{Python, short};
use super::{Build, Module};
use crate::ops::interpolate::{InterpolateMode, InterpolateOptions};
use crate::ops::window::Spatial;
use crate::state::Params;
use crate::tensor::Tensor;

/// `x [n, c, sizes…]` at other sizes, as `torch.nn.Upsample`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upsample(InterpolateOptions);

impl Upsample {
    /// To `factor` times the size, by the nearest element.
    pub fn scale(factor: f64) -> Self {
        Self(InterpolateOptions::scale(factor))
    }

    /// To this size, one number for all spatial dimensions or one for each, by the nearest element.
    pub fn size(size: impl Into<Spatial>) -> Self {
        Self(InterpolateOptions::size(size))
    }

    /// In this way.
    pub fn mode(self, mode: InterpolateMode) -> Self {
        Self(self.0.mode(mode))
    }

    /// Whether the corner elements' centres lie on each other; false by default.
    pub fn align_corners(self, align: bool) -> Self {
        Self(self.0.align_corners(align))
    }
}

impl Upsample {
    fn detail(&self) -> String {
        let o = &self.0;
        let size = match (&o.size, o.scale_factor.as_deref()) {
            (Some(size), _) => format!("size={}", short(size)),
            (_, Some([factor])) => format!("scale_factor={factor:?}"),
            (_, Some(factors)) => format!("scale_factor={factors:?}"),
            _ => String::new(),
        };
        format!("{size}, mode={}", o.mode.python())
    }
}

impl Build for Upsample {
    type Layer = Self;

    fn build(self, params: &Params) -> Self {
        params.built("Upsample", self.detail(), false);
        self
    }
}

/// As PyTorch prints it.
impl std::fmt::Display for Upsample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upsample({})", self.detail())
    }
}

impl Module for Upsample {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.interpolate(&self.0)
    }
}
