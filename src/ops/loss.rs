//! Losses of regression: compositions of elementwise operators and a reduction.

use crate::ops::reduction::Reduction;
use crate::tensor::Tensor;

impl Tensor {
    /// The squared difference of each element from `target` (broadcast), combined: `torch.nn.functional.mse_loss`.
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        reduction.of(&self.sub(target).square())
    }

    /// The distance of each element from `target` (broadcast), combined: `torch.nn.functional.l1_loss`.
    #[track_caller]
    pub fn l1_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        reduction.of(&self.sub(target).abs())
    }
}
