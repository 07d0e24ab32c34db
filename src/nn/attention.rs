//! Attention with projections of its own.

mod keys;

use self::keys::AddedKeys;
use super::{Linear, Module, Scope, init};
use crate::error::Site;
use crate::ops::attention::{AttentionOptions, Heads, Place, combined_mask, composed};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// Which keys a query sees, as PyTorch's layers take it. By default all of them.
#[derive(Debug, Clone, Default)]
pub struct Masks {
    /// `[t, s]` or `[n * heads, t, s]`: bool, **true where a query must not see a key**, or f32, added to the scores.
    pub attn_mask: Option<Tensor>,
    /// `[n, s]`, bool or a number: keys where it is true or not 0 are not seen.
    pub key_padding_mask: Option<Tensor>,
    /// Query `i` sees keys up to `i` only. It needs no mask beside it, and costs no memory as one does.
    pub is_causal: bool,
}

impl Masks {
    /// Query `i` sees keys up to `i` only.
    pub fn causal() -> Self {
        Self {
            is_causal: true,
            ..Self::default()
        }
    }

    /// Keys where `mask` `[n, s]` is true or not 0 are not seen.
    pub fn padding(mask: &Tensor) -> Self {
        Self {
            key_padding_mask: Some(mask.clone()),
            ..Self::default()
        }
    }
}

/// Attention over heads, each with a part of projected queries, keys and values: `torch.nn.MultiheadAttention` (Vaswani
/// et al., 2017), with its parameters `in_proj_weight [3 e, e]` (or `q_proj_weight [e, e]`, `k_proj_weight [e, kdim]`,
/// `v_proj_weight [e, vdim]`), `in_proj_bias [3 e]`, `bias_k [1, 1, e]`, `bias_v [1, 1, e]`, `out_proj.weight [e, e]`,
/// `out_proj.bias [e]`.
#[derive(Debug, Clone)]
pub struct MultiheadAttention {
    projections: Projections,
    /// `[3 e]`
    pub in_proj_bias: Option<Param>,
    bias_kv: AddedKeys,
    /// What the heads' results go through.
    pub out_proj: Linear,
    options: MultiheadAttentionBuilder,
    pub(crate) scope: Scope,
}

#[derive(Debug, Clone)]
enum Projections {
    Packed(Param),
    Separate([Param; 3]),
}

/// The description of a [`MultiheadAttention`].
#[derive(Debug, Clone)]
pub struct MultiheadAttentionBuilder {
    embed_dim: usize,
    num_heads: usize,
    kdim: usize,
    vdim: usize,
    dropout: f32,
    bias: bool,
    batch_first: bool,
    add_bias_kv: bool,
    add_zero_attn: bool,
    xavier_out: bool,
}

impl MultiheadAttention {
    /// For queries of `embed_dim` elements, with `num_heads` heads of `embed_dim / num_heads` elements.
    pub fn new(embed_dim: usize, num_heads: usize) -> MultiheadAttentionBuilder {
        MultiheadAttentionBuilder {
            embed_dim,
            num_heads,
            kdim: embed_dim,
            vdim: embed_dim,
            dropout: 0.0,
            bias: true,
            batch_first: false,
            add_bias_kv: false,
            add_zero_attn: false,
            xavier_out: false,
        }
    }

