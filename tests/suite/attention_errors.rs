//! What attention and its layers refuse, and what they say.

use crate::common::cpu;
use wgrad::nn::{
    LearnedPositions, Masks, Module, MultiheadAttention, SinusoidalPositions,
    TransformerDecoderLayer, TransformerEncoderLayer,
};
use wgrad::ops::attention::AttentionOptions;
use wgrad::{Mode, Params, Session, Tensor, TensorType, Trace};

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
}

#[test]
fn wordings() {
    type Body = fn(&Trace, &[Tensor]) -> Tensor;
    let rows: &[(Body, &[&str])] = &[
        (
            |_, a| a[0].scaled_dot_product_attention(&a[1], &a[2], &Default::default()),
            &[
                "scaled_dot_product_attention",
                "[1,2,3,4]",
                "takes [n, h, t, e]",
            ],
        ),
        (
            |_, a| {
                let key = a[0].narrow(3, 0, 3);
                a[0].scaled_dot_product_attention(&key, &a[0], &Default::default())
            },
            &[
                "attention queries [1,2,3,4], keys [1,2,3,3]",
                "takes [n, h, t, e]",
            ],
        ),
        (
            |_, a| {
                let key = Tensor::cat(&[&a[0], &a[0], &a[0]], 1);
                a[0].scaled_dot_product_attention(&key, &key, &Default::default())
            },
            &["keys [1,6,3,4]", "n and h must be equal"],
        ),
        (
            |_, a| {
                let key = a[0].narrow(3, 0, 0);
                key.scaled_dot_product_attention(&key, &a[0], &Default::default())
            },
            &["queries and keys must have 1 element or more"],
        ),
        (
            |_, a| {
                let options = AttentionOptions {
                    attn_mask: Some(a[1].clone()),
                    ..Default::default()
                };
                a[0].scaled_dot_product_attention(&a[0], &a[0], &options)
            },
            &["a mask f32 [5,6]", "broadcasts to [1,2,3,3]"],
        ),
        (
            |_, a| {
                let options = AttentionOptions {
                    attn_mask: Some(a[3].clone()),
                    ..Default::default()
                };
                a[0].scaled_dot_product_attention(&a[0], &a[0], &options)
            },
            &["a mask i32 [1,1,1,3]", "takes bool or f32"],
        ),
        (
            |_, a| {
                let options = AttentionOptions {
                    key_padding_mask: Some(a[1].clone()),
                    ..Default::default()
                };
                a[0].scaled_dot_product_attention(&a[0], &a[0], &options)
            },
            &["a key_padding_mask f32 [5,6]", "takes [1,3]"],
        ),
        (
            |_, a| {
                let options = AttentionOptions {
                    dropout_p: 1.5,
                    ..Default::default()
                };
                a[0].scaled_dot_product_attention(&a[0], &a[0], &options)
            },
            &["takes a dropout_p from 0 to 1, 1.5 came"],
        ),
    ];
    for (body, parts) in rows {
        let types = [
            TensorType::f32([1, 2, 3, 4]),
            TensorType::f32([5, 6]),
            TensorType::f32([3]),
            TensorType::i32([3]),
        ];
        let mut session = cpu().open(&Params::new(0)).unwrap();
        let compiled = session.compile(Mode::Train, &types, |g, a| vec![body(g, a)]);
        let message = compiled.map(|_| ()).unwrap_err().to_string();
        says(&message, parts);
        says(&message, &["at tests/suite/attention_errors.rs:"]);
    }
}

#[test]
fn layers_that_cannot_be() {
    type Layer = fn(&Params);
    let rows: &[(Layer, &[&str])] = &[
        (
            |p| drop(MultiheadAttention::new(10, 3).build(p)),
            &["MultiheadAttention: 3 heads", "must divide embed_dim, 10"],
        ),
        (
            |p| drop(MultiheadAttention::new(10, 0).build(p)),
            &["0 heads: their number must divide"],
        ),
        (
            |p| drop(MultiheadAttention::new(4, 2).kdim(0).build(p)),
            &["embed_dim 4, kdim 0, vdim 4: all must be 1 or more"],
        ),
        (
            |p| drop(MultiheadAttention::new(4, 2).dropout(-0.1).build(p)),
            &["dropout is -0.1: a probability, 0 to 1"],
        ),
        (
            |p| drop(TransformerEncoderLayer::new(4, 2).dropout(2.0).build(p)),
            &["TransformerEncoderLayer: dropout is 2: a probability"],
        ),
        (
            |p| {
                drop(
                    TransformerDecoderLayer::new(4, 2)
                        .dim_feedforward(0)
                        .build(p),
                )
            },
            &["TransformerDecoderLayer: dim_feedforward is 0: takes 1 or more"],
        ),
        (
            |p| drop(LearnedPositions::new(0, 4).build(p)),
            &["0 positions of 4 elements: both must be 1 or more"],
        ),
    ];
    for (layer, parts) in rows {
        let params = Params::new(0);
        layer(&params.at("block"));
        let opened = Session::with_options(&params, &cpu().options);
        let message = opened.map(|_| ()).unwrap_err().to_string();
        says(&message, parts);
        says(
            &message,
            &["block: ", "at tests/suite/attention_errors.rs:"],
        );
    }
}

#[test]
fn inputs_that_layers_refuse() {
    let params = Params::new(0);
    let attention = MultiheadAttention::new(4, 2).build(&params.at("attention"));
    let sines = SinusoidalPositions::new().build(&params.at("sines"));
    let learned = LearnedPositions::new(2, 4).build(&params.at("learned"));
    let mut session = cpu().open(&params).unwrap();
    let mut message = |f: &(dyn Fn(&Tensor) -> Tensor + Sync)| {
        let types = [TensorType::f32([2, 3, 4])];
        let compiled = session.compile(Mode::Train, &types, |_, a| vec![f(&a[0])]);
        compiled.map(|_| ()).unwrap_err().to_string()
    };
    let says_of = |message: String, parts: &[&str]| says(&message, parts);
    says_of(
        message(&|x| attention.forward(x, &x.squeeze(0).flatten(0), x, &Masks::default())),
        &["attention: ", "takes [t, n, e], [s, n, kdim], [s, n, vdim]"],
    );
    says_of(
        message(&|x| {
            let y = x.narrow(2, 0, 3);
            attention.forward(&y, &y, &y, &Masks::default())
        }),
        &["attention: matmul", "inner sizes 3 and 4 differ"],
    );
    says_of(
        message(&|x| {
            let masks = Masks {
                attn_mask: Some(x.clone()),
                ..Masks::default()
            };
            attention.forward(x, x, x, &masks)
        }),
        &["attention: MultiheadAttention", "broadcasts to [3,2,2,2]"],
    );
    says_of(
        message(&|x| sines.forward(&x.flatten(1))),
        &["sines: SinusoidalPositions", "takes [n, t, d]"],
    );
    says_of(
        message(&|x| learned.forward(x)),
        &["learned: LearnedPositions", "takes up to 2 positions"],
    );
}
