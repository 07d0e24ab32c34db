//! NaN and infinities do not vanish on a GPU, whose compilers may assume that there are none.

use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use wgrad::ops::reduction::Reduction;
use wgrad::optim::{Adam, MinimizeOptions, Sgd};
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType};

fn sessions(params: &Params) -> Vec<(Pass, Session)> {
    let open = |pass: Pass| Some((pass.clone(), pass.open(params)?));
    let all = [cpu(), gpu(), gpu_hardware_kernels()];
    all.into_iter().filter_map(open).collect()
}

type Row = (&'static str, fn(&Tensor) -> Tensor, fn(f32) -> f32);

/// What compilers fold where they assume numbers, each with what it is.
#[allow(clippy::eq_op, clippy::erasing_op, reason = "what is tested")]
const FOLDED: &[Row] = &[
    ("x * 0", |x| x * 0.0, |x| x * 0.0),
    ("x * -0", |x| x.mul_scalar(-0.0), |x| x * -0.0),
    ("0 * x", |x| 0.0 * x, |x| 0.0 * x),
    ("0 / x", |x| 0.0 / x, |x| 0.0 / x),
    ("-0 / x", |x| -0.0 / x, |x| -0.0 / x),
    ("x / 0", |x| x / 0.0, |x| x / 0.0),
    ("x - x", |x| x - x, |x| x - x),
    ("x / x", |x| x / x, |x| x / x),
    ("2x - x", |x| x + x - x, |x| x + x - x),
    ("x + 1 - x", |x| x + 1.0 - x, |x| (x + 1.0) - x),
    ("1 - x + x", |x| (1.0 - x) + x, |x| (1.0 - x) + x),
    ("x - (x - 1)", |x| x - (x - 1.0), |x| x - (x - 1.0)),
    ("-x + x", |x| -x + x, |x| -x + x),
    ("x * 3 / x", |x| x * 3.0 / x, |x| x * 3.0 / x),
    ("x / (x * 3)", |x| x / (x * 3.0), |x| x / (x * 3.0)),
    ("3 / x * x", |x| 3.0 / x * x, |x| 3.0 / x * x),
    ("x * x - x * x", |x| x.square() - x * x, |x| x * x - x * x),
    (
        "x * x + x * y",
        |x| x.square() + x * (x - 1.0).reciprocal(),
        |x| x * x + x * (1.0 / (x - 1.0)),
    ),
    ("x - 2 x + x", |x| x - x * 2.0 + x, |x| (x - x * 2.0) + x),
    ("x + x * -1", |x| x + x.mul_scalar(-1.0), |x| x + -x),
    ("x - max(x, x)", |x| x - x.maximum(x), |x| x - x),
    ("min(x, x) - x", |x| x.minimum(x) - x, |x| x - x),
    ("e^(x * 0)", |x| (x * 0.0).exp(), |x| (x * 0.0).exp()),
    ("x == x", |x| x.eq(x).to_f32(), |x| f32::from(x == x)),
    ("x != x", |x| x.ne(x).to_f32(), |x| f32::from(x != x)),
    ("x <= x", |x| x.le(x).to_f32(), |x| f32::from(x <= x)),
    ("x >= x", |x| x.ge(x).to_f32(), |x| f32::from(x >= x)),
    ("x < x", |x| x.lt(x).to_f32(), |x| f32::from(x < x)),
    (
        "leaky_relu(x, 0)",
        |x| x.leaky_relu(0.0),
        |x| if x > 0.0 { x } else { x * 0.0 },
    ),
    (
        "mse_loss(x, x)",
        |x| x.mse_loss(x, Reduction::None),
        |x| (x - x) * (x - x),
    ),
    (
        "l1_loss(x, x)",
        |x| x.l1_loss(x, Reduction::None),
        |x| (x - x).abs(),
    ),
];

#[test]
fn nothing_is_folded_away() {
    let values = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -2.0,
        0.75,
        3.0,
    ];
    for (pass, mut session) in sessions(&Params::new(0)) {
        // One by one, and in vectors of four.
        for n in [7, 8] {
            let x: Vec<f32> = values.into_iter().cycle().take(n).collect();
            let array = Array::vector(x.clone());
            let got = session.eval(|g| {
                let x = g.constant(array.clone());
                FOLDED.iter().map(|(_, f, _)| f(&x)).collect()
            });
            for (got, (name, _, exact)) in got.unwrap().iter().zip(FOLDED) {
                for (got, x) in got.to_f32().into_iter().zip(&x) {
                    let want = exact(*x);
                    let near = got == want || (got - want).abs() <= 1e-6;
                    let same = near || (got.is_nan() && want.is_nan());
                    assert!(
                        same,
                        "{name} of {x} on {}: got {got}, want {want}",
                        pass.name
                    );
                }
            }
        }
    }
}

/// The deviation of one value, which is none.
#[test]
fn one_value_has_no_deviation() {
    for (pass, mut session) in sessions(&Params::new(0)) {
        let x = Array::new([3, 1], vec![0.0f32, 2.5, -1.0]).unwrap();
        let got = session.eval(|g| {
            let x = g.constant(x.clone());
            let both = [x.std(&[1], 1, false), x.var(&[1], 1, false)];
            let slope = |y: &Tensor| g.grad(&y.sum(&[], false), &x);
            let slopes: Vec<Tensor> = both.iter().map(slope).collect();
            both.into_iter().chain(slopes).collect()
        });
        for (k, got) in got.unwrap().iter().enumerate() {
            let all = got.to_f32().iter().all(|x| x.is_nan());
            assert!(all, "{k} on {}: {got}", pass.name);
        }
    }
}

/// Clipping, optimizers and their penalties pass on what a batch spoiled: the loss, the norm and the weights tell.
#[test]
fn a_spoiled_batch_is_seen() {
    let clip = |norm, value| MinimizeOptions {
        clip_norm: norm,
        clip_value: value,
        ..Default::default()
    };
    for options in [
        clip(None, None),
        clip(Some(1.0), None),
        clip(None, Some(0.5)),
    ] {
        for spoiled in [f32::NAN, f32::INFINITY] {
            for adam in [false, true] {
                let params = Params::new(1);
                let w = params.parameter("w", [8], |_, n| vec![0.5; n]);
                for (pass, mut session) in sessions(&params) {
                    let mut step = session
                        .compile(Mode::Train, &[TensorType::f32([8])], |g, x| {
                            let loss = (&x[0] * &g.param(&w)).square().mean(&[], false);
                            let made = match adam {
                                true => g.minimize_with(&loss, &Adam::new(0.1), &options),
                                false => g.minimize_with(&loss, &Sgd::new(0.1), &options),
                            };
                            vec![loss, made.norm]
                        })
                        .unwrap();
                    let mut x = vec![1.0f32; 8];
                    x[3] = spoiled;
                    let got = session.run(&mut step, &[&Array::vector(x)]).unwrap();
                    let name = format!("{spoiled}, {options:?}, adam {adam} on {}", pass.name);
                    assert!(!got[0].item().is_finite(), "loss of {name}");
                    let weights = session.get("w").unwrap().to_f32();
                    // An infinite gradient is held by its bound; all others spoil the weight.
                    let held = spoiled.is_infinite() && options.clip_value.is_some();
                    assert_eq!(weights[3].is_finite(), held, "{weights:?} of {name}");
                    assert!(held || !got[1].item().is_finite(), "norm of {name}");
                }
            }
        }
    }
}
