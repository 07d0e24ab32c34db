//! Decoders.

use super::{FeedForward, Options, Sublayer, options};
use crate::nn::{LayerNorm, LayerNormBuilder, Masks, Module, MultiheadAttention, Scope};
use crate::state::Params;
use crate::tensor::Tensor;

/// Self-attention, attention to an encoder's result, a feed-forward network: `torch.nn.TransformerDecoderLayer`, with the
/// parameters of `self_attn`, `multihead_attn`, `linear1`, `linear2`, `norm1`, `norm2`, `norm3`.
#[derive(Debug, Clone)]
pub struct TransformerDecoderLayer {
    self_attn: MultiheadAttention,
    multihead_attn: MultiheadAttention,
    feedforward: FeedForward,
    residuals: [Sublayer; 3],
    pub(crate) scope: Scope,
}

/// The description of a [`TransformerDecoderLayer`].
#[derive(Debug, Clone)]
pub struct TransformerDecoderLayerBuilder {
    pub(super) options: Options,
}
options!(TransformerDecoderLayerBuilder);

impl TransformerDecoderLayer {
    /// For vectors of `d_model` elements, with `nhead` heads of attention.
    pub fn new(d_model: usize, nhead: usize) -> TransformerDecoderLayerBuilder {
        TransformerDecoderLayerBuilder {
            options: Options::new(d_model, nhead),
        }
    }

    /// `tgt [t, n, d_model]` with `memory [s, n, d_model]` (`n` first with `batch_first`) to the shape of `tgt`, each
    /// seeing of `tgt` what `tgt_masks` leaves, of `memory` what `memory_masks` does.
    pub fn forward(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_masks: &Masks,
        memory_masks: &Masks,
    ) -> Tensor {
        self.scope.run(tgt, || {
            let [one, two, three] = &self.residuals;
            let x = one.of(tgt, |x| self.self_attn.forward(x, x, x, tgt_masks));
            let attend = |x: &Tensor| {
                let layer = &self.multihead_attn;
                layer.forward(x, memory, memory, memory_masks)
            };
            let x = two.of(&x, attend);
            three.of(&x, |x| self.feedforward.forward(x))
        })
    }
}

impl TransformerDecoderLayerBuilder {
    /// The layer. What [`MultiheadAttention`], `Linear` and `LayerNorm` refuse, are errors that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> TransformerDecoderLayer {
        let scope = Scope::new(params, "TransformerDecoderLayer");
        let o = &self.options;
        o.refuse(&scope, params);
        TransformerDecoderLayer {
            self_attn: o.attention().build(&params.at("self_attn")),
            multihead_attn: o.attention().build(&params.at("multihead_attn")),
            feedforward: FeedForward::build(o, params),
            residuals: Sublayer::build(o, params),
            scope,
        }
    }
}

/// Layers one after the other: `torch.nn.TransformerDecoder`, with the parameters of `layers.0`, `layers.1`, … and of
/// `norm`, if there is one. Each layer draws initial values of its own, where PyTorch copies those of one.
#[derive(Debug, Clone)]
pub struct TransformerDecoder {
    layers: Vec<TransformerDecoderLayer>,
    norm: Option<LayerNorm>,
    pub(crate) scope: Scope,
}

/// The description of a [`TransformerDecoder`].
#[derive(Debug, Clone)]
pub struct TransformerDecoderBuilder {
    layer: TransformerDecoderLayerBuilder,
    count: usize,
    norm: Option<LayerNormBuilder>,
}

impl TransformerDecoder {
    /// `num_layers` layers that are each built as `layer`.
    pub fn new(
        layer: TransformerDecoderLayerBuilder,
        num_layers: usize,
    ) -> TransformerDecoderBuilder {
        TransformerDecoderBuilder {
            layer,
            count: num_layers,
            norm: None,
        }
    }

    /// [`TransformerDecoderLayer::forward`] of each layer in turn.
    pub fn forward(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_masks: &Masks,
        memory_masks: &Masks,
    ) -> Tensor {
        self.scope.run(tgt, || {
            let next = |x: Tensor, l: &TransformerDecoderLayer| {
                l.forward(&x, memory, tgt_masks, memory_masks)
            };
            let x = self.layers.iter().fold(tgt.clone(), next);
            match &self.norm {
                Some(norm) => norm.forward(&x),
                None => x,
            }
        })
    }
}

impl TransformerDecoderBuilder {
    /// A norm after the last layer; none by default.
    pub fn norm(mut self, norm: LayerNormBuilder) -> Self {
        self.norm = Some(norm);
        self
    }

    /// The layers, at `layers.0` and so on.
    #[track_caller]
    pub fn build(self, params: &Params) -> TransformerDecoder {
        let scope = Scope::new(params, "TransformerDecoder");
        params
            .at("layers")
            .built("ModuleList", String::new(), false);
        let mut layers = Vec::new();
        for k in 0..self.count {
            layers.push(self.layer.clone().build(&params.at(format!("layers.{k}"))));
        }
        TransformerDecoder {
            layers,
            norm: self.norm.map(|norm| norm.build(&params.at("norm"))),
            scope,
        }
    }
}
