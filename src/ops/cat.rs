//! `cat`: tensors one after the other along a dimension.

use crate::caps::Caps;
use crate::error::{Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::operand::other_dtype;
use crate::scalar::Bounds;
use crate::shape::Shape;
use crate::tensor::{Tensor, Trace, Vjp};
use rayon::prelude::*;
use std::fmt::Write;

/// Along dimension `dim`.
#[derive(Debug)]
pub struct Cat {
    /// The dimension.
    pub dim: usize,
}

/// Most inputs that one launch takes.
const LAUNCH: usize = 7;

/// Elements that one task copies on the CPU.
const PART: usize = 1 << 16;

impl OpDef for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let mut out = inputs[0].clone();
        for t in &inputs[1..] {
            let (a, b) = (&inputs[0], t);
            if a.dtype != b.dtype {
                return Err(format!(
                    "{a} and {b}: the dtypes differ: {}",
                    other_dtype(a.dtype, b.dtype)
                ));
            }
            let (a, b) = (&a.shape, &b.shape);
            if a.rank() != b.rank() || (0..a.rank()).any(|d| d != self.dim && a[d] != b[d]) {
                return Err(format!(
                    "{a} and {b}: sizes may differ in dimension {} alone",
                    self.dim
                ));
            }
        }
        let sum = inputs.iter().map(|t| t.shape[self.dim]).sum();
        let size = |(d, &n)| if d == self.dim { sum } else { n };
        out.shape = inputs[0].shape.iter().enumerate().map(size).collect();
        Ok(vec![out])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (grad, mut at) = (g.grad(0), 0);
        let part = |(x, &wanted): (&Tensor, &bool)| {
            let n = x.shape()[self.dim];
            at += n;
            wanted.then(|| grad.narrow(self.dim as isize, at - n, n))
        };
        g.inputs.iter().zip(&g.wanted).map(part).collect()
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let widths = (0..io.inputs()).map(|k| self.width(&io.input_type(k).shape));
        let inputs: Vec<(&[u32], usize)> =
            widths.enumerate().map(|(k, w)| (io.input(k), w)).collect();
        let total = inputs.iter().map(|i| i.1).sum::<usize>();
        let y = io.output::<u32>(0);
        if y.is_empty() {
            return Ok(());
        }
        let rows = (PART / total).max(1);
        y.par_chunks_mut(rows * total)
            .enumerate()
            .for_each(|(task, y)| {
                for (k, mut y) in y.chunks_mut(total).enumerate() {
                    let row = task * rows + k;
                    for (x, width) in &inputs {
                        let (to, rest) = y.split_at_mut(*width);
                        let from = &x[row * width..][..*width];
                        let parts = to.par_chunks_mut(PART).zip(from.par_chunks(PART));
                        parts.for_each(|(to, from)| to.copy_from_slice(from));
                        y = rest;
                    }
                }
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let widths: Vec<usize> = io.inputs.iter().map(|t| self.width(&t.shape)).collect();
        // What is bound as vectors has at least one.
        let by = if widths.iter().all(|w| w.is_multiple_of(4) && *w > 0) {
            4
        } else {
            1
        };
        let widths: Vec<usize> = widths.into_iter().map(|w| w / by).collect();
        let total = widths.iter().sum::<usize>();
        let rows = io.inputs[0].shape[..self.dim].iter().product::<usize>();
        let each = LAUNCH.min(caps.storage_buffers.saturating_sub(1)).max(1);
        let mut kernels = Kernels::default();
        for (launch, widths) in widths.chunks(each).enumerate() {
            let mut ends = [0; 8];
            let width = widths.iter().zip(&mut ends).fold(0, |at, (w, end)| {
                *end = at + w;
                *end
            });
            let start = kernels
                .dispatches
                .iter()
                .map(|d: &Dispatch| d.words[1] as usize)
                .sum();
            let mut d = Dispatch::new("cat", include_str!("../../shaders/cat.wgsl"))
                .write(Buf::Output(0))
                .sizes([rows, width, start, total])
                .sizes(ends)
                .constant("THREADS", caps.lanes())
                .grid(caps.grid((rows * width).div_ceil(caps.lanes() as usize)));
            let mut load = "fn load(row: u32, column: u32) -> T {\n".to_owned();
            for k in 0..widths.len() {
                d = d.read(Buf::Input(launch * each + k));
                let _ = writeln!(
                    d.generated,
                    "@group(0) @binding({}) var<storage, read> x{k}: array<T>;",
                    k + 2
                );
                let end = |k: usize| format!("p.ends[{}u].{}", k / 4, ["x", "y", "z", "w"][k % 4]);
                let at = match k {
                    0 => format!("row * {} + column", end(0)),
                    _ => format!("row * ({1} - {0}) + column - {0}", end(k - 1), end(k)),
                };
                let _ = match k + 1 == widths.len() {
                    true => writeln!(load, "    return x{k}[{at}];\n}}"),
                    false => writeln!(
                        load,
                        "    if (column < {}) {{ return x{k}[{at}]; }}",
                        end(k)
                    ),
                };
            }
            let element = if by == 4 { "vec4<u32>" } else { "u32" };
            let _ = writeln!(d.generated, "alias T = {element};\n{load}");
            kernels.dispatches.push(d);
        }
        Ok(kernels)
    }

    fn bounds(&self, inputs: &[Option<Bounds>], _: &[TensorType]) -> Option<Bounds> {
        let all: Option<Vec<Bounds>> = inputs.iter().copied().collect();
        all?.into_iter().reduce(Bounds::or)
    }
}

impl Cat {
    /// Neighbouring elements that come from one input.
    fn width(&self, shape: &Shape) -> usize {
        shape[self.dim..].iter().product()
    }
}

impl Tensor {
    /// `tensors` one after the other along `dim`: `torch.cat`. They are of one dtype, and of one shape but for `dim`.
    #[track_caller]
    pub fn cat(tensors: &[&Tensor], dim: isize) -> Tensor {
        let site = Site::here();
        let Some(first) = tensors.first() else {
            return Trace::detached("cat", "takes at least 1 tensor, 0 came", site);
        };
        match first.dim("cat", dim, site) {
            Some(_) if tensors.len() == 1 => first.again(site),
            Some(dim) => first.apply(Cat { dim }, &tensors[1..], site),
            None => first.trace().poison(),
        }
    }

    /// `tensors` of one shape along a new dimension, which comes before `dim`: `torch.stack`.
    #[track_caller]
    pub fn stack(tensors: &[&Tensor], dim: isize) -> Tensor {
        let site = Site::here();
        let Some(first) = tensors.first() else {
            return Trace::detached("stack", "takes at least 1 tensor, 0 came", site);
        };
        if let Some(other) = tensors
            .iter()
            .find(|t| t.shape() != first.shape() && !t.is_poisoned())
        {
            let message = format!("{} and {}: the shapes differ", first.shape(), other.shape());
            return first.trace().misuse("stack", message, site);
        }
        let rank = first.rank() as isize;
        if !(-rank - 1..=rank).contains(&dim) {
            let message = format!(
                "{}: dimension {dim} is out of range, allowed are {} to {rank}",
                first.shape(),
                -rank - 1
            );
            return first.trace().misuse("stack", message, site);
        }
        let rows: Vec<Tensor> = tensors.iter().map(|t| t.unsqueeze(dim)).collect();
        Tensor::cat(&rows.iter().collect::<Vec<_>>(), dim)
    }
}
