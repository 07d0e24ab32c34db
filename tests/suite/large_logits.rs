//! Losses over rows of logits far from 0, as masks make them: their values and gradients are those of the same rows moved
//! to 0. Beside 1e9 an f32 has no room for the logarithm of a sum.

use crate::common::{cpu, gpu, gpu_hardware_kernels};
use crate::run::Faults;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::keras;
use wgrad::ops::reduction::Reduction::None as Each;
use wgrad::rng::Rng;
use wgrad::{Array, Params, Tensor};

const SMOOTHING: f64 = 0.2;

/// `[outer, classes, inner]`, classes along the dimension in the middle.
const SHAPES: &[[usize; 3]] = &[[6, 4, 1], [3, 1, 1], [2, 33, 3], [5, 300, 1], [2, 1030, 1]];

const FAR: &[f32] = &[0.0, -1e9, 4e4, 1e6, -1e6, 1e9, -3e38, 3e38, 16_777_216.0];

type Loss = fn(&Tensor, &Tensor, &Tensor) -> Tensor;

/// Of logits, labels and targets `[outer, classes, inner]`, to `[outer, inner]`.
const LOSSES: &[(&str, Loss)] = &[
    ("labels", |x, labels, _| loss(x, labels, 0.0)),
    ("labels, smooth", |x, labels, _| {
        loss(x, labels, SMOOTHING as f32)
    }),
    ("labels, nll_loss", |x, labels, _| {
        let options = CrossEntropyOptions {
            reduction: Each,
            ..Default::default()
        };
        x.log_softmax(1).nll_loss_with(labels, &options)
    }),
    ("labels, keras", |x, labels, _| {
        let last = x.permute(&[0, 2, 1]);
        keras::sparse_categorical_crossentropy(labels, &last, true)
    }),
    ("targets", |x, _, targets| loss(x, targets, 0.0)),
    ("targets, kl_div", |x, _, targets| {
        x.log_softmax(1)
            .kl_div(targets, false, Each)
            .sum(&[1], false)
    }),
    ("targets, keras", |x, _, targets| {
        let [t, x] = [targets, x].map(|t| t.permute(&[0, 2, 1]));
        keras::categorical_crossentropy(&t, &x, true)
    }),
    ("targets, softmax", |x, _, targets| {
        x.softmax(1).mul(targets).sum(&[1], false)
    }),
    ("logsumexp", |x, _, _| x.logsumexp(&[1], false)),
];

fn loss(x: &Tensor, target: &Tensor, label_smoothing: f32) -> Tensor {
    let options = CrossEntropyOptions {
        reduction: Each,
        label_smoothing,
        ..Default::default()
    };
    x.cross_entropy_with(target, &options)
}

/// The gradient of one row in f64.
fn slope(name: &str, row: &[f64], label: usize, targets: &[f64]) -> Vec<f64> {
    let most = row.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
    let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
    let p = row.iter().map(|x| (x - most).exp() / sum);
    let total: f64 = targets.iter().sum();
    let mean: f64 = p.clone().zip(targets).map(|(p, t)| p * t).sum();
    let hit = |k: usize| f64::from(k == label);
    let share = SMOOTHING / row.len() as f64;
    let of = |(k, p): (usize, f64)| match name {
        "labels, smooth" => p - (1.0 - SMOOTHING) * hit(k) - share,
        "targets, softmax" => p * (targets[k] - mean),
        "logsumexp" => p,
        name if name.starts_with("labels") => p - hit(k),
        _ => p * total - targets[k],
    };
    p.enumerate().map(of).collect()
}

