//! Attention and its layers: what they hold, what they give where nothing is seen, what they refuse.

use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use wgrad::caps::Caps;
use wgrad::nn::{
    LayerNorm, LearnedPositions, Masks, Module, MultiheadAttention, SinusoidalPositions,
    Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerMasks, generate_square_subsequent_mask,
};
use wgrad::ops::attention::AttentionOptions;
use wgrad::optim::Sgd;
use wgrad::plan::Plan;
use wgrad::rng::Rng;
use wgrad::{Array, DType, Mode, Params, Session, Tensor, TensorType, Trace};

fn normal(name: &str, shape: &[usize]) -> Array {
    let mut rng = Rng::new(4, name);
    let n = shape.iter().product();
    Array::new(
        shape.to_vec(),
        (0..n).map(|_| rng.normal()).collect::<Vec<_>>(),
    )
    .unwrap()
}

/// The results of `f` for `inputs` in training.
fn eval(
    session: &mut Session,
    inputs: &[&Array],
    f: impl Fn(&Trace, &[Tensor]) -> Vec<Tensor> + Send,
) -> Vec<Array> {
    let types: Vec<TensorType> = inputs.iter().map(|a| TensorType::of(a)).collect();
    let mut f = session.compile(Mode::Train, &types, f).unwrap();
    session.run(&mut f, inputs).unwrap()
}

fn open(params: &Params) -> Session {
    cpu().open(params).unwrap()
}

/// The step of training an encoder on `[n, t, 16]`.
fn encoder(t: usize, dropout: f32, caps: &Caps) -> Plan {
    let params = Params::new(0);
    let layer = TransformerEncoderLayer::new(16, 2)
        .dim_feedforward(32)
        .dropout(dropout)
        .batch_first(true);
    let model = TransformerEncoder::new(layer, 2).build(&params);
    let trace = Trace::new(&params, true);
    let x = trace.input(TensorType::f32([1, t, 16]));
    let padding = trace.input(TensorType::i32([1, t]));
    let masks = Masks {
        is_causal: true,
        ..Masks::padding(&padding)
    };
    let loss = model.forward_with(&x, &masks).square().mean(&[], false);
    trace.minimize(&loss, &Sgd::new(0.1));
    drop(x);
    let traced = trace.finish(&[loss]).unwrap();
    Plan::compile(traced.graph, caps).unwrap()
}

#[test]
fn long_sequences_need_no_matrix_of_weights() {
    let software = Caps {
        software: true,
        iterations: 32_768,
        ..Caps::default()
    };
    for caps in [Caps::cpu(), Caps::default(), software] {
        for dropout in [0.0, 0.1] {
            let t = 1024;
            let plan = encoder(t, dropout, &caps);
            let values = plan
                .steps
                .iter()
                .flat_map(|s| &s.outputs)
                .map(|o| o.ty.numel());
            let scratch = plan.steps.iter().flat_map(|s| s.kernels.scratch.clone());
            let largest = values.chain(scratch).max().unwrap();
            assert!(largest < t * t / 8, "{largest} elements");
            let bytes = plan.memory(&[], &caps).activations as usize;
            assert!(bytes < t * t * 4, "{bytes} bytes of activations");
        }
    }
}

/// What a thread may loop cuts the work in launches, which go on where the last one ended.
#[test]
fn few_iterations_cut_launches() {
    let count = |iterations: usize| {
        let caps = Caps {
            software: true,
            iterations,
            ..Caps::default()
        };
        let plan = encoder(512, 0.0, &caps);
        let launches = plan.steps.iter().flat_map(|s| &s.kernels.dispatches);
        let of = |d: &&wgrad::kernel::Dispatch| d.shader.starts_with("attention");
        launches.filter(of).count()
    };
    assert_eq!(count(1 << 20), 6);
    assert_eq!(count(256), 6 * 4);
}

fn everywhere(test: impl Fn(&Pass, &mut Session)) {
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        if let Some(mut session) = pass.open(&Params::new(0)) {
            test(&pass, &mut session);
        }
    }
}