    /// For `query [t, n, e]`, `key [s, n, kdim]`, `value [s, n, vdim]` the result `[t, n, e]`; with `batch_first`, `n`
    /// comes first; without a batch, `[t, e]`, `[s, kdim]`, `[s, vdim]`. As `forward(…, need_weights=False)[0]` of
    /// PyTorch: a query that sees no key gets the bias of `out_proj`, and the weights are never held.
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, masks: &Masks) -> Tensor {
        self.scope.run(query, || {
            self.batched([query, key, value], masks, |x| {
                let heads = self.attend(x, masks);
                (!heads.is_poisoned()).then(|| heads.flatten(2))
            })
        })
    }

    /// The result, and the weights `[n, t, s]`, the mean over the heads, or without `average` `[n, heads, t, s]`; `n` is
    /// left out as in the result. As PyTorch's `forward(…, need_weights=True, average_attn_weights=average)`: a query that
    /// sees no key gets NaN.
    pub fn forward_with_weights(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: &Masks,
        average: bool,
    ) -> (Tensor, Tensor) {
        let mut kept = query.trace().poison();
        let y = self.scope.run(query, || {
            self.batched([query, key, value], masks, |x| {
                let (y, weights) = self.weighted(x, masks)?;
                let weights = match average {
                    true => weights.mean(&[1], false),
                    false => weights,
                };
                kept = match query.rank() {
                    2 => weights.squeeze(0),
                    _ => weights,
                };
                Some(y)
            })
        });
        (y, kept)
    }

    /// `f` of `[n, length, …]`, from and to the order of dimensions that the caller has.
    fn batched(
        &self,
        x: [&Tensor; 3],
        masks: &Masks,
        f: impl FnOnce([&Tensor; 3]) -> Option<Tensor>,
    ) -> Tensor {
        let trace = x[0].trace();
        let given = [&masks.attn_mask, &masks.key_padding_mask];
        let poisoned = |t: &&Tensor| t.is_poisoned();
        if x.iter().any(poisoned) || given.into_iter().flatten().any(|t| t.is_poisoned()) {
            return trace.poison();
        }
        let rank = x[0].rank();
        if !(2..=3).contains(&rank) || x.iter().any(|x| x.rank() != rank) {
            let [q, k, v] = x.map(Tensor::shape);
            let order = if self.options.batch_first {
                "[n, t, e], [n, s, kdim], [n, s, vdim]"
            } else {
                "[t, n, e], [s, n, kdim], [s, n, vdim]"
            };
            let message = format!(
                "query {q}, key {k}, value {v}: takes {order}, or [t, e], [s, kdim], [s, vdim]"
            );
            return trace.misuse("MultiheadAttention", message, Site::here());
        }
        let first = |x: &Tensor| match (rank, self.options.batch_first) {
            (2, _) => x.unsqueeze(0),
            (_, true) => x.clone(),
            (_, false) => x.transpose(0, 1),
        };
        // What is the same tensor stays so: its projections are one product.
        let query = first(x[0]);
        let again = |x: &Tensor, known: &[(&Tensor, &Tensor)]| {
            let same = known.iter().find(|(of, _)| of.value() == x.value());
            same.map_or_else(|| first(x), |(_, t)| (*t).clone())
        };
        let key = again(x[1], &[(x[0], &query)]);
        let value = again(x[2], &[(x[0], &query), (x[1], &key)]);
        let Some(y) = f([&query, &key, &value]) else {
            return trace.poison();
        };
        let y = Module::forward(&self.out_proj, &y);
        match (y.is_poisoned(), rank, self.options.batch_first) {
            (true, ..) => y,
            (_, 2, _) => y.squeeze(0),
            (_, _, true) => y,
            (_, _, false) => y.transpose(0, 1),
        }
    }

    /// Projections `[n, length, heads, size of a head]`, those of one tensor as heads side by side, and where queries,
    /// keys and values are among them.
    fn project(&self, x: [&Tensor; 3]) -> (Vec<Tensor>, [Place; 3]) {
        let (e, heads) = (self.options.embed_dim, self.options.num_heads);
        let trace = x[0].trace();
        let bias = self.in_proj_bias.as_ref().map(|b| trace.param(b));
        let along = |x: &Tensor, weight: &Tensor, first: usize, count: usize| {
            let y = x.matmul(&weight.t());
            let y = match &bias {
                Some(bias) => y.add(&bias.narrow(0, first * e, count * e)),
                None => y,
            };
            if y.is_poisoned() {
                return y;
            }
            let (n, len) = (y.size(0), y.size(1));
            y.reshape_to([n, len, count * heads, e / heads].into())
        };
        let place = |(input, head)| Place {
            input,
            head: head * heads,
            heads_first: false,
        };
        let same = |a: usize, b: usize| x[a].value() == x[b].value();
        match &self.projections {
            Projections::Separate(weights) => {
                let weights = weights.each_ref().map(|w| trace.param(w));
                let all = (0..3).map(|k| along(x[k], &weights[k], k, 1)).collect();
                (all, [(0, 0), (1, 0), (2, 0)].map(place))
            }
            Projections::Packed(weight) => {
                let weight = trace.param(weight);
                let part = |first: usize, count: usize| {
                    let rows = weight.narrow(0, first * e, count * e);
                    along(x[first], &rows, first, count)
                };
                match (same(0, 1), same(1, 2)) {
                    (true, true) => {
                        let all = vec![along(x[0], &weight, 0, 3)];
                        (all, [(0, 0), (0, 1), (0, 2)].map(place))
                    }
                    (_, true) => {
                        let all = vec![part(0, 1), part(1, 2)];
                        (all, [(0, 0), (1, 0), (1, 1)].map(place))
                    }
                    _ => {
                        let all = vec![part(0, 1), part(1, 1), part(2, 1)];
                        (all, [(0, 0), (1, 0), (2, 0)].map(place))
                    }
                }
            }
        }
    }

    fn options(&self, masks: &Masks, n: usize) -> AttentionOptions {
        let heads = self.options.num_heads;
        let attn_mask = masks.attn_mask.as_ref().map(|mask| {
            let mask = match mask.dtype().is_float() {
                true => mask.clone(),
                false => mask.logical_not(),
            };
            match (mask.rank(), mask.size(0)) {
                (3, all) if all == n * heads && all > 0 => {
                    let (t, s) = (mask.size(1), mask.size(2));
                    mask.reshape_to([n, heads, t, s].into())
                }
                _ => mask,
            }
        });
        AttentionOptions {
            attn_mask,
            key_padding_mask: masks.key_padding_mask.clone(),
            dropout_p: self.options.dropout,
            is_causal: masks.is_causal,
            scale: None,
        }
    }

    /// The heads' results `[n, t, heads, size of a head]`.
    fn attend(&self, x: [&Tensor; 3], masks: &Masks) -> Tensor {
        let options = self.options(masks, x[0].size(0));
        let (all, places) = self.project(x);
        let Some((all, places, options)) = self.lengthened((all, places, options)) else {
            return x[0].trace().poison();
        };
        let heads = Heads {
            sources: all.iter().collect(),
            places,
            heads: self.options.num_heads,
        };
        heads.attend("MultiheadAttention", &options, Site::here())
    }

    /// The results side by side `[n, t, e]`, and the weights `[n, heads, t, s]`.
    fn weighted(&self, x: [&Tensor; 3], masks: &Masks) -> Option<(Tensor, Tensor)> {
        let (n, t, s) = (x[0].size(0), x[0].size(1), x[1].size(1) + self.added());
        let heads = self.options.num_heads;
        let options = self.options(masks, n);
        let (all, places) = self.project(x);
        let (all, places, options) = self.lengthened((all, places, options))?;
        if all.iter().any(Tensor::is_poisoned) {
            return None;
        }
        let [q, k, v] = places.map(|p| {
            let part = all[p.input].narrow(2, p.head, heads);
            part.transpose(1, 2)
        });
        let full = [n, heads, t, s];
        let op = "MultiheadAttention";
        let mask = combined_mask(x[0].trace(), op, &options, full, Site::here()).ok()?;
        let weights = composed::weights(&q, &k, mask.as_ref(), &options);
        let weights = weights.dropout(options.dropout_p);
        let y = weights.matmul(&v);
        (!y.is_poisoned()).then(|| (y.transpose(1, 2).flatten(2), weights))
    }
}

