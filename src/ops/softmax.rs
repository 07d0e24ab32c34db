//! `softmax`: exponentials along a dimension divided by their sum, or the logarithm of that.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::map::{map, operand};
use crate::ops::rows::Rows;
use crate::scalar::Expr;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Along dimension `dim`.
#[derive(Debug)]
pub struct Softmax {
    /// The dimension.
    pub dim: usize,
    /// Whether the logarithm is taken.
    pub log: bool,
}

impl OpDef for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let x = &inputs[0];
        if x.dtype != DType::F32 {
            return Err(format!("takes f32, {x} came: convert with to_f32()"));
        }
        Ok(vec![x.clone()])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (y, grad, dim) = (&g.outputs[0], g.grad(0), self.dim as isize);
        vec![Some(if self.log {
            grad.sub(&y.exp().mul(&grad.sum(&[dim], true)))
        } else {
            y.mul(&grad.sub(&grad.mul(y).sum(&[dim], true)))
        })]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let rows = Rows::of(&io.input_type(0).shape, self.dim);
        let (x, y) = (io.input::<f32>(0), io.output::<f32>(0));
        if x.is_empty() {
            return Ok(());
        }
        let statistics = rows.statistics(x);
        let value = |x: f32, (most, sum): (f32, f32)| match self.log {
            true => x - most - sum.ln(),
            false => (x - most).exp() / sum,
        };
        if rows.inner == 1 {
            let all = y
                .par_chunks_mut(rows.n)
                .zip(x.par_chunks(rows.n))
                .zip(&statistics);
            all.for_each(|((y, x), &s)| y.iter_mut().zip(x).for_each(|(y, &x)| *y = value(x, s)));
        } else {
            let lines = y
                .par_chunks_mut(rows.inner)
                .zip(x.par_chunks(rows.inner))
                .enumerate();
            lines.for_each(|(line, (y, x))| {
                let s = &statistics[line / rows.n * rows.inner..];
                y.iter_mut()
                    .zip(x)
                    .zip(s)
                    .for_each(|((y, &x), &s)| *y = value(x, s));
            });
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let rows = Rows::of(&io.inputs[0].shape, self.dim);
        let d = rows
            .launch(
                "softmax",
                include_str!("../../shaders/softmax.wgsl"),
                3,
                caps,
            )?
            .read(Buf::Input(0))
            .sizes([usize::from(self.log)]);
        let d = io.with_epilogue(d, 1);
        Ok(d.ok_or_else(|| Error::Device("softmax: no kernel".into()))?
            .into())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Tensor {
    /// Exponentials along `dim`, divided by their sum there: `torch.softmax`.
    #[track_caller]
    pub fn softmax(&self, dim: isize) -> Tensor {
        self.softmax_or_log("softmax", dim, false, Site::here())
    }

    /// The logarithm of [`Tensor::softmax`], computed without taking it.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        self.softmax_or_log("log_softmax", dim, true, Site::here())
    }

    fn softmax_or_log(&self, name: &str, dim: isize, log: bool, site: Site) -> Tensor {
        match self.dim(name, dim, site) {
            Some(dim) => self.apply(Softmax { dim, log }, &[], site),
            None => self.trace().poison(),
        }
    }

    /// The logarithm of the sum of exponentials over `dims` (empty means all), the negative infinity of no elements:
    /// `torch.logsumexp`.
    #[track_caller]
    pub fn logsumexp(&self, dims: &[isize], keepdim: bool) -> Tensor {
        let site = Site::here();
        // An infinite maximum would make `x - most` NaN.
        let finite = |x: &Expr| {
            let infinite = x.abs().equals(&Expr::lit(f32::INFINITY));
            infinite.select(&Expr::lit(0.0), x)
        };
        if self.numel() == 0 {
            return self.exp().sum(dims, keepdim).log(); // there is no largest element
        }
        let largest = self.amax(dims, true).detach();
        let most = map(
            "logsumexp",
            finite(&operand(&largest, 0)),
            &[&largest],
            site,
        );
        let sum = self.sub(&most).exp().sum(dims, keepdim);
        let most = if keepdim {
            most
        } else {
            most.reshape_to(sum.shape().clone())
        };
        sum.log().add(&most)
    }
}
