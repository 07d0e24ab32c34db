//! Attention by plain products, where the weights themselves are wanted.

use super::{Attention, AttentionOptions};
use crate::error::Site;
use crate::ops::random::kept;
use crate::tensor::{Tensor, Trace};

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

/// The gradient of attention by plain products, which hold the weights and have gradients themselves.
pub(crate) struct Backward {
    query: Tensor,
    key: Tensor,
    grad: Tensor,
    /// `[n, h, t, s]`, what dropout leaves of them.
    weights: Tensor,
    /// `[n, h, t, s]`, gradients.
    scores: Tensor,
    scale: f32,
}

impl Backward {
    /// From what [`AttentionGrad`](crate::ops::attention_grad::AttentionGrad) takes.
    pub fn new(
        op: &Attention,
        sources: &[Tensor],
        [grad, stats]: [&Tensor; 2],
        mask: Option<&Tensor>,
        site: Site,
    ) -> Self {
        let role = |k: usize| {
            let place = op.places[k];
            let x = &sources[place.input];
            x.narrow(2, place.head, op.heads).transpose(1, 2)
        };
        let [query, key, value] = [role(0), role(1), role(2)];
        let scores = query.matmul(&key.transpose(-2, -1)).mul_scalar(op.scale);
        let scores = masked(&scores, mask, op.causal);
        // [3, n, t, h] to [n, h, t, 1]
        let stat = |k: isize| stats.select(0, k).transpose(1, 2).unsqueeze(-1);
        // Rounded in another way than where the largest was found, a large score may be above it by a unit in its last place.
        // What is taken off for it has no gradient.
        let distance = scores.sub(&stat(0));
        let distance = distance.sub(&distance.relu().detach());
        let weights = distance.exp().mul(&stat(1));
        let grad = grad.transpose(1, 2);
        let change = grad.matmul(&value.transpose(-2, -1));
        let (change, left) = match op.dropout {
            None => (change, weights.clone()),
            Some((p, stream)) => {
                let kept = kept(grad.trace(), change.shape().clone(), stream, p, site);
                (change.mul(&kept), weights.mul(&kept))
            }
        };
        Self {
            scores: weights.mul(&change.sub(&stat(2))),
            weights: left,
            query,
            key,
            grad,
            scale: op.scale,
        }
    }

    /// The gradient of an additive mask, in its shape: that of all scores, summed over what was repeated.
    pub fn mask(&self, mask: &Tensor) -> Tensor {
        self.scores.sum_to(mask.shape())
    }

    /// The gradient of each source, `[n, length, heads, size]`.
    pub fn sources(&self, op: &Attention) -> Vec<Tensor> {
        let scores = self.scores.mul_scalar(self.scale);
        let roles = [
            scores.matmul(&self.key),
            scores.transpose(-2, -1).matmul(&self.query),
            self.weights.transpose(-2, -1).matmul(&self.grad),
        ];
        let source = |input: usize| {
            let mut heads: Vec<(usize, Tensor)> = (op.places.iter().zip(&roles))
                .filter(|(place, _)| place.input == input)
                .map(|(place, grad)| (place.head, grad.transpose(1, 2)))
                .collect();
            heads.sort_by_key(|h| h.0);
            Tensor::cat(&heads.iter().map(|h| &h.1).collect::<Vec<_>>(), 2)
        };
        (0..op.sources()).map(source).collect()
    }
}
