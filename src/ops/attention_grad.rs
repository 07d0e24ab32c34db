//! `attention_grad`: the gradients of queries, keys and values, the weights being computed again.

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::attention::composed::Backward;
use crate::ops::attention::{Attention, Launch, Role, Stem, absorb};
use crate::ops::view::through;
use crate::shape::Layout;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;
use std::sync::Arc;

/// Inputs of the attention, after its sources the gradient of the result `[n, t, h, ev]` and `[3, n, t, h]`: what the
/// attention kept, and what each query's gradients of weights are shifted by, the sums of gradient times result. To the
/// gradient of each source.
#[derive(Debug, Clone)]
pub struct AttentionGrad {
    /// What it is the gradient of.
    pub of: Attention,
}

impl OpDef for AttentionGrad {
    fn name(&self) -> &'static str {
        "attention_grad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let sources = self.of.sources();
        let z = self.of.sizes(inputs);
        let (grad, stats) = (&inputs[sources], &inputs[sources + 1]);
        if *grad != TensorType::f32([z.n, z.t, z.h, z.ev])
            || *stats != TensorType::f32([3, z.n, z.t, z.h])
        {
            return Err(format!("gradient {grad}, sums {stats}: they do not fit"));
        }
        Ok(inputs[..sources].to_vec())
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let sources = self.of.sources();
        through(g, |inputs| {
            let mask = self.of.mask.then(|| &inputs[sources + 2]);
            let sums = [&inputs[sources], &inputs[sources + 1]];
            let (of, from) = (&self.of, &inputs[..sources]);
            Backward::new(of, from, sums, mask, g.site).sources(of)
        })
    }

    fn multiply_adds(&self, inputs: &[TensorType], _: &[TensorType]) -> u64 {
        let s = self.of.sizes(inputs);
        (s.n * s.h * s.t * s.s * (3 * s.e + 2 * s.ev)) as u64
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let tile = self.of.tile(io, 2);
        let sources = self.of.sources();
        let z = &tile.sizes;
        let (grad, stats) = (io.input::<f32>(sources), io.input::<f32>(sources + 1));
        let heads: Vec<Vec<f32>> = (0..z.n * z.h)
            .into_par_iter()
            .map(|k| tile.backward((k / z.h, k % z.h), grad, stats))
            .collect();
        let parts = [
            (0, z.t, z.e),
            (z.t * z.e, z.s, z.e),
            ((z.t + z.s) * z.e, z.s, z.ev),
        ];
        for source in 0..sources {
            let shape = &io.output_type(source).shape;
            let (len, all, width) = (shape[1], shape[2], shape[3]);
            let out = io.output::<f32>(source);
            if out.is_empty() {
                continue;
            }
            out.par_chunks_mut(all * width)
                .enumerate()
                .with_min_len(64)
                .for_each(|(row, out)| {
                    let (n, row) = (row / len, row % len);
                    for (place, (at, _, _)) in self.of.places.iter().zip(parts) {
                        if place.input != source {
                            continue;
                        }
                        for h in 0..z.h {
                            let from = &heads[n * z.h + h][at + row * width..][..width];
                            out[(place.head + h) * width..][..width].copy_from_slice(from);
                        }
                    }
                });
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let mut query = Launch::new(&self.of, io.inputs, 2, caps);
        let z = query.sizes.clone();
        let out = |role: usize| Buf::Output(self.of.places[role].input);
        query.own(Role::Query, Some(Role::Grad));
        query.tile(Role::Key, Role::Value);
        query.place_out(io.outputs, 0, 0);
        let mut all = query.kernels(io, Stem::Query, &[(out(0), "grad_x")], (z.t, z.s))?;

        let mut key = Launch::new(&self.of, io.inputs, 2, caps);
        key.own(Role::Key, Some(Role::Value));
        key.tile(Role::Query, Role::Grad);
        key.place_out(io.outputs, 1, 2);
        let one = out(1) == out(2);
        let bindings = key.reads() + if one { 1 } else { 2 };
        let launch =
            |written: &[(Buf, &'static str)]| key.kernels(io, Stem::Key, written, (z.s, z.t));
        // Sums of both would not fit into a thread's registers, or their buffers into one launch.
        let wide = key.in_registers() && z.e + z.ev > 64;
        let more = if wide || bindings > caps.storage_buffers {
            let mut more = launch(&[(out(1), "grad_x")])?;
            let values = launch(&[(out(2), "grad_y")])?;
            more.dispatches.extend(values.dispatches);
            more
        } else if one {
            launch(&[(out(1), "grad_xy")])?
        } else {
            launch(&[(out(1), "grad_x"), (out(2), "grad_y")])?
        };
        all.dispatches.extend(more.dispatches);
        Ok(all)
    }

    fn absorb(&self, input: usize, view: &Layout) -> Option<(Arc<dyn OpDef>, Vec<usize>)> {
        let (of, order) = absorb(&self.of, input, view)?;
        Some((Arc::new(Self { of }), order))
    }
}
