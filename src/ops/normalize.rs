//! `normalize`: a map that the planner fuses like any other, whose gradient knows that the statistics are its input's.

use crate::error::Site;
use crate::graph::TensorType;
use crate::op::{Kind, OpDef};
use crate::ops::map::{self, map};
use crate::ops::moments::Moments;
use crate::ops::norm_columns::NormColumns;
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
        let x = &g.inputs[0];
        let affine = [
            self.weight.then(|| &g.inputs[3]),
            g.inputs.get(3 + usize::from(self.weight)),
        ];
        let grad = g.grad(0);
        // What has one weight, one bias and one set.
        let sizes = |d: usize| affine.iter().flatten().map(move |t| t.shape()[d]);
        let fine = (0..x.rank()).map(|d| sizes(d).fold(self.kept[d], usize::max));
        let fine: Shape = fine.collect();
        let (dx, columns) = match fine == self.kept || fine.numel() < x.numel() {
            true => self.by_parts(g, &grad, affine, fine),
            false => self.by_elements(g, &grad, affine),
        };
        let of_affine = affine.into_iter().zip(columns);
        let of_affine = of_affine.filter_map(|(t, sums)| Some(sums?.sum_to(t?.shape())));
        // In the order of the inputs: weight, then bias; what is not wanted is not computed.
        let mut result = vec![g.wanted[0].then_some(dx).flatten(), None, None];
        result.extend(of_affine.map(Some));
        result.resize(g.inputs.len(), None);
        result
    }
}

impl Normalize {
    /// The gradient of `x`, and the sums that are those of weight and bias, which are the same over parts of sets.
    fn by_parts(
        &self,
        g: &Vjp,
        grad: &Tensor,
        [weight, _]: [Option<&Tensor>; 2],
        fine: Shape,
    ) -> (Option<Tensor>, [Option<Tensor>; 2]) {
        let op = NormSums { kept: fine.clone() };
        let sums = g.inputs[0].apply(op, &[grad, &g.inputs[1], &g.inputs[2]], g.site);
        let [plain, hats] = halves(&sums, &fine);
        let dx = match weight {
            // The same all over a set: it is taken out of the sums.
            Some(w) if fine == self.kept => self.of_x(g, grad, [&plain, &hats]).mul(w),
            Some(w) => {
                let [plain, hats] = [&plain, &hats].map(|t| t.mul(w).sum_to(&self.kept));
                self.of_x(g, &grad.mul(w), [&plain, &hats])
            }
            None => {
                let [plain, hats] = [&plain, &hats].map(|t| t.sum_to(&self.kept));
                self.of_x(g, grad, [&plain, &hats])
            }
        };
        (Some(dx), [Some(hats), Some(plain)])
    }

    /// The same where each element of `x` `[rows, groups, n, 1]` has a weight or bias of its own.
    fn by_elements(
        &self,
        g: &Vjp,
        grad: &Tensor,
        [weight, _]: [Option<&Tensor>; 2],
    ) -> (Option<Tensor>, [Option<Tensor>; 2]) {
        let [x, mean, rstd] = [0, 1, 2].map(|k| &g.inputs[k]);
        let columns: Shape = [1, x.shape()[1], x.shape()[2], 1].into();
        let both = |sums: &Tensor| {
            let [plain, hats] = halves(sums, &columns);
            [Some(hats), Some(plain)]
        };
        if !g.wanted[0] {
            let op = NormSums {
                kept: columns.clone(),
            };
            return (None, both(&x.apply(op, &[grad, mean, rstd], g.site)));
        }
        let up = weight.map_or_else(|| grad.clone(), |w| grad.mul(w));
        let op = NormSums {
            kept: self.kept.clone(),
        };
        let sums = x.apply(op, &[&up, mean, rstd], g.site);
        if !g.wanted[3..].contains(&true) {
            let [plain, hats] = &halves(&sums, &self.kept);
            return (Some(self.of_x(g, &up, [plain, hats])), [None, None]);
        }
        let one = g.trace.scalar(1.0);
        let inputs = [x, grad, weight.unwrap_or(&one), mean, rstd, &sums];
        let op = NormColumns {
            centred: self.centred,
        };
        match &g.trace.push(Arc::new(op), &inputs, g.site)[..] {
            [dx, sums] => (Some(dx.clone()), both(sums)),
            _ => (None, [None, None]),
        }
    }

    /// The gradient of `x`, `up` being that of what is normalised, from its sums over sets.
    fn of_x(&self, g: &Vjp, up: &Tensor, [plain, hats]: [&Tensor; 2]) -> Tensor {
        let [x, mean, rstd] = [0, 1, 2].map(|k| &g.inputs[k]);
        let share = Expr::lit(mean.numel() as f32 / x.numel() as f32);
        let mut tensors = vec![x, mean, rstd, up, hats];
        let mut out = &hat() * &Expr::arg(5);
        if self.centred {
            tensors.push(plain);
            out = &out + &Expr::arg(tensors.len());
        }
        let dx = &(&Expr::arg(4) - &(&out * &share)) * &Expr::arg(3);
        map("normalize", dx, &tensors, g.site)
    }
}