/// Where a query sees no key, by a mask or by -infinity, PyTorch's function gives 0, and gradients of 0.
#[test]
fn queries_that_see_nothing() {
    let [q, k, v] = ["q", "k", "v"].map(|n| normal(n, &[1, 2, 3, 4]));
    let seen = Array::new([3, 3], vec![1i32, 1, 0, 0, 0, 0, 1, 1, 1]).unwrap();
    everywhere(|pass, session| {
        for added in [false, true] {
            let got = eval(session, &[&q, &k, &v, &seen], |g, a| {
                let seen = a[3].to(DType::Bool);
                let never = g.scalar(f32::NEG_INFINITY);
                let mask = match added {
                    true => seen.where_(&g.scalar(0.0), &never),
                    false => seen,
                };
                let options = AttentionOptions {
                    attn_mask: Some(mask),
                    ..Default::default()
                };
                let y = a[0].scaled_dot_product_attention(&a[1], &a[2], &options);
                let loss = y.square().sum(&[], false);
                let mut all = vec![y];
                all.extend(
                    g.gradients(&loss, &[&a[0], &a[1], &a[2]])
                        .into_iter()
                        .flatten(),
                );
                all
            });
            assert_eq!(got.len(), 4);
            assert!(got.iter().all(|a| a.to_f32().iter().all(|x| x.is_finite())));
            for h in 0..2 {
                let row = (h * 3 + 1) * 4..(h * 3 + 2) * 4;
                for result in &got[..2] {
                    let zeros = result.to_f32()[row.clone()].iter().all(|x| *x == 0.0);
                    assert!(zeros, "{}: {result:?}", pass.name);
                }
                assert!(
                    got[0].to_f32()[h * 12..h * 12 + 4]
                        .iter()
                        .all(|x| *x != 0.0)
                );
            }
        }
    });
}

/// NaN in a query is NaN in its row alone; infinite scores have no softmax.
#[test]
fn not_a_number() {
    let mut q = normal("q", &[3, 4]).to_f32();
    q[5] = f32::NAN;
    q[8] = f32::INFINITY;
    let q = Array::new([3, 4], q).unwrap();
    let k = Array::full([5, 4], 1.0f32);
    let v = normal("v", &[5, 2]);
    everywhere(|pass, session| {
        let got = eval(session, &[&q, &k, &v], |_, a| {
            vec![a[0].scaled_dot_product_attention(&a[1], &a[2], &Default::default())]
        });
        let nan: Vec<bool> = got[0].to_f32().iter().map(|x| x.is_nan()).collect();
        assert_eq!(nan, [false, false, true, true, true, true], "{}", pass.name);
    });
}

/// A causal mask is what `is_causal` does.
#[test]
fn causal_masks() {
    let params = Params::new(7);
    let layer = MultiheadAttention::new(6, 2).build(&params);
    let x = normal("x", &[9, 2, 6]);
    let got = eval(&mut open(&params), &[&x], |g, a| {
        let mask = generate_square_subsequent_mask(g, 9);
        let with = |mask: Tensor| Masks {
            attn_mask: Some(mask),
            ..Masks::default()
        };
        let hidden = mask.lt(&g.scalar(0.0));
        [Masks::causal(), with(mask), with(hidden)]
            .map(|masks| layer.forward(&a[0], &a[0], &a[0], &masks))
            .to_vec()
    });
    near(&got[1..2], &got[..1]).unwrap();
    near(&got[2..], &got[..1]).unwrap();
}

/// One product for what is one tensor, several for several: the same numbers, the same gradients.
#[test]
fn projections_of_one_tensor_and_of_several() {
    let params = Params::new(3);
    let layer = MultiheadAttention::new(6, 3)
        .batch_first(true)
        .build(&params);
    let x = normal("x", &[2, 7, 6]);
    let weights = params.get("in_proj_weight").unwrap();
    let got = eval(&mut open(&params), &[&x, &x, &x], |g, a| {
        let all = [[0, 0, 0], [0, 1, 1], [0, 1, 2], [0, 1, 0]];
        let all = all.map(|[q, k, v]| {
            let y = layer.forward(&a[q], &a[k], &a[v], &Masks::causal());
            let weight = g.state(weights.range, TensorType::f32([18, 6]));
            let loss = y.square().sum(&[], false);
            [g.gradients(&loss, &[&weight])[0].clone().unwrap(), y]
        });
        all.into_iter().flatten().collect()
    });
    for other in got[2..].chunks(2) {
        near(other, &got[..2]).unwrap();
    }
}

