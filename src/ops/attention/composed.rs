//! Attention by plain products, where the weights themselves are wanted.

use super::{Attention, AttentionOptions};
use crate::error::Site;
use crate::ops::random::kept;
use crate::tensor::{Tensor, Trace, Vjp};

/// Where key `j` may be seen by query `i`: `j <= i`, bool `[t, s]`.
pub(crate) fn causal(trace: &Trace, t: usize, s: usize) -> Tensor {
    let rows = trace.arange(t).unsqueeze(1);
    trace.arange(s).unsqueeze(0).le(&rows)
}

/// `scores` where `causal` and `mask` allow, -infinity elsewhere.
fn masked(scores: &Tensor, mask: Option<&Tensor>, is_causal: bool) -> Tensor {
    let trace = scores.trace();
    let never = trace.scalar(f32::NEG_INFINITY);
    let scores = match mask {
        None => scores.clone(),
        Some(mask) if mask.dtype().is_float() => scores.add(mask),
        Some(mask) => mask.where_(scores, &never),
    };
    match is_causal {
        true => causal(trace, scores.size(-2), scores.size(-1)).where_(&scores, &never),
        false => scores,
    }
}

/// The weights `[n, h, t, s]` of queries `[n, h, t, e]` and keys `[n, h, s, e]`, before dropout. A query that sees no key
/// gets NaN, as from `torch.softmax`.
pub(crate) fn weights(
    query: &Tensor,
    key: &Tensor,
    mask: Option<&Tensor>,
    options: &AttentionOptions,
) -> Tensor {
    let scale = 1.0 / (query.size(-1).max(1) as f32).sqrt();
    let query = query.mul_scalar(options.scale.unwrap_or(scale));
    let scores = query.matmul(&key.transpose(-2, -1));
    masked(&scores, mask, options.is_causal).softmax(-1)
}

/// The gradient of an additive mask, in its shape: that of all scores, summed over what was repeated.
pub(super) fn mask_gradient(op: &Attention, g: &Vjp, grad: &Tensor, stats: &Tensor) -> Tensor {
    let site: Site = g.site;
    let role = |k: usize| {
        let place = op.places[k];
        let x = &g.inputs[place.input];
        x.narrow(2, place.head, op.heads).transpose(1, 2)
    };
    let [query, key, value] = [role(0), role(1), role(2)];
    let mask = &g.inputs[op.sources()];
    let scores = query.matmul(&key.transpose(-2, -1)).mul_scalar(op.scale);
    let scores = masked(&scores, Some(mask), op.causal);
    // [2, n, t, h] to [n, h, t, 1]
    let stat = |k: usize| {
        let one = stats.narrow(0, k, 1).squeeze(0);
        one.transpose(1, 2).unsqueeze(-1)
    };
    let weights = scores.sub(&stat(0)).exp();
    let mut change = grad.transpose(1, 2).matmul(&value.transpose(-2, -1));
    if let Some((p, stream)) = op.dropout {
        change = change.mul(&kept(g.trace, change.shape().clone(), stream, p, site));
    }
    weights.mul(&change.sub(&stat(1))).sum_to(mask.shape())
}
