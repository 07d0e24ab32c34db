//! What becomes of the losses of single samples.

use crate::tensor::Tensor;

/// How losses of single samples or elements are combined, as PyTorch's `reduction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Each is kept.
    None,
}

impl Reduction {
    /// `losses` combined.
    #[track_caller]
    pub fn of(self, losses: &Tensor) -> Tensor {
        match self {
            Self::Mean => losses.mean(&[], false),
            Self::Sum => losses.sum(&[], false),
            Self::None => losses.clone(),
        }
    }

    /// `losses` combined, their mean being their sum divided by the sum of `weights`.
    #[track_caller]
    pub(crate) fn weighted(self, losses: &Tensor, weights: &Tensor) -> Tensor {
        match self {
            Self::Mean => losses.sum(&[], false).div(&weights.sum(&[], false)),
            _ => self.of(losses),
        }
    }
}
