//! `row_norm_grad`: the gradient of [`RowNorm`]'s input.

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::row_norm::{RowNorm, Weights, check, folded, statistics};
use crate::ops::view::through;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Of `x`, the gradient of the result, weight, mean and inverse deviation: the gradient of `x`.
#[derive(Debug)]
pub struct RowNormGrad(pub RowNorm);

impl RowNormGrad {
    /// The same as a composition, of which the second derivative is made.
    fn composed(&self, x: &Tensor, grad: &Tensor, weight: &Tensor, s: [&Tensor; 2]) -> Tensor {
        let [mean, rstd] = s;
        let row = [2, 3];
        let hat = x.sub(mean).mul(rstd);
        let up = grad.mul(weight);
        let along = hat.mul(&up.mul(&hat).mean(&row, true));
        let rest = match self.0.centred {
            true => along.add(&up.mean(&row, true)),
            false => along,
        };
        up.sub(&rest).mul(rstd)
    }
}

impl OpDef for RowNormGrad {
    fn name(&self) -> &'static str {
        "row_norm_grad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, grad) = (&inputs[0], &inputs[1]);
        check(x, &inputs[2])?;
        let each = statistics(&x.shape);
        if x != grad || inputs[3] != each || inputs[4] != each {
            return Err(format!("{x}, {grad}: takes both alike, statistics {each}"));
        }
        Ok(vec![x.clone()])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        through(g, |inputs| match inputs {
            [x, grad, weight, mean, rstd] => vec![self.composed(x, grad, weight, [mean, rstd])],
            _ => Vec::new(),
        })
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let w = Weights::of(&io.input_type(0).shape, &io.input_type(2).shape);
        let (x, grad, weight) = (io.input::<f32>(0), io.input::<f32>(1), io.input::<f32>(2));
        let (mean, rstd) = (io.input::<f32>(3), io.input::<f32>(4));
        let n = w.rows.n;
        if n == 0 {
            return Ok(());
        }
        let rows = io.output::<f32>(0).par_chunks_mut(n).enumerate();
        let rows = rows.with_min_len(w.together());
        rows.for_each_init(Vec::new, |up: &mut Vec<f32>, (row, dx)| {
            let x = &x[row * n..][..n];
            let (mean, rstd, weight) = (mean[row], rstd[row], w.at(weight, row));
            up.clear();
            up.extend(
                grad[row * n..][..n]
                    .iter()
                    .enumerate()
                    .map(|(k, g)| g * weight(k)),
            );
            let along = folded(x, up, |x, u| (x - mean) * rstd * u) / n as f64;
            let plain = match self.0.centred {
                true => folded(up, up, |u, _| u) / n as f64,
                false => 0.0,
            };
            let (along, plain) = (along as f32, plain as f32);
            for ((dx, x), u) in dx.iter_mut().zip(x).zip(up) {
                *dx = (*u - plain - (x - mean) * rstd * along) * rstd;
            }
        });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let d = Weights::of(&io.inputs[0].shape, &io.inputs[2].shape)
            .launch(
                "row_norm_grad",
                include_str!("../../shaders/row_norm_grad.wgsl"),
                &self.0,
                caps,
            )?
            .sizes([0; 3]);
        let d = (0..5).fold(d, |d, k| d.read(Buf::Input(k)));
        let d = io.with_epilogue(d, 1);
        Ok(
            d.ok_or_else(|| Error::Device("row_norm_grad: no kernel".into()))?
                .into(),
        )
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}
