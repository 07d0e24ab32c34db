//! Masks of finite numbers, as models have them for keys that do not count, also where a row has no others: PyTorch's numbers
//! in `tests/fixtures/attention_masks.json`, which `tests/interop/make_attention_masks.py` writes.

use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use serde_json::Value;
use wgrad::ops::attention::AttentionOptions;
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType, Trace};

/// The script's numbers from -2 to 2.
fn eighths(seed: usize, shape: &[usize], large: f32) -> Array {
    let n = shape.iter().product::<usize>();
    let one = |i: usize| ((seed * 7919 + i * i * 31 + i * 17) % 33) as f32 - 16.0;
    let values: Vec<f32> = (0..n).map(|i| one(i) / 8.0 * large).collect();
    Array::new(shape.to_vec(), values).unwrap()
}

/// What is added to the scores.
fn mask(rows: &[Value], s: usize) -> Array {
    let row = |row: &Value| -> Vec<f32> {
        let c = row[1].as_f64().unwrap() as f32;
        let never = f32::NEG_INFINITY;
        let each = |j: usize| match row[0].as_str().unwrap() {
            "whole" => c,
            "part" => [0.0, c, 0.0][j % 3],
            "infinite" => [c, never][j % 2],
            "never" => never,
            _ => 0.0,
        };
        (0..s).map(each).collect()
    };
    Array::new(
        [rows.len(), s],
        rows.iter().flat_map(row).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn passes() -> Vec<(Pass, Session)> {
    let open = |pass: Pass| pass.open(&Params::new(0)).map(|session| (pass, session));
    let all = [cpu(), gpu(), gpu_hardware_kernels()];
    all.into_iter().filter_map(open).collect()
}

#[test]
fn as_pytorch() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/attention_masks.json")).unwrap();
    for (pass, mut session) in passes() {
        for case in &cases {
            let size = |key: &str| case[key].as_u64().unwrap() as usize;
            let (h, e, s) = (size("h"), size("e"), size("s"));
            let rows = case["rows"].as_array().unwrap();
            let t = rows.len();
            let large = case["large"].as_f64().unwrap() as f32;
            let arguments = [
                eighths(1, &[1, h, t, e], large),
                eighths(2, &[1, h, s, e], 1.0),
                eighths(3, &[1, h, s, e], 1.0),
                mask(rows, s),
                eighths(4, &[1, h, t, e], 1.0),
            ];
            let padding = case["padding"].as_u64().map(|first| {
                let hidden: Vec<i32> = (0..s as u64).map(|j| i32::from(j >= first)).collect();
                Array::new([1, s], hidden).unwrap()
            });
            let causal = case["causal"] == true;
            let body = |g: &Trace, a: &[Tensor]| {
                let options = AttentionOptions {
                    attn_mask: Some(a[3].clone()),
                    key_padding_mask: padding.clone().map(|p| g.constant(p)),
                    is_causal: causal,
                    ..Default::default()
                };
                let y = a[0].scaled_dot_product_attention(&a[1], &a[2], &options);
                let loss = y.mul(&a[4]).sum(&[], false);
                let by: Vec<&Tensor> = a[..4].iter().collect();
                let gradients = g.gradients(&loss, &by).into_iter().flatten();
                std::iter::once(y).chain(gradients).collect()
            };
            let types = arguments.each_ref().map(TensorType::of);
            let mut f = session.compile(Mode::Train, &types, body).unwrap();
            let got = session.run(&mut f, &arguments.each_ref()).unwrap();
            let want: Vec<Array> = (case["results"].as_array().unwrap().iter().zip(&got))
                .map(|(values, got)| {
                    let values: Vec<f32> = serde_json::from_value(values.clone()).unwrap();
                    Array::new(got.shape().clone(), values).unwrap()
                })
                .collect();
            assert_eq!(got.len(), 5);
            assert_eq!(near(&got, &want), Ok(()), "{}: {case:.150}", pass.name);
            session.forget(f);
        }
    }
}

/// Where each key's score is -1e9, all have the same weight, as where each is 0: in launches that go on from sums so far, and
/// with dropout, too.
#[test]
fn rows_of_one_score() {
    for (pass, mut session) in passes() {
        for (s, e, dropout_p) in [(5, 4, 0.3), (3000, 4, 0.2), (1500, 40, 0.3)] {
            let t = 3;
            let arguments = [
                eighths(1, &[t, e], 1.0),
                eighths(2, &[s, e], 1.0),
                eighths(3, &[s, e], 1.0),
                eighths(4, &[t, e], 1.0),
            ];
            let types = arguments.each_ref().map(TensorType::of);
            let mut results = |masked: bool| {
                session.set_counts(0, 0);
                let body = |g: &Trace, a: &[Tensor]| {
                    let options = AttentionOptions {
                        attn_mask: masked.then(|| g.constant(Array::full([t, s], -1e9f32))),
                        scale: (!masked).then_some(0.0),
                        dropout_p,
                        ..Default::default()
                    };
                    let y = a[0].scaled_dot_product_attention(&a[1], &a[2], &options);
                    let loss = y.mul(&a[3]).sum(&[], false);
                    let values = g.grad(&loss, &a[2]);
                    vec![y, values]
                };
                let mut f = session.compile(Mode::Train, &types, body).unwrap();
                session.run(&mut f, &arguments.each_ref()).unwrap()
            };
            let (got, want) = (results(true), results(false));
            assert_eq!(near(&got, &want), Ok(()), "{}: {s} keys", pass.name);
        }
    }
}
