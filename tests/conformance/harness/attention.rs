//! Layers of attention, from the constructor's arguments.

use super::{Build, Case};
use wgrad::nn::{
    LayerNorm, Masks, MultiheadAttention, Transformer, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerEncoderLayerBuilder, TransformerMasks,
};
use wgrad::scalar::GeluApprox;
use wgrad::{Params, Tensor};

/// The layer of `case`, built below `params`.
pub fn find(case: &Case, params: &Params) -> Option<Build> {
    let size = |key: &str| case.int(key) as usize;
    match case.op.as_str() {
        "nn.MultiheadAttention" => {
            let layer = MultiheadAttention::new(size("embed_dim"), size("num_heads"))
                .batch_first(case.flag("batch_first", false))
                .build(params);
            let padded = case.flag("key_padding_mask", false);
            Some(Box::new(move |_, x| {
                let masks = match padded {
                    true => Masks::padding(&x[3]),
                    false => Masks::default(),
                };
                vec![layer.forward(&x[0], &x[1], &x[2], &masks)]
            }))
        }
        "nn.TransformerEncoderLayer" => {
            let layer = encoder_layer(case).build(params);
            Some(Box::new(move |_, x| {
                vec![layer.forward_with(&x[0], &Masks::default())]
            }))
        }
        "nn.TransformerEncoder" => {
            let mut builder = TransformerEncoder::new(encoder_layer(case), size("num_layers"));
            if case.flag("norm", false) {
                builder = builder.norm(LayerNorm::new([size("d_model")]));
            }
            let layer = builder.build(params);
            Some(Box::new(move |_, x| {
                vec![layer.forward_with(&x[0], &Masks::default())]
            }))
        }
        "nn.TransformerDecoderLayer" => {
            let layer = TransformerDecoderLayer::new(size("d_model"), size("nhead"))
                .dim_feedforward(size("dim_feedforward"))
                .dropout(case.f32("dropout", 0.1))
                .activation(activation(case))
                .norm_first(case.flag("norm_first", false))
                .batch_first(case.flag("batch_first", false))
                .build(params);
            let is_causal = case.flag("tgt_is_causal", false);
            Some(Box::new(move |_, x| {
                let tgt = Masks {
                    is_causal,
                    ..Masks::default()
                };
                vec![layer.forward(&x[0], &x[1], &tgt, &Masks::default())]
            }))
        }
        "nn.Transformer" => {
            let layer = Transformer::new(size("d_model"), size("nhead"))
                .num_encoder_layers(size("num_encoder_layers"))
                .num_decoder_layers(size("num_decoder_layers"))
                .dim_feedforward(size("dim_feedforward"))
                .dropout(case.f32("dropout", 0.1))
                .activation(activation(case))
                .norm_first(case.flag("norm_first", false))
                .batch_first(case.flag("batch_first", false))
                .build(params);
            Some(Box::new(move |_, x| {
                vec![layer.forward(&x[0], &x[1], &TransformerMasks::default())]
            }))
        }
        _ => None,
    }
}

fn encoder_layer(case: &Case) -> TransformerEncoderLayerBuilder {
    TransformerEncoderLayer::new(case.int("d_model") as usize, case.int("nhead") as usize)
        .dim_feedforward(case.int("dim_feedforward") as usize)
        .dropout(case.f32("dropout", 0.1))
        .activation(activation(case))
        .norm_first(case.flag("norm_first", false))
        .batch_first(case.flag("batch_first", false))
}

fn activation(case: &Case) -> fn(&Tensor) -> Tensor {
    match case.text("activation") {
        Some("gelu") => |x| x.gelu(GeluApprox::None),
        _ => |x| x.relu(),
    }
}