/// The weights that are returned are those that the result is made of.
#[test]
fn weights() {
    for (kdim, vdim) in [(6, 6), (5, 4)] {
        let params = Params::new(3);
        let layer = MultiheadAttention::new(6, 3)
            .kdim(kdim)
            .vdim(vdim)
            .build(&params);
        let names: Vec<String> = params.list().iter().map(|s| s.path.to_string()).collect();
        let packed = [
            "in_proj_weight",
            "in_proj_bias",
            "out_proj.weight",
            "out_proj.bias",
        ];
        let separate = ["q_proj_weight", "k_proj_weight", "v_proj_weight"];
        match kdim {
            6 => assert_eq!(names, packed),
            _ => assert_eq!(names[..3], separate),
        }
        let (q, k, v) = (
            normal("q", &[4, 2, 6]),
            normal("k", &[5, 2, kdim]),
            normal("v", &[5, 2, vdim]),
        );
        let padding = Array::new([2, 5], vec![0i32, 0, 0, 1, 1, 0, 0, 0, 0, 1]).unwrap();
        let got = eval(&mut open(&params), &[&q, &k, &v, &padding], |_, a| {
            let masks = Masks::padding(&a[3]);
            let y = layer.forward(&a[0], &a[1], &a[2], &masks);
            let (y2, mean) = layer.forward_with_weights(&a[0], &a[1], &a[2], &masks, true);
            let (_, each) = layer.forward_with_weights(&a[0], &a[1], &a[2], &masks, false);
            vec![y, y2, mean, each.mean(&[1], false), each.sum(&[-1], false)]
        });
        near(&got[1..2], &got[..1]).unwrap();
        near(&got[3..4], &got[2..3]).unwrap();
        assert_eq!(got[2].shape()[..], [2, 4, 5]);
        near(&got[4..], &[Array::full([2, 3, 4], 1.0f32)]).unwrap();
        assert_eq!(got[2].to_f32()[3..5], [0.0, 0.0]);
    }
}

/// Without a batch, and with the batch second: the same numbers in another order.
#[test]
fn orders() {
    let params = Params::new(3);
    let first = MultiheadAttention::new(6, 2)
        .batch_first(true)
        .build(&params.at("a"));
    let second = MultiheadAttention::new(6, 2).build(&params.at("b"));
    let mut session = open(&params);
    for state in params.at("a").list() {
        let value = session.get(&state.path).unwrap();
        session
            .set(&state.path.replacen('a', "b", 1), &value)
            .unwrap();
    }
    let x = normal("x", &[1, 4, 6]);
    let got = eval(&mut session, &[&x], |_, a| {
        let x = &a[0];
        let y = first.forward(x, x, x, &Masks::default());
        let x = &x.transpose(0, 1);
        let y2 = second.forward(x, x, x, &Masks::default()).transpose(0, 1);
        let x = &x.squeeze(1);
        let (y3, w) = first.forward_with_weights(x, x, x, &Masks::default(), true);
        vec![y, y2, y3.unsqueeze(0), w]
    });
    near(&got[1..2], &got[..1]).unwrap();
    near(&got[2..3], &got[..1]).unwrap();
    assert_eq!(got[3].shape()[..], [4, 4]);
}

/// Weights are dropped in training alone, with the probability that was asked for, and their mean stays.
#[test]
fn dropout_of_weights() {
    let (n, s) = (64, 100);
    let (q, k) = (Array::zeros([1, n, 4]), Array::zeros([1, s, 4]));
    let identity: Vec<f32> = (0..s * s).map(|i| f32::from(i / s == i % s)).collect();
    let v = Array::new([1, s, s], identity).unwrap();
    everywhere(|pass, session| {
        let run = |session: &mut Session, mode| {
            let types = [&q, &k, &v].map(TensorType::of);
            let mut f = session
                .compile(mode, &types, |_, a| {
                    let options = AttentionOptions {
                        dropout_p: 0.25,
                        ..Default::default()
                    };
                    vec![a[0].scaled_dot_product_attention(&a[1], &a[2], &options)]
                })
                .unwrap();
            session.run(&mut f, &[&q, &k, &v]).unwrap().remove(0)
        };
        let even = Array::full([1, n, s], 1.0 / s as f32);
        near(&[run(session, Mode::Eval)], &[even]).unwrap();
        let one = run(session, Mode::Train).to_f32();
        let kept = one.iter().filter(|x| **x != 0.0).count() as f64 / (n * s) as f64;
        assert!((kept - 0.75).abs() < 0.025, "{}: {kept}", pass.name);
        let mean = one.iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64;
        assert!((mean - 1.0).abs() < 0.03, "{}: {mean}", pass.name);
        let two = run(session, Mode::Train).to_f32();
        let both = one
            .iter()
            .zip(&two)
            .filter(|(a, b)| **a != 0.0 && **b != 0.0);
        let both = both.count() as f64 / (n * s) as f64;
        assert!((both - 0.5625).abs() < 0.03, "{}: {both}", pass.name);
    });
}

