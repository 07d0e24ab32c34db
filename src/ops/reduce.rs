//! `reduce`: sum, maximum, minimum over dimensions, with whatever elementwise chain comes before fused in.

mod cpu;

mod parts;

pub(crate) use parts::in_parts;

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, Kind, OpDef};
use crate::scalar::Bounds;
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use std::fmt::Write;

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
        if x.dtype == DType::Bool {
            return Err(format!(
                "takes numbers, {x} came: convert with to(DType::I32)"
            ));
        }
        if self.combine != Combine::Sum && self.dims.iter().any(|&d| x.shape[d] == 0) {
            return Err(format!(
                "{}: an empty dimension has no largest or smallest element",
                x.shape
            ));
        }
        let kept = (0..x.shape.rank()).filter(|d| !self.dims.contains(d));
        Ok(vec![TensorType::new(
            kept.map(|d| x.shape[d]).collect::<Shape>(),
            x.dtype,
        )])
    }

    fn bounds(&self, inputs: &[Option<Bounds>], _: &[TensorType]) -> Option<Bounds> {
        inputs[0].filter(|_| self.combine != Combine::Sum)
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
        match io.output_type(0).dtype {
            DType::F32 => self.numbers::<f32>(map, &operands, io.output(0)),
            DType::I32 => self.numbers::<i32>(map, &operands, io.output(0)),
            _ => self.numbers::<u32>(map, &operands, io.output(0)),
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
        let (rows, dtype) = (io.outputs[0].numel(), io.outputs[0].dtype);
        // Enough tasks to fill the device: long rows are cut in chunks, whose results a second launch combines.
        let wanted = if caps.software { 16 } else { 4096 };
        let most = columns.div_ceil(1024).max(1);
        let chunks = (wanted / rows.max(1))
            .clamp(1, most)
            .max(columns.div_ceil(caps.iterations).min(most));
        let no = || Error::Device("a reduction has more operands than the device binds".into());
        if chunks == 1 {
            return Ok(io
                .with_prologue(self.launch(caps, dtype, rows, [columns, 1]), kept)
                .ok_or_else(no)?
                .into());
        }
        let parts = (chunks, self.combine);
        in_parts(io, caps, parts, Kernels::default(), |part| {
            part.with_prologue(self.launch(caps, dtype, rows, [columns, chunks]), kept)
        })
        .ok_or_else(no)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Reduce {
    /// One launch that reduces `rows` rows of `columns` elements of type `dtype`, each in `chunks` parts.
    pub(super) fn launch(
        &self,
        caps: &Caps,
        dtype: DType,
        rows: usize,
        [columns, chunks]: [usize; 2],
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
        let (combine, initial) = match (self.combine, dtype) {
            (Combine::Sum, _) => ("a + b", "C()"),
            (Combine::Max, DType::F32) => ("max_f(a, b)", "from_bits(0xff800000u)"),
            (Combine::Min, DType::F32) => ("min_f(a, b)", "from_bits(0x7f800000u)"),
            (Combine::Max, DType::I32) => ("max(a, b)", "-2147483647 - 1"),
            (Combine::Min, DType::I32) => ("min(a, b)", "2147483647"),
            (Combine::Max, _) => ("max(a, b)", "0u"),
            (Combine::Min, _) => ("min(a, b)", "0xffffffffu"),
        };
        let _ = write!(
            d.generated,
            "fn combine(a: C, b: C) -> C {{ return {combine}; }}\nfn initial() -> C {{ return {initial}; }}\n"
        );
        d.constant("THREADS", threads).grid(caps.grid(groups))
    }
}

/// Reductions, as in PyTorch. `dims` empty means all dimensions; negative ones count from the end.
impl Tensor {
    /// The dimensions that `dims` name, ascending, all where it is empty; or a misuse.
    pub(crate) fn dims(&self, op: &str, dims: &[isize], site: Site) -> Option<Vec<usize>> {
        let all: Vec<isize> = (0..self.rank() as isize).collect();
        let dims = if dims.is_empty() { &all } else { dims };
        let named = dims.iter().map(|&d| self.dim(op, d, site));
        let mut over = named.collect::<Option<Vec<_>>>()?;
        over.sort_unstable();
        over.dedup();
        Some(over)
    }

    #[track_caller]
    fn reduce(&self, combine: Combine, dims: &[isize], keepdim: bool, site: Site) -> Tensor {
        if self.dtype() == DType::Bool {
            let y = self.to(DType::I32).reduce(combine, dims, keepdim, site);
            return match combine {
                Combine::Sum => y,
                _ => y.to(DType::Bool),
            };
        }
        let op = Reduce {
            combine,
            dims: Vec::new(),
        };
        let Some(over) = self.dims(op.name(), dims, site) else {
            return self.trace().poison();
        };
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
    ///
    /// Of `i32` and `u32` the sum is of the same dtype and wraps around; of truth values it is how many are true, `i32`.
    #[track_caller]
    pub fn sum(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Combine::Sum, dims, keepdim, Site::here())
    }

    /// The mean over `dims`, as [`Tensor::sum`] has them: `torch.mean`.
    #[track_caller]
    pub fn mean(&self, dims: &[isize], keepdim: bool) -> Tensor {
        let site = Site::here();
        if !self.dtype().is_float() && !self.is_poisoned() {
            let message = format!("takes f32, {} came: convert with to_f32()", self.ty());
            return self.trace().misuse("mean", message, site);
        }
        let sum = self.reduce(Combine::Sum, dims, keepdim, site);
        let n = self.numel() as f32 / sum.numel() as f32;
        let mean = sum.mul_scalar(1.0 / n);
        if mean.numel() == 1 {
            self.trace().mean_over(&mean, self.numel());
        }
        mean
    }

    /// How many elements over `dims`, as [`Tensor::sum`] has them, are not 0, `i32`: `torch.count_nonzero`.
    #[track_caller]
    pub fn count_nonzero(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.to(DType::Bool).sum(dims, keepdim)
    }

    /// The largest over `dims`, as [`Tensor::sum`] has them, of any dtype; NaN where any is: `torch.amax`.
    #[track_caller]
    pub fn amax(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Combine::Max, dims, keepdim, Site::here())
    }

    /// The smallest over `dims`, as [`Tensor::sum`] has them, of any dtype; NaN where any is: `torch.amin`.
    #[track_caller]
    pub fn amin(&self, dims: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Combine::Min, dims, keepdim, Site::here())
    }
}
