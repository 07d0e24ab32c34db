//! Initial values: their moments, bounds and orthogonality, and by which paths they are drawn.

use crate::common::cpu;
use wgrad::nn::init::{Fan, Init, Nonlinearity};
use wgrad::nn::{Linear, ModuleList};
use wgrad::{Array, Params, Shape};

/// A parameter of `shape` drawn by `init`.
fn drawn(shape: &[usize], init: Init) -> Vec<f32> {
    let params = Params::new(11);
    let zeros = |_: &mut wgrad::rng::Rng, n: usize| vec![0.0; n];
    params.parameter("w", shape.to_vec(), zeros);
    assert_eq!(params.init("w", init).unwrap(), 1);
    params.get("w").unwrap().init.to_f32()
}

fn moments(x: &[f32]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let var = x
        .iter()
        .map(|&x| (f64::from(x) - mean).powi(2))
        .sum::<f64>()
        / n;
    (mean, var.sqrt())
}

/// `[out, in, kernel]` with fans of 600 in and 800 out.
const SHAPE: [usize; 4] = [200, 150, 2, 2];

#[test]
fn means_and_deviations() {
    let (fan_in, fan_out) = (600f64, 800f64);
    let both = (2.0 / (fan_in + fan_out)).sqrt();
    let third = 3f64.sqrt();
    // A distribution, its mean, its deviation, the largest distance from 0 that it allows.
    let rows: &[(&str, Init, f64, f64, f64)] = &[
        (
            "uniform",
            Init::uniform(-1.0, 3.0),
            1.0,
            4.0 / 12f64.sqrt(),
            3.0,
        ),
        ("normal", Init::normal(2.0, 0.5), 2.0, 0.5, 9.0),
        (
            "xavier_uniform",
            Init::xavier_uniform(),
            0.0,
            both,
            third * both,
        ),
        (
            "xavier_normal",
            Init::xavier_normal().gain(2.0),
            0.0,
            2.0 * both,
            1.0,
        ),
        (
            "kaiming_uniform",
            Init::kaiming_uniform(),
            0.0,
            (2.0 / fan_in).sqrt(),
            (6.0 / fan_in).sqrt(),
        ),
        (
            "kaiming_uniform, as layers",
            Init::kaiming_uniform().nonlinearity(Nonlinearity::LeakyRelu(5f32.sqrt())),
            0.0,
            (1.0 / 3.0 / fan_in).sqrt(),
            (1.0 / fan_in).sqrt(),
        ),
        (
            "kaiming_normal, fan_out",
            Init::kaiming_normal()
                .mode(Fan::Out)
                .nonlinearity(Nonlinearity::Tanh),
            0.0,
            5.0 / 3.0 / fan_out.sqrt(),
            1.0,
        ),
        // Of a standard normal value within two deviations.
        (
            "trunc_normal",
            Init::trunc_normal(0.0, 1.0, -2.0, 2.0),
            0.0,
            0.879626,
            2.0,
        ),
        // Beyond one deviation, to the right and to the left.
        (
            "trunc_normal, tail",
            Init::trunc_normal(0.0, 1.0, 1.0, 9.0),
            1.525135,
            0.446203,
            9.0,
        ),
        (
            "trunc_normal, left",
            Init::trunc_normal(0.0, 2.0, -18.0, -2.0),
            -3.05027,
            0.892407,
            18.0,
        ),
        (
            "orthogonal",
            Init::orthogonal(),
            0.0,
            1.0 / fan_in.sqrt(),
            1.0,
        ),
    ];
    for (name, init, mean, std, most) in rows {
        let x = drawn(&SHAPE, *init);
        assert_eq!(x.len(), 120_000);
        let (m, s) = moments(&x);
        assert!(
            (m - mean).abs() < 0.012 * std,
            "{name}: mean {m}, want {mean}"
        );
        assert!(
            (s / std - 1.0).abs() < 0.012,
            "{name}: deviation {s}, want {std}"
        );
        let far = x.iter().fold(0f32, |a, x| a.max(x.abs()));
        assert!(f64::from(far) <= most * (1.0 + 1e-6), "{name}: {far}");
    }
    assert!(drawn(&SHAPE, Init::ones()).iter().all(|x| *x == 1.0));
    assert!(drawn(&SHAPE, Init::zeros()).iter().all(|x| *x == 0.0));
    assert!(drawn(&[5], Init::constant(0.3)).iter().all(|x| *x == 0.3));
}

#[test]
fn orthogonal_rows_or_columns() {
    for (rows, columns) in [(20, 35), (35, 20), (9, 9), (1, 4)] {
        let x = drawn(&[rows, columns], Init::orthogonal().gain(1.5));
        let (count, length) = (rows.min(columns), rows.max(columns));
        let at = |v: usize, k: usize| {
            f64::from(match rows <= columns {
                true => x[v * columns + k],
                false => x[k * columns + v],
            })
        };
        for a in 0..count {
            for b in 0..=a {
                let product: f64 = (0..length).map(|k| at(a, k) * at(b, k)).sum();
                let want = if a == b { 2.25 } else { 0.0 };
                assert!(
                    (product - want).abs() < 1e-5,
                    "{rows} x {columns}: {a} by {b} is {product}"
                );
            }
        }
    }
}

