//! `binary_cross_entropy` and its form on logits, as PyTorch's.

use crate::error::Site;
use crate::graph::TensorType;
use crate::op::{Kind, OpDef};
use crate::ops::loss::pointwise;
use crate::ops::reduction::Reduction;
use crate::scalar::Expr;
use crate::tensor::{Tensor, Vjp};
use std::sync::Arc;

/// `-(t log x + (1 - t) log(1 - x))` with logarithms of -100 or more. It is a map with a gradient of its own: at 0 and 1
/// the clamped logarithms have none, where PyTorch's has `(x - t) / 1e-12`.
#[derive(Debug)]
struct BinaryCrossEntropy {
    expr: Expr,
}

/// Options of [`Tensor::binary_cross_entropy`] and [`Tensor::binary_cross_entropy_with_logits`].
#[derive(Debug, Clone, Default)]
pub struct BinaryCrossEntropyOptions {
    /// How the losses of elements are combined.
    pub reduction: Reduction,
    /// A weight for each element, broadcast.
    pub weight: Option<Tensor>,
    /// For logits: a weight of positive targets, broadcast, `[classes]` as a rule.
    pub pos_weight: Option<Tensor>,
}

impl From<Reduction> for BinaryCrossEntropyOptions {
    fn from(reduction: Reduction) -> Self {
        Self {
            reduction,
            ..Self::default()
        }
    }
}

fn clamped_log(x: &Expr) -> Expr {
    x.log().maximum(&Expr::lit(-100.0))
}

fn clamped_log_of_rest(x: &Expr) -> Expr {
    (-x).log1p().maximum(&Expr::lit(-100.0))
}

impl BinaryCrossEntropy {
    fn new() -> Self {
        let (x, t) = (Expr::arg(1), Expr::arg(2));
        let rest = &(&t - &Expr::lit(1.0)) * &clamped_log_of_rest(&x);
        Self {
            expr: &rest - &(&t * &clamped_log(&x)),
        }
    }
}

impl OpDef for BinaryCrossEntropy {
    fn name(&self) -> &'static str {
        "binary_cross_entropy"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Map(&self.expr)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![inputs[0].clone()])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (x, t, grad) = (&g.inputs[0], &g.inputs[1], g.grad(0));
        let by_input = |e: &[Expr]| {
            let spread = (&(&Expr::lit(1.0) - &e[0]) * &e[0]).maximum(&Expr::lit(1e-12));
            &(&e[2] * &(&e[0] - &e[1])) / &spread
        };
        let by_target = |e: &[Expr]| &e[1] * &(&clamped_log_of_rest(&e[0]) - &clamped_log(&e[0]));
        let name = "binary_cross_entropy";
        let input = || pointwise(name, &[x, t, &grad], by_input, g.site);
        let target = || pointwise(name, &[x, &grad], by_target, g.site);
        vec![g.wanted[0].then(input), g.wanted[1].then(target)]
    }
}

impl Tensor {
    /// What probabilities `self` lack at `target`, from 0 to 1 and of the same shape, combined:
    /// `torch.nn.functional.binary_cross_entropy`. Logarithms are -100 or more, as there.
    ///
    /// Values that are no probabilities, which PyTorch refuses, give NaN.
    #[track_caller]
    pub fn binary_cross_entropy(
        &self,
        target: &Tensor,
        options: impl Into<BinaryCrossEntropyOptions>,
    ) -> Tensor {
        let (site, options) = (Site::here(), options.into());
        let op = "binary_cross_entropy";
        if options.pos_weight.is_some() {
            let message = "has no pos_weight: binary_cross_entropy_with_logits does";
            return self.trace().misuse(op, message, site);
        }
        if let Some(poison) = self.differs(op, target, site) {
            return poison;
        }
        let losses = self
            .trace()
            .push1(Arc::new(BinaryCrossEntropy::new()), &[self, target], site);
        options.combine(&losses)
    }

    /// What the sigmoids of logits `self` lack at `target`, from 0 to 1 and of the same shape, combined:
    /// `torch.nn.functional.binary_cross_entropy_with_logits`, in its form without overflow.
    #[track_caller]
    pub fn binary_cross_entropy_with_logits(
        &self,
        target: &Tensor,
        options: impl Into<BinaryCrossEntropyOptions>,
    ) -> Tensor {
        let (site, options) = (Site::here(), options.into());
        let op = "binary_cross_entropy_with_logits";
        if let Some(poison) = self.differs(op, target, site) {
            return poison;
        }
        let one = Expr::lit(1.0);
        let losses = match &options.pos_weight {
            None => {
                let f = |e: &[Expr]| &(&(&one - &e[1]) * &e[0]) - &e[0].log_sigmoid();
                pointwise(op, &[self, target], f, site)
            }
            Some(weight) => {
                let f = |e: &[Expr]| {
                    let weight = &(&(&e[2] - &one) * &e[1]) + &one;
                    &(&(&one - &e[1]) * &e[0]) - &(&weight * &e[0].log_sigmoid())
                };
                pointwise(op, &[self, target, weight], f, site)
            }
        };
        options.combine(&losses)
    }

    /// Poison, where `target` is not of this shape and f32.
    fn differs(&self, op: &str, target: &Tensor, site: Site) -> Option<Tensor> {
        if self.is_poisoned() || target.is_poisoned() {
            return Some(self.trace().poison());
        }
        let fits = self.ty() == target.ty() && self.dtype().is_float();
        (!fits).then(|| {
            let message = format!(
                "{} with targets {}: takes two f32 of one shape",
                self.ty(),
                target.ty()
            );
            self.trace().misuse(op, message, site)
        })
    }
}

impl BinaryCrossEntropyOptions {
    #[track_caller]
    fn combine(&self, losses: &Tensor) -> Tensor {
        match &self.weight {
            Some(weight) => self.reduction.of(&losses.mul(weight)),
            None => self.reduction.of(losses),
        }
    }
}
