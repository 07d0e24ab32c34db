//! NaN and infinities in maxima, softmax and losses, and in their gradients: PyTorch's answers in
//! `tests/fixtures/extremes.json`, which `tests/interop/make_extremes.py` writes.

use crate::common::{cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use crate::run::Faults;
use serde_json::Value;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::pool::PoolOptions;
use wgrad::ops::reduction::Reduction::None as Each;
use wgrad::{Array, Params, Tensor};

fn number(x: &Value) -> f32 {
    match x.as_str() {
        Some("nan") => f32::NAN,
        Some("inf") => f32::INFINITY,
        Some("-inf") => f32::NEG_INFINITY,
        _ => x.as_f64().unwrap() as f32,
    }
}

fn numbers(of: &Value) -> Vec<f32> {
    of.as_array().unwrap().iter().map(number).collect()
}

fn array(of: &Value) -> Array {
    let shape: Vec<usize> = serde_json::from_value(of["shape"].clone()).unwrap();
    let values = numbers(&of["values"]);
    match of["labels"] == true {
        true => Array::new(shape, values.iter().map(|x| *x as i32).collect::<Vec<_>>()),
        false => Array::new(shape, values),
    }
    .unwrap()
}

fn apply(function: &str, x: &Tensor, others: &[Tensor]) -> Tensor {
    let soft = || {
        let row = Array::vector(vec![0.1f32, 0.2, 0.3, 0.4]);
        x.trace().constant(row).expand([10, 4])
    };
    let options = CrossEntropyOptions {
        reduction: Each,
        ..Default::default()
    };
    match function {
        "softmax" => x.softmax(1),
        "log_softmax" => x.log_softmax(1),
        "logsumexp" => x.logsumexp(&[1], false),
        "amax" => x.amax(&[1], false),
        "amin" => x.amin(&[1], false),
        "argmax" => x.argmax(1, false).to_f32(),
        "argmin" => x.argmin(1, false).to_f32(),
        "max_pool1d" => {
            let options = PoolOptions {
                stride: Some(vec![1]),
                ..PoolOptions::new([2])
            };
            x.unsqueeze(1).max_pool1d_with(options).squeeze(1)
        }
        "adaptive_max_pool1d" => x.unsqueeze(1).adaptive_max_pool1d([3]).squeeze(1),
        "maximum" => x.maximum(&others[0]),
        "minimum" => x.minimum(&others[0]),
        "cross_entropy" | "cross_entropy, probabilities" => {
            x.cross_entropy_with(&others[0], &options)
        }
        "nll_loss" => x.nll_loss_with(&others[0], &options),
        "mse_loss" => x.mse_loss(&others[0], Each),
        "l1_loss" => x.l1_loss(&others[0], Each),
        "smooth_l1_loss" => x.smooth_l1_loss(&others[0], 1.0, Each),
        "huber_loss" => x.huber_loss(&others[0], 1.0, Each),
        "binary_cross_entropy_with_logits" => x.binary_cross_entropy_with_logits(&others[0], Each),
        "kl_div" => x.kl_div(&others[0], false, Each),
        "hinge_embedding_loss" => x.hinge_embedding_loss(&others[0], 1.0, Each),
        "soft_margin_loss" => x.soft_margin_loss(&others[0], Each),
        "multi_margin_loss" => x.multi_margin_loss(&others[0], 1, 1.0, Each),
        "margin_ranking_loss" => x.margin_ranking_loss(&soft(), &others[0], 0.0, Each),
        "cosine_embedding_loss" => x.cosine_embedding_loss(&soft(), &others[0], 0.0, Each),
        other => panic!("{other}"),
    }
}

/// Where the gradient, or the result, is another on purpose, in which rows, and why.
const OTHERS: &[(&str, &str, &[usize], &str)] = &[
    (
        "l1_loss",
        "gradient",
        &[0, 7, 9],
        "NaN of NaN; PyTorch has 0",
    ),
    (
        "soft_margin_loss",
        "result",
        &[8],
        "exact for large scores; PyTorch's exponential overflows",
    ),
    (
        "soft_margin_loss",
        "gradient",
        &[1, 3, 4, 6, 7, 8],
        "the slope at infinity; PyTorch divides infinities",
    ),
];

#[test]
fn as_pytorch() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/extremes.json")).unwrap();
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        let faults = Faults::default();
        for case in &cases {
            let function = case["function"].as_str().unwrap();
            let x = array(&case["x"]);
            let others: Vec<Array> = case["others"]
                .as_array()
                .unwrap()
                .iter()
                .map(array)
                .collect();
            let differentiated = !case["gradient"].is_null();
            let got = session
                .eval(|g| {
                    let x = g.constant(x.clone());
                    let others: Vec<Tensor> =
                        others.iter().map(|o| g.constant(o.clone())).collect();
                    let y = apply(function, &x, &others);
                    let mut results = vec![y.clone()];
                    if differentiated {
                        results.extend(g.gradients(&y.sum(&[], false), &[&x]).swap_remove(0));
                    }
                    results
                })
                .unwrap();
            let mut want = vec![("result", array(&case["y"]).to_f32())];
            if differentiated {
                want.push(("gradient", numbers(&case["gradient"])));
            }
            assert_eq!(got.len(), want.len(), "{function}");
            for (got, (what, want)) in got.iter().zip(want) {
                let got = got.to_f32();
                assert_eq!(got.len(), want.len(), "{function}");
                // Row by row: a large number must not make the bound of the others.
                let width = want.len() / 10;
                for (row, (got, want)) in got.chunks(width).zip(want.chunks(width)).enumerate() {
                    let [got, want] = [got, want].map(|v| Array::vector(v.to_vec()));
                    let verdict = near(std::slice::from_ref(&got), std::slice::from_ref(&want));
                    let name = pass.name;
                    let other = OTHERS.iter().find(|(f, of, rows, _)| {
                        *f == function && *of == what && rows.contains(&row)
                    });
                    match (verdict, other) {
                        (Err(why), None) => {
                            faults.add(format!("{function} on {name}, {what}, row {row}: {why}"));
                        }
                        (Ok(()), Some((.., why))) => {
                            faults.add(format!(
                                "{function} on {name}, {what}, row {row}: not '{why}'"
                            ));
                        }
                        _ => {}
                    }
                }
            }
        }
        faults.end();
    }
}
