//! Layers, from the constructor's arguments.

use super::{Build, Case};
use wgrad::Params;
use wgrad::nn::{Embedding, Linear, Module};

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
        _ => None,
    }
}

fn module(layer: impl Module + 'static) -> Option<Build> {
    Some(Box::new(move |_, x| vec![layer.forward(&x[0])]))
}
