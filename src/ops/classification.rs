//! Losses of classifiers: `cross_entropy`, `nll_loss`, with PyTorch's options.

use crate::DType;
use crate::error::Site;
use crate::ops::cross_entropy::{CrossEntropy, with, without};
use crate::ops::map::{map, operand};
use crate::ops::reduction::Reduction;
use crate::scalar::Expr;
use crate::shape::Shape;
use crate::tensor::{Limit, Tensor};
use std::sync::Arc;

/// Options of [`Tensor::cross_entropy_with`] and [`Tensor::nll_loss_with`].
#[derive(Debug, Clone)]
pub struct CrossEntropyOptions {
    /// How the losses of samples are combined; the mean divides by the sum of the weights of the samples' classes.
    pub reduction: Reduction,
    /// The label of samples without a loss; -100 by default.
    pub ignore_index: i32,
    /// The share of each target, from 0 to 1, that goes to all classes alike; 0 by default.
    pub label_smoothing: f32,
    /// A weight for each class, `[c]`.
    pub weight: Option<Tensor>,
}

impl Default for CrossEntropyOptions {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            ignore_index: -100,
            label_smoothing: 0.0,
            weight: None,
        }
    }
}

impl Tensor {
    /// The mean cross entropy of logits `self` `[n, c, …]` (or `[c]`) with `target`: class labels `i32` `[n, …]`, of which
    /// -100 is ignored, or probabilities `f32` in the shape of the logits. As `torch.nn.functional.cross_entropy`.
    ///
    /// A label that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn cross_entropy(&self, target: &Tensor) -> Tensor {
        self.cross_entropy_with(target, &CrossEntropyOptions::default())
    }

    /// [`Tensor::cross_entropy`] with options.
    #[track_caller]
    pub fn cross_entropy_with(&self, target: &Tensor, options: &CrossEntropyOptions) -> Tensor {
        let site = Site::here();
        let dim = match self.classes("cross_entropy", target, options, site) {
            Ok(dim) => dim,
            Err(poison) => return poison,
        };
        let smoothing = options.label_smoothing;
        let share = smoothing / self.shape()[dim] as f32;
        let weight = options.weight.as_ref().map(|w| along(w, self.rank(), dim));
        let weighted = |t: Tensor| weight.as_ref().map_or_else(|| t.clone(), |w| t.mul(w));
        if target.dtype() == DType::F32 {
            let target = if smoothing > 0.0 {
                target.mul_scalar(1.0 - smoothing).add_scalar(share)
            } else {
                target.clone()
            };
            let losses = weighted(self.log_softmax(dim as isize).mul(&target));
            return options
                .reduction
                .of(&losses.sum(&[dim as isize], false).neg());
        }
        let op = CrossEntropy {
            dim,
            ignore_index: options.ignore_index,
        };
        let [losses, largest, log_sum] =
            &self.trace().push(Arc::new(op), &[self, target], site)[..]
        else {
            return self.trace().poison();
        };
        let weights = target.weights(options);
        let mut losses = if weight.is_some() {
            losses.mul(&weights)
        } else {
            losses.clone()
        };
        if smoothing > 0.0 {
            let wide = |t: &Tensor| t.reshape_to(with(t.shape(), dim, 1));
            let lacks = wide(&largest.detach()).sub(self).add(&wide(log_sum));
            let even = weighted(lacks).sum(&[dim as isize], false);
            let kept = target.kept(&even, options);
            losses = losses
                .mul_scalar(1.0 - smoothing)
                .add(&kept.mul_scalar(share));
        }
        options.reduction.weighted(&losses, &weights)
    }

    /// The mean of what logarithms of probabilities `self` `[n, c, …]` (or `[c]`) lack at the class labels `target` `i32`
    /// `[n, …]`, of which -100 is ignored: `torch.nn.functional.nll_loss`.
    ///
    /// A label that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn nll_loss(&self, target: &Tensor) -> Tensor {
        self.nll_loss_with(target, &CrossEntropyOptions::default())
    }

    /// [`Tensor::nll_loss`] with options; there is no label smoothing.
    #[track_caller]
    pub fn nll_loss_with(&self, target: &Tensor, options: &CrossEntropyOptions) -> Tensor {
        let site = Site::here();
        let dim = match self.classes("nll_loss", target, options, site) {
            Ok(dim) => dim,
            Err(poison) => return poison,
        };
        if options.label_smoothing != 0.0 || target.dtype() != DType::I32 {
            let message = "takes labels i32 and no label smoothing: cross_entropy has both";
            return self.trace().misuse("nll_loss", message, site);
        }
        let index = target.reshape_to(with(target.shape(), dim, 1));
        let chosen = self
            .gathered(dim, &index, site)
            .reshape_to(target.shape().clone());
        let weights = target.weights(options);
        let losses = target.kept(&chosen.mul(&weights).neg(), options);
        options.reduction.weighted(&losses, &weights)
    }

    /// The dimension of the classes, where target and options fit.
    fn classes(
        &self,
        op: &str,
        target: &Tensor,
        options: &CrossEntropyOptions,
        site: Site,
    ) -> Result<usize, Tensor> {
        let weight = options.weight.as_ref();
        if self.is_poisoned() || target.is_poisoned() || weight.is_some_and(Tensor::is_poisoned) {
            return Err(self.trace().poison());
        }
        let wrong = |message: String| Err(self.trace().misuse(op, message, site));
        if self.rank() == 0 || !self.dtype().is_float() {
            return wrong(format!("takes f32 [n, classes, ...], {} came", self.ty()));
        }
        let dim = usize::from(self.rank() > 1);
        let labels: Shape = without(self.shape(), dim);
        let fits = match target.dtype() {
            DType::I32 => *target.shape() == labels,
            DType::F32 => target.shape() == self.shape(),
            _ => false,
        };
        if !fits {
            return wrong(format!(
                "{} with targets {}: takes labels i32 {labels} or probabilities f32 {}",
                self.ty(),
                target.ty(),
                self.shape()
            ));
        }
        let classes = self.shape()[dim];
        if let Some(w) = weight.filter(|w| w.shape()[..] != [classes] || !w.dtype().is_float()) {
            return wrong(format!(
                "{}: takes a weight f32 [{classes}], {} came",
                self.shape(),
                w.ty()
            ));
        }
        if !(0.0..=1.0).contains(&options.label_smoothing) {
            return wrong(format!(
                "takes a label smoothing from 0 to 1, {} came",
                options.label_smoothing
            ));
        }
        if target.dtype() == DType::I32 {
            let limit = Limit {
                except: Some(options.ignore_index),
                ..Limit::below(classes, "class labels")
            };
            self.trace().require_range(op, target, limit, site);
        }
        Ok(dim)
    }

    /// For labels `self`: the weight of each one's class, 0 for those that are ignored.
    fn weights(&self, options: &CrossEntropyOptions) -> Tensor {
        match &options.weight {
            None => self.kept(&self.trace().scalar(1.0), options),
            Some(w) => {
                let flat = self.reshape_to([self.numel()].into());
                let chosen = w
                    .selected(&flat, Site::here())
                    .reshape_to(self.shape().clone());
                self.kept(&chosen, options)
            }
        }
    }

    /// For labels `self`: `values`, 0 at those that are ignored.
    fn kept(&self, values: &Tensor, options: &CrossEntropyOptions) -> Tensor {
        let ignore = Expr::constant(options.ignore_index as u32, DType::I32);
        let ignored = operand(self, 0).equals(&ignore);
        let expr = ignored.select(&Expr::lit(0.0), &operand(values, 1));
        map("ignore_index", expr, &[self, values], Site::here())
    }
}

/// `t` `[c]` as dimension `dim` of `rank`.
fn along(t: &Tensor, rank: usize, dim: usize) -> Tensor {
    let mut shape = vec![1; rank];
    shape[dim] = t.numel();
    t.reshape_to(shape.into())
}
