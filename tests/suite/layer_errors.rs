//! Misuse of normalisation and further layers: each has a wording that says what is allowed.

use crate::common::cpu;
use wgrad::nn::{
    BatchNorm1d, BatchNorm2d, Bilinear, Build, ConvTranspose2d, GroupNorm, InstanceNorm2d,
    LayerNorm, Linear, Module, Prelu, Residual, RmsNorm,
};
use wgrad::ops::interpolate::{InterpolateMode, InterpolateOptions};
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType, Trace};

/// What compiling `body` says for inputs f32 `[4, 6]`, f32 `[2, 6, 3, 3]`, i32 `[4]`, f32 `[5]`.
fn misuse(body: impl Fn(&Trace, &[Tensor]) -> Tensor + Sync) -> String {
    let types = [
        TensorType::f32([4, 6]),
        TensorType::f32([2, 6, 3, 3]),
        TensorType::i32([4]),
        TensorType::f32([5]),
    ];
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let compiled = session.compile(Mode::Train, &types, |g, a| vec![body(g, a)]);
    compiled.map(|_| ()).unwrap_err().to_string()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
}

#[test]
fn functions() {
    type Body = fn(&Trace, &[Tensor]) -> Tensor;
    let rows: &[(Body, &[&str])] = &[
        (
            |_, a| a[0].layer_norm(&[5], None, None, 1e-5),
            &[
                "layer_norm [4,6]",
                "last dimensions are the normalized shape [5]",
            ],
        ),
        (
            |_, a| a[0].rms_norm(&[6], Some(&a[3]), 1e-5),
            &["rms_norm [4,6]", "weights f32 [6], f32 [5] came"],
        ),
        (
            |_, a| a[2].layer_norm(&[4], None, None, 1e-5),
            &["layer_norm takes f32, i32 [4] came", "to_f32()"],
        ),
        (
            |_, a| a[1].group_norm(4, None, None, 1e-5),
            &["group_norm [2,6,3,3]", "4 groups do not divide 6 channels"],
        ),
        (
            |_, a| a[1].group_norm(3, Some(&a[3]), None, 1e-5),
            &["group_norm [2,6,3,3]", "weights f32 [6], f32 [5] came"],
        ),
        (
            |_, a| a[0].instance_norm(None, None, 1e-5),
            &[
                "instance_norm [4,6]",
                "[n, c, l, ...] of more than 1 value a channel",
            ],
        ),
        (
            |_, a| a[0].narrow(0, 0, 1).batch_norm(None, None, 1e-5).y,
            &[
                "batch_norm [1,6]",
                "more than 1 value a channel in training",
            ],
        ),
        (
            |_, a| a[0].batch_norm(None, Some(&a[3]), 1e-5).y,
            &["batch_norm [4,6]", "weights f32 [6], f32 [5] came"],
        ),
        (
            |_, a| a[3].batch_norm(None, None, 1e-5).y,
            &["batch_norm [5]", "takes an input [n, c, ...]"],
        ),
        (
            |_, a| a[0].batch_norm_by(&a[3], &a[3], None, None, 1e-5),
            &["batch_norm [4,6]", "weights f32 [6], f32 [5] came"],
        ),
        (
            |_, a| a[0].prelu(&a[3]),
            &[
                "prelu f32 [4,6] with a weight f32 [5]",
                "a weight [1] or [c]",
            ],
        ),
        (
            |_, a| a[0].bilinear(&a[0], &a[1], None),
            &[
                "bilinear [4,6] and [4,6], weight [2,6,3,3], bias none",
                "[o, i, j]",
            ],
        ),
        (
            |_, a| a[0].masked_max(&a[0]),
            &[
                "masked_max f32 [4,6] with a mask f32 [4,6]",
                "[n, t, c] and a mask [n, t]",
            ],
        ),
        (
            |_, a| a[0].masked_mean(&a[0]),
            &[
                "masked_mean f32 [4,6] with a mask f32 [4,6]",
                "[n, t, c] and a mask [n, t]",
            ],
        ),
        (
            |_, a| a[0].length_mask(3),
            &["length_mask takes lengths i32 [n], f32 [4,6] came"],
        ),
        (
            |_, a| a[0].min_pool2d(2),
            &["min_pool2d input [4,6]", "[n, c, h, w]"],
        ),
        (
            |_, a| a[0].interpolate(&InterpolateOptions::scale(2.0)),
            &["interpolate [4,6]", "Nearest takes an input [n, c, l]"],
        ),
        (
            |_, a| {
                let options = InterpolateOptions::size([4]);
                a[1].interpolate(&options.mode(InterpolateMode::Linear))
            },
            &["interpolate [2,6,3,3]", "Linear takes an input [n, c, l]"],
        ),
        (
            |_, a| a[1].interpolate(&InterpolateOptions::default()),
            &["interpolate size None, scale factor None", "one of them"],
        ),
        (
            |_, a| a[1].interpolate(&InterpolateOptions::size([4, 4, 4])),
            &["interpolate size Some([4, 4, 4])", "of 1 number or 2"],
        ),
        (
            |_, a| a[1].interpolate(&InterpolateOptions::scale(0.1)),
            &["interpolate [2,6,3,3] to [0, 0]", "at least 1"],
        ),
        (
            |_, a| Residual(|x: &Tensor| x.sum(&[0], true)).forward(&a[0]),
            &["residual [4,6] to [1,6]", "keeps the shape"],
        ),
    ];
    for (body, parts) in rows {
        says(&misuse(body), parts);
    }
}