impl MultiheadAttentionBuilder {
    /// Elements of a key; `embed_dim` by default.
    pub fn kdim(mut self, kdim: usize) -> Self {
        self.kdim = kdim;
        self
    }

    /// Elements of a value; `embed_dim` by default.
    pub fn vdim(mut self, vdim: usize) -> Self {
        self.vdim = vdim;
        self
    }

    /// The probability with which training drops a weight; 0 by default.
    pub fn dropout(mut self, p: f32) -> Self {
        self.dropout = p;
        self
    }

    /// Whether biases are added; true by default.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Whether a learned key and a learned value, `bias_k` and `bias_v`, stand behind those that come in; false by default.
    /// No mask hides them, `is_causal` neither: as the causal mask that PyTorch takes beside it. Weights are
    /// `[n, t, s + 1]` then.
    pub fn add_bias_kv(mut self, add: bool) -> Self {
        self.add_bias_kv = add;
        self
    }

    /// Whether a key and a value of zeros stand behind the others; false by default. No mask hides them.
    pub fn add_zero_attn(mut self, add: bool) -> Self {
        self.add_zero_attn = add;
        self
    }

    /// Whether tensors are `[n, length, e]`; false by default, as in PyTorch: they are `[length, n, e]`.
    pub fn batch_first(mut self, first: bool) -> Self {
        self.batch_first = first;
        self
    }

