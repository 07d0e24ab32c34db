//! Encoders and decoders of attention and feed-forward layers, as in `torch.nn`.

mod decoder;
mod encoder;
mod whole;

pub use decoder::{
    TransformerDecoder, TransformerDecoderBuilder, TransformerDecoderLayer,
    TransformerDecoderLayerBuilder,
};
pub use encoder::{
    TransformerEncoder, TransformerEncoderBuilder, TransformerEncoderLayer,
    TransformerEncoderLayerBuilder,
};
pub use whole::{Transformer, TransformerBuilder, TransformerMasks};

use super::{
    Dropout, LayerNorm, LayerNormBuilder, Linear, Module, MultiheadAttention,
    MultiheadAttentionBuilder, Scope,
};
use crate::ops::attention::composed::causal;
use crate::state::Params;
use crate::tensor::{Tensor, Trace};

/// What is added to scores so that query `i` sees keys up to `i` only: 0 there and -infinity elsewhere, f32
/// `[size, size]`. As `torch.nn.Transformer.generate_square_subsequent_mask`;
/// [`Masks::causal`](super::Masks::causal) does the same without a mask.
pub fn generate_square_subsequent_mask(trace: &Trace, size: usize) -> Tensor {
    let never = trace.scalar(f32::NEG_INFINITY);
    causal(trace, size, size).where_(&trace.scalar(0.0), &never)
}

/// What the layers of encoders and decoders have in common.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    d_model: usize,
    heads: usize,
    feedforward: usize,
    dropout: f32,
    activation: fn(&Tensor) -> Tensor,
    eps: f32,
    batch_first: bool,
    norm_first: bool,
    bias: bool,
    xavier: bool,
}

impl Options {
    fn new(d_model: usize, heads: usize) -> Self {
        Self {
            d_model,
            heads,
            feedforward: 2048,
            dropout: 0.1,
            activation: |x| x.relu(),
            eps: 1e-5,
            batch_first: false,
            norm_first: false,
            bias: true,
            xavier: false,
        }
    }

    fn attention(&self) -> MultiheadAttentionBuilder {
        MultiheadAttention::new(self.d_model, self.heads)
            .dropout(self.dropout)
            .bias(self.bias)
            .batch_first(self.batch_first)
            .xavier_out(self.xavier)
    }

    fn linear(&self, inputs: usize, outputs: usize, params: &Params) -> Linear {
        let layer = Linear::new(inputs, outputs).bias(self.bias);
        layer.xavier(self.xavier).build(params)
    }

    fn norm(&self) -> LayerNormBuilder {
        LayerNorm::new([self.d_model]).eps(self.eps).bias(self.bias)
    }

    /// Keep what a layer cannot be.
    fn refuse(&self, scope: &Scope, params: &Params) {
        let (p, f) = (self.dropout, self.feedforward);
        scope.refuse(
            params,
            &[
                (
                    !(0.0..=1.0).contains(&p),
                    format!("dropout is {p}: a probability, 0 to 1"),
                ),
                (f == 0, "dim_feedforward is 0: takes 1 or more".to_owned()),
            ],
        );
    }
}

/// The setters of the builders' [`Options`].
macro_rules! options {
    ($builder:ident) => {
        impl $builder {
            /// Elements between the two linear layers; 2048 by default.
            pub fn dim_feedforward(mut self, size: usize) -> Self {
                self.options.feedforward = size;
                self
            }

            /// The probability with which training drops an element, or a weight of attention; 0.1 by default.
            pub fn dropout(mut self, p: f32) -> Self {
                self.options.dropout = p;
                self
            }

            /// What comes between the two linear layers; relu by default. PyTorch's `"gelu"` is
            /// `|x| x.gelu(GeluApprox::None)`.
            pub fn activation(mut self, activation: fn(&Tensor) -> Tensor) -> Self {
                self.options.activation = activation;
                self
            }

            /// What the norms add to the variance; 1e-5 by default.
            pub fn layer_norm_eps(mut self, eps: f32) -> Self {
                self.options.eps = eps;
                self
            }

            /// Whether tensors are `[n, length, d_model]`; false by default, as in PyTorch: they are
            /// `[length, n, d_model]`.
            pub fn batch_first(mut self, first: bool) -> Self {
                self.options.batch_first = first;
                self
            }

            /// Whether a norm comes before attention and feed-forward, not after their sum with the input; false by
            /// default.
            pub fn norm_first(mut self, first: bool) -> Self {
                self.options.norm_first = first;
                self
            }

            /// Whether linear layers and norms have biases; true by default.
            pub fn bias(mut self, bias: bool) -> Self {
                self.options.bias = bias;
                self
            }
        }
    };
}
use options;

/// `linear1`, the activation, dropout, `linear2`.
#[derive(Debug, Clone)]
struct FeedForward {
    linear1: Linear,
    linear2: Linear,
    dropout: Dropout,
    activation: fn(&Tensor) -> Tensor,
}

impl FeedForward {
    fn build(o: &Options, params: &Params) -> Self {
        Self {
            linear1: o.linear(o.d_model, o.feedforward, &params.at("linear1")),
            dropout: Dropout::new(o.dropout).build(&params.at("dropout")),
            linear2: o.linear(o.feedforward, o.d_model, &params.at("linear2")),
            activation: o.activation,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = (self.activation)(&self.linear1.forward(x));
        self.linear2.forward(&self.dropout.forward(&x))
    }
}

/// The sum of an input and what a block makes of it, with the norm before or after.
#[derive(Debug, Clone)]
struct Sublayer {
    norm: LayerNorm,
    dropout: Dropout,
    first: bool,
}

impl Sublayer {
    /// All of a layer, built in PyTorch's order.
    #[track_caller]
    fn build<const N: usize>(o: &Options, params: &Params) -> [Self; N] {
        let norms: [LayerNorm; N] = std::array::from_fn(|k| {
            let path = format!("norm{}", k + 1);
            o.norm().build(&params.at(path))
        });
        let mut number = 0;
        norms.map(|norm| {
            number += 1;
            let path = format!("dropout{number}");
            Self {
                norm,
                dropout: Dropout::new(o.dropout).build(&params.at(path)),
                first: o.norm_first,
            }
        })
    }

    fn of(&self, x: &Tensor, block: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        if self.first {
            x.add(&self.dropout.forward(&block(&self.norm.forward(x))))
        } else {
            let sum = x.add(&self.dropout.forward(&block(x)));
            self.norm.forward(&sum)
        }
    }
}
