//! `norm_columns`: the last pass of the gradient of long rows whose elements each have a weight.

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::norm_sums::{NormSums, halves};
use crate::ops::view::through;
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Of `x [rows, groups, n, 1]`, the gradient of the result, a weight `[1, groups, n, 1]` (or `[]`), mean and inverse
/// deviation `[rows, groups, 1, 1]` and the [`NormSums`] of the gradient times the weight, `[2, rows, groups, 1, 1]`: the
/// gradient of `x`; then `[2, 1, groups, n, 1]`, the sums over rows of the gradient, and of the gradient times
/// `(x - mean) * rstd`.
#[derive(Debug, Clone)]
pub struct NormColumns {
    /// Whether the mean was taken off.
    pub centred: bool,
}

/// Columns of one task on the CPU.
const TASK: usize = 256;

impl NormColumns {
    /// The shape of what is normalised together, and of the sums over rows.
    fn shapes(x: &Shape) -> [Shape; 2] {
        [[x[0], x[1], 1, 1].into(), [1, x[1], x[2], 1].into()]
    }

    /// The same as a composition, of which the second derivative is made.
    fn composed(&self, of: &[Tensor], g: &Vjp) -> Vec<Tensor> {
        let [x, grad, weight, mean, rstd, sums] = of else {
            return Vec::new();
        };
        let [kept, columns] = Self::shapes(x.shape());
        let [plain, along] = halves(sums, &kept).map(|t| t.mul_scalar(1.0 / x.shape()[2] as f32));
        let rest = x.sub(mean).mul(rstd).mul(&along);
        let rest = if self.centred { rest.add(&plain) } else { rest };
        let dx = grad.mul(weight).sub(&rest).mul(rstd);
        let op = NormSums { kept: columns };
        vec![dx, x.apply(op, &[grad, mean, rstd], g.site)]
    }
}

impl OpDef for NormColumns {
    fn name(&self) -> &'static str {
        "norm_columns"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, grad, weight) = (&inputs[0], &inputs[1], &inputs[2].shape);
        if x.shape.rank() != 4 || x.shape[3] != 1 || x != grad {
            return Err(format!(
                "{x}, {grad}: takes both alike, [rows, groups, n, 1]"
            ));
        }
        let [kept, columns] = Self::shapes(&x.shape);
        let two = |s: &Shape| TensorType::f32([2].into_iter().chain(s.to_vec()).collect::<Shape>());
        let (each, sums) = (TensorType::f32(kept.clone()), two(&kept));
        let own = weight.rank() == 0 || *weight == columns;
        if !own || inputs[3] != each || inputs[4] != each || inputs[5] != sums {
            return Err(format!(
                "{x}, weight {}: takes a weight {columns}, statistics {each}, sums {sums}",
                inputs[2]
            ));
        }
        Ok(vec![x.clone(), two(&columns)])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        through(g, |inputs| self.composed(inputs, g))
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let shape = io.input_type(0).shape.clone();
        let (rows, groups, n) = (shape[0], shape[1], shape[2]);
        let width = groups * n;
        let (x, grad, weight) = (io.input::<f32>(0), io.input::<f32>(1), io.input::<f32>(2));
        let (mean, rstd, sums) = (io.input::<f32>(3), io.input::<f32>(4), io.input::<f32>(5));
        let one = weight.len() == 1;
        let dx = io.output::<f32>(0).par_chunks_mut(n).enumerate();
        dx.for_each(|(set, dx)| {
            let (m, r) = (mean[set], rstd[set]);
            let off = if self.centred {
                sums[set] / n as f32
            } else {
                0.0
            };
            let along = sums[rows * groups + set] / n as f32;
            let first = set % groups * n;
            let (x, grad) = (&x[set * n..][..n], &grad[set * n..][..n]);
            for (k, ((dx, x), g)) in dx.iter_mut().zip(x).zip(grad).enumerate() {
                let w = weight[if one { 0 } else { first + k }];
                *dx = (g * w - off - (x - m) * r * along) * r;
            }
        });
        let (plain, hat) = io.output::<f32>(1).split_at_mut(width);
        let columns = plain.par_chunks_mut(TASK).zip(hat.par_chunks_mut(TASK));
        columns.enumerate().for_each(|(task, (plain, hat))| {
            let mut totals = vec![(0.0f64, 0.0f64); plain.len()];
            for row in 0..rows {
                let first = row * width + task * TASK;
                let all = x[first..].iter().zip(&grad[first..]);
                for (k, (total, (x, g))) in totals.iter_mut().zip(all).enumerate() {
                    let set = row * groups + (task * TASK + k) / n;
                    total.0 += f64::from(*g);
                    total.1 += f64::from(g * ((x - mean[set]) * rstd[set]));
                }
            }
            for ((plain, hat), total) in plain.iter_mut().zip(hat).zip(totals) {
                (*plain, *hat) = (total.0 as f32, total.1 as f32);
            }
        });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let shape = &io.inputs[0].shape;
        let (rows, columns) = (shape[0], shape[1] * shape[2]);
        caps.allow_turns("norm_columns", rows)?;
        let threads = caps.lanes();
        let last = io.inputs[2].shape.numel() - 1;
        let d = Dispatch::new(
            "norm_columns",
            include_str!("../../shaders/norm_columns.wgsl"),
        )
        .sizes([rows, columns, shape[2], shape[1], last])
        .words([u32::from(self.centred), 0, 0])
        .constant("THREADS", threads)
        .grid(caps.grid(columns.div_ceil(threads as usize)));
        let d = (0..6).fold(d, |d, k| d.read(Buf::Input(k)));
        let d = io.with_epilogue(d.write(io.further(1)), 1);
        Ok(
            d.ok_or_else(|| Error::Device("norm_columns: no kernel".into()))?
                .into(),
        )
    }
}
