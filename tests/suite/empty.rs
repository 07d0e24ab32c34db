//! No samples, no elements, one element: what PyTorch gives, where it gives something.

use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use wgrad::nn::{
    BatchNorm1d, Build, Conv2d, ConvTranspose2d, Embedding, GroupNorm, Gru, LayerNorm, Linear,
    Lstm, Masks, Module, MultiheadAttention, Rnn, TransformerEncoderLayer,
};
use wgrad::ops::attention::AttentionOptions;
use wgrad::ops::reduction::Reduction;
use wgrad::{Array, Mode, Params, Tensor, TensorType, Trace};

fn passes() -> [Pass; 3] {
    [cpu(), gpu(), gpu_hardware_kernels()]
}

fn values(shape: &[usize], of: &[f32]) -> Array {
    Array::new(shape.to_vec(), of.to_vec()).unwrap()
}

#[test]
fn functions_of_nothing() {
    type Body = fn(&Trace) -> Tensor;
    fn zeros(g: &Trace, shape: &[usize]) -> Tensor {
        g.constant(Array::zeros(shape.to_vec()))
    }
    fn none(g: &Trace) -> Tensor {
        zeros(g, &[0, 3])
    }
    fn labels(g: &Trace) -> Tensor {
        g.constant(Array::vector(Vec::<i32>::new()))
    }
    const NAN: f32 = f32::NAN;
    let rows: Vec<(&str, Body, Array)> = vec![
        ("sum", |g| none(g).sum(&[0], false), values(&[3], &[0.0; 3])),
        (
            "logsumexp",
            |g| none(g).logsumexp(&[0], false),
            values(&[3], &[f32::NEG_INFINITY; 3]),
        ),
        (
            "logsumexp of all",
            |g| none(g).logsumexp(&[], true),
            values(&[1, 1], &[f32::NEG_INFINITY]),
        ),
        (
            "logsumexp of no rows",
            |g| none(g).logsumexp(&[1], false),
            values(&[0], &[]),
        ),
        (
            "mean",
            |g| none(g).mean(&[0], false),
            values(&[3], &[NAN; 3]),
        ),
        (
            "var",
            |g| none(g).var(&[0], 1, false),
            values(&[3], &[NAN; 3]),
        ),
        (
            "norm",
            |g| none(g).norm(&[0], false),
            values(&[3], &[0.0; 3]),
        ),
        ("amax", |g| none(g).amax(&[1], false), values(&[0], &[])),
        ("cumsum", |g| none(g).cumsum(0), values(&[0, 3], &[])),
        (
            "softmax",
            |g| zeros(g, &[3, 0]).softmax(1),
            values(&[3, 0], &[]),
        ),
        (
            "matmul",
            |g| zeros(g, &[4, 0]).matmul(&none(g)),
            values(&[4, 3], &[0.0; 12]),
        ),
        (
            "mse_loss",
            |g| none(g).mse_loss(&g.uniform([0, 3]), Reduction::Mean),
            values(&[], &[NAN]),
        ),
        (
            "mse_loss, sum",
            |g| none(g).mse_loss(&g.uniform([0, 3]), Reduction::Sum),
            values(&[], &[0.0]),
        ),
        (
            "cross_entropy",
            |g| none(g).cross_entropy(&labels(g)),
            values(&[], &[NAN]),
        ),
        (
            "max_pool2d",
            |g| zeros(g, &[0, 3, 4, 4]).max_pool2d(2),
            values(&[0, 3, 2, 2], &[]),
        ),
        (
            "adaptive_max_pool2d",
            |g| zeros(g, &[0, 3, 4, 4]).adaptive_max_pool2d([2, 2]),
            values(&[0, 3, 2, 2], &[]),
        ),
        (
            "attention to nothing",
            |g| {
                let (q, k) = (zeros(g, &[2, 3, 4]), zeros(g, &[2, 0, 4]));
                q.scaled_dot_product_attention(&k, &k, &AttentionOptions::default())
            },
            values(&[2, 3, 4], &[0.0; 24]),
        ),
        (
            "attention of nothing",
            |g| {
                let (q, k) = (zeros(g, &[2, 0, 4]), zeros(g, &[2, 3, 4]));
                q.scaled_dot_product_attention(&k, &k, &AttentionOptions::default())
            },
            values(&[2, 0, 4], &[]),
        ),
        // Of one element there is no unbiased variance.
        (
            "var of one",
            |g| zeros(g, &[1, 3]).var(&[0], 1, false),
            values(&[3], &[NAN; 3]),
        ),
        (
            "std of one",
            |g| zeros(g, &[1, 3]).std(&[0], 1, false),
            values(&[3], &[NAN; 3]),
        ),
    ];
    for pass in passes() {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        for (name, body, want) in &rows {
            let got = session.eval(|g| vec![body(g)]).unwrap();
            let verdict = near(&got, std::slice::from_ref(want));
            assert_eq!(verdict, Ok(()), "{name} on {}", pass.name);
        }
        for (name, body) in [
            ("amax", (|g| none(g).amax(&[0], false)) as Body),
            ("argmax", |g| none(g).argmax(0, false)),
        ] {
            let refused = session.eval(|g| vec![body(g)]).map(drop);
            let message = refused.unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}

/// The result of a layer on an input without samples, and that its parameters' gradients are zero.
fn layer<B: Build>(pass: &Pass, name: &str, layer: B, input: Array, shape: &[usize]) {
    let params = Params::new(0);
    let layer = layer.build(&params.at("layer"));
    module(pass, name, &params, &layer, input, shape);
}

fn module(
    pass: &Pass,
    name: &str,
    params: &Params,
    layer: &dyn Module,
    input: Array,
    shape: &[usize],
) {
    let Some(mut session) = pass.open(params) else {
        return;
    };
    let types = [TensorType::of(&input)];
    let body = |g: &Trace, a: &[Tensor]| {
        let y = layer.forward(&a[0]);
        let loss = y.square().sum(&[], false);
        let parameters = params.list();
        let parameters: Vec<Tensor> = (parameters.iter())
            .filter(|s| s.kind == wgrad::state::StateKind::Parameter)
            .map(|s| g.state(s.range, TensorType::new(s.shape.clone(), s.dtype)))
            .collect();
        let by: Vec<&Tensor> = parameters.iter().collect();
        let mut results = vec![y, loss.clone()];
        results.extend(g.gradients(&loss, &by).into_iter().flatten());
        results
    };
    let mut f = session.compile(Mode::Train, &types, body).unwrap();
    let got = session.run(&mut f, &[&input]).unwrap();
    assert_eq!(got[0].shape()[..], *shape, "{name} on {}", pass.name);
    assert!(got.len() > 3, "{name}: {} results", got.len());
    for gradient in &got[1..] {
        let zero = gradient.to_f32().iter().all(|x| *x == 0.0);
        assert!(zero && gradient.numel() > 0, "{name} on {}", pass.name);
    }
}

#[test]
fn layers_without_samples() {
    for pass in passes() {
        let of = |shape: &[usize]| Array::zeros(shape.to_vec());
        let p = &pass;
        layer(p, "Linear", Linear::new(3, 2), of(&[0, 3]), &[0, 2]);
        layer(
            p,
            "Conv2d",
            Conv2d::new(3, 2, 3),
            of(&[0, 3, 5, 5]),
            &[0, 2, 3, 3],
        );
        layer(
            p,
            "ConvTranspose2d",
            ConvTranspose2d::new(3, 2, 3),
            of(&[0, 3, 5, 5]),
            &[0, 2, 7, 7],
        );
        layer(p, "LayerNorm", LayerNorm::new([3]), of(&[0, 3]), &[0, 3]);
        layer(
            p,
            "GroupNorm",
            GroupNorm::new(1, 4),
            of(&[0, 4, 5]),
            &[0, 4, 5],
        );
        let params = Params::new(0);
        let embedding = Embedding::new(3, 2).build(&params);
        let head = Linear::new(2, 2).build(&params.at("head"));
        let both = |x: &Tensor| head.forward(&embedding.forward(x));
        let ids = Array::vector(Vec::<i32>::new());
        module(p, "Embedding", &params, &both, ids, &[0, 2]);
        let params = Params::new(0);
        let rnn = Rnn::new(3, 4).batch_first(true).build(&params);
        module(
            p,
            "RNN",
            &params,
            &|x: &Tensor| rnn.forward(x),
            of(&[0, 5, 3]),
            &[0, 5, 4],
        );
        let params = Params::new(0);
        let lstm = Lstm::new(3, 4).batch_first(true).build(&params);
        module(
            p,
            "LSTM",
            &params,
            &|x: &Tensor| lstm.forward(x),
            of(&[0, 5, 3]),
            &[0, 5, 4],
        );
        let params = Params::new(0);
        let gru = Gru::new(3, 4).batch_first(true).build(&params);
        module(
            p,
            "GRU",
            &params,
            &|x: &Tensor| gru.forward(x),
            of(&[0, 5, 3]),
            &[0, 5, 4],
        );
        let params = Params::new(0);
        let attention = MultiheadAttention::new(4, 2)
            .batch_first(true)
            .build(&params);
        let own = |x: &Tensor| attention.forward(x, x, x, &Masks::default());
        module(
            p,
            "MultiheadAttention",
            &params,
            &own,
            of(&[0, 3, 4]),
            &[0, 3, 4],
        );
        let params = Params::new(0);
        let encoder = TransformerEncoderLayer::new(4, 2)
            .dim_feedforward(8)
            .batch_first(true)
            .build(&params);
        let encode = |x: &Tensor| encoder.forward(x);
        module(
            p,
            "TransformerEncoderLayer",
            &params,
            &encode,
            of(&[0, 3, 4]),
            &[0, 3, 4],
        );
    }
}

/// Of no samples batch norm has no statistics: an error, where PyTorch makes its running ones NaN.
#[test]
fn batch_norm_without_samples() {
    let params = Params::new(0);
    let norm = BatchNorm1d::new(3).build(&params);
    let mut session = cpu().open(&params).unwrap();
    let types = [TensorType::f32([0, 3])];
    let compiled = session.compile(Mode::Train, &types, |_, a| vec![norm.forward(&a[0])]);
    let message = compiled.map(drop).unwrap_err().to_string();
    assert!(message.contains("batch_norm [0,3]"), "{message}");
}