    /// Whether the weight of `out_proj` too is drawn as `torch.nn.init.xavier_uniform_` does.
    pub(crate) fn xavier_out(mut self, xavier: bool) -> Self {
        self.xavier_out = xavier;
        self
    }

    /// The layer: projections drawn by `xavier_uniform`, `out_proj` as a [`Linear`], biases of 0, `bias_k` and `bias_v` by
    /// `xavier_normal`. A number of heads that
    /// does not divide `embed_dim`, sizes of 0 and a `dropout` outside of 0 to 1 are errors that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> MultiheadAttention {
        let scope = Scope::new(params, "MultiheadAttention");
        let (e, h, kdim, vdim) = (self.embed_dim, self.num_heads, self.kdim, self.vdim);
        let p = self.dropout;
        scope.refuse(
            params,
            &[
                (
                    e == 0 || kdim == 0 || vdim == 0,
                    format!("embed_dim {e}, kdim {kdim}, vdim {vdim}: all must be 1 or more"),
                ),
                (
                    h == 0 || !e.is_multiple_of(h.max(1)),
                    format!("{h} heads: their number must divide embed_dim, {e}"),
                ),
                (
                    !(0.0..=1.0).contains(&p),
                    format!("dropout is {p}: a probability, 0 to 1"),
                ),
            ],
        );
        let draw = |name: &str, rows: usize, columns: usize| {
            let init = init::xavier_uniform(columns, rows, 1.0);
            params.drawn(name, [rows, columns], init)
        };
        let projections = if kdim == e && vdim == e {
            Projections::Packed(draw("in_proj_weight", 3 * e, e))
        } else {
            Projections::Separate([
                draw("q_proj_weight", e, e),
                draw("k_proj_weight", e, kdim),
                draw("v_proj_weight", e, vdim),
            ])
        };
        let bias = || params.drawn("in_proj_bias", [3 * e], init::constant(0.0));
        let in_proj_bias = self.bias.then(bias);
        let added = |name: &str| {
            let init = init::normal(0.0, 1.0 / (e.max(1) as f32).sqrt());
            params.drawn(name, [1, 1, e], init)
        };
        let bias_kv = self.add_bias_kv.then(|| ["bias_k", "bias_v"].map(added));
        let out_proj = Linear::new(e, e).bias(self.bias).zero_bias(true);
        let out_proj = out_proj.xavier(self.xavier_out);
        MultiheadAttention {
            projections,
            in_proj_bias,
            bias_kv,
            out_proj: out_proj.build(&params.at("out_proj")),
            // Nobody divides by it: `refuse` has the reason.
            options: Self {
                num_heads: if h == 0 || !e.is_multiple_of(h) { 1 } else { h },
                ..self
            },
            scope,
        }
    }
}
