//! `repeat`, `repeat_interleave`: copies along dimensions.

use crate::error::Site;
use crate::shape::Shape;
use crate::tensor::Tensor;

impl Tensor {
    /// `times[d]` copies one after the other along each dimension; further numbers in front are of new dimensions. As
    /// `torch.Tensor.repeat`.
    #[track_caller]
    pub fn repeat(&self, times: &[usize]) -> Tensor {
        let site = Site::here();
        let Some(new) = times.len().checked_sub(self.rank()) else {
            let message = format!(
                "{times:?} of {}: takes a number for each dimension",
                self.ty()
            );
            return self.trace().misuse("repeat", message, site);
        };
        let sizes = || std::iter::repeat_n(1, new).chain(self.shape().iter().copied());
        let both = || times.iter().copied().zip(sizes());
        let whole = both().map(|(t, n)| t.saturating_mul(n)).collect();
        self.reshape_to(sizes().flat_map(|n| [1, n]).collect())
            .expand(both().flat_map(|(t, n)| [t, n]).collect::<Shape>())
            .reshape_to(whole)
    }

    /// Each element along dimension `dim` `repeats` times in a row: `torch.repeat_interleave`.
    #[track_caller]
    pub fn repeat_interleave(&self, repeats: usize, dim: isize) -> Tensor {
        let site = Site::here();
        let Some(d) = self.dim("repeat_interleave", dim, site) else {
            return self.trace().poison();
        };
        let mut spread = self.shape().to_vec();
        spread.insert(d + 1, repeats);
        let mut all = self.shape().to_vec();
        all[d] = all[d].saturating_mul(repeats);
        self.unsqueeze(d as isize + 1)
            .expand(spread)
            .reshape_to(all.into())
    }
}
