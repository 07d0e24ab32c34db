//! Attention with keys of its own: PyTorch's numbers in `tests/fixtures/attention_keys.json`, which
//! `tests/interop/make_attention_keys.py` writes.

use crate::common::{cpu, gpu};
use crate::parity::near;
use serde_json::Value;
use wgrad::nn::{Masks, MultiheadAttention};
use wgrad::{Array, Mode, Params, TensorType};

const E: usize = 6;

fn array(of: &Value) -> Array {
    let shape: Vec<usize> = serde_json::from_value(of["shape"].clone()).unwrap();
    let values: Vec<f32> = serde_json::from_value(of["values"].clone()).unwrap();
    Array::new(shape, values).unwrap()
}

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("../fixtures/attention_keys.json")).unwrap()
}

#[test]
fn as_pytorch() {
    for pass in [cpu(), gpu()] {
        for case in cases() {
            let params = Params::new(0);
            let inputs: Vec<Array> = case["inputs"]
                .as_array()
                .unwrap()
                .iter()
                .map(array)
                .collect();
            let width = inputs[1].shape()[2];
            let layer = MultiheadAttention::new(E, 2)
                .kdim(width)
                .vdim(width)
                .add_bias_kv(case["add_bias_kv"] == true)
                .add_zero_attn(case["add_zero_attn"] == true)
                .build(&params.at("a"));
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            // The names and shapes are PyTorch's; their order is too.
            let own: Vec<String> = params.list().iter().map(|s| s.path.to_string()).collect();
            let named = case["parameters"].as_object().unwrap();
            assert_eq!(named.len(), own.len(), "{own:?}");
            for (name, value) in named {
                session.set(&format!("a.{name}"), &array(value)).unwrap();
            }
            let mut arguments = inputs.clone();
            arguments.push(array(&case["weight"]));
            let [mask, padding] = ["attn_mask", "key_padding_mask"].map(|name| &case[name]);
            arguments.extend(
                [mask, padding]
                    .iter()
                    .filter(|m| !m.is_null())
                    .map(|m| array(m)),
            );
            let types: Vec<TensorType> = arguments.iter().map(TensorType::of).collect();
            // Without weights the causal mask may be said, not given.
            let causal = case["mask"] == "causal";
            let float = case["mask"] == "added";
            for (weights, said) in [(true, false), (false, false), (false, true)] {
                if said && !causal {
                    continue;
                }
                let body = |g: &wgrad::Trace, a: &[wgrad::Tensor]| {
                    let mut given = a[4..].iter();
                    let mask = (!mask.is_null()).then(|| given.next().unwrap());
                    let hidden = |m: &wgrad::Tensor| m.logical_not().logical_not();
                    let masks = Masks {
                        attn_mask: mask
                            .filter(|_| !said)
                            .map(|m| if float { m.clone() } else { hidden(m) }),
                        key_padding_mask: given.next().cloned(),
                        is_causal: said,
                    };
                    let mut results = match weights {
                        true => {
                            let (y, w) =
                                layer.forward_with_weights(&a[0], &a[1], &a[2], &masks, false);
                            vec![y, w]
                        }
                        false => vec![layer.forward(&a[0], &a[1], &a[2], &masks)],
                    };
                    let loss = results[0].mul(&a[3]).sum(&[], false);
                    let parameters = params.list();
                    let parameters: Vec<wgrad::Tensor> = (parameters.iter())
                        .map(|s| g.state(s.range, TensorType::new(s.shape.clone(), s.dtype)))
                        .collect();
                    let by: Vec<&wgrad::Tensor> = a[..3].iter().chain(&parameters).collect();
                    results.extend(g.gradients(&loss, &by).into_iter().flatten());
                    results
                };
                let mut f = session.compile(Mode::Train, &types, body).unwrap();
                let got = session
                    .run(&mut f, &arguments.iter().collect::<Vec<_>>())
                    .unwrap();
                let mut want = vec![array(&case["output"])];
                if weights {
                    want.push(array(&case["weights"]));
                }
                want.extend(
                    case["input_gradients"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(array),
                );
                let of = |path: &String| array(&case["parameter_gradients"][&path[2..]]);
                want.extend(own.iter().map(of));
                assert_eq!(got.len(), want.len());
                assert_eq!(near(&got, &want), Ok(()), "{}: {case:.200}", pass.name);
                session.forget(f);
            }
        }
    }
}

/// `bias_k` and `bias_v` are drawn by `xavier_normal_`, of the deviation 1 / sqrt(e).
#[test]
fn initial_values() {
    let params = Params::new(1);
    let layer = MultiheadAttention::new(4096, 8).add_bias_kv(true);
    layer.build(&params);
    for path in ["bias_k", "bias_v"] {
        let state = params.get(path).unwrap();
        assert_eq!(state.shape[..], [1, 1, 4096]);
        let values = state.init.to_f32();
        let mean = values.iter().sum::<f32>() / 4096.0;
        let var = values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 4096.0;
        assert!(
            (var.sqrt() * 64.0 - 1.0).abs() < 0.05 && mean.abs() < 0.002,
            "{path}: {mean}, {var}"
        );
    }
}
