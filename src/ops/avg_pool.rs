//! `avg_pool`: the mean of each window.

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::pool::{Geometry, Windows, floats};
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// The mean of each window of `x [n, c, spatial…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvgPool {
    /// The windows.
    pub windows: Windows,
    /// Whether zeros on the padding count.
    pub padding: bool,
}

/// `grad [n, c, windows…]` shared among the elements of each window: the gradient of [`AvgPool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvgPoolGrad {
    /// The pooling.
    pub pool: AvgPool,
    /// Spatial sizes of its input.
    pub input: Vec<usize>,
}

impl OpDef for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let shape = self.windows.output(&inputs[0].shape)?;
        Ok(vec![floats(&inputs[0], shape)?])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let op = AvgPoolGrad {
            pool: self.clone(),
            input: g.inputs[0].shape()[2..].to_vec(),
        };
        vec![Some(g.grad(0).apply(op, &[], g.site))]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (input, output) = (&io.input_type(0).shape, &io.output_type(0).shape);
        let geometry = self.windows.geometry(&input[2..], &output[2..]);
        let (x, y) = (io.input::<f32>(0), io.output::<f32>(0));
        let (elements, positions) = (geometry.window.elements(), geometry.window.positions());
        if y.is_empty() {
            return Ok(());
        }
        let planes = y.par_chunks_mut(positions).zip(x.par_chunks(elements));
        planes.for_each(|(y, x)| {
            self.each(&geometry, |position, rows, scale| {
                let sum: f32 = rows.map(|row| x[row].iter().sum::<f32>()).sum();
                y[position] = sum * scale;
            });
        });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (x, y) = (&io.inputs[0].shape, &io.outputs[0].shape);
        let geometry = self.windows.geometry(&x[2..], &y[2..]);
        let source = include_str!("../../shaders/avg_pool.wgsl");
        let (n, turns) = (y.numel(), geometry.reach());
        let d = geometry.launch(("avg_pool", source), n, turns, self.padding, caps)?;
        kernel(io, d)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl AvgPool {
    /// Call `f(position, rows, scale)` for each window of a plane: the runs of elements in it, and one by their number.
    fn each(
        &self,
        g: &Geometry,
        mut f: impl FnMut(usize, &mut dyn Iterator<Item = std::ops::Range<usize>>, f32),
    ) {
        let w = &g.window;
        let count = |d: usize, o: usize| {
            if self.padding {
                g.extent(d, o)
            } else {
                g.elements(d, o).len()
            }
        };
        let mut position = 0;
        for od in 0..w.output[0] {
            for oh in 0..w.output[1] {
                let lines = count(0, od) * count(1, oh);
                for ow in 0..w.output[2] {
                    let columns = g.elements(2, ow);
                    let mut rows = g.elements(0, od).flat_map(|d| {
                        let columns = columns.clone();
                        g.elements(1, oh).map(move |h| {
                            let row = (d * w.input[1] + h) * w.input[2];
                            row + columns.start..row + columns.end
                        })
                    });
                    f(position, &mut rows, 1.0 / (lines * count(2, ow)) as f32);
                    position += 1;
                }
            }
        }
    }
}

fn kernel(io: &GpuIo, d: Dispatch) -> Result<Kernels> {
    let d = io.with_epilogue(d.read(Buf::Input(0)), 1);
    let none = || Error::Device("avg_pool: more operands than the device binds".into());
    Ok(d.ok_or_else(none)?.into())
}

impl OpDef for AvgPoolGrad {
    fn name(&self) -> &'static str {
        "avg_pool_grad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let grad = &inputs[0].shape;
        let x: Shape = grad[..2].iter().chain(&self.input).copied().collect();
        if self.pool.windows.output(&x)? != *grad {
            return Err(format!("gradient {grad}: takes that of a pooling of {x}"));
        }
        Ok(vec![floats(&inputs[0], x)?])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        vec![Some(g.grad(0).apply(self.pool.clone(), &[], g.site))]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (grad, x) = (&io.input_type(0).shape, &io.output_type(0).shape);
        let geometry = self.pool.windows.geometry(&x[2..], &grad[2..]);
        let (grad, x) = (io.input::<f32>(0), io.output::<f32>(0));
        let (elements, positions) = (geometry.window.elements(), geometry.window.positions());
        if x.is_empty() {
            return Ok(());
        }
        let planes = x.par_chunks_mut(elements).zip(grad.par_chunks(positions));
        planes.for_each(|(x, grad)| {
            x.fill(0.0);
            self.pool.each(&geometry, |position, rows, scale| {
                let share = grad[position] * scale;
                rows.for_each(|row| x[row].iter_mut().for_each(|x| *x += share));
            });
        });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (grad, x) = (&io.inputs[0].shape, &io.outputs[0].shape);
        let source = include_str!("../../shaders/avg_pool_grad.wgsl");
        let geometry = self.pool.windows.geometry(&x[2..], &grad[2..]);
        let (n, turns, padding) = (x.numel(), geometry.overlaps(), self.pool.padding);
        let d = geometry.launch(("avg_pool_grad", source), n, turns, padding, caps)?;
        kernel(io, d)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}
