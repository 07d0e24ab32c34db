//! `recurrence_grad`: the gradient of a recurrence, a loop over time the other way.

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::recurrence::{Launch, Recurrence, composed};
use crate::ops::view::through;
use crate::tensor::{Tensor, Vjp};

/// From `weight [gates h, h]`, what was kept `[n, t, 5, h]` (for an RNN its hidden states), the initial states, the lengths
/// and the gradients of the hidden states `[n, t, h]` and of the last states, to the gradients of what comes from the input
/// `[n, t, gates h]`, of the initial states and, for a GRU, of what comes from the state `[n, t, gates h]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrenceGrad {
    /// The recurrence.
    pub of: Recurrence,
}

impl OpDef for RecurrenceGrad {
    fn name(&self) -> &'static str {
        "recurrence_grad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [weight, _, start, _, grad, _] = inputs else {
            return Err(format!("takes 6 inputs, {} came", inputs.len()));
        };
        let (n, t) = (grad.shape[0], grad.shape[1]);
        let x = TensorType::f32([n, t, weight.shape[0]]);
        let mut outputs = vec![x.clone(), start.clone()];
        if self.of.cell.has_bias() {
            outputs.push(x);
        }
        Ok(outputs)
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        through(g, |inputs| match inputs {
            [weight, kept, start, lengths, grad, last] => {
                let inputs = [weight, kept, start, lengths, grad, last];
                composed::backward(self.of, inputs, None)
            }
            _ => Vec::new(),
        })
    }

    fn multiply_adds(&self, inputs: &[TensorType], outputs: &[TensorType]) -> u64 {
        let steps = outputs[0].shape[0] * outputs[0].shape[1];
        (steps * inputs[0].numel()) as u64
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let steps = self.of.steps(&io.input_type(4).shape);
        let product = if self.of.cell.has_bias() {
            io.output(2)
        } else {
            &mut []
        };
        let inputs = [0, 1, 2, 4, 5].map(|k| io.input(k));
        steps.backward(inputs, io.input(3), [io.output(0), io.output(1), product]);
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let steps = self.of.steps(&io.inputs[4].shape);
        let launch = Launch {
            stem: "recurrence_grad",
            source: include_str!("../../shaders/recurrence_grad.wgsl"),
            weight: Buf::Input(0),
            inner: steps.cell.gates() * steps.hidden,
            backward: true,
        };
        launch.kernels(&steps, io, caps, |d, cell| {
            let d = d
                .read(Buf::Input(1))
                .read(Buf::Input(3))
                .read(Buf::Input(4))
                .read(Buf::Input(5))
                .write(Buf::Output(0))
                .write(Buf::Output(1));
            let d = if cell.states() > 1 {
                d.read(Buf::Input(2))
            } else {
                d
            };
            if cell.has_bias() {
                d.write(Buf::Output(2))
            } else {
                d
            }
        })
    }
}
