//! Operators that are compositions of others.

use crate::DType;
use crate::error::Site;
use crate::ops::map::{map, operand};
use crate::scalar::Expr;
use crate::tensor::{Limit, Tensor};

impl Tensor {
    /// 1 at the class that each element of `self` `[…]` (`i32`) names, 0 at the others: `f32` `[…, classes]`. As
    /// `torch.nn.functional.one_hot`, but for the dtype.
    ///
    /// A class that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        let site = Site::here();
        if self.dtype() != DType::I32 && !self.is_poisoned() {
            let message = format!(
                "takes i32 classes, {} came: convert with to(DType::I32)",
                self.ty()
            );
            return self.trace().misuse("one_hot", message, site);
        }
        let limit = Limit::below(classes, "classes");
        self.trace().require_range("one_hot", self, limit, site);
        let column = self.unsqueeze(-1);
        let row = self.trace().arange(classes);
        let expr = operand(&column, 0).equals(&operand(&row, 1)).to_f32();
        map("one_hot", expr, &[&column, &row], site)
    }

    /// The variance over `dims` (empty means all): the sum of squared distances from the mean, divided by the number of
    /// elements less `correction` (1 for the estimate from a sample). As `torch.var`.
    #[track_caller]
    pub fn var(&self, dims: &[isize], correction: usize, keepdim: bool) -> Tensor {
        let squares = self.sub(&self.mean(dims, true)).square().sum(dims, keepdim);
        let n = self.numel() / squares.numel().max(1);
        squares.mul_scalar(1.0 / n.saturating_sub(correction) as f32)
    }

    /// The square root of [`Tensor::var`]; its gradient is 0 where it is 0. As `torch.std`.
    #[track_caller]
    pub fn std(&self, dims: &[isize], correction: usize, keepdim: bool) -> Tensor {
        self.var(dims, correction, keepdim).root(Site::here())
    }

    /// The Euclidean norm over `dims` (empty means all); its gradient is 0 where it is 0. As `torch.linalg.vector_norm`.
    #[track_caller]
    pub fn norm(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.square().sum(dims, keepdim).root(Site::here())
    }

    /// The square root, with the gradient 0 at 0.
    fn root(&self, site: Site) -> Tensor {
        let x = operand(self, 0);
        let zero = x.equals(&Expr::lit(0.0));
        let safe = zero.select(&Expr::lit(1.0), &x).sqrt();
        map("root", zero.select(&Expr::lit(0.0), &safe), &[self], site)
    }

    /// The mean of `self` `[n, t, c]` over the steps where `mask` `[n, t]` is 1, `[n, c]`: what a padded sequence's valid
    /// steps average to. Each row of `mask` must have a 1.
    #[track_caller]
    pub fn masked_mean(&self, mask: &Tensor) -> Tensor {
        if let Some(poison) = self.unmasked("masked_mean", mask, Site::here()) {
            return poison;
        }
        let mask = &mask.to_f32();
        let sum = self.mul(&mask.unsqueeze(-1)).sum(&[1], false);
        sum.div(&mask.sum(&[1], true))
    }

    /// The largest of `self` `[n, t, c]` over the steps where `mask` `[n, t]` is 1, `[n, c]`; where there are none the
    /// negative infinity.
    #[track_caller]
    pub fn masked_max(&self, mask: &Tensor) -> Tensor {
        let site = Site::here();
        if let Some(poison) = self.unmasked("masked_max", mask, site) {
            return poison;
        }
        let mask = mask.unsqueeze(-1);
        let kept = operand(&mask, 1).cast(DType::Bool);
        let expr = kept.select(&operand(self, 0), &Expr::lit(f32::NEG_INFINITY));
        map("masked_max", expr, &[self, &mask], site).amax(&[1], false)
    }

    /// For lengths `self` `i32` `[n]` of sequences in a batch of `steps` steps: 1 at the steps within each, 0 past them,
    /// `f32` `[n, steps]`. What [`Tensor::masked_mean`] and [`Tensor::masked_max`] take.
    ///
    /// A length above `steps` is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn length_mask(&self, steps: usize) -> Tensor {
        let site = Site::here();
        if (self.dtype() != DType::I32 || self.rank() != 1) && !self.is_poisoned() {
            let message = format!("takes lengths i32 [n], {} came", self.ty());
            return self.trace().misuse("length_mask", message, site);
        }
        let limit = Limit::below(steps.saturating_add(1), "lengths");
        self.trace().require_range("length_mask", self, limit, site);
        let (length, step) = (self.unsqueeze(-1), self.trace().arange(steps));
        let expr = operand(&step, 1).less(&operand(&length, 0)).to_f32();
        map("length_mask", expr, &[&length, &step], site)
    }

    /// Keep the misuse of a `mask` that is not `[n, t]` for `self` `[n, t, c]`.
    fn unmasked(&self, op: &str, mask: &Tensor, site: Site) -> Option<Tensor> {
        if self.is_poisoned() || mask.is_poisoned() {
            return Some(self.trace().poison());
        }
        let fits = self.rank() == 3 && mask.shape()[..] == self.shape()[..2];
        let message = || {
            format!(
                "{} with a mask {}: takes [n, t, c] and a mask [n, t]",
                self.ty(),
                mask.ty()
            )
        };
        (!fits || !self.dtype().is_float()).then(|| self.trace().misuse(op, message(), site))
    }

    /// The first half of `dim` times the sigmoid of the second: `torch.nn.functional.glu` (Dauphin et al., 2016).
    #[track_caller]
    pub fn glu(&self, dim: isize) -> Tensor {
        let site = Site::here();
        let Some(d) = self.dim("glu", dim, site) else {
            return self.trace().poison();
        };
        let n = self.shape()[d];
        if !n.is_multiple_of(2) {
            let message = format!("{}: dimension {d} of size {n} has no halves", self.shape());
            return self.trace().misuse("glu", message, site);
        }
        let half = |k: usize| self.narrow(d as isize, k * n / 2, n / 2);
        half(0).mul(&half(1).sigmoid())
    }

    /// The cosine of the angle between `self` and `other` (broadcast) along `dim`, each norm being at least `eps`:
    /// `torch.nn.functional.cosine_similarity`, where `dim` is 1 and `eps` 1e-8 by default.
    #[track_caller]
    pub fn cosine_similarity(&self, other: &Tensor, dim: isize, eps: f32) -> Tensor {
        let both = self.shape().broadcast(other.shape());
        let (a, b) = match both {
            Some(shape) => (self.expand(shape.clone()), other.expand(shape)),
            None => (self.clone(), other.clone()),
        };
        let norm = |t: &Tensor| t.norm(&[dim], false).clamp(eps, f32::INFINITY);
        let product = a.mul(&b).sum(&[dim], false);
        product.div(&norm(&a).mul(&norm(&b)))
    }
}
