//! Runs of parameters that are packed alike: each is updated with its own gradient.

use crate::common::{cpu, gpu, lockstep};
use wgrad::optim::{Adam, MinimizeOptions, Sgd};
use wgrad::{Array, Mode, Params, Tensor, Trace};

/// `w0` to `w5`, all of `size` elements, of which the loss is `Σ (k + 1) Σ wk`.
fn parameters(size: usize) -> Params {
    let params = Params::new(0);
    for k in 0..6 {
        params.parameter(&format!("w{k}"), [size], |_, n| vec![0.0; n]);
    }
    params
}

fn loss(g: &Trace, which: &[usize]) -> Tensor {
    let term = |k: &usize| {
        let s = g.params().root().get(&format!("w{k}")).unwrap();
        let w = g.state(s.range, wgrad::TensorType::new(s.shape, s.dtype));
        w.sum(&[], false).mul_scalar((k + 1) as f32)
    };
    which.iter().map(term).reduce(|a, b| a.add(&b)).unwrap()
}

/// How far each parameter has gone, where all its elements have gone as far.
fn moves(
    params: &Params,
    pass: &crate::common::Pass,
    runs: usize,
    body: impl Fn(&Trace) + Send + Sync,
) -> Option<Vec<f32>> {
    let mut session = pass.open(params)?;
    let mut f = session
        .compile(Mode::Train, &[], |g, _| {
            body(g);
            vec![]
        })
        .unwrap();
    for _ in 0..runs {
        session.run(&mut f, &[] as &[Array]).unwrap();
    }
    let of = |k: usize| {
        let w = session.get(&format!("w{k}")).unwrap().to_f32();
        assert!(w.iter().all(|x| *x == w[0]), "{}: w{k}: {w:?}", pass.name);
        -w[0]
    };
    Some((0..6).map(of).collect())
}

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

#[test]
fn between_frozen_parameters() {
    for pass in [cpu(), gpu(), lockstep()] {
        for size in [1, 4, 64, 70] {
            let params = parameters(size);
            params.freeze("{w1,w3}").unwrap();
            let step = |g: &Trace| g.minimize(&loss(g, &ALL), &Sgd::new(1.0));
            let Some(got) = moves(&params, &pass, 1, step) else {
                continue;
            };
            assert_eq!(got, [1.0, 0.0, 3.0, 0.0, 5.0, 6.0], "{} {size}", pass.name);
        }
    }
}

#[test]
fn parts_of_the_parameters() {
    for pass in [cpu(), gpu(), lockstep()] {
        let part = |g: &Trace| {
            let options = MinimizeOptions::part("{w0,w2,w4}", 0);
            g.minimize_with(&loss(g, &ALL), &Sgd::new(1.0), &options);
        };
        let Some(got) = moves(&parameters(4), &pass, 2, part) else {
            continue;
        };
        assert_eq!(got, [2.0, 0.0, 6.0, 0.0, 10.0, 0.0], "{}", pass.name);
        // Two optimizers in one function, whose runs are packed alike among each other too.
        let both = |g: &Trace| {
            let (even, odd) = (loss(g, &[0, 2, 4]), loss(g, &[1, 3, 5]));
            let options = MinimizeOptions::part("{w0,w2,w4}", 0);
            g.minimize_with(&even, &Sgd::new(1.0), &options);
            let options = MinimizeOptions::part("{w1,w3,w5}", 1);
            g.minimize_with(&odd, &Sgd::new(0.5), &options);
        };
        let got = moves(&parameters(4), &pass, 2, both).unwrap();
        assert_eq!(got, [2.0, 2.0, 6.0, 4.0, 10.0, 6.0], "{}", pass.name);
    }
}

/// Gradients of one size as Adam and the global norm see them.
#[test]
fn with_clipping_and_accumulation() {
    for pass in [cpu(), gpu(), lockstep()] {
        let params = parameters(1);
        params.freeze("{w1,w3}").unwrap();
        let options = MinimizeOptions {
            micro_steps: 2,
            clip_norm: Some(1.0),
            ..Default::default()
        };
        let step = |g: &Trace| {
            g.minimize_with(&loss(g, &ALL), &Sgd::new(1.0), &options);
        };
        let Some(got) = moves(&params, &pass, 2, step) else {
            continue;
        };
        let norm = (1.0f32 + 9.0 + 25.0 + 36.0).sqrt();
        for (got, want) in got.iter().zip([1.0, 0.0, 3.0, 0.0, 5.0, 6.0]) {
            assert!((got - want / norm).abs() < 1e-5, "{}: {got}", pass.name);
        }
        let averaged = MinimizeOptions {
            ema: Some(0.5),
            ..Default::default()
        };
        let step = |g: &Trace| {
            g.minimize_with(&loss(g, &ALL), &Adam::new(0.1), &averaged);
        };
        let params = parameters(4);
        params.freeze("{w0,w2}").unwrap();
        let got = moves(&params, &pass, 3, step).unwrap();
        for (got, want) in got.iter().zip([0.0, 0.3, 0.0, 0.3, 0.3, 0.3]) {
            assert!((got - want).abs() < 1e-5, "{}: {got}", pass.name);
        }
    }
}
