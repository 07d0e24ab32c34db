//! What becomes of the losses of single samples.

use crate::error::Site;
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
    /// Their sum divided by the size of the first dimension: `batchmean` of PyTorch's `kl_div`.
    BatchMean,
}

impl Reduction {
    /// `losses` combined.
    #[track_caller]
    pub fn of(self, losses: &Tensor) -> Tensor {
        match self {
            Self::Mean => losses.mean(&[], false),
            Self::Sum => losses.sum(&[], false),
            Self::None => losses.again(Site::here()),
            Self::BatchMean => {
                let n = losses.shape().first().copied().unwrap_or(1);
                let mean = losses.sum(&[], false).mul_scalar(1.0 / n as f32);
                losses.trace().mean_over(&mean, n);
                mean
            }
        }
    }

    /// `losses` combined, their mean being their sum divided by the sum of `weights`.
    #[track_caller]
    pub(crate) fn weighted(self, losses: &Tensor, weights: &Tensor) -> Tensor {
        match self {
            Self::Mean => {
                let (total, items) = (losses.sum(&[], false), weights.sum(&[], false));
                let mean = total.div(&items);
                losses.trace().mean_over_counted(&mean, &items);
                mean
            }
            _ => self.of(losses),
        }
    }
}
