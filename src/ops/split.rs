//! `chunk`, `split`: pieces of a dimension.

use crate::error::Site;
use crate::tensor::Tensor;

impl Tensor {
    /// `chunks` pieces of dimension `dim`, the last one smaller where they do not divide it: `torch.chunk`.
    #[track_caller]
    pub fn chunk(&self, chunks: usize, dim: isize) -> Vec<Tensor> {
        let site = Site::here();
        let Some(d) = self.dim("chunk", dim, site) else {
            return Vec::new();
        };
        if chunks == 0 {
            self.trace()
                .misuse("chunk", "takes at least 1 chunk, 0 came", site);
            return Vec::new();
        }
        self.split(self.shape()[d].div_ceil(chunks).max(1), dim)
    }

    /// Pieces of `split_size` along dimension `dim`, the last one smaller where it does not divide it: `torch.split`.
    #[track_caller]
    pub fn split(&self, split_size: usize, dim: isize) -> Vec<Tensor> {
        let site = Site::here();
        let Some(d) = self.dim("split", dim, site) else {
            return Vec::new();
        };
        if split_size == 0 {
            self.trace()
                .misuse("split", "takes pieces of at least 1, 0 came", site);
            return Vec::new();
        }
        let n = self.shape()[d];
        let piece = |start| self.narrow(d as isize, start, split_size.min(n - start));
        (0..n).step_by(split_size).map(piece).collect()
    }

    /// Pieces of these sizes along dimension `dim`: `torch.split` with a list.
    #[track_caller]
    pub fn split_with_sizes(&self, sizes: &[usize], dim: isize) -> Vec<Tensor> {
        let site = Site::here();
        let Some(d) = self.dim("split_with_sizes", dim, site) else {
            return Vec::new();
        };
        let (n, sum) = (self.shape()[d], sizes.iter().sum::<usize>());
        if sum != n {
            let message = format!("{sizes:?} of a dimension of {n}: the sizes add up to {sum}");
            self.trace().misuse("split_with_sizes", message, site);
            return Vec::new();
        }
        let piece = |start: &mut usize, &size: &usize| {
            *start += size;
            Some(self.narrow(d as isize, *start - size, size))
        };
        sizes.iter().scan(0, piece).collect()
    }
}
