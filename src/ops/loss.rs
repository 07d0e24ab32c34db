//! Losses of regression, of rankings and margins, between distributions: compositions of elementwise operators and a
//! reduction.
//!
//! Each is written so that infinities and NaN give what PyTorch gives, gradients included.

use crate::DType;
use crate::error::Site;
use crate::ops::map::{map, operand};
use crate::ops::reduction::Reduction;
use crate::scalar::Expr;
use crate::tensor::Tensor;

/// The map of `f` over f32 `inputs`, broadcast.
pub(crate) fn pointwise(
    name: &'static str,
    inputs: &[&Tensor],
    f: impl FnOnce(&[Expr]) -> Expr,
    site: Site,
) -> Tensor {
    let poisoned = inputs.iter().any(|t| t.is_poisoned());
    let other = inputs.iter().find(|t| t.dtype() != DType::F32);
    if let (Some(t), false) = (other, poisoned) {
        let message = format!("takes f32, {} came: convert with to_f32()", t.ty());
        return t.trace().misuse(name, message, site);
    }
    let loads: Vec<Expr> = (0..inputs.len()).map(|k| operand(inputs[k], k)).collect();
    map(name, f(&loads), inputs, site)
}

fn lit(value: f32) -> Expr {
    Expr::lit(value)
}

/// `m (|d| - m / 2)` where `m` is `|d|` held below `delta`: quadratic below it, linear above. The clamp passes or stops
/// gradients without multiplying, so that an infinite distance has a finite gradient.
fn huber(d: &Expr, delta: f32) -> Expr {
    let (distance, held) = (d.abs(), d.abs().clamp(0.0, delta));
    &held * &(&distance - &(&held * &lit(0.5)))
}

impl Tensor {
    /// Poison, where `target` would stretch `self`: `[n, 1]` and `[n]` would be compared as all pairs, `[n, n]`.
    fn stretched(&self, op: &str, target: &Tensor, site: Site) -> Option<Tensor> {
        if self.is_poisoned() || target.is_poisoned() {
            return Some(self.trace().poison());
        }
        if self.dtype() != target.dtype() {
            return None; // which the loss itself tells
        }
        let both = self.shape().broadcast(target.shape());
        (both.as_ref() != Some(self.shape())).then(|| {
            let message = format!(
                "takes a target of the shape of the predictions {}, or one that is repeated to it; {} came",
                self.shape(),
                target.shape()
            );
            self.trace().misuse(op, message, site)
        })
    }

