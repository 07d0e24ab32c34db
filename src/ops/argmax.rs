//! `argmax`: where the largest or smallest element is along a dimension.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::rows::Rows;
use crate::scalar::Bounds;
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Along dimension `dim`, which disappears.
#[derive(Debug)]
pub struct Argmax {
    /// The dimension.
    pub dim: usize,
    /// Whether the smallest is looked for.
    pub min: bool,
}

impl OpDef for Argmax {
    fn name(&self) -> &'static str {
        if self.min { "argmin" } else { "argmax" }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let x = &inputs[0];
        if x.dtype != DType::F32 {
            return Err(format!("takes numbers, {x} came: convert with to_f32()"));
        }
        if x.shape[self.dim] == 0 {
            return Err(format!(
                "{}: dimension {} has no elements",
                x.shape, self.dim
            ));
        }
        let kept = (0..x.shape.rank()).filter(|d| *d != self.dim);
        Ok(vec![TensorType::i32(
            kept.map(|d| x.shape[d]).collect::<Shape>(),
        )])
    }

    fn vjp(&self, _: &Vjp) -> Vec<Option<Tensor>> {
        vec![None]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let rows = Rows::of(&io.input_type(0).shape, self.dim);
        let (x, y) = (io.input::<f32>(0), io.output::<i32>(0));
        let sign = if self.min { -1.0 } else { 1.0 };
        y.par_iter_mut()
            .with_min_len(64)
            .enumerate()
            .for_each(|(r, y)| {
                let start = rows.start(r);
                let (mut most, mut at) = (sign * x[start], 0);
                for k in 1..rows.n {
                    let v = sign * x[start + k * rows.inner];
                    if v > most || (v.is_nan() && !most.is_nan()) {
                        (most, at) = (v, k);
                    }
                }
                *y = at as i32;
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let rows = Rows::of(&io.inputs[0].shape, self.dim);
        let flip = if self.min { 0x8000_0000 } else { 0 };
        // Along `tasks.n` elements of each part of each row, or of those at the places that were `found`.
        let launch = |tasks: Rows, parts: usize, to: Buf, found: Option<Buf>| {
            let source = include_str!("../../shaders/argmax.wgsl");
            let mut d = tasks
                .launch("argmax", source, 1, caps)?
                .read(Buf::Input(0))
                .write(to)
                .words([flip])
                .sizes([rows.n, parts, 0, 0]);
            d.generated.push_str(match found {
                None => "fn place(row: u32, k: u32) -> u32 { return k; }\n",
                Some(_) => {
                    "@group(0) @binding(3) var<storage, read> found: array<u32>;\n\
                     fn place(row: u32, k: u32) -> u32 { return found[k * p.rows + row]; }\n"
                }
            });
            if parts > 1 {
                let groups = caps.grid(rows.count() * parts);
                d = d.constant("PARTED", 1u32).grid(groups);
            }
            let d = found.into_iter().fold(d, Dispatch::read);
            Ok(io.with_library(d, 1))
        };
        let length = Rows::longest(caps);
        let length = rows.n.div_ceil(rows.n.div_ceil(length));
        let parts = rows.n.div_ceil(length);
        if parts == 1 {
            return Ok(launch(rows, 1, Buf::Output(0), None)?.into());
        }
        // Rows that are too long for a workgroup are cut in parts, from whose results a second launch takes the best.
        let scratch = Buf::Scratch(0);
        let part = Rows { n: length, ..rows };
        let best = Rows { n: parts, ..rows };
        Ok(Kernels {
            dispatches: vec![
                launch(part, parts, scratch, None)?,
                launch(best, 1, Buf::Output(0), Some(scratch))?,
            ],
            scratch: vec![parts * rows.count()],
        })
    }

    fn bounds(&self, _: &[Option<Bounds>], types: &[TensorType]) -> Option<Bounds> {
        let high = types[0].shape[self.dim].saturating_sub(1) as i64;
        Some(Bounds { low: 0, high })
    }
}

impl Tensor {
    /// The index of the largest element along `dim`, `i32`: the first of equal ones, a NaN before all. Of `f32`, `i32` or
    /// `u32`. As `torch.argmax`.
    #[track_caller]
    pub fn argmax(&self, dim: isize, keepdim: bool) -> Tensor {
        self.arg(dim, keepdim, false, Site::here())
    }

    /// The index of the smallest element along `dim`, `i32`: see [`Tensor::argmax`]. As `torch.argmin`.
    #[track_caller]
    pub fn argmin(&self, dim: isize, keepdim: bool) -> Tensor {
        self.arg(dim, keepdim, true, Site::here())
    }

    fn arg(&self, dim: isize, keepdim: bool, min: bool, site: Site) -> Tensor {
        let Some(d) = self.dim(if min { "argmin" } else { "argmax" }, dim, site) else {
            return self.trace().poison();
        };
        if matches!(self.dtype(), DType::I32 | DType::U32) && self.shape()[d] > 0 {
            return self.arg_of_integers(d, keepdim, min);
        }
        let y = self.apply(Argmax { dim: d, min }, &[], site);
        if keepdim && !y.is_poisoned() {
            y.unsqueeze(d as isize)
        } else {
            y
        }
    }

    /// The smallest of the positions along dimension `d` that have the largest (or smallest) of the integers.
    #[track_caller]
    fn arg_of_integers(&self, d: usize, keepdim: bool, min: bool) -> Tensor {
        let (n, dims) = (self.shape()[d], [d as isize]);
        let most = match min {
            true => self.amin(&dims, true),
            false => self.amax(&dims, true),
        };
        let mut along = vec![1; self.rank()];
        along[d] = n;
        let position = self.trace().arange(n).reshape_to(along.into());
        let last = self.trace().scalar(n as i32 - 1);
        self.eq(&most).where_(&position, &last).amin(&dims, keepdim)
    }
}
