//! `row_norm`: short rows normalised, statistics and result in one kernel.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::moments::through_moments;
use crate::ops::norm_sums::{NormSums, halves};
use crate::ops::row_norm_grad::RowNormGrad;
use crate::ops::rows::Rows;
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Rows of `x [rows, groups, channels, inner]`, of which each holds `[channels, inner]`: less their mean, divided by
/// their deviation, times a weight `[1, groups, channels, 1]` (or `[]`), plus a bias of such a shape; then mean and inverse
/// deviation `[rows, groups, 1, 1]`.
#[derive(Debug, Clone)]
pub struct RowNorm {
    /// Whether the mean is taken off; else it counts as 0.
    pub centred: bool,
    /// What is added to the mean square.
    pub eps: f32,
}

/// Where the weight of an element lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    pub rows: Rows,
    groups: usize,
    channels: usize,
    inner: usize,
    one: bool,
}

impl Weights {
    /// For `x` and a weight as [`RowNorm`] takes them.
    pub fn of(x: &Shape, weight: &Shape) -> Self {
        Self {
            rows: Rows {
                outer: x[0] * x[1],
                n: x[2] * x[3],
                inner: 1,
            },
            groups: x[1],
            channels: x[2],
            inner: x[3],
            one: weight.rank() == 0,
        }
    }

    /// A function from a position in row `row` to its weight.
    pub fn at<'a>(&self, weight: &'a [f32], row: usize) -> impl Fn(usize) -> f32 + 'a {
        let Self { inner, one, .. } = *self;
        let first = row % self.groups * self.channels;
        move |k| match (one, inner) {
            (true, _) => weight[0],
            (_, 1) => weight[first + k],
            _ => weight[first + k / inner],
        }
    }

    /// A launch of a shader that goes along rows and loads weights.
    pub fn launch(
        &self,
        stem: &'static str,
        source: &'static str,
        norm: &RowNorm,
        caps: &Caps,
    ) -> Result<Dispatch> {
        Ok(self
            .rows
            .launch(stem, source, 2, caps)?
            .sizes([self.groups, self.channels, self.inner, self.last()])
            .words([u32::from(norm.centred), norm.eps.to_bits()]))
    }

    /// Position of the last weight.
    pub fn last(&self) -> usize {
        match self.one {
            true => 0,
            false => (self.groups * self.channels).saturating_sub(1),
        }
    }

    /// Rows that one task on the CPU takes at least.
    pub fn together(&self) -> usize {
        (1 << 14) / self.rows.n.clamp(1, 1 << 14)
    }
}

/// The shape of the statistics of `x`.
pub(crate) fn statistics(x: &Shape) -> TensorType {
    TensorType::f32([x[0], x[1], 1, 1])
}

/// What is wrong with an input or weight, if anything.
pub(crate) fn check(x: &TensorType, weight: &TensorType) -> Result<(), String> {
    let own = |s: &Shape| *s == [1, x.shape[1], x.shape[2], 1].into() || s.rank() == 0;
    if x.shape.rank() != 4 || x.dtype != DType::F32 || !own(&weight.shape) {
        return Err(format!(
            "{x}, weight {weight}: takes f32 [rows, groups, channels, inner] and [1, groups, channels, 1]"
        ));
    }
    Ok(())
}