#[test]
fn positions() {
    let params = Params::new(0);
    let sines = SinusoidalPositions::new().build(&params.at("sines"));
    let learned = LearnedPositions::new(8, 4)
        .batch_first(false)
        .build(&params.at("learned"));
    assert_eq!(params.list().len(), 1);
    let x = Array::zeros([2, 3, 5]);
    let y = Array::zeros([8, 2, 4]);
    let mut session = open(&params);
    let got = eval(&mut session, &[&x, &y], |_, a| {
        vec![sines.forward(&a[0]), learned.forward(&a[1])]
    });
    let (s, c) = (2f32.sin(), 2f32.cos());
    let slow = 2.0 * 10_000f64.powf(-0.4);
    let slower = 2.0 * 10_000f64.powf(-0.8);
    let want = [
        s,
        c,
        slow.sin() as f32,
        slow.cos() as f32,
        slower.sin() as f32,
    ];
    let last = Array::vector(got[0].to_f32()[25..].to_vec());
    near(&[last], &[Array::vector(want.to_vec())]).unwrap();
    let weight = session.get("learned.weight").unwrap().to_f32();
    let rows = weight.chunks(4).flat_map(|row| [row, row].concat());
    assert_eq!(got[1].to_f32(), rows.collect::<Vec<f32>>());
}

/// PyTorch's names and initial values of everything that an encoder with a decoder has.
#[test]
fn parameters_of_a_transformer() {
    let params = Params::new(5);
    let model = Transformer::new(16, 2)
        .num_encoder_layers(1)
        .num_decoder_layers(1)
        .dim_feedforward(24)
        .build(&params);
    let names: Vec<String> = params.list().iter().map(|s| s.path.to_string()).collect();
    for name in [
        "encoder.layers.0.self_attn.in_proj_weight",
        "encoder.layers.0.self_attn.out_proj.bias",
        "encoder.layers.0.linear2.weight",
        "encoder.layers.0.norm2.bias",
        "encoder.norm.weight",
        "decoder.layers.0.multihead_attn.in_proj_bias",
        "decoder.layers.0.norm3.weight",
        "decoder.norm.bias",
    ] {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
    }
    assert_eq!(names.len(), 12 + 2 + 18 + 2);
    for state in params.list() {
        let values = state.init.to_f32();
        let largest = values.iter().fold(0f32, |m, x| m.max(x.abs()));
        if let [rows, columns] = state.shape[..] {
            let bound = (6.0 / (rows + columns) as f32).sqrt();
            let path = &state.path;
            assert!(
                (0.9 * bound..=bound).contains(&largest),
                "{path}: {largest}"
            );
        } else if state.path.contains("proj") {
            assert_eq!(largest, 0.0);
        }
    }
    let (src, tgt) = (normal("src", &[5, 2, 16]), normal("tgt", &[4, 2, 16]));
    let got = eval(&mut open(&params), &[&src, &tgt], |_, a| {
        let masks = TransformerMasks {
            tgt: Masks::causal(),
            ..Default::default()
        };
        vec![model.forward(&a[0], &a[1], &masks)]
    });
    assert_eq!(got[0].shape()[..], [4, 2, 16]);
}

/// What a layer of the decoder sees of what comes later: nothing.
#[test]
fn a_causal_decoder_does_not_look_ahead() {
    let params = Params::new(5);
    let layer = TransformerDecoderLayer::new(8, 2)
        .dim_feedforward(12)
        .dropout(0.0)
        .norm_first(true)
        .batch_first(true);
    let norm = LayerNorm::new([8]);
    let model = TransformerDecoder::new(layer, 2).norm(norm).build(&params);
    let memory = normal("memory", &[1, 3, 8]);
    let tgt = normal("tgt", &[1, 6, 8]);
    let mut later = tgt.to_f32();
    let changed = later[4 * 8..].iter_mut().enumerate();
    changed.for_each(|(k, x)| *x += k as f32);
    let later = Array::new([1, 6, 8], later).unwrap();
    let got = eval(&mut open(&params), &[&tgt, &later, &memory], |_, a| {
        [&a[0], &a[1]]
            .map(|x| model.forward(x, &a[2], &Masks::causal(), &Masks::default()))
            .to_vec()
    });
    let (a, b) = (got[0].to_f32(), got[1].to_f32());
    assert_eq!(a[..32], b[..32]);
    assert!(a[32..].iter().zip(&b[32..]).all(|(a, b)| a != b));
}
