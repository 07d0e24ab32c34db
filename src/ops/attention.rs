//! `attention`: products of queries and keys, softmax, products with values, without ever holding the matrix of weights.

pub(crate) mod composed;
mod kernels;
mod options;
mod text;
mod tiles;

pub(crate) use kernels::{Launch, Role, Stem};
pub use options::AttentionOptions;
pub(crate) use options::{Heads, combined_mask};
pub(crate) use tiles::{Sizes, Strided, Tile};

use crate::DType;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::attention_grad::AttentionGrad;
use crate::shape::Layout;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;
use std::sync::Arc;

/// Queries, keys and values are heads of one to three inputs `[n, length, all heads, e]`; then come a mask, bool (true =
/// takes part) or f32 (added), `[n or 1, h or 1, t or 1, s or 1]`, and the keys of the random numbers, u32 `[3]`. To
/// `[n, t, h, ev]` and `[2, n, t, h]`: the largest score of each query, and the inverse sum of exponentials relative to it.
/// Their one number, the logarithm of the sum, would lose the sum beside a large score. Where nothing takes part they are
/// infinity and 0, and the result is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Heads of each of queries, keys, values.
    pub heads: usize,
    /// Where queries, keys and values are.
    pub places: [Place; 3],
    /// Whether query `i` sees keys up to `i` only.
    pub causal: bool,
    /// What products of queries and keys are multiplied with.
    pub scale: f32,
    /// Whether there is a mask.
    pub mask: bool,
    /// Dropout of the weights: probability and stream.
    pub dropout: Option<(f32, u32)>,
}

/// Neighbouring heads of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Position of the input.
    pub input: usize,
    /// The first of the heads.
    pub head: usize,
    /// Whether the memory is `[n, heads, length, e]`.
    pub heads_first: bool,
}

impl Place {
    /// `[n, length, heads, e]` of an input.
    pub(crate) fn dims(self, inputs: &[TensorType]) -> [usize; 4] {
        let s = &inputs[self.input].shape;
        match self.heads_first {
            true => [s[0], s[2], s[1], s[3]],
            false => [s[0], s[1], s[2], s[3]],
        }
    }
}

impl Attention {
    /// Number of inputs that hold queries, keys and values.
    pub(crate) fn sources(&self) -> usize {
        self.places.iter().map(|p| p.input + 1).max().unwrap_or(0)
    }

    /// Sizes and places of the operands.
    pub(crate) fn sizes(&self, inputs: &[TensorType]) -> Sizes {
        let [query, key, value] = self.places.map(|p| p.dims(inputs));
        let of = |place: Place, [_, len, heads, width]: [usize; 4]| match place.heads_first {
            true => Strided {
                offset: place.head * len * width,
                strides: [heads * len * width, len * width, width],
            },
            false => Strided {
                offset: place.head * width,
                strides: [len * heads * width, width, heads * width],
            },
        };
        let [p, q, r] = self.places;
        Sizes {
            n: query[0],
            h: self.heads,
            t: query[1],
            s: key[1],
            e: query[3],
            ev: value[3],
            places: [of(p, query), of(q, key), of(r, value)],
        }
    }

    /// Strides of the mask along samples, heads, queries, keys.
    pub(crate) fn mask_strides(shape: &[usize]) -> [usize; 4] {
        let dense = Layout::contiguous(shape).strides;
        std::array::from_fn(|d| match shape[d] {
            1 => 0,
            _ => dense[d] as usize,
        })
    }

    /// What a tile's scores are computed from, `extra` inputs coming between the sources and the mask.
    pub(crate) fn tile<'a>(&self, io: &CpuIo<'a>, extra: usize) -> Tile<'a> {
        let types: Vec<TensorType> = (0..io.inputs()).map(|i| io.input_type(i).clone()).collect();
        let sizes = self.sizes(&types);
        let at = self.sources() + extra;
        let mask = self.mask.then(|| {
            let ty = io.input_type(at);
            let words = io.input::<u32>(at);
            (words, ty.dtype, Self::mask_strides(&ty.shape))
        });
        let dropout = self.dropout.map(|(p, stream)| {
            let keys = io.input::<u32>(at + usize::from(self.mask));
            (p, stream, [keys[0], keys[1], keys[2]])
        });
        Tile {
            sizes,
            data: self.places.map(|p| io.input(p.input)),
            scale: self.scale,
            causal: self.causal,
            mask,
            dropout,
        }
    }

    /// What is wrong with the operands.
    fn check(&self, inputs: &[TensorType]) -> Result<Sizes, String> {
        let sources = &inputs[..self.sources()];
        if let Some(x) = sources.iter().find(|x| x.dtype != DType::F32) {
            return Err(format!("takes f32, {x} came: convert with to_f32()"));
        }
        let z = self.sizes(inputs);
        let [query, key, value] = self.places.map(|p| p.dims(inputs));
        let text = |[n, len, _, width]: [usize; 4]| format!("[{n},{},{len},{width}]", self.heads);
        let all = format!(
            "queries {}, keys {}, values {}",
            text(query),
            text(key),
            text(value)
        );
        if query[3] != key[3] || key[1] != value[1] || query[0] != key[0] || key[0] != value[0] {
            return Err(format!(
                "{all}: takes [n, h, t, e], [n, h, s, e], [n, h, s, ev]"
            ));
        }
        if z.e == 0 {
            return Err(format!(
                "{all}: queries and keys must have 1 element or more"
            ));
        }
        Ok(z)
    }
}

