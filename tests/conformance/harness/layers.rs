//! Layers, from the constructor's arguments.

use super::{Build, Case};
use wgrad::Params;
use wgrad::nn::{
    BatchNorm, Bilinear, Embedding, GroupNorm, InstanceNorm, LayerNorm, Linear, Module, Prelu,
    RmsNorm,
};
use wgrad::nn::{Gru, Lstm, OneState, Recurrent, RecurrentBuilder, RecurrentKind, Rnn};

/// The layer of `case`, built below `params`.
pub fn find(case: &Case, params: &Params) -> Option<Build> {
    let size = |key| case.int(key) as usize;
    match case.op.as_str() {
        "nn.Linear" => {
            let layer = Linear::new(size("in_features"), size("out_features"))
                .bias(case.flag("bias", true));
            module(layer.build(params))
        }
        "nn.Embedding" => {
            let layer = Embedding::new(size("num_embeddings"), size("embedding_dim"));
            let layer = match case.number("padding_idx") {
                Some(row) => layer.padding_idx(row as usize),
                None => layer,
            };
            module(layer.build(params))
        }
        "nn.PReLU" => module(Prelu::new(size("num_parameters")).build(params)),
        "nn.Bilinear" => {
            let inputs = [size("in1_features"), size("in2_features")];
            let layer = Bilinear::new(inputs[0], inputs[1], size("out_features")).build(params);
            Some(Box::new(move |_, x| vec![layer.forward(&x[0], &x[1])]))
        }
        "nn.BatchNorm1d" => batch_norm::<1>(case, params),
        "nn.BatchNorm2d" => batch_norm::<2>(case, params),
        "nn.BatchNorm3d" => batch_norm::<3>(case, params),
        "nn.InstanceNorm1d" => instance_norm::<1>(case, params),
        "nn.InstanceNorm2d" => instance_norm::<2>(case, params),
        "nn.InstanceNorm3d" => instance_norm::<3>(case, params),
        "nn.LayerNorm" => {
            let layer = LayerNorm::new(case.sizes("normalized_shape", 1));
            module(layer.eps(case.f32("eps", 1e-5)).build(params))
        }
        "nn.RMSNorm" => {
            let layer = RmsNorm::new(case.sizes("normalized_shape", 1));
            module(layer.eps(case.f32("eps", f32::EPSILON)).build(params))
        }
        "nn.GroupNorm" => {
            let layer = GroupNorm::new(size("num_groups"), size("num_channels"));
            module(layer.eps(case.f32("eps", 1e-5)).build(params))
        }
        "nn.RNN" => {
            let relu = case.text("nonlinearity") == Some("relu");
            let layer = Rnn::new(size("input_size"), size("hidden_size")).relu(relu);
            one_state(case, recurrent(case, layer).build(params))
        }
        "nn.GRU" => {
            let layer = Gru::new(size("input_size"), size("hidden_size"));
            one_state(case, recurrent(case, layer).build(params))
        }
        "nn.LSTM" => {
            let layer = Lstm::new(size("input_size"), size("hidden_size"));
            let layer = recurrent(case, layer).build(params);
            let lengths = case.flag("lengths", false);
            Some(Box::new(move |_, x| {
                let states = (x.len() == 3).then(|| (&x[1], &x[2]));
                let (y, (h, c)) = layer.forward_with(&x[0], states, x.get(1).filter(|_| lengths));
                vec![y, h, c]
            }))
        }
        _ => super::attention::find(case, params),
    }
}

fn batch_norm<const D: usize>(case: &Case, params: &Params) -> Option<Build> {
    let layer = BatchNorm::<D>::new(case.int("num_features") as usize)
        .eps(case.f32("eps", 1e-5))
        .momentum(case.number("momentum").map(|m| m as f32));
    module(layer.build(params))
}

fn instance_norm<const D: usize>(case: &Case, params: &Params) -> Option<Build> {
    let layer = InstanceNorm::<D>::new(case.int("num_features") as usize)
        .eps(case.f32("eps", 1e-5))
        .affine(case.flag("affine", false));
    module(layer.build(params))
}

fn recurrent<K: RecurrentKind>(case: &Case, layer: RecurrentBuilder<K>) -> RecurrentBuilder<K> {
    layer
        .num_layers(case.number("num_layers").map_or(1, |n| n as usize))
        .bias(case.flag("bias", true))
        .batch_first(case.flag("batch_first", false))
        .bidirectional(case.flag("bidirectional", false))
}

fn one_state<K: OneState>(case: &Case, layer: Recurrent<K>) -> Option<Build> {
    let lengths = case.flag("lengths", false);
    Some(Box::new(move |_, x| {
        let second = |wanted| x.get(1).filter(|_| lengths == wanted);
        let (y, h) = layer.forward_with(&x[0], second(false), second(true));
        vec![y, h]
    }))
}

fn module(layer: impl Module + 'static) -> Option<Build> {
    Some(Box::new(move |_, x| vec![layer.forward(&x[0])]))
}
