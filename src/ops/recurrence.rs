//! `recurrence`: the time loop of a recurrent layer in one direction. What comes from the input has been computed for all
//! steps by one product before, and gradients of weights are products over all steps after it.

mod cell;
pub(crate) mod composed;
mod cpu;
mod launch;

pub use cell::Cell;
pub(crate) use launch::Launch;

use crate::DType;
use crate::array::Array;
use crate::caps::Caps;
use crate::error::{Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::recurrence_grad::RecurrenceGrad;
use crate::ops::recurrence_previous::RecurrencePrevious;
use crate::shape::Shape;
use crate::tensor::{Limit, Tensor, Vjp};
use std::sync::Arc;

/// From `x [n, t, gates h]`, what comes from the input, `weight [gates h, h]`, for a GRU its `bias [gates h]`, the initial
/// states `[states, n, h]` and the `i32` numbers of valid steps `[n]`, to the hidden states `[n, t, h]` (0 past the valid
/// steps), the last states `[states, n, h]` and, but for an RNN, what the gradient needs `[n, t, 5, h]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recurrence {
    /// What a step computes.
    pub cell: Cell,
    /// Whether time runs from the last valid step to the first.
    pub reverse: bool,
}

/// The sizes of a recurrence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub cell: Cell,
    pub reverse: bool,
    pub n: usize,
    pub steps: usize,
    pub hidden: usize,
}

impl Recurrence {
    /// The sizes, from the shape of the hidden states.
    pub(crate) fn steps(&self, hidden: &Shape) -> Steps {
        Steps {
            cell: self.cell,
            reverse: self.reverse,
            n: hidden[0],
            steps: hidden[1],
            hidden: hidden[2],
        }
    }
}

impl OpDef for Recurrence {
    fn name(&self) -> &'static str {
        "recurrence"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (cell, x, weight) = (self.cell, &inputs[0], &inputs[1]);
        let (lengths, floats) = inputs.split_last().ok_or("takes inputs")?;
        if let Some(t) = floats.iter().find(|t| t.dtype != DType::F32) {
            return Err(format!("takes f32, {t} came: convert with to_f32()"));
        }
        if x.shape.rank() != 3 || x.shape[1] == 0 {
            return Err(format!("{}: takes [n, t, features], t 1 or more", x.shape));
        }
        let (n, t) = (x.shape[0], x.shape[1]);
        let hidden = weight.shape.dim(-1).map_or(0, |d| weight.shape[d]);
        let rows = cell.gates() * hidden;
        if weight.shape != Shape::from([rows, hidden]) || x.shape[2] != rows {
            return Err(format!(
                "{} with a weight {}: takes [n, t, {g} h] and [{g} h, h]",
                x.shape,
                weight.shape,
                g = cell.gates()
            ));
        }
        let start = &floats[floats.len() - 1].shape;
        let states = Shape::from([cell.states(), n, hidden]);
        if *start != states {
            return Err(format!("initial states {start}: takes {states}"));
        }
        if cell.has_bias() && inputs[2].shape != Shape::from([rows]) {
            return Err(format!("a bias {}: takes [{rows}]", inputs[2].shape));
        }
        if *lengths != TensorType::i32([n]) {
            return Err(format!("lengths {lengths}: takes i32 [{n}]"));
        }
        let mut outputs = vec![TensorType::f32([n, t, hidden]), TensorType::f32(states)];
        if cell.kept() > 0 {
            outputs.push(TensorType::f32([n, t, cell.kept(), hidden]));
        }
        Ok(outputs)
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (weight, count) = (&g.inputs[1], g.inputs.len());
        let (start, lengths) = (&g.inputs[count - 2], &g.inputs[count - 1]);
        let kept = g.outputs.get(2).unwrap_or(&g.outputs[0]);
        let (grad, last) = (g.grad(0), g.grad(1));
        let inputs = [weight, kept, start, lengths, &grad, &last];
        let grads = match g.grads.get(2) {
            // Only second gradients reach what was kept.
            Some(Some(of_kept)) => composed::backward(*self, inputs, Some(of_kept)),
            _ => (g.trace).push(Arc::new(RecurrenceGrad { of: *self }), &inputs, g.site),
        };
        let [dx, dstart, ..] = &grads[..] else {
            return vec![None; count];
        };
        let product = grads.get(2).unwrap_or(dx);
        let dweight = || {
            let op = RecurrencePrevious {
                reverse: self.reverse,
            };
            let previous = g.outputs[0].apply(op, &[start, lengths], g.site);
            let flat = |t: &Tensor| {
                let width = t.shape()[2];
                t.reshape_to([t.numel() / width.max(1), width].into())
            };
            flat(product).t().matmul(&flat(&previous))
        };
        let mut all = vec![Some(dx.clone()), g.wanted[1].then(dweight)];
        if self.cell.has_bias() {
            all.push(g.wanted[2].then(|| product.sum(&[0, 1], false)));
        }
        all.extend([Some(dstart.clone()), None]);
        all
    }

    fn multiply_adds(&self, inputs: &[TensorType], outputs: &[TensorType]) -> u64 {
        let steps = outputs[0].shape[0] * outputs[0].shape[1];
        (steps * inputs[1].numel()) as u64
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let steps = self.steps(&io.output_type(0).shape);
        let last = io.inputs() - 1;
        let bias = if self.cell.has_bias() {
            io.input(2)
        } else {
            &[]
        };
        let kept = if self.cell.kept() > 0 {
            io.output(2)
        } else {
            &mut []
        };
        let (start, lengths) = (io.input(last - 1), io.input(last));
        let inputs = [io.input(0), io.input(1), bias, start];
        steps.forward(inputs, lengths, [io.output(0), io.output(1), kept]);
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let steps = self.steps(&io.outputs[0].shape);
        let last = io.inputs.len() - 1;
        let launch = Launch {
            stem: "recurrence",
            source: include_str!("../../shaders/recurrence.wgsl"),
            weight: Buf::Input(1),
            inner: steps.hidden,
            backward: false,
        };
        launch.kernels(&steps, io, caps, |d, cell| {
            let d = d
                .read(Buf::Input(0))
                .read(Buf::Input(last - 1))
                .read(Buf::Input(last))
                .write(Buf::Output(0))
                .write(Buf::Output(1));
            let d = if cell.kept() > 0 {
                d.write(Buf::Output(2))
            } else {
                d
            };
            if cell.has_bias() {
                d.read(Buf::Input(2))
            } else {
                d
            }
        })
    }
}

