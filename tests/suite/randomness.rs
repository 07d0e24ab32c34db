//! Random numbers: mean, variance, independence of positions, runs, layers and seeds; the same on every device.

use crate::common::{Pass, cpu, gpu, gpu_few_workgroups};
use wgrad::nn::{Conv2d, Dropout, Embedding, Linear, Lstm, Module};
use wgrad::{Array, Mode, Params, Tensor, TensorType};

const N: usize = 20_000;
const RUNS: usize = 6;

/// What each of some runs draws: dropout of ones by two layers, uniform and normal numbers.
fn draws(pass: &Pass, seed: u64) -> Option<Vec<[Vec<f32>; 4]>> {
    let params = Params::new(seed);
    let layers = ["a", "b"].map(|name| Dropout::new(0.3).build(&params.at(name)));
    let mut session = pass.open(&params)?;
    let mut f = session
        .compile(Mode::Train, &[TensorType::f32([N])], |g, a| {
            let dropped = layers.each_ref().map(|layer| layer.forward(&a[0]));
            let mut results: Vec<Tensor> = dropped.to_vec();
            results.extend([g.uniform([N]), g.normal([N])]);
            results
        })
        .unwrap();
    let ones = Array::full([N], 1.0f32);
    let run = |_| {
        let results = session.run(&mut f, &[&ones]).unwrap();
        let results: Vec<Vec<f32>> = results.iter().map(Array::to_f32).collect();
        results.try_into().unwrap()
    };
    Some((0..RUNS).map(run).collect())
}

fn moments(x: &[f32]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let squares = x.iter().map(|x| (f64::from(*x) - mean).powi(2));
    (mean, squares.sum::<f64>() / n)
}

/// The correlation of two series, of deviation 1 / sqrt(n) where they are independent.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let ((ma, va), (mb, vb)) = (moments(a), moments(b));
    let products = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - ma) * (f64::from(*b) - mb));
    products.sum::<f64>() / a.len() as f64 / (va * vb).sqrt()
}

/// Five deviations of a correlation: of the some hundred that are tried, none is farther off by chance.
fn independent(a: &[f32], b: &[f32], what: &str) {
    let (off, bound) = (correlation(a, b), 5.0 / (a.len() as f64).sqrt());
    assert!(off.abs() < bound, "{what}: {off}, at most {bound}");
}

#[test]
fn means_and_variances() {
    // Mean and variance; the variance's own deviation by the fourth moment.
    let kinds = [
        ("dropout", 1.0, 0.3 / 0.7, 0.36),
        ("dropout of another layer", 1.0, 0.3 / 0.7, 0.36),
        ("uniform", 0.5, 1.0 / 12.0, 0.075),
        ("normal", 0.0, 1.0, 1.42),
    ];
    for (seed, run) in
        (0..3).flat_map(|s| draws(&cpu(), s).unwrap().into_iter().map(move |r| (s, r)))
    {
        for (x, (name, mean, var, spread)) in run.iter().zip(kinds) {
            let (m, v) = moments(x);
            let n = (N as f64).sqrt();
            let off: f64 = m - mean;
            let far: f64 = v - var;
            assert!(
                off.abs() < 5.0 * f64::sqrt(var) / n,
                "{name}, seed {seed}: mean {m}"
            );
            assert!(
                far.abs() < 5.0 * spread / n,
                "{name}, seed {seed}: variance {v}"
            );
        }
        let dropped = run[0].iter().chain(&run[1]);
        assert!(dropped.into_iter().all(|x| *x == 0.0 || *x == 1.0 / 0.7));
    }
}

#[test]
fn runs_layers_positions_and_seeds_are_independent() {
    let all = draws(&cpu(), 0).unwrap();
    let other = draws(&cpu(), 1).unwrap();
    for kind in 0..4 {
        for (r, run) in all.iter().enumerate() {
            for (q, before) in all[..r].iter().enumerate() {
                independent(
                    &run[kind],
                    &before[kind],
                    &format!("runs {q} and {r} of {kind}"),
                );
            }
            independent(
                &run[kind],
                &other[r][kind],
                &format!("seeds, run {r} of {kind}"),
            );
            for shift in [1, 2, 3, 4, 64, 256] {
                let (a, b) = (&run[kind][shift..], &run[kind][..N - shift]);
                independent(a, b, &format!("positions {shift} apart, run {r} of {kind}"));
            }
        }
    }
    for (r, run) in all.iter().enumerate() {
        independent(&run[0], &run[1], &format!("two layers, run {r}"));
        independent(&run[2], &run[3], &format!("uniform and normal, run {r}"));
        // What one layer draws next is not what another draws now.
        for next in &all[r + 1..] {
            independent(&run[0], &next[1], &format!("two layers, run {r} and later"));
        }
    }
}

#[test]
fn equal_on_every_device() {
    let want = draws(&cpu(), 5).unwrap();
    for pass in [gpu(), gpu_few_workgroups()] {
        let Some(got) = draws(&pass, 5) else { continue };
        for (got, want) in got.iter().zip(&want) {
            for (kind, (got, want)) in got.iter().zip(want).enumerate() {
                // Normal numbers go through logarithms and cosines, which a GPU may round otherwise.
                let bound = if kind == 3 { 2e-5 } else { 0.0 };
                let far = got
                    .iter()
                    .zip(want)
                    .position(|(g, w)| (g - w).abs() > bound);
                assert_eq!(far, None, "{}, kind {kind}", pass.name);
            }
        }
    }
}

/// Initial values are drawn on the host: every device has the same bits, each parameter has numbers of its own.
#[test]
fn initial_values() {
    let build = |seed: u64| {
        let params = Params::new(seed);
        Linear::new(100, 100).build(&params.at("fc1"));
        Linear::new(100, 100).build(&params.at("fc2"));
        Conv2d::new(20, 20, 5).build(&params.at("conv"));
        Lstm::new(50, 50).build(&params.at("lstm"));
        Embedding::new(100, 100).build(&params.at("embedding"));
        params
    };
    let all = |pass: &Pass, seed: u64| {
        let params = build(seed);
        let mut session = pass.open(&params)?;
        let states = params.list();
        let values = session.get_all(&states).unwrap();
        let paths = states.iter().map(|s| s.path.to_string());
        Some(paths.zip(values).collect::<Vec<(String, Array)>>())
    };
    let own = all(&cpu(), 3).unwrap();
    for pass in [gpu(), gpu_few_workgroups()] {
        if let Some(got) = all(&pass, 3) {
            assert_eq!(got, own, "{}", pass.name);
        }
    }
    assert_eq!(all(&cpu(), 3).unwrap(), own);
    let other = all(&cpu(), 4).unwrap();
    let long = |list: &[(String, Array)]| -> Vec<(String, Vec<f32>)> {
        let long = list.iter().filter(|(_, x)| x.numel() >= 10_000);
        long.map(|(path, x)| (path.clone(), x.to_f32()[..10_000].to_vec()))
            .collect()
    };
    let (own, other) = (long(&own), long(&other));
    assert_eq!(own.len(), 6);
    for (k, (path, x)) in own.iter().enumerate() {
        independent(x, &other[k].1, &format!("{path} of two seeds"));
        independent(&x[1..], &x[..9999], &format!("neighbours of {path}"));
        for (before, y) in &own[..k] {
            independent(x, y, &format!("{before} and {path}"));
        }
    }
}