impl OpDef for RowNorm {
    fn name(&self) -> &'static str {
        "row_norm"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let x = &inputs[0];
        check(x, &inputs[1])?;
        check(x, &inputs[2])?;
        let each = statistics(&x.shape);
        Ok(vec![x.clone(), each.clone(), each])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let [x, weight, bias] = [0, 1, 2].map(|k| &g.inputs[k]);
        let (mean, rstd, grad) = (&g.outputs[1], &g.outputs[2], g.grad(0));
        let dx = || {
            let op = RowNormGrad(self.clone());
            let dx = x.apply(op, &[&grad, weight, mean, rstd], g.site);
            if g.grads[1].is_none() && g.grads[2].is_none() {
                return dx;
            }
            let n = x.numel() / mean.numel().max(1);
            let of_mean = self.centred.then(|| g.grad(1));
            dx.add(&through_moments(
                x,
                [mean, rstd],
                of_mean.as_ref(),
                None,
                &g.grad(2),
                n,
                g,
            ))
        };
        let mut result = vec![g.wanted[0].then(dx), None, None];
        if g.wanted[1] || g.wanted[2] {
            let s = x.shape();
            let kept: Shape = [1, s[1], s[2], 1].into();
            let op = NormSums { kept: kept.clone() };
            let sums = x.apply(op, &[&grad, mean, rstd], g.site);
            let [plain, hats] = halves(&sums, &kept);
            result[1] = g.wanted[1].then(|| hats.sum_to(weight.shape()));
            result[2] = g.wanted[2].then(|| plain.sum_to(bias.shape()));
        }
        result
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let w = Weights::of(&io.input_type(0).shape, &io.input_type(1).shape);
        let also = Weights::of(&io.input_type(0).shape, &io.input_type(2).shape);
        let (x, weight, bias) = (io.input::<f32>(0), io.input::<f32>(1), io.input::<f32>(2));
        let (y, mean, rstd) = (io.output::<f32>(0), io.output(1), io.output(2));
        let n = w.rows.n;
        if n == 0 {
            return Ok(());
        }
        let statistics = mean.par_iter_mut().zip(rstd);
        let all = y.par_chunks_mut(n).zip(x.par_chunks(n)).zip(statistics);
        let all = all.enumerate().with_min_len(w.together());
        all.for_each(|(row, ((y, x), (mean, rstd)))| {
            // Distances from an element of the row, so that a large mean costs no digits.
            let shift = if self.centred { x[0] } else { 0.0 };
            let off = match self.centred {
                true => (folded(x, x, |x, _| x - shift) / n as f64) as f32,
                false => 0.0,
            };
            let squares = folded(x, x, |x, _| {
                let d = x - shift - off;
                d * d
            });
            let r = 1.0 / ((squares / n as f64) as f32 + self.eps).sqrt();
            let (weight, bias) = (w.at(weight, row), also.at(bias, row));
            for (k, (y, x)) in y.iter_mut().zip(x).enumerate() {
                *y = (x - shift - off) * r * weight(k) + bias(k);
            }
            (*mean, *rstd) = (shift + off, r);
        });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let also = Weights::of(&io.inputs[0].shape, &io.inputs[2].shape);
        let mut d = Weights::of(&io.inputs[0].shape, &io.inputs[1].shape)
            .launch(
                "row_norm",
                include_str!("../../shaders/row_norm.wgsl"),
                self,
                caps,
            )?
            .sizes([also.last(), 0, 0])
            .read(Buf::Input(0))
            .read(Buf::Input(1))
            .read(Buf::Input(2))
            .write(io.further(1))
            .write(io.further(2));
        d.generated
            .push_str(include_str!("../../shaders/lib/moments.wgsl"));
        let d = io.with_epilogue(d, 1);
        Ok(
            d.ok_or_else(|| Error::Device("row_norm: no kernel".into()))?
                .into(),
        )
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// The sum of `of(a, b)`, in eight running sums that are emptied now and then: long rows lose little.
pub(crate) fn folded(a: &[f32], b: &[f32], of: impl Fn(f32, f32) -> f32) -> f64 {
    let block = |(a, b): (&[f32], &[f32])| {
        let mut lanes = [0.0f32; 8];
        let whole = a.len() / 8 * 8;
        for (a, b) in a[..whole].chunks_exact(8).zip(b[..whole].chunks_exact(8)) {
            (0..8).for_each(|l| lanes[l] += of(a[l], b[l]));
        }
        let rest: f32 = a[whole..]
            .iter()
            .zip(&b[whole..])
            .map(|(&a, &b)| of(a, b))
            .sum();
        f64::from(lanes.iter().sum::<f32>() + rest)
    };
    a.chunks(512).zip(b.chunks(512)).map(block).sum()
}
