//! An encoder with a decoder.

use super::{
    Options, TransformerDecoder, TransformerDecoderLayerBuilder, TransformerEncoder,
    TransformerEncoderLayerBuilder, options,
};
use crate::nn::{Masks, Scope};
use crate::state::Params;
use crate::tensor::Tensor;

/// An encoder and a decoder that attends to its result: `torch.nn.Transformer` (Vaswani et al., 2017), with the
/// parameters of `encoder.layers.N`, `encoder.norm`, `decoder.layers.N`, `decoder.norm`.
#[derive(Debug, Clone)]
pub struct Transformer {
    /// From the source to the memory.
    pub encoder: TransformerEncoder,
    /// From the target and the memory to the result.
    pub decoder: TransformerDecoder,
    pub(crate) scope: Scope,
}

/// The description of a [`Transformer`].
#[derive(Debug, Clone)]
pub struct TransformerBuilder {
    options: Options,
    encoder_layers: usize,
    decoder_layers: usize,
}
options!(TransformerBuilder);

/// What the parts of a [`Transformer`] see.
#[derive(Debug, Clone, Default)]
pub struct TransformerMasks {
    /// The source of itself.
    pub src: Masks,
    /// The target of itself; most often [`Masks::causal`].
    pub tgt: Masks,
    /// The target of the encoder's result. The source's padding has to be named here again, as in PyTorch.
    pub memory: Masks,
}

impl Transformer {
    /// For vectors of `d_model` elements, with `nhead` heads of attention; PyTorch's defaults are 512 and 8.
    pub fn new(d_model: usize, nhead: usize) -> TransformerBuilder {
        TransformerBuilder {
            options: Options::new(d_model, nhead),
            encoder_layers: 6,
            decoder_layers: 6,
        }
    }

    /// `src [s, n, d_model]` and `tgt [t, n, d_model]` (`n` first with `batch_first`) to the shape of `tgt`.
    pub fn forward(&self, src: &Tensor, tgt: &Tensor, masks: &TransformerMasks) -> Tensor {
        self.scope.run(src, || {
            let memory = self.encoder.forward_with(src, &masks.src);
            self.decoder
                .forward(tgt, &memory, &masks.tgt, &masks.memory)
        })
    }
}

impl TransformerBuilder {
    /// Layers of the encoder; 6 by default.
    pub fn num_encoder_layers(mut self, count: usize) -> Self {
        self.encoder_layers = count;
        self
    }

    /// Layers of the decoder; 6 by default.
    pub fn num_decoder_layers(mut self, count: usize) -> Self {
        self.decoder_layers = count;
        self
    }

    /// The layers, each of encoder and decoder with a norm after the last one, all matrices drawn by `xavier_uniform`.
    #[track_caller]
    pub fn build(mut self, params: &Params) -> Transformer {
        self.options.xavier = true;
        let norm = self.options.norm();
        let encoder = TransformerEncoderLayerBuilder {
            options: self.options.clone(),
        };
        let decoder = TransformerDecoderLayerBuilder {
            options: self.options,
        };
        let encoder = TransformerEncoder::new(encoder, self.encoder_layers).norm(norm.clone());
        let decoder = TransformerDecoder::new(decoder, self.decoder_layers).norm(norm);
        Transformer {
            scope: Scope::new(params, "Transformer"),
            encoder: encoder.build(&params.at("encoder")),
            decoder: decoder.build(&params.at("decoder")),
        }
    }
}
