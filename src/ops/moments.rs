//! `moments`: mean, variance and its inverse root of each set of elements, in two stages.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::map::map;
use crate::scalar::Expr;
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Of `x`, seen as `[outer, sets, inner]`, for each set: the mean, the mean squared distance from it (the biased
/// variance), and `1 / sqrt(variance + eps)`; all in the shape `kept`, `x`'s with 1 where a set extends.
#[derive(Debug)]
pub struct Moments {
    /// The shape of the results: one element a set.
    pub kept: Shape,
    /// Whether distances are from the mean; else from 0, and the mean is given as 0.
    pub centred: bool,
    /// What is added to the variance.
    pub eps: f32,
}

/// A tensor as `[outer, count, inner]`: set `k` is all elements whose middle index is `k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sets {
    pub outer: usize,
    pub count: usize,
    pub inner: usize,
}

/// Elements of one task on the CPU.
const PART: usize = 1 << 16;

impl Sets {
    /// The sets of a tensor of shape `x`, whose index is what `kept` keeps of it: neighbouring dimensions.
    pub fn of(x: &Shape, kept: &Shape) -> Self {
        let held = |d: &usize| kept[*d] != 1;
        let first = (0..x.rank()).find(held).unwrap_or(0);
        let last = (0..x.rank()).rev().find(held).map_or(0, |d| d + 1);
        Self {
            outer: x[..first].iter().product(),
            count: kept.numel(),
            inner: x[last..].iter().product(),
        }
    }

    /// Elements of a set.
    pub fn size(&self) -> usize {
        self.outer * self.inner
    }

    /// For each set the sums of both terms that `of(row of outer, set, a, b)` gives for its elements.
    pub fn sums(
        &self,
        a: &[f32],
        b: &[f32],
        of: impl Fn(usize, usize, f32, f32) -> (f64, f64) + Sync,
    ) -> Vec<(f64, f64)> {
        let add = |s: &mut (f64, f64), t: (f64, f64)| *s = (s.0 + t.0, s.1 + t.1);
        if self.inner < 8 {
            // Neighbouring sets lie together: row after row, all sets in turn.
            let width = self.count * self.inner;
            let height = (PART / width.max(1)).max(1);
            let part = |p: usize| {
                let mut sums = vec![(0.0, 0.0); self.count];
                for row in p * height..((p + 1) * height).min(self.outer) {
                    let at = row * width..(row + 1) * width;
                    let lines = a[at.clone()]
                        .chunks(self.inner)
                        .zip(b[at].chunks(self.inner));
                    for (set, (sum, (a, b))) in sums.iter_mut().zip(lines).enumerate() {
                        let terms = a.iter().zip(b).map(|(&a, &b)| of(row, set, a, b));
                        terms.for_each(|t| add(sum, t));
                    }
                }
                sums
            };
            let parts = (0..self.outer.div_ceil(height)).into_par_iter().map(part);
            let parts: Vec<Vec<(f64, f64)>> = parts.collect();
            let mut total = vec![(0.0, 0.0); self.count];
            for part in parts {
                total.iter_mut().zip(part).for_each(|(s, t)| add(s, t));
            }
            return total;
        }
        let parts = self.size().div_ceil(PART);
        let task = |task: usize| {
            let (set, part) = (task / parts, task % parts);
            let (mut at, end) = (part * PART, ((part + 1) * PART).min(self.size()));
            let mut sum = (0.0, 0.0);
            while at < end {
                let (outer, i) = (at / self.inner, at % self.inner);
                let n = (self.inner - i).min(end - at);
                let start = (outer * self.count + set) * self.inner + i;
                let (a, b) = (&a[start..start + n], &b[start..start + n]);
                let mut lanes = [(0.0, 0.0); 4];
                let whole = n / 4 * 4;
                for (a, b) in a[..whole].chunks_exact(4).zip(b.chunks_exact(4)) {
                    (0..4).for_each(|l| add(&mut lanes[l], of(outer, set, a[l], b[l])));
                }
                let rest = a[whole..].iter().zip(&b[whole..]);
                rest.for_each(|(&a, &b)| add(&mut sum, of(outer, set, a, b)));
                lanes.into_iter().for_each(|l| add(&mut sum, l));
                at += n;
            }
            sum
        };
        let least = (PART / 4 / self.size().clamp(1, PART)).max(1);
        let all = (0..self.count * parts).into_par_iter().with_min_len(least);
        let all: Vec<(f64, f64)> = all.map(task).collect();
        let total = |parts: &[(f64, f64)]| {
            let mut sum = (0.0, 0.0);
            parts.iter().for_each(|&t| add(&mut sum, t));
            sum
        };
        all.chunks(parts.max(1)).map(total).collect()
    }

    /// In how many parts a GPU computes the sums of each set.
    pub fn parts(&self, caps: &Caps) -> usize {
        // On hardware a part of neighbouring elements has a workgroup, others a thread each.
        let (wanted, length) = match (caps.software, self.inner < 32) {
            (true, _) => (16, 512),
            (false, false) => (2048, 512),
            (false, true) => (32_768, 32),
        };
        let most = self.size().div_ceil(length).max(1);
        let least = self.size().div_ceil(caps.iterations / 2).min(most);
        (wanted / self.count.max(1)).clamp(1, most).max(least)
    }