/// What a session says of a layer that cannot be built.
fn unbuilt<B: Build>(layer: B) -> String {
    let params = Params::new(0);
    drop(layer.build(&params.at("net.1")));
    let session = Session::with_options(&params, &cpu().options);
    session.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn layers() {
    let rows = [
        (
            unbuilt(GroupNorm::new(4, 6)),
            "net.1: GroupNorm: 4 groups do not divide 6 channels",
        ),
        (unbuilt(GroupNorm::new(0, 6)), "0 groups do not divide"),
        (
            unbuilt(BatchNorm2d::new(0)),
            "net.1: BatchNorm2d: 0 channels: takes 1 or more",
        ),
        (
            unbuilt(BatchNorm1d::new(3).momentum(1.5)),
            "BatchNorm1d: momentum is 1.5: a share, 0 to 1",
        ),
        (
            unbuilt(InstanceNorm2d::new(3).momentum(-1.0)),
            "InstanceNorm2d: momentum is -1: a share, 0 to 1",
        ),
        (
            unbuilt(LayerNorm::new([3]).eps(-1.0)),
            "LayerNorm: eps is -1: takes 0 or more",
        ),
        (
            unbuilt(LayerNorm::new([])),
            "LayerNorm: normalized shape []: takes sizes of 1 or more",
        ),
        (
            unbuilt(RmsNorm::new([2, 0])),
            "RMSNorm: normalized shape [2, 0]: takes sizes of 1 or more",
        ),
        (unbuilt(Prelu::new(0)), "PReLU: 0 slopes: takes 1"),
        (
            unbuilt(ConvTranspose2d::new(4, 6, 3).groups(4)),
            "ConvTranspose2d: 4 groups do not divide 4 input and 6 output channels",
        ),
        (
            unbuilt(ConvTranspose2d::new(4, 0, 3)),
            "4 to 0 channels, kernel [3, 3]: all must be 1 or more",
        ),
    ];
    for (message, part) in rows {
        says(&message, &[part, "at tests/suite/layer_errors.rs:"]);
    }
    let params = Params::new(0);
    Bilinear::new(2, 0, 3).build(&params.at("net"));
    let session = Session::with_options(&params, &cpu().options);
    let message = session.map(|_| ()).unwrap_err().to_string();
    says(&message, &["net: Bilinear: from 2 and 0 to 3 features"]);
}

/// What `layer` says of an input of `shape`, in training.
fn refuses<B: Build>(layer: B, shape: &[usize]) -> String {
    let params = Params::new(0);
    let layer = layer.build(&params.at("norm"));
    let mut session = cpu().open(&params).unwrap();
    let compiled = session.compile(Mode::Train, &[TensorType::f32(shape.to_vec())], |_, a| {
        vec![layer.forward(&a[0])]
    });
    compiled.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn inputs_of_layers() {
    says(
        &refuses(BatchNorm2d::new(8), &[2, 3, 5, 5]),
        &["norm: BatchNorm2d [2,3,5,5]: takes [n, 8, h, w]"],
    );
    says(
        &refuses(BatchNorm1d::new(8), &[2, 8, 5, 5]),
        &["BatchNorm1d [2,8,5,5]: takes [n, 8] or [n, 8, l]"],
    );
    says(
        &refuses(BatchNorm1d::new(8), &[1, 8]),
        &["norm: batch_norm [1,8]", "more than 1 value a channel"],
    );
    says(
        &refuses(InstanceNorm2d::new(8), &[2, 8, 1, 1]),
        &[
            "norm: instance_norm [2,8,1,1]",
            "more than 1 value a channel",
        ],
    );
    says(
        &refuses(GroupNorm::new(2, 4), &[2, 6, 5]),
        &["norm: GroupNorm [2,6,5]: takes [n, 4]"],
    );
}

/// Lengths past the batch's time are found before a run.
#[test]
fn lengths_of_a_run() {
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let types = [TensorType::f32([2, 3, 1]), TensorType::i32([2])];
    let mut f = session
        .compile(Mode::Train, &types, |_, a| {
            vec![a[0].masked_mean(&a[1].length_mask(3))]
        })
        .unwrap();
    let x = Array::new([2, 3, 1], vec![1.0f32, 2.0, 6.0, 4.0, 5.0, 9.0]).unwrap();
    let got = session
        .run(&mut f, &[&x, &Array::vector(vec![3i32, 2])])
        .unwrap();
    assert_eq!(got[0].to_f32(), [3.0, 4.5]);
    let long = session.run(&mut f, &[&x, &Array::vector(vec![3i32, 4])]);
    says(
        &long.unwrap_err().to_string(),
        &["input 1", "lengths from 0 to 3", "got 4 at element 1"],
    );
}

/// Layers are what they compose, and a model of them trains.
#[test]
fn a_model_of_further_layers() {
    let params = Params::new(0);
    let up = ConvTranspose2d::new(6, 4, 2)
        .stride(2)
        .build(&params.at("up"));
    let norm = BatchNorm2d::new(4).build(&params.at("norm"));
    let slope = Prelu::new(4).build(&params.at("slope"));
    let head = Residual(Linear::new(4, 4)).build(&params.at("head"));
    let mut session = cpu().open(&params).unwrap();
    let mut f = session
        .compile(Mode::Train, &[TensorType::f32([2, 6, 3, 3])], |g, a| {
            let x = slope.forward(&norm.forward(&up.forward(&a[0])));
            let x = head.forward(&x.mean(&[2, 3], false));
            let loss = x.square().mean(&[], false);
            g.minimize(&loss, &wgrad::optim::Sgd::new(0.1));
            vec![loss]
        })
        .unwrap();
    let mut rng = wgrad::rng::Rng::new(1, "x");
    let x: Vec<f32> = (0..108).map(|_| rng.normal()).collect();
    let x = Array::new([2, 6, 3, 3], x).unwrap();
    let losses: Vec<f32> = (0..30)
        .map(|_| session.run(&mut f, &[&x]).unwrap()[0].item())
        .collect();
    assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
}
