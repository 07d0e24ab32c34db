//! `reduce`: sum, maximum, minimum, product over dimensions, with whatever elementwise chain comes before fused in.

mod parts;

pub(crate) use parts::in_parts;

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::fused::{Evaluator, Map};
use crate::graph::TensorType;
use crate::kernel::{Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, Kind, OpDef};
use crate::scalar::{BLOCK, Registers};
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Elements of a row that kernels count: less than half of what 32 bits hold, so that no sum of an index and a step wraps.
const COLUMNS: usize = 1 << 31;

/// Elements over which several dimensions are reduced at once: kernels take an index below it apart exactly.
const TOGETHER: usize = 1 << 30;

/// How elements are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// Their sum.
    Sum,
    /// The largest; NaN where any is.
    Max,
    /// The smallest; NaN where any is.
    Min,
}

/// A reduction over `dims`, which disappear.
#[derive(Debug)]
pub struct Reduce {
    /// How.
    pub combine: Combine,
    /// Over what, ascending.
    pub dims: Vec<usize>,
}

impl OpDef for Reduce {
    fn name(&self) -> &'static str {
        match self.combine {
            Combine::Sum => "sum",
            Combine::Max => "amax",
            Combine::Min => "amin",
        }
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Reduce(&self.dims)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let x = &inputs[0];
        if x.dtype != DType::F32 {
            return Err(format!("takes f32, {x} came: convert with to_f32()"));
        }
        if self.combine != Combine::Sum && self.dims.iter().any(|&d| x.shape[d] == 0) {
            return Err(format!(
                "{}: an empty dimension has no largest or smallest element",
                x.shape
            ));
        }
        let kept = (0..x.shape.rank()).filter(|d| !self.dims.contains(d));
        Ok(vec![TensorType::f32(
            kept.map(|d| x.shape[d]).collect::<Shape>(),
        )])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let x = &g.inputs[0];
        let keep: Shape = (0..x.rank())
            .map(|d| {
                if self.dims.contains(&d) {
                    1
                } else {
                    x.shape()[d]
                }
            })
            .collect();
        let back = |t: &Tensor| t.reshape_to(keep.clone()).expand(x.shape().clone());
        let grad = back(&g.grad(0));
        vec![Some(match self.combine {
            Combine::Sum => grad,
            // Ties share the gradient, as in torch.amax.
            _ => {
                let hit = x.eq(&back(&g.outputs[0])).to_f32();
                let dims: Vec<isize> = self.dims.iter().map(|&d| d as isize).collect();
                let ties = back(&hit.sum(&dims, false));
                &(&grad * &hit) / &ties
            }
        })]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (map, operands) = io
            .prologue
            .take()
            .ok_or_else(|| Error::Device("a reduction came without a prologue".into()))?;
        let out = io.output::<f32>(0);
        let kept = map
            .loads
            .first()
            .map_or(0, |l| l.layout.shape.rank() - self.dims.len());
        let rows = out.len();
        let columns = map
            .loads
            .first()
            .map_or(0, |l| l.layout.shape[kept..].iter().product());
        if rows == 0 {
            return Ok(());
        }
        // Where neighbouring rows, not neighbouring columns, lie together: walk along rows, all columns in turn.
        let along = |from: usize, to: usize| {
            map.loads.iter().any(|l| {
                (from..to)
                    .rev()
                    .find(|&d| l.layout.shape[d] > 1)
                    .is_some_and(|d| l.layout.strides[d] == 1)
            })
        };
        if rows >= 16 && columns > 1 && !along(kept, kept + self.dims.len()) && along(0, kept) {
            self.by_columns(&map.swapped(kept), &operands, out, columns);
        } else {
            self.by_rows(map, &operands, out, columns);
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let map = io
            .prologue
            .ok_or_else(|| Error::Device("a reduction came without a prologue".into()))?;
        let rank = map.loads.first().map_or(0, |l| l.layout.shape.rank());
        let kept = rank - self.dims.len();
        let columns: usize = map
            .loads
            .first()
            .map_or(0, |l| l.layout.shape[kept..].iter().product());
        if columns > COLUMNS {
            return Err(Error::Device(format!(
                "{} over a dimension of {columns} elements: kernels count up to {COLUMNS}: use the CPU (WGRAD_DEVICE=cpu) or \
                 several dimensions",
                self.name()
            )));
        }
        let rows = io.outputs[0].numel();
        // Enough tasks to fill the device: long rows are cut in chunks, whose results a second launch combines.
        let wanted = if caps.software { 16 } else { 4096 };
        let most = columns.div_ceil(1024).max(1);
        let chunks = (wanted / rows.max(1))
            .clamp(1, most)
            .max(columns.div_ceil(caps.iterations).min(most));
        let no = || Error::Device("a reduction has more operands than the device binds".into());
        if chunks == 1 {
            return Ok(io
                .with_prologue(self.launch(caps, rows, columns, 1), kept)
                .ok_or_else(no)?
                .into());
        }
        let parts = (chunks, self.combine);
        in_parts(io, caps, parts, Kernels::default(), |part| {
            part.with_prologue(self.launch(caps, rows, columns, chunks), kept)
        })
        .ok_or_else(no)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Reduce {
    /// One launch that reduces `rows` rows of `columns`, each in `chunks` parts.
    pub(super) fn launch(
        &self,
        caps: &Caps,
        rows: usize,
        columns: usize,
        chunks: usize,
    ) -> Dispatch {
        let tasks = rows * chunks;
        let tree = !caps.software && columns / chunks >= 64;
        let (stem, source, threads) = if tree {
            (
                "reduce",
                include_str!("../../shaders/reduce.wgsl"),
                128.min(caps.threads),
            )
        } else {
            (
                "reduce_rows",
                include_str!("../../shaders/reduce_rows.wgsl"),
                if caps.software {
                    8
                } else {
                    64.min(caps.threads)
                },
            )
        };
        let groups = if tree {
            tasks
        } else {
            tasks.div_ceil(threads as usize)
        };
        let mut d =
            Dispatch::new(stem, source).sizes([rows, columns, chunks, columns.div_ceil(chunks)]);
        d.generated.push_str(match self.combine {
            Combine::Sum => "fn combine(a: C, b: C) -> C { return a + b; }\nfn initial() -> C { return C(0.0); }\n",
            Combine::Max => "fn combine(a: C, b: C) -> C { return max_f(a, b); }\nfn initial() -> C { return from_bits(0xff800000u); }\n",
            Combine::Min => "fn combine(a: C, b: C) -> C { return min_f(a, b); }\nfn initial() -> C { return from_bits(0x7f800000u); }\n",
        });
        d.constant("THREADS", threads).grid(caps.grid(groups))
    }

    fn combine(&self, a: f64, b: f64) -> f64 {
        match self.combine {
            Combine::Sum => a + b,
            Combine::Max => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Combine::Min => {
                if a < b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
        }
    }

    fn initial(&self) -> f64 {
        match self.combine {
            Combine::Sum => 0.0,
            Combine::Max => f64::NEG_INFINITY,
            Combine::Min => f64::INFINITY,
        }
    }

    /// All of `x` combined. Eight running values, so that the sum of a long block loses little and is quick.
    fn fold(&self, x: &[f32]) -> f64 {
        if self.combine == Combine::Sum {
            let mut lanes = [0.0f32; 8];
            let (head, tail) = x.split_at(x.len() / 8 * 8);
            for eight in head.chunks_exact(8) {
                lanes.iter_mut().zip(eight).for_each(|(l, v)| *l += v);
            }
            lanes.iter().chain(tail).map(|&v| f64::from(v)).sum()
        } else {
            x.iter()
                .fold(self.initial(), |a, &v| self.combine(a, f64::from(v)))
        }
    }

    /// Row after row; rows that are long are cut in parts of fixed length, so that threads do not change the result.
    fn by_rows(&self, map: &Map, operands: &[*const u32], out: &mut [f32], columns: usize) {
        const PART: usize = 64 * BLOCK;
        // SAFETY: the device's promise to `CpuIo`.
        let e = unsafe { Evaluator::new(map, operands) };
        let span = |regs: &mut Registers, from: usize, to: usize| {
            (from..to).step_by(BLOCK).fold(self.initial(), |sum, at| {
                let x = e.values(regs, at, BLOCK.min(to - at));
                self.combine(sum, self.fold(x))
            })
        };
        if columns >= 2 * PART {
            for (row, out) in out.iter_mut().enumerate() {
                let part = |p: usize| {
                    span(
                        &mut e.registers(),
                        row * columns + p * PART,
                        row * columns + ((p + 1) * PART).min(columns),
                    )
                };
                let parts: Vec<f64> = (0..columns.div_ceil(PART))
                    .into_par_iter()
                    .map(part)
                    .collect();
                *out = parts
                    .into_iter()
                    .fold(self.initial(), |a, b| self.combine(a, b)) as f32;
            }
            return;
        }
        let rows = (PART / columns.max(1)).max(1);
        out.par_chunks_mut(rows).enumerate().for_each_init(
            || e.registers(),
            |regs, (task, out)| {
                // Short rows share a block.
                let each = BLOCK.checked_div(columns).unwrap_or(1).max(1);
                for (k, out) in out.chunks_mut(each).enumerate() {
                    let at = (task * rows + k * each) * columns;
                    if out.len() == 1 || columns > BLOCK {
                        out.iter_mut()
                            .for_each(|o| *o = span(regs, at, at + columns) as f32);
                    } else {
                        let x = e.values(regs, at, out.len() * columns);
                        out.iter_mut()
                            .zip(x.chunks(columns))
                            .for_each(|(o, x)| *o = self.fold(x) as f32);
                    }
                }
            },
        );
    }

    /// `map` runs over (reduced, kept): add up its rows, in parts of fixed height.
    fn by_columns(&self, map: &Map, operands: &[*const u32], out: &mut [f32], columns: usize) {
        let rows = out.len();
        // SAFETY: the device's promise to `CpuIo`.
        let e = unsafe { Evaluator::new(map, operands) };
        let height = columns.div_ceil(16).max(64);
        let part = |p: usize| {
            let mut sums = vec![self.initial() as f32; rows];
            let mut regs = e.registers();
            for c in p * height..((p + 1) * height).min(columns) {
                for (at, sums) in (0..rows).step_by(BLOCK).zip(sums.chunks_mut(BLOCK)) {
                    let x = e.values(&mut regs, c * rows + at, sums.len());
                    match self.combine {
                        Combine::Sum => sums.iter_mut().zip(x).for_each(|(s, v)| *s += v),
                        _ => sums.iter_mut().zip(x).for_each(|(s, &v)| {
                            *s = self.combine(f64::from(*s), f64::from(v)) as f32
                        }),
                    }
                }
            }
            sums
        };
        let parts: Vec<Vec<f32>> = (0..columns.div_ceil(height))
            .into_par_iter()
            .map(part)
            .collect();
        for (r, out) in out.iter_mut().enumerate() {
            *out = parts
                .iter()
                .fold(self.initial(), |a, p| self.combine(a, f64::from(p[r])))
                as f32;
        }
    }
}

/// Reductions, as in PyTorch. `dims` empty means all dimensions; negative ones count from the end.
impl Tensor {
    fn reduce(&self, combine: Combine, dims: &[isize], keepdim: bool, site: Site) -> Tensor {
        let op = Reduce {
            combine,
            dims: Vec::new(),
        };
        let all: Vec<isize> = (0..self.rank() as isize).collect();
        let dims = if dims.is_empty() { &all } else { dims };
        let Some(mut over) = dims
            .iter()
            .map(|&d| self.dim(op.name(), d, site))
            .collect::<Option<Vec<_>>>()
        else {
            return self.trace().poison();
        };
        over.sort_unstable();
        over.dedup();
        let kept: Shape = (0..self.rank())
            .map(|d| {
                if over.contains(&d) {
                    1
                } else {
                    self.shape()[d]
                }
            })
            .collect();
        let y = self.reduce_over(combine, over, site);
        if keepdim && !y.is_poisoned() {
            y.reshape_to(kept)
        } else {
            y
        }
    }

    /// Over the ascending `dims`: at once, or, where they hold too many elements, the largest first.
    fn reduce_over(&self, combine: Combine, dims: Vec<usize>, site: Site) -> Tensor {
        let sizes = self.shape();
        let mut order = dims.clone();
        order.sort_by_key(|&d| std::cmp::Reverse(sizes[d]));
        let mut elements = 1usize;
        let mut together = |d: &usize| {
            elements = elements.saturating_mul(sizes[*d]);
            elements <= TOGETHER
        };
        let count = order.iter().copied().take_while(|d| together(d)).count();
        let empty = order.last().is_some_and(|&d| sizes[d] == 0);
        if count == dims.len() || dims.len() == 1 || empty {
            return self.apply(Reduce { combine, dims }, &[], site);
        }
        let mut first = order[..count.max(1)].to_vec();
        first.sort_unstable();
        let behind = |d: usize| first.iter().filter(|&&f| f < d).count();
        let rest = dims.iter().filter(|d| !first.contains(d));
        let rest: Vec<usize> = rest.map(|&d| d - behind(d)).collect();
        let dims = first.clone();
        let y = self.apply(Reduce { combine, dims }, &[], site);
        y.reduce_over(combine, rest, site)
    }

    /// The sum over `dims` (negative from the end; none for all), which stay as 1 where `keepdim`: `torch.sum`. Of all of
    /// `[2, 3]`: `x.sum(&[], false)`, `[]`.
    #[track_caller]
    pub fn sum(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Combine::Sum, dims, keepdim, Site::here())
    }

    /// The mean over `dims`, as [`Tensor::sum`] has them: `torch.mean`.
    #[track_caller]
    pub fn mean(&self, dims: &[isize], keepdim: bool) -> Tensor {
        let sum = self.reduce(Combine::Sum, dims, keepdim, Site::here());
        let n = self.numel() as f32 / sum.numel() as f32;
        sum.mul_scalar(1.0 / n)
    }

    /// The largest over `dims`, as [`Tensor::sum`] has them; NaN where any is: `torch.amax`.
    #[track_caller]
    pub fn amax(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Combine::Max, dims, keepdim, Site::here())
    }

    /// The smallest over `dims`, as [`Tensor::sum`] has them; NaN where any is: `torch.amin`.
    #[track_caller]
    pub fn amin(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Combine::Min, dims, keepdim, Site::here())
    }
}
