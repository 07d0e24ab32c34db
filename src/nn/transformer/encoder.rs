//! Encoders.

use super::{FeedForward, Options, Sublayer, options};
use crate::nn::{Build, LayerNorm, LayerNormBuilder, Masks, Module, MultiheadAttention, Scope};
use crate::state::Params;
use crate::tensor::Tensor;

/// Self-attention and a feed-forward network: `torch.nn.TransformerEncoderLayer`, with the parameters of `self_attn`,
/// `linear1`, `linear2`, `norm1`, `norm2`.
#[derive(Debug, Clone)]
pub struct TransformerEncoderLayer {
    self_attn: MultiheadAttention,
    feedforward: FeedForward,
    residuals: [Sublayer; 2],
    pub(crate) scope: Scope,
}

/// The description of a [`TransformerEncoderLayer`].
#[derive(Debug, Clone)]
pub struct TransformerEncoderLayerBuilder {
    pub(super) options: Options,
}
options!(TransformerEncoderLayerBuilder);

impl TransformerEncoderLayer {
    /// For vectors of `d_model` elements, with `nhead` heads of attention.
    pub fn new(d_model: usize, nhead: usize) -> TransformerEncoderLayerBuilder {
        TransformerEncoderLayerBuilder {
            options: Options::new(d_model, nhead),
        }
    }

    /// `src [t, n, d_model]` (or `[n, t, d_model]` with `batch_first`) to the same shape, seeing what `masks` leaves.
    pub fn forward_with(&self, src: &Tensor, masks: &Masks) -> Tensor {
        self.scope.run(src, || {
            let [one, two] = &self.residuals;
            let x = one.of(src, |x| self.self_attn.forward(x, x, x, masks));
            two.of(&x, |x| self.feedforward.forward(x))
        })
    }
}

impl TransformerEncoderLayerBuilder {
    /// The layer. What [`MultiheadAttention`], `Linear` and `LayerNorm` refuse, are errors that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> TransformerEncoderLayer {
        let scope = Scope::new(params, "TransformerEncoderLayer");
        let o = &self.options;
        o.refuse(&scope, params);
        TransformerEncoderLayer {
            self_attn: o.attention().build(&params.at("self_attn")),
            feedforward: FeedForward::build(o, params),
            residuals: Sublayer::build(o, params),
            scope,
        }
    }
}

impl Build for TransformerEncoderLayerBuilder {
    type Layer = TransformerEncoderLayer;

    #[track_caller]
    fn build(self, params: &Params) -> TransformerEncoderLayer {
        TransformerEncoderLayerBuilder::build(self, params)
    }
}

impl Module for TransformerEncoderLayer {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &Masks::default())
    }
}

/// Layers one after the other: `torch.nn.TransformerEncoder`, with the parameters of `layers.0`, `layers.1`, … and of
/// `norm`, if there is one. Each layer draws initial values of its own, where PyTorch copies those of one.
#[derive(Debug, Clone)]
pub struct TransformerEncoder {
    layers: Vec<TransformerEncoderLayer>,
    norm: Option<LayerNorm>,
    pub(crate) scope: Scope,
}

/// The description of a [`TransformerEncoder`].
#[derive(Debug, Clone)]
pub struct TransformerEncoderBuilder {
    layer: TransformerEncoderLayerBuilder,
    count: usize,
    norm: Option<LayerNormBuilder>,
}

impl TransformerEncoder {
    /// `num_layers` layers that are each built as `layer`.
    pub fn new(
        layer: TransformerEncoderLayerBuilder,
        num_layers: usize,
    ) -> TransformerEncoderBuilder {
        TransformerEncoderBuilder {
            layer,
            count: num_layers,
            norm: None,
        }
    }

    /// `src [t, n, d_model]` (or `[n, t, d_model]` with `batch_first`) to the same shape, each layer seeing what `masks`
    /// leaves.
    pub fn forward_with(&self, src: &Tensor, masks: &Masks) -> Tensor {
        self.scope.run(src, || {
            let x = (self.layers.iter()).fold(src.clone(), |x, l| l.forward_with(&x, masks));
            match &self.norm {
                Some(norm) => norm.forward(&x),
                None => x,
            }
        })
    }
}

impl TransformerEncoderBuilder {
    /// A norm after the last layer; none by default.
    pub fn norm(mut self, norm: LayerNormBuilder) -> Self {
        self.norm = Some(norm);
        self
    }

    /// The layers, at `layers.0` and so on.
    #[track_caller]
    pub fn build(self, params: &Params) -> TransformerEncoder {
        let scope = Scope::new(params, "TransformerEncoder");
        params
            .at("layers")
            .built("ModuleList", String::new(), false);
        let mut layers = Vec::new();
        for k in 0..self.count {
            layers.push(self.layer.clone().build(&params.at(format!("layers.{k}"))));
        }
        TransformerEncoder {
            layers,
            norm: self.norm.map(|norm| norm.build(&params.at("norm"))),
            scope,
        }
    }
}

impl Build for TransformerEncoderBuilder {
    type Layer = TransformerEncoder;

    #[track_caller]
    fn build(self, params: &Params) -> TransformerEncoder {
        TransformerEncoderBuilder::build(self, params)
    }
}

impl Module for TransformerEncoder {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &Masks::default())
    }
}
