//! `max_pool`: the largest element of each window, and where it lies.

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::pool::{Geometry, Windows, floats};
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// The maximum of each window of `x [n, c, spatial…]`, then its index within the plane, `i32`: the first one where
/// several are equal, -1 where a window lies on padding alone. NaN is larger than any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPool {
    /// The windows.
    pub windows: Windows,
}

/// `grad [n, c, windows…]` put where the indices say, zero elsewhere: the gradient of [`MaxPool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPoolGrad {
    /// The windows.
    pub windows: Windows,
    /// Spatial sizes of the pooling's input.
    pub input: Vec<usize>,
}

/// The elements of `x [n, c, spatial…]` that the indices name: the gradient of [`MaxPoolGrad`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPoolGather {
    /// The windows that gave the indices.
    pub windows: Windows,
}

fn kernel(io: &GpuIo, d: Dispatch, name: &str) -> Result<Kernels> {
    let none = || Error::Device(format!("{name}: more operands than the device binds"));
    Ok(io.with_epilogue(d, 1).ok_or_else(none)?.into())
}

fn like(shape: &Shape, spatial: &[usize]) -> Shape {
    shape[..2].iter().chain(spatial).copied().collect()
}

impl OpDef for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let shape = self.windows.output(&inputs[0].shape)?;
        let indices = TensorType::i32(shape.clone());
        Ok(vec![floats(&inputs[0], shape)?, indices])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let op = MaxPoolGrad {
            windows: self.windows.clone(),
            input: g.inputs[0].shape()[2..].to_vec(),
        };
        vec![Some(g.grad(0).apply(op, &[&g.outputs[1]], g.site))]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (input, output) = (&io.input_type(0).shape, &io.output_type(0).shape);
        let geometry = self.windows.geometry(&input[2..], &output[2..]);
        let (x, y, at) = (io.input::<f32>(0), io.output::<f32>(0), io.output::<i32>(1));
        let (elements, positions) = (geometry.window.elements(), geometry.window.positions());
        if y.is_empty() {
            return Ok(());
        }
        let halving = geometry.is_halving();
        let planes = y
            .par_chunks_mut(positions)
            .zip(at.par_chunks_mut(positions));
        planes.zip(x.par_chunks(elements)).for_each(|((y, at), x)| {
            if halving {
                halve(&geometry, x, y, at);
            } else {
                maxima(&geometry, x, y, at);
            }
        });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (input, output) = (&io.inputs[0].shape, &io.outputs[0].shape);
        let geometry = self.windows.geometry(&input[2..], &output[2..]);
        let source = include_str!("../../shaders/max_pool.wgsl");
        let (n, turns) = (output.numel(), geometry.reach());
        let d = geometry
            .launch(("max_pool", source), n, turns, false, caps)?
            .read(Buf::Input(0))
            .write(Buf::Output(io.epilogue.exprs.len()));
        kernel(io, d, "max_pool")
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// The maxima of one plane.
fn maxima(g: &Geometry, x: &[f32], y: &mut [f32], at: &mut [i32]) {
    let w = &g.window;
    let mut position = 0;
    for od in 0..w.output[0] {
        for oh in 0..w.output[1] {
            for ow in 0..w.output[2] {
                let (mut most, mut index) = (f32::NEG_INFINITY, -1);
                for d in g.elements(0, od).step_by(w.dilation[0]) {
                    for h in g.elements(1, oh).step_by(w.dilation[1]) {
                        let row = (d * w.input[1] + h) * w.input[2];
                        for i in g.elements(2, ow).step_by(w.dilation[2]) {
                            let v = x[row + i];
                            if v > most || v.is_nan() || index < 0 {
                                (most, index) = (v, (row + i) as i32);
                            }
                        }
                    }
                }
                (y[position], at[position]) = (most, index);
                position += 1;
            }
        }
    }
}

