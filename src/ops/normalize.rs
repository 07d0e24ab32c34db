//! `normalize`: a map that the planner fuses like any other, whose gradient knows that the statistics are its input's.

use crate::error::Site;
use crate::graph::TensorType;
use crate::op::{Kind, OpDef};
use crate::ops::map::{self, map};
use crate::ops::moments::Moments;
use crate::ops::norm_sums::{NormSums, halves};
use crate::scalar::Expr;
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use std::sync::Arc;

/// `(x - mean) * rstd * weight + bias`, `mean` and `rstd` being [`Moments`] of `x`. Weight and bias may be missing.
#[derive(Debug)]
pub struct Normalize {
    map: map::Map,
    kept: Shape,
    centred: bool,
    weight: bool,
}

/// What [`normalized`] gives.
pub(crate) struct Normalized {
    pub y: Tensor,
    pub mean: Tensor,
    pub var: Tensor,
}

/// `x` normalised over its sets (see [`Moments`]), times `weight`, plus `bias`, which broadcast to `x`.
pub(crate) fn normalized(
    x: &Tensor,
    moments: Moments,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    site: Site,
) -> Option<Normalized> {
    let (kept, centred) = (moments.kept.clone(), moments.centred);
    let [mean, var, rstd] = &x.trace().push(Arc::new(moments), &[x], site)[..] else {
        return None;
    };
    let mut inputs = vec![x, mean, rstd];
    let mut expr = hat();
    if let Some(weight) = weight {
        inputs.push(weight);
        expr = &expr * &Expr::arg(inputs.len());
    }
    if let Some(bias) = bias {
        inputs.push(bias);
        expr = &expr + &Expr::arg(inputs.len());
    }
    let op = Normalize {
        map: map::Map {
            name: "normalize",
            expr,
        },
        kept,
        centred,
        weight: weight.is_some(),
    };
    Some(Normalized {
        y: x.trace().push1(Arc::new(op), &inputs, site),
        mean: mean.clone(),
        var: var.clone(),
    })
}

/// `(x - mean) * rstd` of the operands 1, 2, 3.
pub(crate) fn hat() -> Expr {
    &(&Expr::arg(1) - &Expr::arg(2)) * &Expr::arg(3)
}

impl OpDef for Normalize {
    fn name(&self) -> &'static str {
        self.map.name
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Map(&self.map.expr)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let types = self.map.infer(inputs)?;
        if types[0] != inputs[0] {
            return Err(format!(
                "{} to {}: the normalised is the larger",
                inputs[0], types[0]
            ));
        }
        Ok(types)
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let [x, mean, rstd] = [0, 1, 2].map(|k| &g.inputs[k]);
        let weight = self.weight.then(|| &g.inputs[3]);
        let bias = g.inputs.get(3 + usize::from(self.weight));
        let grad = &g.grad(0);
        // A weight that is the same all over a set is taken out of the sums: they are its gradient then.
        let even = weight.is_none_or(|w| *w.shape() == self.kept);
        let up = match weight {
            Some(w) if !even => &grad.mul(w),
            _ => grad,
        };
        let op = NormSums {
            kept: self.kept.clone(),
        };
        let sums = x.apply(op, &[up, mean, rstd], g.site);
        let [plain, hats] = &halves(&sums, &self.kept);
        let mut result = vec![None; g.inputs.len()];
        if g.wanted[0] {
            let share = Expr::lit(mean.numel() as f32 / x.numel() as f32);
            let mut tensors = vec![x, mean, rstd, up, hats];
            let mut out = &hat() * &Expr::arg(5);
            if self.centred {
                tensors.push(plain);
                out = &out + &Expr::arg(tensors.len());
            }
            let mut dx = &(&Expr::arg(4) - &(&out * &share)) * &Expr::arg(3);
            if let (Some(w), true) = (weight, even) {
                tensors.push(w);
                dx = &dx * &Expr::arg(tensors.len());
            }
            result[0] = Some(map("normalize", dx, &tensors, g.site));
        }
        if let Some(w) = weight {
            result[3] = Some(if even {
                hats.clone()
            } else {
                map(
                    "normalize",
                    &hat() * &Expr::arg(4),
                    &[x, mean, rstd, grad],
                    g.site,
                )
                .sum_to(w.shape())
            });
        }
        if let (Some(bias), Some(of_bias)) = (bias, result.get_mut(3 + usize::from(self.weight))) {
            let known = even && *bias.shape() == self.kept;
            *of_bias = Some(if known {
                plain.clone()
            } else {
                grad.sum_to(bias.shape())
            });
        }
        result
    }
}
