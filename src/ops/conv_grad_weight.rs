//! `conv_grad_weight`: the gradient of a convolution's weight.

use crate::DType;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::Kernels;
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::conv::product::{Offsets, Product, padded, panels, transpose};
use crate::ops::conv::{Conv, Sizes, weight_shape};
use crate::ops::conv_grad_input::ConvGradInput;
use crate::ops::window::coordinates;
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

    fn multiply_adds(&self, inputs: &[TensorType], outputs: &[TensorType]) -> u64 {
        let weight = &outputs[0];
        (inputs[1].numel() * weight.numel() / weight.shape[0].max(1)) as u64
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
        let taps = window.taps();
        let rows = cin * taps;
        // The positions are cut in parts whose sums are added up, the input's channels in blocks: by the sizes alone, so
        // that the number of threads has no part in the result.
        let together = (64 / positions).clamp(1, n);
        let chunks = n.div_ceil(together);
        let parts = ((1 << 19) / (groups * cout * rows)).clamp(1, 8).min(chunks);
        let height = cin.div_ceil((16 / (parts * groups)).clamp(1, cin.div_ceil(4)));
        let blocks = cin.div_ceil(height); // the last one has channels too
        let field = window.field();
        let seen: Vec<usize> = (0..taps).map(|k| field.offset(window.offset(k))).collect();
        let steps = |q: usize| {
            let q = coordinates(q, window.output);
            field.offset([0, 1, 2].map(|d| q[d] * window.stride[d]))
        };
        let steps: Vec<usize> = (0..positions).map(steps).collect();
        let (panels, width) = (panels(cout), padded(cout));
        let task = |scratch: &mut Scratch, task: usize| {
            let (group, block, part) = (
                task % groups,
                task / groups % blocks,
                task / groups / blocks,
            );
            let channels = block * height..cin.min((block + 1) * height);
            let mut sum = vec![0.0; channels.len() * taps * width];
            let sample = channels.len() * field.plane;
            scratch.field.clear();
            scratch.field.resize(together * sample, 0.0);
            let offsets = |c: usize| seen.iter().map(move |t| c * field.plane + t);
            let offsets: Vec<usize> = (0..channels.len()).flat_map(offsets).collect();
            for chunk in part * chunks / parts..(part + 1) * chunks / parts {
                let samples = chunk * together..n.min((chunk + 1) * together);
                let inner = samples.len() * positions;
                scratch.grad.resize(together * positions * width, 0.0);
                scratch.inner.clear();
                for (s, to) in samples.clone().zip(scratch.field.chunks_mut(sample)) {
                    let at = (s * groups + group) * cin + channels.start;
                    field.fill(&x[at * elements..][..channels.len() * elements], to);
                    let first = (s - samples.start) * sample;
                    scratch.inner.extend(steps.iter().map(|q| first + q));
                }
                let inner_offsets = Offsets::new(&scratch.inner);
                for (first, width) in panels.iter().copied() {
                    let panel = &mut scratch.grad[first * inner..][..inner * width];
                    for (s, panel) in samples.clone().zip(panel.chunks_mut(positions * width)) {
                        let at = (s * groups + group) * cout + first;
                        let grad = &grad[at * positions..][..width.min(cout - first) * positions];
                        transpose((grad, positions), (panel, width));
                    }
                    let sum = &mut sum[first * offsets.len()..][..offsets.len() * width];
                    // Sums of so many positions lose little.
                    for from in (0..inner).step_by(2048) {
                        let to = inner.min(from + 2048);
                        Product {
                            x: &scratch.field,
                            rows: Offsets::new(&offsets),
                            inner: inner_offsets.part(from..to),
                            panel: &panel[from * width..to * width],
                            out: sum,
                            width,
                            add: true,
                        }
                        .run();
                    }
                }
            }
            sum
        };
        let sums: Vec<Vec<f32>> = (0..parts * blocks * groups)
            .into_par_iter()
            .map_init(Scratch::default, task)
            .collect();
        let (first, rest) = sums.split_at(blocks * groups);
        let total = |(at, sum): (usize, &Vec<f32>)| {
            let mut sum = sum.clone();
            for part in rest.iter().skip(at).step_by(blocks * groups) {
                sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
            }
            sum
        };
        let totals: Vec<Vec<f32>> = first.par_iter().enumerate().map(total).collect();
        for (at, total) in totals.iter().enumerate() {
            let (group, from) = (at % groups, at / groups * height * taps);
            let height = total.len() / width;
            for (first, width) in panels.iter().copied() {
                let to = (group * cout + first) * rows;
                let to = &mut weight[to..][..width.min(cout - first) * rows];
                transpose(
                    (&total[first * height..][..height * width], width),
                    (&mut to[from..], rows),
                );
            }
        }
    }

    /// The same tap by tap.
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
                        window.runs(k, |at, n, element| {
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

#[derive(Default)]
struct Scratch {
    field: Vec<f32>,
    grad: Vec<f32>,
    inner: Vec<usize>,
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
