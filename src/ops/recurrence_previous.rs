//! `recurrence_previous`: the hidden state before each step of a recurrence, which its weight's gradient is a product of.

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::recurrence::composed::previous;
use crate::ops::view::through;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// From hidden states `[n, t, h]`, initial states `[states, n, h]` (of which the first counts) and the `i32` numbers of valid
/// steps `[n]`, to `[n, t, h]`; 0 past the valid steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrencePrevious {
    /// Whether time runs from the last valid step to the first.
    pub reverse: bool,
}

impl OpDef for RecurrencePrevious {
    fn name(&self) -> &'static str {
        "recurrence_previous"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![inputs[0].clone()])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        through(g, |inputs| match inputs {
            [hidden, start, lengths] => vec![previous(self.reverse, [hidden, start, lengths])],
            _ => Vec::new(),
        })
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let shape = &io.output_type(0).shape;
        let (steps, h) = (shape[1], shape[2]);
        let (hidden, start) = (io.input::<f32>(0), io.input::<f32>(1));
        let (lengths, y) = (io.input::<i32>(2), io.output::<f32>(0));
        if y.is_empty() {
            return Ok(());
        }
        let rows = y.par_chunks_mut(steps * h).enumerate();
        rows.for_each(|(r, y)| {
            let len = usize::try_from(lengths[r]).unwrap_or(0).min(steps);
            let hidden = &hidden[r * steps * h..][..len * h];
            y[len * h..].fill(0.0);
            if len == 0 {
                return;
            }
            let (start, moved) = (&start[r * h..][..h], (len - 1) * h);
            if self.reverse {
                y[..moved].copy_from_slice(&hidden[h..]);
                y[moved..][..h].copy_from_slice(start);
            } else {
                y[..h].copy_from_slice(start);
                y[h..][..moved].copy_from_slice(&hidden[..moved]);
            }
        });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let shape = &io.outputs[0].shape;
        let source = include_str!("../../shaders/recurrence_previous.wgsl");
        let d = Dispatch::new("recurrence_previous", source)
            .read(Buf::Input(0))
            .read(Buf::Input(1))
            .read(Buf::Input(2))
            .sizes([shape.numel(), shape[1], shape[2], usize::from(self.reverse)])
            .constant("THREADS", caps.lanes())
            .grid(caps.grid(shape.numel().div_ceil(caps.lanes() as usize)));
        let none = || Error::Device("recurrence_previous: no kernel".into());
        Ok(io.with_epilogue(d, 1).ok_or_else(none)?.into())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}