#[test]
fn gradients_far_from_zero() {
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        let faults = Faults::default();
        for &[outer, classes, inner] in SHAPES {
            let mut rng = Rng::new(classes as u64, "logits");
            let n = outer * classes * inner;
            let place = |i: usize| (i / (classes * inner), i / inner % classes, i % inner);
            let far = |i: usize| FAR[(place(i).0 * inner + place(i).2) % FAR.len()];
            let x: Vec<f32> = (0..n).map(|i| far(i) + rng.normal() * 2.0).collect();
            let targets: Vec<f32> = (0..n).map(|_| rng.uniform()).collect();
            let rows = outer * inner;
            let labels: Vec<i32> = (0..rows)
                .map(|_| rng.below(classes as u32) as i32)
                .collect();
            let incoming: Vec<f32> = (0..rows).map(|_| rng.uniform() + 0.5).collect();
            let wide = |v: &[f32]| Array::new([outer, classes, inner], v.to_vec()).unwrap();
            let arrays = [
                wide(&x),
                wide(&targets),
                Array::new([outer, inner], incoming.clone()).unwrap(),
            ];
            let named = Array::new([outer, inner], labels.clone()).unwrap();
            let got = session.eval(|g| {
                let [x, targets, incoming] = arrays.clone().map(|a| g.constant(a));
                let labels = g.constant(named.clone());
                let each = LOSSES.iter().flat_map(|(_, f)| {
                    let y = f(&x, &labels, &targets);
                    let slope = g.grad(&(&y * &incoming).sum(&[], false), &x);
                    [y, slope]
                });
                each.collect()
            });
            let got: Vec<Vec<f32>> = got.unwrap().iter().map(Array::to_f32).collect();
            for ((name, _), got) in LOSSES.iter().zip(got.chunks(2)) {
                for row in 0..rows {
                    let at = |k: usize| (row / inner * classes + k) * inner + row % inner;
                    let of = |v: &[f32]| -> Vec<f64> {
                        (0..classes).map(|k| f64::from(v[at(k)])).collect()
                    };
                    let (logits, label) = (of(&x), labels[row] as usize);
                    let want = slope(name, &logits, label, &of(&targets));
                    for (k, want) in want.iter().enumerate() {
                        let want = want * f64::from(incoming[row]);
                        let off = (f64::from(got[1][at(k)]) - want).abs();
                        let near = off <= 2e-6 + 1e-5 * want.abs();
                        if !near {
                            faults.add(format!(
                                "{name} of {classes} classes at {:e} on {}: gradient {} for {want}",
                                far(at(0)),
                                pass.name,
                                got[1][at(k)]
                            ));
                        }
                    }
                    // Equal logits far out: the loss is the logarithm of their number, whatever they are.
                    if *name == "labels" {
                        let most = logits.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
                        let sum: f64 = logits.iter().map(|x| (x - most).exp()).sum();
                        let want = sum.ln() - (logits[label] - most);
                        let off = (f64::from(got[0][row]) - want).abs();
                        let near = off <= 1e-5 + 1e-5 * want.abs();
                        if !near {
                            faults.add(format!("{name}: loss {} for {want}", got[0][row]));
                        }
                    }
                }
            }
        }
        faults.end();
    }
}

/// Through the gradient once more: the probabilities' own slopes.
#[test]
fn second_gradients_far_from_zero() {
    for pass in [cpu(), gpu()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        let got = session.eval(|g| {
            let far = Array::new([2, 4], vec![-1e9f32, -1e9, -1e9, -1e9, 0.0, 0.0, 0.0, 0.0]);
            let x = g.constant(far.unwrap());
            let labels = g.constant(Array::vector(vec![0, 0]));
            let first = g.grad(&x.cross_entropy(&labels), &x);
            let weights = g.constant(Array::vector(vec![1.0f32, 2.0, 3.0, 4.0]));
            vec![g.grad(&(&first * &weights).sum(&[], false), &x)]
        });
        let got = got.unwrap()[0].to_f32();
        // p (w - Σ p w) / 2 with p = 1/4.
        let want = [-0.1875, -0.0625, 0.0625, 0.1875];
        for (got, want) in got.iter().zip(want.iter().cycle()) {
            assert!((got - want).abs() < 1e-6, "{}: {got} for {want}", pass.name);
        }
    }
}
