//! `conv_grad_weight`: the gradient of a convolution's weight.

use crate::DType;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::Kernels;
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::conv::columns::{Chunk, gather_rows};
use crate::ops::conv::{Conv, Sizes, padded, weight_shape};
use crate::ops::conv_grad_input::ConvGradInput;
use crate::ops::matmul::gemm;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// `x [n, c, input…]` by `grad [n, o, positions…]` to `[o, c / groups, kernel…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvGradWeight {
    /// The convolution.
    pub conv: Conv,
    /// Spatial sizes of its weight: with strides, several give the same number of positions.
    pub kernel: Vec<usize>,
}

impl OpDef for ConvGradWeight {
    fn name(&self) -> &'static str {
        "conv_grad_weight"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, grad) = (&inputs[0], &inputs[1]);
        let of = format!("input {x}, gradient {grad}");
        let (xs, gs) = (&x.shape, &grad.shape);
        if xs.rank() < 3 || gs.rank() != xs.rank() || self.kernel.len() + 2 != xs.rank() {
            return Err(format!("{of}: takes as many dimensions of both, 3 to 5"));
        }
        let cin = xs[1] / self.conv.groups.max(1);
        let weight = TensorType::new(weight_shape(gs[1], cin, &self.kernel), DType::F32);
        let y = self.conv.check(x, &weight)?;
        if y != *grad {
            return Err(format!("{of}: a weight {weight} gives {y}, not {grad}"));
        }
        Ok(vec![weight])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (x, grad, dw) = (&g.inputs[0], &g.inputs[1], g.grad(0));
        let dx = || {
            let op = ConvGradInput {
                conv: self.conv.clone(),
                input: x.shape()[2..].to_vec(),
            };
            grad.apply(op, &[&dw], g.site)
        };
        let dg = || x.apply(self.conv.clone(), &[&dw], g.site);
        vec![g.wanted[0].then(dx), g.wanted[1].then(dg)]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (x, grad) = (&io.input_type(0).shape, &io.input_type(1).shape);
        let sizes = self.conv.sizes(x, &io.output_type(0).shape, grad);
        let weight = io.output::<f32>(0);
        sizes.grad_weight(io.input(0), io.input(1), weight);
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (x, grad) = (&io.inputs[0].shape, &io.inputs[1].shape);
        let sizes = self.conv.sizes(x, &io.outputs[0].shape, grad);
        sizes.launch_grad_weight(io, caps)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Sizes {
    /// The gradient of the weight on the CPU, `weight` being wholly written.
    fn grad_weight(&self, x: &[f32], grad: &[f32], weight: &mut [f32]) {
        let Self {
            n,
            groups,
            cin,
            cout,
            window,
        } = *self;
        let (elements, positions) = (window.elements(), window.positions());
        if n * positions == 0 {
            return weight.fill(0.0);
        }
        if self.is_narrow() {
            return self.grad_weight_narrow(x, grad, weight);
        }
        let rows = cin * window.taps();
        let chunks = Chunk::all(n, positions, rows);
        // Rows are cut in blocks and columns in parts whose sums are added up; by the sizes alone, so that the number of
        // threads has no part in the result.
        let blocks = (rows / 64).clamp(1, 4);
        let height = rows.div_ceil(blocks);
        let parts = (16 / (blocks * groups)).clamp(1, chunks.len());
        let task = |(columns, grads): &mut (Vec<f32>, Vec<f32>), task: usize| {
            let (group, block, part) = (
                task % groups,
                task / groups % blocks,
                task / groups / blocks,
            );
            let rows = block * height..rows.min((block + 1) * height);
            let mut sum = vec![0.0; rows.len() * cout];
            if rows.is_empty() {
                return sum;
            }
            let x = &x[group * cin * elements..];
            let from = part * chunks.len() / parts;
            for (at, chunk) in chunks[from..(part + 1) * chunks.len() / parts]
                .iter()
                .enumerate()
            {
                let (width, stride) = (chunk.columns(), padded(chunk.columns()));
                let channel = |s: usize| {
                    ((chunk.sample + s) * groups + group) * cout * positions + chunk.from
                };
                let a = if window.is_pointwise() && chunk.samples == 1 {
                    let at = chunk.sample * groups * cin * elements + chunk.from;
                    (&x[at + rows.start * elements..], elements, 1)
                } else {
                    columns.resize(columns.len().max(rows.len() * stride), 0.0);
                    let x = (x, groups * cin * elements);
                    gather_rows(&window, x, rows.clone(), chunk, (columns, stride));
                    (&columns[..], stride, 1)
                };
                let b = if chunk.samples == 1 {
                    (&grad[channel(0)..], 1, positions)
                } else {
                    grads.resize(grads.len().max(cout * stride), 0.0);
                    for (o, grads) in grads.chunks_mut(stride).take(cout).enumerate() {
                        for (s, to) in grads[..width].chunks_mut(positions).enumerate() {
                            to.copy_from_slice(&grad[channel(s) + o * positions..][..positions]);
                        }
                    }
                    (&grads[..], 1, stride)
                };
                gemm((rows.len(), width, cout), a, b, (&mut sum, cout), at > 0);
            }
            sum
        };
        let sums: Vec<Vec<f32>> = (0..parts * blocks * groups)
            .into_par_iter()
            .map_init(Default::default, task)
            .collect();
        // A sum is `[row, output channel]`, the weight `[output channel, row]`.
        weight
            .par_chunks_mut(rows)
            .enumerate()
            .for_each(|(o, weight)| {
                for (row, w) in weight.iter_mut().enumerate() {
                    let at =
                        |part: usize| &sums[(part * blocks + row / height) * groups + o / cout];
                    *w = (0..parts)
                        .map(|p| at(p)[row % height * cout + o % cout])
                        .sum();
                }
            });
    }

    /// The same tap by tap, without columns.
    fn grad_weight_narrow(&self, x: &[f32], grad: &[f32], weight: &mut [f32]) {
        let Self {
            n,
            groups,
            cin,
            cout,
            window,
        } = *self;
        let (taps, elements, positions) = (window.taps(), window.elements(), window.positions());
        weight
            .par_chunks_mut(taps)
            .enumerate()
            .for_each(|(at, weight)| {
                let (o, c) = (at / cin, at % cin);
                let mut sums = vec![0.0f64; taps];
                for sample in 0..n {
                    let x = &x[((sample * groups + o / cout) * cin + c) * elements..][..elements];
                    let grad = &grad[(sample * groups * cout + o) * positions..][..positions];
                    for (k, sum) in sums.iter_mut().enumerate() {
                        window.runs(k, 0..positions, |at, n, element| {
                            let (x, grad) = (&x[element..], &grad[at..at + n]);
                            *sum += f64::from(if window.stride[2] == 1 {
                                dot(&x[..n], grad)
                            } else {
                                x.iter()
                                    .step_by(window.stride[2])
                                    .zip(grad)
                                    .map(|(x, g)| x * g)
                                    .sum()
                            });
                        });
                    }
                }
                weight.iter_mut().zip(sums).for_each(|(w, s)| *w = s as f32);
            });
    }
}

/// The sum of products, over eight running sums.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let whole = a.len() / 8 * 8;
    for (a, b) in a[..whole].chunks_exact(8).zip(b.chunks_exact(8)) {
        (0..8).for_each(|l| lanes[l] += a[l] * b[l]);
    }
    let rest: f32 = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}