    /// The squared difference of each element from `target` (repeated to this shape), combined: `torch.nn.functional.mse_loss`.
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        match self.stretched("mse_loss", target, Site::here()) {
            Some(poison) => poison,
            None => reduction.of(&self.sub(target).square()),
        }
    }

    /// The distance of each element from `target` (repeated to this shape), combined: `torch.nn.functional.l1_loss`.
    #[track_caller]
    pub fn l1_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        match self.stretched("l1_loss", target, Site::here()) {
            Some(poison) => poison,
            None => reduction.of(&self.sub(target).abs()),
        }
    }

    /// `d² / (2 beta)` where the distance `d` from `target` (repeated to this shape) is below `beta`, `d - beta / 2` elsewhere,
    /// combined: `torch.nn.functional.smooth_l1_loss`, where `beta` is 1 by default. With 0 it is [`Tensor::l1_loss`].
    #[track_caller]
    pub fn smooth_l1_loss(&self, target: &Tensor, beta: f32, reduction: Reduction) -> Tensor {
        let site = Site::here();
        if beta.is_nan() || beta < 0.0 {
            let message = format!("takes a beta of 0 or more, {beta} came");
            return self.trace().misuse("smooth_l1_loss", message, site);
        }
        if let Some(poison) = self.stretched("smooth_l1_loss", target, site) {
            return poison;
        }
        let f = |x: &[Expr]| match &x[0] - &x[1] {
            d if beta == 0.0 => d.abs(),
            d => &huber(&d, beta) * &lit(1.0 / beta),
        };
        reduction.of(&pointwise("smooth_l1_loss", &[self, target], f, site))
    }

    /// `d² / 2` where the distance `d` from `target` (repeated to this shape) is at most `delta`, `delta (d - delta / 2)` elsewhere,
    /// combined: `torch.nn.functional.huber_loss`, where `delta` is 1 by default.
    #[track_caller]
    pub fn huber_loss(&self, target: &Tensor, delta: f32, reduction: Reduction) -> Tensor {
        let site = Site::here();
        if delta.is_nan() || delta <= 0.0 {
            let message = format!("takes a delta above 0, {delta} came");
            return self.trace().misuse("huber_loss", message, site);
        }
        if let Some(poison) = self.stretched("huber_loss", target, site) {
            return poison;
        }
        let f = |x: &[Expr]| huber(&(&x[0] - &x[1]), delta);
        reduction.of(&pointwise("huber_loss", &[self, target], f, site))
    }

    /// The squared difference of `log(1 + x)` and `log(1 + target)` (repeated to this shape), both arguments held at 1e-7 or
    /// above, combined: Keras's `mean_squared_logarithmic_error`.
    #[track_caller]
    pub fn msle_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let site = Site::here();
        if let Some(poison) = self.stretched("msle_loss", target, site) {
            return poison;
        }
        let log = |x: &Expr| x.clamp(1e-7, f32::INFINITY).log1p();
        let f = |x: &[Expr]| (&log(&x[0]) - &log(&x[1])).square();
        reduction.of(&pointwise("msle_loss", &[self, target], f, site))
    }

    /// The divergence of the distribution `target` from that whose logarithms `self` is, combined:
    /// `torch.nn.functional.kl_div`. With `log_target` the target holds logarithms too. PyTorch's `batchmean`, the
    /// divergence itself, is [`Reduction::BatchMean`].
    #[track_caller]
    pub fn kl_div(&self, target: &Tensor, log_target: bool, reduction: Reduction) -> Tensor {
        let f = |x: &[Expr]| {
            let (input, target) = (&x[0], &x[1]);
            if log_target {
                return &target.exp() * &(target - input);
            }
            let one = target.equals(&lit(0.0)).select(&lit(1.0), target);
            &(target * &one.log()) - &(target * input)
        };
        reduction.of(&pointwise("kl_div", &[self, target], f, Site::here()))
    }

    /// For `target` 1 the element itself, for -1 what it lacks to `margin`, combined:
    /// `torch.nn.functional.hinge_embedding_loss`, where `margin` is 1 by default.
    #[track_caller]
    pub fn hinge_embedding_loss(
        &self,
        target: &Tensor,
        margin: f32,
        reduction: Reduction,
    ) -> Tensor {
        let f = |x: &[Expr]| {
            let (input, target) = (&x[0], &x[1]);
            let lacks = (&lit(margin) - input).clamp(0.0, f32::INFINITY);
            let apart = target.equals(&lit(1.0)).select(&lit(0.0), &lacks);
            let alike = target.equals(&lit(-1.0)).select(&lit(0.0), input);
            &apart + &alike
        };
        let site = Site::here();
        reduction.of(&pointwise("hinge_embedding_loss", &[self, target], f, site))
    }

    /// `max(0, margin - target (self - other))`, `target` being 1 where `self` should rank higher and -1 where `other`
    /// should, combined: `torch.nn.functional.margin_ranking_loss`, where `margin` is 0 by default.
    #[track_caller]
    pub fn margin_ranking_loss(
        &self,
        other: &Tensor,
        target: &Tensor,
        margin: f32,
        reduction: Reduction,
    ) -> Tensor {
        let f = |x: &[Expr]| {
            let lacks = &lit(margin) - &(&x[2] * &(&x[0] - &x[1]));
            lacks.clamp(0.0, f32::INFINITY)
        };
        let inputs = [self, other, target];
        reduction.of(&pointwise("margin_ranking_loss", &inputs, f, Site::here()))
    }

    /// `log(1 + exp(-target x))`, `target` being 1 or -1, combined: `torch.nn.functional.soft_margin_loss`, without its
    /// overflow.
    #[track_caller]
    pub fn soft_margin_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let f = |x: &[Expr]| -&(&x[0] * &x[1]).log_sigmoid();
        reduction.of(&pointwise(
            "soft_margin_loss",
            &[self, target],
            f,
            Site::here(),
        ))
    }

    /// `1 - cos` for `target` 1, `max(0, cos - margin)` for -1, where `cos` is that of the angle between `self` and
    /// `other` `[n, d]` (or `[d]`), `target` `[n]` (or `[]`), combined: `torch.nn.functional.cosine_embedding_loss`, where
    /// `margin` is 0 by default.
    #[track_caller]
    pub fn cosine_embedding_loss(
        &self,
        other: &Tensor,
        target: &Tensor,
        margin: f32,
        reduction: Reduction,
    ) -> Tensor {
        let site = Site::here();
        let poisoned = [self, other, target].iter().any(|t| t.is_poisoned());
        let rank = self.rank();
        let fits = (rank == 1 || rank == 2)
            && self.shape() == other.shape()
            && target.shape()[..] == self.shape()[..rank - 1];
        if !fits && !poisoned {
            let message = format!(
                "{} and {} with targets {}: takes two [n, d] and [n], or two [d] and []",
                self.shape(),
                other.shape(),
                target.shape()
            );
            return self.trace().misuse("cosine_embedding_loss", message, site);
        }
        let dot = |a: &Tensor, b: &Tensor| a.mul(b).sum(&[-1], false);
        let (ab, aa, bb) = (dot(self, other), dot(self, self), dot(other, other));
        let f = |x: &[Expr]| {
            let (aa, bb) = (&x[1] + &lit(1e-12), &x[2] + &lit(1e-12));
            let cos = &x[0] / &(&aa * &bb).sqrt();
            let alike = &lit(1.0) - &cos;
            let apart = (&cos - &lit(margin)).clamp(0.0, f32::INFINITY);
            let apart = x[3].equals(&lit(-1.0)).select(&apart, &lit(0.0));
            x[3].equals(&lit(1.0)).select(&alike, &apart)
        };
        let inputs = [&ab, &aa, &bb, target];
        reduction.of(&pointwise("cosine_embedding_loss", &inputs, f, site))
    }

    /// For scores `self` `[n, c]` and class labels `target` i32 `[n]`: `max(0, margin - x[target] + x[j])^p`, summed over
    /// the other classes `j` and divided by `c`, combined: `torch.nn.functional.multi_margin_loss`, where `p` is 1 or 2
    /// and 1 by default, `margin` 1.
    #[track_caller]
    pub fn multi_margin_loss(
        &self,
        target: &Tensor,
        p: u32,
        margin: f32,
        reduction: Reduction,
    ) -> Tensor {
        let site = Site::here();
        let wrong = |message: String| self.trace().misuse("multi_margin_loss", message, site);
        if self.is_poisoned() || target.is_poisoned() {
            return self.trace().poison();
        }
        let labels = target.dtype() == DType::I32 && target.shape()[..] == [self.size(0)];
        if self.rank() != 2 || !labels {
            return wrong(format!(
                "{} with targets {}: takes scores f32 [n, classes] and labels i32 [n]",
                self.ty(),
                target.ty()
            ));
        }
        if !(1..=2).contains(&p) {
            return wrong(format!("takes a p of 1 or 2, {p} came"));
        }
        let classes = self.shape()[1];
        let own = target.one_hot(classes);
        let chosen = self.gather(1, &target.unsqueeze(-1));
        let f = |x: &[Expr]| {
            let lacks = &(&lit(margin) - &x[1]) + &x[0];
            // Of NaN there is no loss, as PyTorch has it.
            let lacks = lacks
                .greater(&lit(0.0))
                .select(&lacks, &lit(0.0))
                .pow_scalar(p as f32);
            x[2].equals(&lit(1.0)).select(&lit(0.0), &lacks)
        };
        let each = pointwise("multi_margin_loss", &[self, &chosen, &own], f, site);
        reduction.of(&each.mean(&[1], false))
    }
}
