//! `conv_grad_input`: the gradient of a convolution's input, and the forward of a transposed convolution.

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::Kernels;
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::conv::gather::Gather;
use crate::ops::conv::{Conv, Sizes};
use crate::ops::conv_grad_weight::ConvGradWeight;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// `grad [n, o, positions…]` by `weight [o, c / groups, kernel…]` to `[n, c, input…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvGradInput {
    /// The convolution.
    pub conv: Conv,
    /// Spatial sizes of its input: several give the same number of positions.
    pub input: Vec<usize>,
}

impl OpDef for ConvGradInput {
    fn name(&self) -> &'static str {
        "conv_grad_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (grad, weight) = (&inputs[0], &inputs[1]);
        let (g, w) = (&grad.shape, &weight.shape);
        let of = format!("gradient {g}, weight {w}");
        if g.rank() < 3 || w.rank() != g.rank() || self.input.len() + 2 != g.rank() {
            return Err(format!("{of}: takes as many dimensions of both, 3 to 5"));
        }
        let shape = [g[0], w[1] * self.conv.groups];
        let x = TensorType::new(
            shape.iter().chain(&self.input).copied().collect::<Vec<_>>(),
            grad.dtype,
        );
        let y = self.conv.check(&x, weight)?;
        if y != *grad {
            return Err(format!("{of}: an input {x} gives {y}, not {grad}"));
        }
        Ok(vec![x])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (grad, weight, dx) = (&g.inputs[0], &g.inputs[1], g.grad(0));
        let dg = || dx.apply(self.conv.clone(), &[weight], g.site);
        let dw = || {
            let op = ConvGradWeight {
                conv: self.conv.clone(),
                kernel: weight.shape()[2..].to_vec(),
            };
            dx.apply(op, &[grad], g.site)
        };
        vec![g.wanted[0].then(dg), g.wanted[1].then(dw)]
    }

    fn multiply_adds(&self, inputs: &[TensorType], _: &[TensorType]) -> u64 {
        let weight = &inputs[1];
        (inputs[0].numel() * weight.numel() / weight.shape[0].max(1)) as u64
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (grad, weight) = (&io.input_type(0).shape, &io.input_type(1).shape);
        let sizes = self.conv.sizes(&io.output_type(0).shape, weight, grad);
        let x = io.output::<f32>(0);
        sizes.grad_input(io.input(0), io.input(1), x);
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (grad, weight) = (&io.inputs[0].shape, &io.inputs[1].shape);
        let sizes = self.conv.sizes(&io.outputs[0].shape, weight, grad);
        Gather::grad_input(&sizes).launch("conv_grad_input", io, caps)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Sizes {
    /// The gradient of the input on the CPU, `x` being wholly written.
    fn grad_input(&self, grad: &[f32], weight: &[f32], x: &mut [f32]) {
        if self.cin > 2 {
            return Gather::grad_input(self).cpu(grad, weight, x);
        }
        let Self {
            cin,
            cout,
            groups,
            window,
            ..
        } = *self;
        let (taps, positions) = (window.taps(), window.positions());
        if x.is_empty() {
            return;
        }
        // Tap by tap where channels are few.
        x.par_chunks_mut(window.elements())
            .enumerate()
            .for_each(|(plane, x)| {
                x.fill(0.0);
                let (part, c) = (plane / cin, plane % cin);
                for o in 0..cout {
                    let grad = &grad[(part * cout + o) * positions..][..positions];
                    let at = ((part % groups * cout + o) * cin + c) * taps;
                    for (k, &w) in weight[at..at + taps].iter().enumerate() {
                        window.runs(k, |at, n, element| {
                            let grad = &grad[at..at + n];
                            if window.stride[2] == 1 {
                                let to = &mut x[element..element + n];
                                to.iter_mut().zip(grad).for_each(|(x, g)| *x += w * g);
                            } else {
                                let to = x[element..].iter_mut().step_by(window.stride[2]);
                                to.zip(grad).for_each(|(x, g)| *x += w * g);
                            }
                        });
                    }
                }
            });
    }
}