/// The maxima of one plane where windows are pairs of rows and columns that do not overlap.
fn halve(g: &Geometry, x: &[f32], y: &mut [f32], at: &mut [i32]) {
    let (input, width) = (g.window.input, g.window.output[2]);
    let lines = y.chunks_mut(width).zip(at.chunks_mut(width));
    for (line, (y, at)) in lines.enumerate() {
        let row = (line / g.window.output[1] * input[1] + line % g.window.output[1] * 2) * input[2];
        let (above, below) = (&x[row..][..2 * width], &x[row + input[2]..][..2 * width]);
        let pairs = above.chunks_exact(2).zip(below.chunks_exact(2));
        for (i, ((y, at), (a, b))) in y.iter_mut().zip(at).zip(pairs).enumerate() {
            // Later ones win only where they are larger, or NaN.
            let wins = |a: f32, b: f32| b > a || b.is_nan();
            let first = row + 2 * i;
            let (top, top_at) = if wins(a[0], a[1]) {
                (a[1], first + 1)
            } else {
                (a[0], first)
            };
            let first = first + input[2];
            let (low, low_at) = if wins(b[0], b[1]) {
                (b[1], first + 1)
            } else {
                (b[0], first)
            };
            let (most, index) = if wins(top, low) {
                (low, low_at)
            } else {
                (top, top_at)
            };
            (*y, *at) = (most, index as i32);
        }
    }
}

impl OpDef for MaxPoolGrad {
    fn name(&self) -> &'static str {
        "max_pool_grad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (grad, indices) = (&inputs[0].shape, &inputs[1].shape);
        let x = like(grad, &self.input);
        if self.windows.output(&x)? != *grad || indices != grad {
            return Err(format!(
                "gradient {grad}, indices {indices}: takes those of a pooling of {x}"
            ));
        }
        Ok(vec![floats(&inputs[0], x)?])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let op = MaxPoolGather {
            windows: self.windows.clone(),
        };
        vec![Some(g.grad(0).apply(op, &[&g.inputs[1]], g.site)), None]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let elements = io.output_type(0).shape[2..].iter().product();
        let positions = io.input_type(0).shape[2..].iter().product();
        let (grad, at, x) = (io.input::<f32>(0), io.input::<i32>(1), io.output::<f32>(0));
        if x.is_empty() {
            return Ok(());
        }
        let windows = grad.par_chunks(positions).zip(at.par_chunks(positions));
        x.par_chunks_mut(elements)
            .zip(windows)
            .for_each(|(x, (grad, at))| {
                x.fill(0.0);
                for (g, at) in grad.iter().zip(at) {
                    if let Some(x) = x.get_mut(*at as usize) {
                        *x += g;
                    }
                }
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (grad, x) = (&io.inputs[0].shape, &io.outputs[0].shape);
        let source = include_str!("../../shaders/max_pool_grad.wgsl");
        let geometry = self.windows.geometry(&x[2..], &grad[2..]);
        let tiled = geometry.covers() && geometry.reach() <= caps.iterations;
        let (n, turns) = match tiled {
            true => (grad.numel(), geometry.reach()),
            false => (x.numel(), geometry.overlaps()),
        };
        let d = geometry
            .launch(("max_pool_grad", source), n, turns, false, caps)?
            .constant("TILED", u32::from(tiled))
            .read(Buf::Input(0))
            .read(Buf::Input(1));
        kernel(io, d, "max_pool_grad")
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl OpDef for MaxPoolGather {
    fn name(&self) -> &'static str {
        "max_pool_gather"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, indices) = (&inputs[0].shape, &inputs[1].shape);
        let shape = self.windows.output(x)?;
        if shape != *indices {
            return Err(format!(
                "input {x}, indices {indices}: takes those of a pooling, {shape}"
            ));
        }
        Ok(vec![floats(&inputs[0], shape)?])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let op = MaxPoolGrad {
            windows: self.windows.clone(),
            input: g.inputs[0].shape()[2..].to_vec(),
        };
        vec![Some(g.grad(0).apply(op, &[&g.inputs[1]], g.site)), None]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let elements = io.input_type(0).shape[2..].iter().product();
        let positions = io.output_type(0).shape[2..].iter().product();
        let (x, at, y) = (io.input::<f32>(0), io.input::<i32>(1), io.output::<f32>(0));
        if y.is_empty() {
            return Ok(());
        }
        let planes = x.par_chunks(elements).zip(at.par_chunks(positions));
        y.par_chunks_mut(positions)
            .zip(planes)
            .for_each(|(y, (x, at))| {
                for (y, at) in y.iter_mut().zip(at) {
                    *y = x.get(*at as usize).copied().unwrap_or(0.0);
                }
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (x, y) = (&io.inputs[0].shape, &io.outputs[0].shape);
        let source = include_str!("../../shaders/max_pool_gather.wgsl");
        let d = self
            .windows
            .geometry(&x[2..], &y[2..])
            .launch(("max_pool_gather", source), y.numel(), 1, false, caps)?
            .read(Buf::Input(0))
            .read(Buf::Input(1));
        kernel(io, d, "max_pool_gather")
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}