    /// A launch of a shader that goes through parts of sets, each with one thread or one workgroup; its `Params` begin
    /// with `sets`, `inner`, `size`, `parts`, `length`.
    pub fn launch(
        &self,
        stem: &'static str,
        source: &'static str,
        parts: usize,
        caps: &Caps,
    ) -> Dispatch {
        let length = self.size().div_ceil(parts);
        let tasks = self.count * parts;
        let team = !caps.software && self.inner >= 32 && length >= 64;
        let threads = if team {
            128.min(caps.threads)
        } else {
            caps.lanes()
        };
        let (groups, library) = if team {
            (tasks, include_str!("../../shaders/lib/row_team.wgsl"))
        } else {
            (
                tasks.div_ceil(threads as usize),
                include_str!("../../shaders/lib/row_single.wgsl"),
            )
        };
        let mut d =
            Dispatch::new(stem, source).sizes([self.count, self.inner, self.size(), parts, length]);
        d.generated.push_str(library);
        d.generated
            .push_str(include_str!("../../shaders/lib/sets.wgsl"));
        d.constant("THREADS", threads).grid(caps.grid(groups))
    }
}

impl OpDef for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let x = &inputs[0];
        if x.dtype != DType::F32 {
            return Err(format!("takes f32, {x} came: convert with to_f32()"));
        }
        if x.numel() == 0 {
            return Err(format!("{x}: of no elements there is no mean"));
        }
        Ok(vec![TensorType::f32(self.kept.clone()); 3])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let [mean, _, rstd] = [0, 1, 2].map(|k| &g.outputs[k]);
        let n = g.inputs[0].numel() / mean.numel().max(1);
        vec![Some(through_moments(
            &g.inputs[0],
            [mean, rstd],
            self.centred.then(|| g.grad(0)).as_ref(),
            Some(&g.grad(1)),
            &g.grad(2),
            n,
            g,
        ))]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let sets = Sets::of(&io.input_type(0).shape, &self.kept);
        let x = io.input::<f32>(0);
        // Distances from an element of the set, so that a large mean costs no digits.
        let shift = |set: usize| match self.centred {
            true => x[set * sets.inner],
            false => 0.0,
        };
        let sums = sets.sums(x, x, |_, set, x, _| {
            let d = f64::from(x) - f64::from(shift(set));
            (d, d * d)
        });
        let (mean, var, rstd) = (io.output::<f32>(0), io.output(1), io.output(2));
        let n = sets.size() as f64;
        for (set, (sum, squares)) in sums.into_iter().enumerate() {
            let off = if self.centred { sum / n } else { 0.0 };
            let v = (squares / n - off * off) as f32;
            let v = if v < 0.0 { 0.0 } else { v };
            mean[set] = (f64::from(shift(set)) + off) as f32;
            var[set] = v;
            rstd[set] = 1.0 / (v + self.eps).sqrt();
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let sets = Sets::of(&io.inputs[0].shape, &self.kept);
        let parts = sets.parts(caps);
        caps.allow_turns("moments", 2 * parts)?;
        let first = sets
            .launch(
                "moments",
                include_str!("../../shaders/moments.wgsl"),
                parts,
                caps,
            )
            .sizes([usize::from(self.centred), 0, 0])
            .read(Buf::Input(0))
            .write(Buf::Scratch(0));
        let mut first = io.with_library(first, 1);
        first
            .generated
            .push_str(include_str!("../../shaders/lib/moments.wgsl"));
        let threads = caps.lanes();
        let second = Dispatch::new(
            "moments_merge",
            include_str!("../../shaders/moments_merge.wgsl"),
        )
        .sizes([
            sets.count,
            sets.inner,
            sets.size(),
            parts,
            sets.size().div_ceil(parts),
        ])
        .words([u32::from(self.centred), self.eps.to_bits(), 0])
        .read(Buf::Input(0))
        .read(Buf::Scratch(0))
        .write(io.further(1))
        .write(io.further(2))
        .constant("THREADS", threads)
        .grid(caps.grid(sets.count.div_ceil(threads as usize)));
        let second = io
            .with_epilogue(second, 1)
            .ok_or_else(|| Error::Device("moments: no kernel".into()))?;
        Ok(Kernels {
            dispatches: vec![first, second],
            scratch: vec![2 * parts * sets.count],
        })
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// The gradient of `x` through the mean, the variance and its inverse root of `n` elements each.
pub(crate) fn through_moments(
    x: &Tensor,
    [mean, rstd]: [&Tensor; 2],
    of_mean: Option<&Tensor>,
    of_var: Option<&Tensor>,
    of_rstd: &Tensor,
    n: usize,
    g: &Vjp,
) -> Tensor {
    let mut tensors = vec![x, mean, rstd, of_rstd];
    let [x, mean, rstd, of_rstd] = [1, 2, 3, 4].map(Expr::arg);
    let cube = &(&rstd * &rstd) * &rstd;
    let mut slope = &(&of_rstd * &cube) * &Expr::lit(-0.5);
    if let Some(of_var) = of_var {
        tensors.push(of_var);
        slope = &slope + &Expr::arg(tensors.len());
    }
    let mut dx = &(&slope * &Expr::lit(2.0)) * &(&x - &mean);
    if let Some(of_mean) = of_mean {
        tensors.push(of_mean);
        dx = &dx + &Expr::arg(tensors.len());
    }
    let dx = &dx * &Expr::lit(1.0 / n as f32);
    map("moments", dx, &tensors, g.site)
}
