//! What a user calls: `scaled_dot_product_attention`.

use super::{Attention, Place};
use crate::error::Site;
use crate::ops::random::packed_keys;
use crate::rng::stream;
use crate::shape::Shape;
use crate::tensor::{Tensor, Trace};
use std::sync::Arc;

/// What keys a query sees, and how; by default all of them.
#[derive(Debug, Clone, Default)]
pub struct AttentionOptions {
    /// Broadcasts to `[n, h, t, s]`: bool, true where a key takes part, or f32, added to the scores. A f32 mask may be
    /// computed from parameters (learned biases): it gets a gradient, for which the matrix `[t, s]` is held.
    pub attn_mask: Option<Tensor>,
    /// `[n, s]`, bool or a number: keys where it is true or not 0 take no part.
    pub key_padding_mask: Option<Tensor>,
    /// In training, each weight is replaced by 0 with this probability and the others are divided by `1 - dropout_p`.
    pub dropout_p: f32,
    /// Query `i` sees keys up to `i` only; together with a mask, what both allow.
    pub is_causal: bool,
    /// What the products of queries and keys are multiplied with; `1 / sqrt(e)` by default.
    pub scale: Option<f32>,
}

/// An attention over heads that lie side by side.
pub(crate) struct Heads<'a> {
    /// `[n, length, all heads, e]`
    pub sources: Vec<&'a Tensor>,
    /// Where queries, keys and values are.
    pub places: [Place; 3],
    /// Heads of each.
    pub heads: usize,
}

impl Heads<'_> {
    /// The result `[n, t, h, ev]`.
    pub fn attend(&self, op: &str, options: &AttentionOptions, site: Site) -> Tensor {
        let trace = self.sources[0].trace().clone();
        let p = options.dropout_p;
        if !(0.0..=1.0).contains(&p) {
            let message = format!("takes a dropout_p from 0 to 1, {p} came");
            return trace.misuse(op, message, site);
        }
        if self.sources.iter().any(|x| x.is_poisoned()) {
            return trace.poison();
        }
        let size = |role: usize, d: isize| self.sources[self.places[role].input].size(d);
        let full = [size(0, 0), self.heads, size(0, 1), size(1, 1)];
        let mask = match combined_mask(&trace, op, options, full, site) {
            Ok(mask) => mask,
            Err(poison) => return poison,
        };
        let drops = p > 0.0 && trace.is_training();
        let attention = Attention {
            heads: self.heads,
            places: self.places,
            causal: options.is_causal,
            scale: options
                .scale
                .unwrap_or(1.0 / (size(0, -1).max(1) as f32).sqrt()),
            mask: mask.is_some(),
            dropout: drops.then(|| (p, stream(&trace.ordinal("attention")))),
        };
        let mut inputs = self.sources.clone();
        inputs.extend(&mask);
        let keys = drops.then(|| packed_keys(&trace, site));
        inputs.extend(&keys);
        trace.push1(Arc::new(attention), &inputs, site)
    }
}

/// Both masks as one that broadcasts to `[n, h, t, s]`; a poisoned tensor where they do not fit.
pub(crate) fn combined_mask(
    trace: &Trace,
    op: &str,
    options: &AttentionOptions,
    [n, h, t, s]: [usize; 4],
    site: Site,
) -> Result<Option<Tensor>, Tensor> {
    let mut mask = None;
    if let Some(given) = &options.attn_mask {
        let full: Shape = [n, h, t, s].into();
        if given.is_poisoned() {
            return Err(trace.poison());
        }
        if given.rank() > 4 || given.shape().broadcast(&full).as_ref() != Some(&full) {
            let message = format!("a mask {}: takes one that broadcasts to {full}", given.ty());
            return Err(trace.misuse(op, message, site));
        }
        let lead = vec![1; 4 - given.rank()];
        let shape: Shape = lead.into_iter().chain(given.shape().to_vec()).collect();
        mask = Some(given.reshape_to(shape));
    }
    if let Some(padding) = &options.key_padding_mask {
        if padding.is_poisoned() {
            return Err(trace.poison());
        }
        if padding.shape()[..] != [n, s] {
            let message = format!("a key_padding_mask {}: takes [{n},{s}]", padding.ty());
            return Err(trace.misuse(op, message, site));
        }
        let seen = padding.logical_not().reshape_to([n, 1, 1, s].into());
        mask = Some(match mask {
            None => seen,
            Some(mask) if mask.dtype().is_float() => {
                seen.where_(&mask, &trace.scalar(f32::NEG_INFINITY))
            }
            Some(mask) => mask.logical_and(&seen),
        });
    }
    Ok(mask)
}

impl Tensor {
    /// For queries `self` `[n, h, t, e]`, `key` `[n, h, s, e]` and `value` `[n, h, s, ev]`: the values, weighted for each
    /// query by the softmax of its products with the keys, `[n, h, t, ev]`. As
    /// `torch.nn.functional.scaled_dot_product_attention`; without `h`, and without `n`, too. Sizes of 1 of `n` and `h`
    /// broadcast. A query that sees no key gets 0.
    ///
    /// Neither the result nor its gradient ever holds the weights `[t, s]`; gradients of the gradient do.
    #[track_caller]
    pub fn scaled_dot_product_attention(
        &self,
        key: &Tensor,
        value: &Tensor,
        options: &AttentionOptions,
    ) -> Tensor {
        const NAME: &str = "scaled_dot_product_attention";
        let site = Site::here();
        let all = [self, key, value];
        let trace = self.trace();
        if all.iter().any(|x| x.is_poisoned()) {
            return trace.poison();
        }
        let rank = self.rank();
        let refuse = |why: &str| {
            let [q, k, v] = all.map(Tensor::shape);
            let message = format!("queries {q}, keys {k}, values {v}: {why}");
            trace.misuse(NAME, message, site)
        };
        if !(2..=4).contains(&rank) || all.iter().any(|x| x.rank() != rank) {
            return refuse("takes [n, h, t, e], [n, h, s, e], [n, h, s, ev]");
        }
        let lead = |x: &Tensor| -> Shape { x.shape()[..rank - 2].into() };
        let both = lead(self).broadcast(&lead(key));
        let Some(batch) = both.and_then(|b| b.broadcast(&lead(value))) else {
            return refuse("n and h must be equal");
        };
        let heads = |x: &Tensor| {
            let tail = &x.shape()[rank - 2..];
            let x = match lead(x) == batch {
                true => x.clone(),
                false => x.expand(batch.iter().chain(tail).copied().collect::<Shape>()),
            };
            match rank {
                4 => x.transpose(1, 2),
                3 => x.unsqueeze(2),
                _ => x.unsqueeze(0).unsqueeze(2),
            }
        };
        let sources = all.map(heads);
        let mut options = options.clone();
        // A mask of samples has no dimension for the one head.
        if let (3, Some(mask)) = (rank, &options.attn_mask)
            && mask.rank() == 3
        {
            options.attn_mask = Some(mask.unsqueeze(1));
        }
        let place = |input| Place {
            input,
            head: 0,
            heads_first: false,
        };
        let attention = Heads {
            sources: sources.iter().collect(),
            places: [0, 1, 2].map(place),
            heads: sources[0].size(2),
        };
        let y = attention.attend(NAME, &options, site);
        if y.is_poisoned() {
            return y;
        }
        match rank {
            4 => y.transpose(1, 2),
            3 => y.squeeze(2),
            _ => y.squeeze(2).squeeze(0),
        }
    }
}