impl OpDef for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let z = self.check(inputs)?;
        if self.mask {
            let mask = &inputs[self.sources()];
            let full = [z.n, z.h, z.t, z.s];
            let fits = mask.shape.rank() == 4
                && (0..4).all(|d| mask.shape[d] == full[d] || mask.shape[d] == 1);
            if !fits || !matches!(mask.dtype, DType::Bool | DType::F32) {
                let [n, h, t, s] = full;
                return Err(format!(
                    "a mask {mask}: takes bool or f32 that broadcasts to [{n},{h},{t},{s}]"
                ));
            }
        }
        Ok(vec![
            TensorType::f32([z.n, z.t, z.h, z.ev]),
            TensorType::f32([2, z.n, z.t, z.h]),
        ])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (y, kept, grad) = (&g.outputs[0], &g.outputs[1], g.grad(0));
        let mut shift = grad.mul(y).sum(&[-1], false);
        if let Some(of_kept) = &g.grads[1] {
            // Second gradients. A score moves an inverse sum by its weight times that. What comes by the largest score
            // cancels, since weights do not depend on what their exponentials are relative to.
            let inverse = |t: &Tensor| t.select(0, 1);
            shift = shift.add(&inverse(of_kept).mul(&inverse(kept)));
        }
        let stats = Tensor::cat(&[kept, &shift.unsqueeze(0)], 0);
        let sources = self.sources();
        let mut all: Vec<Option<Tensor>> = vec![None; g.inputs.len()];
        if g.wanted[..sources].contains(&true) {
            let mut inputs: Vec<&Tensor> = g.inputs[..sources].iter().collect();
            inputs.extend([&grad, &stats]);
            inputs.extend(&g.inputs[sources..]);
            let op = AttentionGrad { of: self.clone() };
            let grads = g.trace.push(Arc::new(op), &inputs, g.site);
            for (k, grad) in grads.into_iter().enumerate() {
                all[k] = Some(grad);
            }
        }
        if self.mask && g.wanted[sources] {
            let mask = &g.inputs[sources];
            let parts = composed::Backward::new(
                self,
                &g.inputs[..sources],
                [&grad, &stats],
                Some(mask),
                g.site,
            );
            all[sources] = Some(parts.mask(mask));
        }
        all
    }

    fn multiply_adds(&self, inputs: &[TensorType], _: &[TensorType]) -> u64 {
        let s = self.sizes(inputs);
        (s.n * s.h * s.t * s.s * (s.e + s.ev)) as u64
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let tile = self.tile(io, 0);
        let z = &tile.sizes;
        let (y, kept) = (io.output::<f32>(0), io.output::<f32>(1));
        if kept.is_empty() {
            return Ok(());
        }
        // Blocks of queries of one sample, all heads of them.
        let rows = tiles::ROWS.min(z.t);
        let mut tasks = Vec::new();
        let mut rest = y;
        let (most, inverse) = kept.split_at_mut(z.n * z.t * z.h);
        let samples = most
            .chunks_mut(z.t * z.h)
            .zip(inverse.chunks_mut(z.t * z.h));
        for (n, (most, inverse)) in samples.enumerate() {
            let blocks = most
                .chunks_mut(rows * z.h)
                .zip(inverse.chunks_mut(rows * z.h));
            for (block, (most, inverse)) in blocks.enumerate() {
                let (y, tail) = rest.split_at_mut(most.len() * z.ev);
                rest = tail;
                tasks.push((n, block * rows, y, most, inverse));
            }
        }
        tasks
            .into_par_iter()
            .for_each(|(n, first, y, most, inverse)| {
                let rows = first..first + most.len() / z.h;
                for h in 0..z.h {
                    tile.forward((n, h), rows.clone(), [&mut *y, &mut *most, &mut *inverse]);
                }
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let mut launch = Launch::new(self, io.inputs, 0, caps);
        launch.own(Role::Query, None);
        launch.tile(Role::Key, Role::Value);
        let z = launch.sizes.clone();
        let written = [(Buf::Output(0), "result"), (Buf::Output(1), "kept")];
        launch.kernels(io, Stem::Forward, &written, (z.t, z.s))
    }

    fn absorb(&self, input: usize, view: &Layout) -> Option<(Arc<dyn OpDef>, Vec<usize>)> {
        let (op, order) = absorb(self, input, view)?;
        Some((Arc::new(op), order))
    }
}

/// `op` with its source `input` as it lies in memory, if that is `[n, heads, length, e]`, and the order of these dimensions.
pub(crate) fn absorb(
    op: &Attention,
    input: usize,
    view: &Layout,
) -> Option<(Attention, Vec<usize>)> {
    let order = vec![0, 2, 1, 3];
    let fits = input < op.sources()
        && view.offset == 0
        && view.shape.rank() == 4
        && view.permute(&order).is_contiguous();
    let mut op = op.clone();
    let here = op.places.iter_mut().filter(|p| p.input == input);
    here.for_each(|p| p.heads_first = true);
    fits.then_some((op, order))
}
