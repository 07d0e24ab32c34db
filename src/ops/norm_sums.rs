//! `norm_sums`: for each set the sum of a gradient, and of the gradient times what was normalised.

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::moments::Sets;
use crate::ops::reduce::{Combine, in_parts};
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Of `x`, a gradient of its shape, means and inverse deviations that broadcast to it: `[2, kept…]`, the sums over each set
/// of the gradient, and of the gradient times `(x - mean) * rstd`. Neighbouring sets may share statistics, and rows across
/// the sets may have their own.
#[derive(Debug)]
pub struct NormSums {
    /// `x`'s shape with 1 where a set extends.
    pub kept: Shape,
}

/// Rows that are added up in f32 on the CPU, where a row has one element of each set.
const ROWS: usize = 64;

/// The sets, and where their statistics are: at `row * across + set / per`, `row` counting along `outer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared {
    pub sets: Sets,
    pub per: usize,
    pub across: usize,
    /// Whether rows have statistics of their own; else `row` counts as 0.
    pub by_row: bool,
}

impl Shared {
    /// Of `x` with sums of the shape `kept` and statistics of the shape `of`; `None` where they do not lie so.
    pub fn new(x: &Shape, kept: &Shape, of: &Shape) -> Option<Self> {
        if x.rank() != kept.rank() || x.rank() != of.rank() {
            return None;
        }
        let held =
            |shape: &Shape| -> Vec<usize> { (0..x.rank()).filter(|&d| shape[d] != 1).collect() };
        let dims = held(kept);
        // One set of all: rows are cut where the statistics end.
        let end = held(of).last().map_or(0, |d| d + 1);
        let first = dims.first().map_or(end, |d| *d);
        let last = dims.last().map_or(end, |d| d + 1);
        let sets = Sets {
            outer: x[..first].iter().product(),
            count: kept.numel(),
            inner: x[last..].iter().product(),
        };
        let by_row = of[..first].iter().any(|&n| n != 1);
        let same = (first..last).take_while(|&d| of[d] == kept[d]).count();
        let rest = &of[first + same..];
        let across = of[first..last].iter().product::<usize>();
        let fits = rest.iter().all(|&n| n == 1) && (!by_row || of[..first] == x[..first]);
        fits.then_some(Self {
            sets,
            per: sets.count / across.max(1),
            across,
            by_row,
        })
    }

    /// Where the statistics of a set's element in a row are.
    fn at(&self, row: usize, set: usize) -> usize {
        let row = if self.by_row { row * self.across } else { 0 };
        row + set / self.per
    }

    /// The sums of columns, all elements of a row having the same statistics.
    fn columns(&self, x: &[f32], grad: &[f32], mean: &[f32], rstd: &[f32]) -> Vec<(f64, f64)> {
        let width = self.sets.count;
        let part = |(part, (x, grad)): (usize, (&[f32], &[f32]))| {
            let (mut plain, mut hat) = (vec![0.0f32; width], vec![0.0f32; width]);
            for (row, (x, grad)) in x.chunks(width).zip(grad.chunks(width)).enumerate() {
                let at = self.at(part * ROWS + row, 0);
                let (m, r) = (mean[at], rstd[at]);
                let sums = plain.iter_mut().zip(&mut hat);
                for ((plain, hat), (x, g)) in sums.zip(x.iter().zip(grad)) {
                    *plain += g;
                    *hat += g * ((x - m) * r);
                }
            }
            (plain, hat)
        };
        let parts = x
            .par_chunks(width * ROWS)
            .zip(grad.par_chunks(width * ROWS));
        let parts: Vec<(Vec<f32>, Vec<f32>)> = parts.enumerate().map(part).collect();
        let mut total = vec![(0.0, 0.0); width];
        for (plain, hat) in parts {
            for (sum, (a, b)) in total.iter_mut().zip(plain.into_iter().zip(hat)) {
                *sum = (sum.0 + f64::from(a), sum.1 + f64::from(b));
            }
        }
        total
    }
}

impl OpDef for NormSums {
    fn name(&self) -> &'static str {
        "norm_sums"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, grad) = (&inputs[0], &inputs[1]);
        let (mean, rstd) = (&inputs[2], &inputs[3]);
        let shared = Shared::new(&x.shape, &self.kept, &mean.shape);
        if x != grad || mean != rstd || shared.is_none() {
            let kept = &self.kept;
            return Err(format!(
                "{x}, {grad}, statistics {mean}, {rstd}: takes both alike, statistics of sets {kept}"
            ));
        }
        let shape: Shape = [2].into_iter().chain(self.kept.iter().copied()).collect();
        Ok(vec![TensorType::f32(shape)])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let [x, grad, mean, rstd] = [0, 1, 2, 3].map(|k| &g.inputs[k]);
        let both = g.grad(0);
        let [plain, hat] = halves(&both, &self.kept);
        let off = x.sub(mean);
        let weighted = hat.mul(grad);
        let dx = weighted.mul(rstd);
        let wanted = |k: usize, t: &dyn Fn() -> Tensor| g.wanted[k].then(t);
        vec![
            Some(dx.clone()),
            wanted(1, &|| plain.add(&hat.mul(&off.mul(rstd)))),
            wanted(2, &|| dx.neg().sum_to(mean.shape())),
            wanted(3, &|| weighted.mul(&off).sum_to(rstd.shape())),
        ]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let shared = self.shared(io.input_type(0), io.input_type(2))?;
        let sets = shared.sets;
        let (x, grad) = (io.input::<f32>(0), io.input::<f32>(1));
        let (mean, rstd) = (io.input::<f32>(2), io.input::<f32>(3));
        let sums = match sets.inner == 1 && shared.per == sets.count {
            true => shared.columns(x, grad, mean, rstd),
            false => sets.sums(x, grad, |row, set, x, g| {
                let at = shared.at(row, set);
                (f64::from(g), f64::from(g * ((x - mean[at]) * rstd[at])))
            }),
        };
        let (plain, hat) = io.output::<f32>(0).split_at_mut(sets.count);
        for (set, (a, b)) in sums.into_iter().enumerate() {
            (plain[set], hat[set]) = (a as f32, b as f32);
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let shared = self.shared(&io.inputs[0], &io.inputs[2])?;
        let sets = shared.sets;
        let parts = sets.parts(caps);
        let d = sets
            .launch(
                "norm_sums",
                include_str!("../../shaders/norm_sums.wgsl"),
                parts,
                caps,
            )
            .sizes([shared.per, shared.across, 0])
            .constant("BY_ROW", u32::from(shared.by_row))
            .read(Buf::Input(0))
            .read(Buf::Input(1))
            .read(Buf::Input(2))
            .read(Buf::Input(3));
        let kernels = if parts == 1 {
            io.with_epilogue(d, 1).map(Kernels::from)
        } else {
            let sums = (parts, Combine::Sum);
            in_parts(io, caps, sums, Kernels::default(), |part| {
                part.with_epilogue(d, 1)
            })
        };
        kernels.ok_or_else(|| Error::Device("norm_sums: no kernel".into()))
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl NormSums {
    fn shared(&self, x: &TensorType, mean: &TensorType) -> Result<Shared> {
        let shared = Shared::new(&x.shape, &self.kept, &mean.shape);
        shared.ok_or_else(|| Error::Device(format!("norm_sums of {x} by {mean}: no kernel")))
    }
}

/// The two parts of `t [2, kept…]`, each in the shape `kept`.
pub(crate) fn halves(t: &Tensor, kept: &Shape) -> [Tensor; 2] {
    [0, 1].map(|k| t.narrow(0, k, 1).reshape_to(kept.clone()))
}