#[test]
fn gains() {
    let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a}, {b}");
    close(Nonlinearity::Linear.gain(), 1.0);
    close(Nonlinearity::Tanh.gain(), 1.666_666_7);
    close(Nonlinearity::Relu.gain(), std::f32::consts::SQRT_2);
    close(Nonlinearity::LeakyRelu(0.2).gain(), 1.386_750_5);
    close(Nonlinearity::Selu.gain(), 0.75);
}

#[test]
fn by_path() {
    let params = Params::new(3);
    let layers = ModuleList::new(&params.at("fc"), (0..3).map(|_| Linear::new(4, 4)));
    let _head = Linear::new(4, 2).build(&params.at("head"));
    let before = params.list();
    assert_eq!(
        params.init("fc.*.weight", Init::normal(0.0, 1.0)).unwrap(),
        3
    );
    assert_eq!(params.at("head").init("b?as", Init::ones()).unwrap(), 1);
    let ramp = |_: &mut wgrad::rng::Rng, shape: &Shape| vec![0.5; shape.numel()];
    assert_eq!(params.init("fc.1.bias", ramp).unwrap(), 1);
    for (old, new) in before.iter().zip(params.list()) {
        let path = new.path.as_ref();
        let touched = path.ends_with("weight") && path.starts_with("fc");
        let touched = touched || ["head.bias", "fc.1.bias"].contains(&path);
        assert_eq!(old.init != new.init, touched, "{path}");
    }
    // Every layer has numbers of its own, and a session takes them.
    let mut session = cpu().open(&params).unwrap();
    let [a, b] = [0, 1].map(|i| session.get(&layers[i].weight.path).unwrap());
    assert_ne!(a, b);
    let bias = session.get("head.bias").unwrap();
    assert_eq!(bias, Array::vector(vec![1.0f32; 2]));
    let late = params
        .init("head.bias", Init::zeros())
        .unwrap_err()
        .to_string();
    assert!(
        late.contains("head.bias") && late.contains("a session holds it already"),
        "{late}"
    );
}

#[test]
fn wordings() {
    let params = Params::new(3);
    let _fc = Linear::new(4, 2).build(&params.at("fc"));
    let rows: &[(&str, Init, &[&str])] = &[
        (
            "conv*",
            Init::zeros(),
            &[
                "the pattern 'conv*' stands for no parameter",
                "fc.weight, fc.bias",
            ],
        ),
        (
            "fc.bias",
            Init::xavier_normal(),
            &["fc.bias [2]", "2 dimensions or more"],
        ),
        (
            "fc.bias",
            Init::orthogonal(),
            &["fc.bias [2]", "2 dimensions or more"],
        ),
        (
            "fc.bias",
            Init::uniform(1.0, 0.0),
            &["uniform from 1 to 0", "low <= high"],
        ),
        (
            "fc.bias",
            Init::normal(0.0, -1.0),
            &["a deviation of -1", "0 or more"],
        ),
        (
            "fc.bias",
            Init::trunc_normal(0.0, 1.0, 2.0, 1.0),
            &["from 2 to 1", "low < high"],
        ),
    ];
    for (pattern, init, parts) in rows {
        let message = params.init(pattern, *init).unwrap_err().to_string();
        for part in *parts {
            assert!(message.contains(part), "no '{part}' in: {message}");
        }
    }
}

/// The host keeps no values of layers, and each session draws the same ones.
#[test]
fn sessions_draw_what_is_not_kept() {
    let params = Params::new(3);
    let fc = Linear::new(40, 50).build(&params.at("fc"));
    let own = params.drawn("own", [30, 20], wgrad::nn::init::normal(0.0, 1.0));
    let mut first = cpu().open(&params).unwrap();
    assert_eq!(first.memory().host, 0);
    let drawn = [&fc.weight, &own].map(|p| first.get(&p.path).unwrap());
    first.set("own", &Array::zeros([30, 20])).unwrap();
    let mut second = cpu().open(&params).unwrap();
    for (p, value) in [&fc.weight, &own].into_iter().zip(&drawn) {
        assert_eq!(second.get(&p.path).unwrap(), *value, "{}", p.path);
        assert_eq!(*params.get(&p.path).unwrap().init, *value, "{}", p.path);
    }
    // What a closure gave once is kept, and said to be.
    let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    params.parameter("given", [1000], |_, _| values);
    let mut third = cpu().open(&params).unwrap();
    assert_eq!(third.memory().host, 4000);
    assert_eq!(third.get("given").unwrap().to_f32()[999], 999.0);
}

#[test]
fn a_number_of_values_that_is_not_the_shapes() {
    for lazily in [true, false] {
        let params = Params::new(3);
        let short = |_: &mut wgrad::rng::Rng, n: usize| vec![1.0; n - 1];
        match lazily {
            true => params.drawn("w", [2, 3], short),
            false => params.parameter("w", [2, 3], short),
        };
        let error = wgrad::Session::with_options(&params, &cpu().options);
        let error = error.map(drop).unwrap_err().to_string();
        assert!(
            error.starts_with("w: [2,3]: 5 values were drawn"),
            "{error}"
        );
    }
}
