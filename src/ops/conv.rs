//! `conv`: convolution over one to three spatial dimensions, in groups.
//!
//! With the gradients of its two operands it is closed under differentiation: each of the three is linear in both of
//! its operands, and the gradients of each are the other two.

pub(crate) mod gather;
mod options;
pub(crate) mod product;
#[cfg(test)]
mod tests;
mod tiles;

pub(crate) use options::spread;
pub use options::{ConvOptions, ConvTransposeOptions, Padding};

use crate::DType;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::Kernels;
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::conv_grad_input::ConvGradInput;
use crate::ops::conv_grad_weight::ConvGradWeight;
use crate::ops::window::{LAYOUTS, Steps, Window};
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use gather::Gather;
use rayon::prelude::*;

/// `x [n, c, spatial…]` by `weight [o, c / groups, kernel…]` to `[n, o, positions…]`, as `torch.nn.functional.conv2d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv {
    /// How the window moves.
    pub steps: Steps,
    /// Parts that the channels are cut into; each output channel sees one part of the input's.
    pub groups: usize,
}

/// Sizes of a convolution, channels a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub n: usize,
    pub groups: usize,
    pub cin: usize,
    pub cout: usize,
    pub window: Window,
}

impl Conv {
    /// Sizes of this convolution from the shapes of its input, weight and output.
    pub(crate) fn sizes(&self, x: &[usize], weight: &[usize], y: &[usize]) -> Sizes {
        let mut window = Window::new(&self.steps, &x[2..], &weight[2..], &y[2..]);
        // Where there is one position, how far the next would be is nothing to cut the gradient's positions by.
        (0..3)
            .filter(|&d| window.output[d] == 1)
            .for_each(|d| window.stride[d] = 1);
        Sizes {
            n: x[0],
            groups: self.groups,
            cin: weight[1],
            cout: weight[0] / self.groups,
            window,
        }
    }

    /// The type of the output, or what is wrong.
    pub(crate) fn check(&self, x: &TensorType, weight: &TensorType) -> Result<TensorType, String> {
        if x.dtype != DType::F32 || weight.dtype != DType::F32 {
            return Err(format!(
                "takes f32, {x} and {weight} came: convert with to_f32()"
            ));
        }
        let (dims, groups) = (self.steps.check()?, self.groups);
        let (x, w) = (&x.shape, &weight.shape);
        let of = format!("input {x}, weight {w}");
        if x.rank() != dims + 2 || w.rank() != dims + 2 {
            return Err(format!(
                "{of}: takes an input {} and a weight of as many dimensions",
                LAYOUTS[dims]
            ));
        }
        let (c, o) = (x[1], w[0]);
        if groups == 0 || c % groups != 0 || o % groups != 0 {
            return Err(format!(
                "{of}: the number of groups, {groups}, must divide {c} input and {o} output channels"
            ));
        }
        if w[1] * groups != c {
            return Err(format!(
                "{of}: the weight takes {} input channels ({} in each of {groups} groups), {c} came",
                w[1] * groups,
                w[1]
            ));
        }
        if c == 0 || o == 0 || w[2..].contains(&0) {
            return Err(format!("{of}: channels and kernel sizes are at least 1"));
        }
        let mut shape = vec![x[0], o];
        for d in 0..dims {
            let n = self.steps.positions(d, x[d + 2], w[d + 2], false).ok_or_else(|| {
                format!(
                    "{of}: with {} the kernel is larger than the padded input in spatial dimension {d}",
                    self.steps
                )
            })?;
            shape.push(n);
        }
        Ok(TensorType::f32(shape))
    }
}

impl OpDef for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![self.check(&inputs[0], &inputs[1])?])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (x, weight, grad) = (&g.inputs[0], &g.inputs[1], g.grad(0));
        let dx = || {
            let input = x.shape()[2..].to_vec();
            grad.apply(
                ConvGradInput {
                    conv: self.clone(),
                    input,
                },
                &[weight],
                g.site,
            )
        };
        let dw = || {
            let kernel = weight.shape()[2..].to_vec();
            x.apply(
                ConvGradWeight {
                    conv: self.clone(),
                    kernel,
                },
                &[&grad],
                g.site,
            )
        };
        vec![g.wanted[0].then(dx), g.wanted[1].then(dw)]
    }

    fn multiply_adds(&self, inputs: &[TensorType], outputs: &[TensorType]) -> u64 {
        let weight = &inputs[1];
        (outputs[0].numel() * weight.numel() / weight.shape[0].max(1)) as u64
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (x, weight) = (&io.input_type(0).shape, &io.input_type(1).shape);
        let sizes = self.sizes(x, weight, &io.output_type(0).shape);
        let y = io.output::<f32>(0);
        sizes.forward(io.input(0), io.input(1), y);
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let sizes = self.sizes(
            &io.inputs[0].shape,
            &io.inputs[1].shape,
            &io.outputs[0].shape,
        );
        Gather::forward(&sizes).launch("conv", io, caps)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Sizes {
    /// Whether a group has so few output channels that products of matrices do not pay.
    pub fn is_narrow(&self) -> bool {
        self.cout <= 2
    }

    /// The convolution on the CPU, `y` being wholly written.
    fn forward(&self, x: &[f32], weight: &[f32], y: &mut [f32]) {
        if self.is_narrow() {
            self.forward_narrow(x, weight, y);
        } else {
            Gather::forward(self).cpu(x, weight, y);
        }
    }

    /// The same tap by tap.
    fn forward_narrow(&self, x: &[f32], weight: &[f32], y: &mut [f32]) {
        let Self {
            cin,
            cout,
            window,
            groups,
            ..
        } = *self;
        let (taps, elements, positions) = (window.taps(), window.elements(), window.positions());
        let stride = window.stride[2];
        y.par_chunks_mut(positions)
            .enumerate()
            .for_each(|(plane, y)| {
                y.fill(0.0);
                let (sample, o) = (plane / (groups * cout), plane % (groups * cout));
                for c in 0..cin {
                    let x = &x[((sample * groups + o / cout) * cin + c) * elements..][..elements];
                    for (k, &w) in weight[(o * cin + c) * taps..][..taps].iter().enumerate() {
                        window.runs(k, |at, n, element| {
                            let y = &mut y[at..at + n];
                            if stride == 1 {
                                y.iter_mut()
                                    .zip(&x[element..element + n])
                                    .for_each(|(y, x)| *y += w * x);
                            } else {
                                let x = x[element..].iter().step_by(stride);
                                y.iter_mut().zip(x).for_each(|(y, x)| *y += w * x);
                            }
                        });
                    }
                }
            });
    }
}

/// The shape of a weight.
pub(crate) fn weight_shape(cout: usize, cin: usize, kernel: &[usize]) -> Shape {
    [cout, cin].iter().chain(kernel).copied().collect()
}
