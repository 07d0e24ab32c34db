//! `cross_entropy`: the loss of each sample from logits and class labels, softmax and logarithm in one kernel.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::map::map;
use crate::ops::rows::Rows;
use crate::scalar::Expr;
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Logits `[n, c, …]` (classes along `dim`) and `i32` labels `[n, …]`, to losses, largest logits and logarithms of the sums
/// of `e^(logit - largest)`, all `[n, …]`. A label out of range takes the last class.
///
/// The last two are not added up: beside a largest logit of 1e6 an f32 has no room for the logarithm. The largest logit passes
/// no gradient, as what it adds and takes away is nothing.
#[derive(Debug)]
pub struct CrossEntropy {
    /// The dimension of the classes.
    pub dim: usize,
    /// The label of samples without a loss.
    pub ignore_index: i32,
}

impl OpDef for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, labels) = (&inputs[0], &inputs[1]);
        if x.dtype != DType::F32 {
            return Err(format!("takes f32 logits, {x} came: convert with to_f32()"));
        }
        let kept: Shape = without(&x.shape, self.dim);
        if labels.dtype != DType::I32 || labels.shape != kept {
            return Err(format!("{x} with labels {labels}: takes labels i32 {kept}"));
        }
        if x.shape[self.dim] == 0 {
            return Err(format!("{x}: there are no classes"));
        }
        Ok(vec![TensorType::f32(kept); 3])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        if !g.wanted[0] {
            return vec![None, None];
        }
        let (x, labels) = (&g.inputs[0], &g.inputs[1]);
        let wide = |t: &Tensor| t.reshape_to(with(t.shape(), self.dim, 1));
        let mut along = vec![1; x.rank()];
        along[self.dim] = x.shape()[self.dim];
        let classes = g.trace.arange(x.shape()[self.dim]).reshape_to(along.into());
        let mut tensors = vec![
            x.clone(),
            wide(&g.outputs[1]),
            wide(&g.outputs[2]),
            wide(labels),
            classes,
            wide(&g.grad(0)),
        ];
        let (zero, label) = (Expr::lit(0.0), Expr::load(4, DType::I32));
        let ignored = label.equals(&Expr::constant(self.ignore_index as u32, DType::I32));
        let of_loss = ignored.select(&zero, &Expr::arg(6));
        let mut of_sum = of_loss.clone();
        if let Some(grad) = &g.grads[2] {
            tensors.push(wide(grad));
            of_sum = &of_sum + &Expr::arg(7);
        }
        let probability = (&(&Expr::arg(1) - &Expr::arg(2)) - &Expr::arg(3)).exp();
        let hit = Expr::load(5, DType::I32).equals(&label);
        let dx = &(&probability * &of_sum) - &hit.select(&of_loss, &zero);
        let dx = map(
            "cross_entropy",
            dx,
            &tensors.iter().collect::<Vec<_>>(),
            g.site,
        );
        vec![Some(dx), None]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let rows = Rows::of(&io.input_type(0).shape, self.dim);
        let (x, labels) = (io.input::<f32>(0), io.input::<i32>(1));
        let losses = io.output::<f32>(0);
        let (largest, sums) = (io.output::<f32>(1), io.output::<f32>(2));
        let all = losses
            .par_iter_mut()
            .zip(largest.par_iter_mut().zip(sums))
            .zip(rows.statistics(x))
            .zip(labels)
            .enumerate();
        all.with_min_len(1024).for_each(
            |(r, (((loss, (largest, log_sum)), (most, sum)), &label))| {
                let class = (label as u32 as usize).min(rows.n - 1);
                let chosen = x[rows.start(r) + class * rows.inner];
                (*largest, *log_sum) = (most, sum.ln());
                *loss = if label == self.ignore_index {
                    0.0
                } else {
                    *log_sum - (chosen - most)
                };
            },
        );
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let d = Rows::of(&io.inputs[0].shape, self.dim)
            .launch(
                "cross_entropy",
                include_str!("../../shaders/cross_entropy.wgsl"),
                2,
                caps,
            )?
            .read(Buf::Input(0))
            .read(Buf::Input(1))
            .write(io.further(1))
            .write(io.further(2))
            .words([self.ignore_index as u32]);
        let d = io.with_epilogue(d, 1);
        Ok(
            d.ok_or_else(|| Error::Device("cross_entropy: no kernel".into()))?
                .into(),
        )
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// `shape` without dimension `dim`.
pub(super) fn without(shape: &Shape, dim: usize) -> Shape {
    (0..shape.rank())
        .filter(|d| *d != dim)
        .map(|d| shape[d])
        .collect()
}

/// `shape` with a dimension of size `n` before `dim`.
pub(super) fn with(shape: &Shape, dim: usize, n: usize) -> Shape {
    shape[..dim]
        .iter()
        .copied()
        .chain([n])
        .chain(shape[dim..].iter().copied())
        .collect()
}
