//! Keys and values besides those that come in: learned ones and zeros.

use super::MultiheadAttention;
use crate::error::Site;
use crate::ops::attention::composed::causal;
use crate::ops::attention::{AttentionOptions, Place, combined_mask};
use crate::state::Param;
use crate::tensor::Tensor;

/// What `bias_k` and `bias_v` are, `[1, 1, e]` each.
pub(super) type AddedKeys = Option<[Param; 2]>;

/// Projections, where queries, keys and values are among them, and the masks for these keys.
pub(super) type Projected = (Vec<Tensor>, [Place; 3], AttentionOptions);

impl MultiheadAttention {
    /// Keys that are added to those that come in.
    pub(super) fn added(&self) -> usize {
        usize::from(self.bias_kv.is_some()) + usize::from(self.options.add_zero_attn)
    }

    /// `projected` with the keys and values that are added, which every query sees; `None` where the masks do not fit.
    pub(super) fn lengthened(&self, projected: Projected) -> Option<Projected> {
        let (all, places, options) = projected;
        if self.added() == 0 || all.iter().any(Tensor::is_poisoned) {
            return Some((all, places, options));
        }
        let heads = self.options.num_heads;
        let trace = all[0].trace().clone();
        let [query, key, value] = places.map(|p| all[p.input].narrow(2, p.head, heads));
        let (n, t, s, size) = (query.size(0), query.size(1), key.size(1), key.size(3));
        let zero = trace.scalar(0.0);
        let lengthen = |own: Tensor, which: usize| {
            let row = |t: &Tensor| t.expand([n, 1, heads, size]);
            let learned = self.bias_kv.as_ref();
            let learned = learned.map(|b| {
                trace
                    .param(&b[which])
                    .reshape_to([1, 1, heads, size].into())
            });
            let zeros = self.options.add_zero_attn.then_some(&zero);
            let parts: Vec<Tensor> = std::iter::once(own)
                .chain(learned.iter().chain(zeros).map(row))
                .collect();
            Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1)
        };
        let sources = vec![query, lengthen(key, 0), lengthen(value, 1)];
        let place = |input| Place {
            input,
            head: 0,
            heads_first: false,
        };
        let site = Site::here();
        let mask = combined_mask(
            &trace,
            "MultiheadAttention",
            &options,
            [n, heads, t, s],
            site,
        );
        let mask = with_causal(mask.ok()?, options.is_causal, || {
            causal(&trace, t, s).reshape_to([1, 1, t, s].into())
        });
        let options = AttentionOptions {
            attn_mask: mask.map(|mask| self.seen_too(&mask, s)),
            key_padding_mask: None,
            is_causal: false,
            ..options
        };
        Some((sources, [0, 1, 2].map(place), options))
    }

    /// `mask` `[…, s or 1]` over the added keys too.
    fn seen_too(&self, mask: &Tensor, s: usize) -> Tensor {
        let of = |last: usize| -> Vec<usize> {
            let lead = &mask.shape()[..3];
            lead.iter().copied().chain([last]).collect()
        };
        let zero = mask.trace().scalar(0.0);
        // Added to scores, or true.
        let seen = if mask.dtype().is_float() {
            zero
        } else {
            zero.logical_not()
        };
        let (own, seen) = (mask.expand(of(s)), seen.expand(of(self.added())));
        Tensor::cat(&[&own, &seen], 3)
    }
}

/// `mask`, and that queries do not see later keys.
fn with_causal(mask: Option<Tensor>, causal: bool, seen: impl Fn() -> Tensor) -> Option<Tensor> {
    match mask {
        mask if !causal => mask,
        None => Some(seen()),
        Some(mask) if mask.dtype().is_float() => {
            Some(seen().where_(&mask, &mask.trace().scalar(f32::NEG_INFINITY)))
        }
        Some(mask) => Some(mask.logical_and(&seen())),
    }
}