impl Tensor {
    /// The time loop of a recurrent layer over `self` `[n, t, gates h]`, what comes from its input at each step:
    /// `weight [gates h, h]`, for a GRU the `bias [gates h]` of its product, the initial states `start`
    /// `[states, n, h]` (zeros by default; an LSTM has two, the hidden one and the cell's), and the `i32` numbers of valid
    /// steps `lengths [n]` (all by default).
    ///
    /// The hidden states `[n, t, h]`, 0 past the valid steps, and the last states `[states, n, h]`. A length above `t` is an
    /// error. Gradients of the gradient are unrolled, step by step.
    #[track_caller]
    pub fn recurrence(
        &self,
        op: Recurrence,
        weight: &Tensor,
        bias: Option<&Tensor>,
        start: Option<&Tensor>,
        lengths: Option<&Tensor>,
    ) -> (Tensor, Tensor) {
        let (trace, site, cell) = (self.trace(), Site::here(), op.cell);
        let (n, t, hidden) = (self.size(0), self.size(1), weight.size(-1));
        let zeros = |shape: Shape| trace.constant(Array::zeros(shape));
        let start = match start {
            Some(start) => start.clone(),
            None => zeros([cell.states(), n, hidden].into()),
        };
        let lengths = match lengths {
            Some(lengths) => {
                let limit = Limit::below(t + 1, "lengths");
                trace.require_range(op.name(), lengths, limit, site);
                lengths.clone()
            }
            None => trace.constant(Array::vector(vec![t as i32; n])),
        };
        let bias = cell.has_bias().then(|| match bias {
            Some(bias) => bias.clone(),
            None => zeros([cell.gates() * hidden].into()),
        });
        let mut inputs = vec![self, weight];
        inputs.extend(&bias);
        inputs.extend([&start, &lengths]);
        let outputs = trace.push(Arc::new(op), &inputs, site);
        let [y, last, ..] = &outputs[..] else {
            return (trace.poison(), trace.poison());
        };
        (y.clone(), last.clone())
    }
}
