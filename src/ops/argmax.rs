//! `argmax`: where the largest or smallest element is along a dimension.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
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
        let d = Rows::of(&io.inputs[0].shape, self.dim)
            .launch("argmax", include_str!("../../shaders/argmax.wgsl"), caps)
            .read(Buf::Input(0))
            .write(Buf::Output(0))
            .words([if self.min { 0x8000_0000 } else { 0 }]);
        Ok(io.with_library(d, 1).into())
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
