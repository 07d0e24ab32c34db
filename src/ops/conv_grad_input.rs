//! `conv_grad_input`: the gradient of a convolution's input, and the forward of a transposed convolution.

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::Kernels;
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::conv::columns::Chunk;
use crate::ops::conv::{Conv, Sizes, padded};
use crate::ops::conv_grad_weight::ConvGradWeight;
use crate::ops::matmul::gemm;
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
        sizes.launch_grad_input(io, caps)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Sizes {
    /// The gradient of the input on the CPU, `x` being wholly written.
    fn grad_input(&self, grad: &[f32], weight: &[f32], x: &mut [f32]) {
        let Self {
            groups,
            cin,
            cout,
            window,
            ..
        } = *self;
        let taps = window.taps();
        if x.is_empty() {
            return;
        }
        if let Some(window) = window.transposed() {
            // With stride 1, a convolution of the gradient by the weight turned around.
            let mut turned = vec![0.0; weight.len()];
            for (g, turned) in turned.chunks_mut(cin * cout * taps).enumerate() {
                for (at, turned) in turned.chunks_mut(taps).enumerate() {
                    let (c, o) = (at / cout, at % cout);
                    let from = &weight[((g * cout + o) * cin + c) * taps..][..taps];
                    turned
                        .iter_mut()
                        .zip(from.iter().rev())
                        .for_each(|(t, w)| *t = *w);
                }
            }
            let back = Self {
                cin: cout,
                cout: cin,
                window,
                ..*self
            };
            return back.forward(grad, &turned, x);
        }
        let (elements, positions) = (window.elements(), window.positions());
        let narrow = self.is_narrow();
        let rows = cin * taps;
        let chunks = Chunk::all(1, positions, rows);
        let task = |columns: &mut Vec<f32>, (at, x): (usize, &mut [f32])| {
            x.fill(0.0);
            let grad = &grad[at * cout * positions..][..cout * positions];
            let weight = &weight[at % groups * cout * rows..][..cout * rows];
            if narrow {
                return self.scatter_narrow(grad, weight, x);
            }
            for chunk in &chunks {
                let stride = padded(chunk.len);
                columns.resize(columns.len().max(rows * stride), 0.0);
                let b = (&grad[chunk.from..], positions, 1);
                gemm(
                    (rows, cout, chunk.len),
                    (weight, 1, rows),
                    b,
                    (columns, stride),
                    false,
                );
                for (row, columns) in columns.chunks(stride).take(rows).enumerate() {
                    let x = &mut x[row / taps * elements..][..elements];
                    window.scatter(&columns[..chunk.len], row % taps, chunk.from, x);
                }
            }
        };
        x.par_chunks_mut(cin * elements)
            .enumerate()
            .for_each_init(Vec::new, task);
    }

    /// The gradient of one sample's and group's input, tap by tap, without columns.
    fn scatter_narrow(&self, grad: &[f32], weight: &[f32], x: &mut [f32]) {
        let (w, taps) = (&self.window, self.window.taps());
        let (elements, positions) = (w.elements(), w.positions());
        for (o, grad) in grad.chunks(positions).enumerate() {
            for (c, x) in x.chunks_mut(elements).enumerate() {
                for (k, &weight) in weight[(o * self.cin + c) * taps..][..taps]
                    .iter()
                    .enumerate()
                {
                    w.runs(k, 0..positions, |at, n, element| {
                        let to = x[element..].iter_mut().step_by(w.stride[2]);
                        to.zip(&grad[at..at + n])
                            .for_each(|(x, g)| *x += weight * g);
                    });
                }
            }
        }
    }
}
