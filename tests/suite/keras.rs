//! Keras's losses and their gradients: Keras's numbers in `tests/fixtures/keras_losses.json`, which
//! `tests/interop/make_keras_losses.py` writes.

use crate::common::{cpu, gpu};
use crate::parity::near;
use crate::run::Faults;
use serde_json::Value;
use std::collections::BTreeSet;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::keras;
use wgrad::ops::reduction::Reduction;
use wgrad::{Array, Mode, Params, Tensor, TensorType};

fn numbers(of: &Value) -> Vec<f32> {
    serde_json::from_value(of.clone()).unwrap()
}

/// The loss of each sample, as the case says.
fn loss(case: &Value, t: &Tensor, p: &Tensor) -> Tensor {
    let logits = case["from_logits"] == true;
    if let Some(smoothing) = case["label_smoothing"].as_f64() {
        let options = CrossEntropyOptions {
            label_smoothing: smoothing as f32,
            reduction: Reduction::None,
            ..Default::default()
        };
        return p.cross_entropy_with(t, &options);
    }
    match case["loss"].as_str().unwrap() {
        "categorical_crossentropy" => keras::categorical_crossentropy(t, p, logits),
        "sparse_categorical_crossentropy" => keras::sparse_categorical_crossentropy(t, p, logits),
        "binary_crossentropy" => keras::binary_crossentropy(t, p, logits),
        "mean_squared_error" => keras::mean_squared_error(t, p),
        "mean_absolute_error" => keras::mean_absolute_error(t, p),
        "mean_absolute_percentage_error" => keras::mean_absolute_percentage_error(t, p),
        "mean_squared_logarithmic_error" => keras::mean_squared_logarithmic_error(t, p),
        "log_cosh" => keras::log_cosh(t, p),
        "hinge" => keras::hinge(t, p),
        "squared_hinge" => keras::squared_hinge(t, p),
        "categorical_hinge" => keras::categorical_hinge(t, p),
        "kl_divergence" => keras::kl_divergence(t, p),
        "poisson" => keras::poisson(t, p),
        "cosine_similarity" => keras::cosine_similarity(t, p),
        "huber" => {
            let delta = case["delta"].as_f64().unwrap_or(1.0);
            let each = p.huber_loss(t, delta as f32, Reduction::None);
            each.mean(&[-1], false)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn as_keras() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/keras_losses.json")).unwrap();
    let names: BTreeSet<&str> = cases.iter().map(|c| c["loss"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 15, "{names:?}");
    for pass in [cpu(), gpu()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        let faults = Faults::default();
        for case in &cases {
            let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
            let p = Array::new(shape.clone(), numbers(&case["y_pred"])).unwrap();
            let samples = &shape[..shape.len() - 1];
            let t = match case["loss"] == "sparse_categorical_crossentropy" {
                true => {
                    let labels: Vec<i32> = serde_json::from_value(case["y_true"].clone()).unwrap();
                    Array::new(samples.to_vec(), labels).unwrap()
                }
                false => Array::new(shape.clone(), numbers(&case["y_true"])).unwrap(),
            };
            let mut f = session
                .compile(
                    Mode::Train,
                    &[TensorType::of(&t), TensorType::of(&p)],
                    |g, a| {
                        let each = loss(case, &a[0], &a[1]);
                        let sum = each.sum(&[], false);
                        let gradient = g.gradients(&sum, &[&a[1]]).swap_remove(0).unwrap();
                        vec![each.clone(), sum, each.mean(&[], false), gradient]
                    },
                )
                .unwrap();
            let got = session.run(&mut f, &[&t, &p]).unwrap();
            session.forget(f);
            let want = [
                ("none", samples.to_vec()),
                ("sum", vec![]),
                ("sum_over_batch_size", vec![]),
                ("gradient", shape),
            ];
            let want = want.map(|(name, shape)| Array::new(shape, numbers(&case[name])).unwrap());
            if let Err(why) = near(&got, &want) {
                faults.add(format!(
                    "{} on {}: {why}\n  {case:.300}",
                    case["loss"], pass.name
                ));
            }
        }
        faults.end();
    }
}
