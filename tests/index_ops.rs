//! Operators around indices, rows and losses: PyTorch's cases, one device against the other, shaders, edges.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use wgrad::caps::Caps;
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::reduction::Reduction;
use wgrad::plan::Plan;
use wgrad::{Array, DType, Mode, Params, Session, Tensor, TensorType, Trace};

fn session(kind: DeviceKind, workgroups: Option<u32>) -> Session {
    let options = DeviceOptions {
        kind: Some(kind),
        max_workgroups: workgroups,
        ..Default::default()
    };
    Session::with_options(&Params::new(0), &options).unwrap()
}

fn kind() -> DeviceKind {
    std::env::var("WGRAD_DEVICE").map_or(DeviceKind::Cpu, |d| d.parse().unwrap())
}

/// A file of `tests/conformance/cases`.
struct Case {
    op: String,
    attrs: Value,
    tensors: BTreeMap<String, Array>,
}

fn case(name: &str) -> Case {
    let path = format!(
        "{}/tests/conformance/cases/{name}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    let bytes = std::fs::read(path).unwrap();
    let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
    let meta = head.metadata().clone().unwrap();
    let array = |(name, t): (String, safetensors::tensor::TensorView)| {
        let bits: Vec<u32> = match t.dtype() {
            Dtype::I64 => t
                .data()
                .chunks(8)
                .map(|c| i64::from_le_bytes(c.try_into().unwrap()) as u32)
                .collect(),
            _ => t
                .data()
                .chunks(4)
                .map(|c| u32::from_le_bytes(c.try_into().unwrap()))
                .collect(),
        };
        let array = match t.dtype() {
            Dtype::I64 => Array::new(
                t.shape(),
                bits.iter().map(|b| *b as i32).collect::<Vec<_>>(),
            ),
            _ => Array::new(
                t.shape(),
                bits.iter().map(|b| f32::from_bits(*b)).collect::<Vec<_>>(),
            ),
        };
        (name, array.unwrap())
    };
    let tensors = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(array)
        .collect();
    Case {
        op: meta["op"].clone(),
        attrs: serde_json::from_str(&meta["attrs"]).unwrap(),
        tensors,
    }
}

impl Case {
    fn all(&self, prefix: &str) -> Vec<&Array> {
        (0..)
            .map_while(|k| self.tensors.get(&format!("{prefix}.{k}")))
            .collect()
    }

    fn dims(&self) -> Vec<isize> {
        let dims = self.attrs["dims"].as_array().cloned().unwrap_or_default();
        dims.iter().map(|d| d.as_i64().unwrap() as isize).collect()
    }

    fn apply(&self, t: &[Tensor], params: &BTreeMap<&str, Tensor>) -> Tensor {
        let a = &self.attrs;
        let dim = a["dim"].as_i64().unwrap_or(0) as isize;
        let keep = a["keepdim"].as_bool().unwrap_or(false);
        let refs: Vec<&Tensor> = t.iter().collect();
        let reduction = match a["reduction"].as_str() {
            Some("sum") => Reduction::Sum,
            Some("none") => Reduction::None,
            _ => Reduction::Mean,
        };
        let options = CrossEntropyOptions {
            reduction,
            label_smoothing: a["label_smoothing"].as_f64().unwrap_or(0.0) as f32,
            weight: a["class_weight"].as_bool().and_then(|_| t.last().cloned()),
            ..Default::default()
        };
        match self.op.as_str() {
            "cat" => Tensor::cat(&refs, dim),
            "stack" => Tensor::stack(&refs, dim),
            "index_select" => t[0].index_select(dim, &t[1]),
            "gather" => t[0].gather(dim, &t[1]),
            "nn.Embedding" => t[0].embedding(
                &params["weight"],
                a["padding_idx"].as_u64().map(|p| p as usize),
            ),
            "argmax" => t[0].argmax(dim, keep),
            "argmin" => t[0].argmin(dim, keep),
            "cumsum" => t[0].cumsum(dim),
            "softmax" => t[0].softmax(dim),
            "log_softmax" => t[0].log_softmax(dim),
            "cross_entropy" => t[0].cross_entropy_with(&t[1], &options),
            "nll_loss" => t[0].nll_loss_with(&t[1], &options),
            "cosine_similarity" => {
                t[0].cosine_similarity(&t[1], dim, a["eps"].as_f64().unwrap() as f32)
            }
            "var" => t[0].var(
                &self.dims(),
                a["correction"].as_u64().unwrap() as usize,
                keep,
            ),
            "std" => t[0].std(
                &self.dims(),
                a["correction"].as_u64().unwrap() as usize,
                keep,
            ),
            "logsumexp" => t[0].logsumexp(&self.dims(), keep),
            "norm" => t[0].norm(&self.dims(), keep),
            "glu" => t[0].glu(dim),
            other => panic!("no such operator: {other}"),
        }
    }
}

/// The bound of tests/conformance/README.md.
fn close(what: &str, got: &Array, want: &Array) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    if want.dtype() == DType::I32 {
        assert_eq!(got, want, "{what}");
        return;
    }
    let (got, want) = (got.to_f32(), want.to_f32());
    let most = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (at, (a, b)) in got.iter().zip(&want).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan());
        assert!(
            same || (a - b).abs() <= 1e-5 + 1e-4 * b.abs() + 1e-6 * most,
            "{what}[{at}]: {a}, expected {b}"
        );
    }
}

#[test]
fn pytorch_cases() {
    let prefixes = [
        "cat",
        "stack",
        "index_select",
        "gather",
        "embedding",
        "embedding_padding",
        "argmax",
        "argmin",
        "cumsum",
        "softmax_",
        "log_softmax_",
        "cross_entropy_",
        "nll_loss",
        "cosine_similarity",
        "reduce_var",
        "reduce_std",
        "reduce_logsumexp",
        "reduce_norm2",
        "unary_glu",
    ];
    let mut names: Vec<String> = std::fs::read_dir(format!(
        "{}/tests/conformance/cases",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
    .map(|f| {
        f.unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    })
    .filter(|n| {
        prefixes.iter().any(|p| {
            if p.ends_with('_') {
                n.starts_with(p)
            } else {
                n.starts_with(p) && !n.ends_with("_bag")
            }
        })
    })
    .collect();
    names.sort();
    assert!(names.len() >= 30, "{names:?}");
    let mut s = session(kind(), None);
    for name in &names {
        let c = case(name);
        let params: Vec<(&str, &Array)> = c
            .tensors
            .iter()
            .filter_map(|(k, v)| Some((k.strip_prefix("param.")?, v)))
            .collect();
        let grads: Vec<&String> = c
            .tensors
            .keys()
            .filter(|k| k.starts_with("grad."))
            .collect();
        let results = s.eval(|g| {
            let inputs: Vec<Tensor> = c
                .all("input")
                .into_iter()
                .map(|a| g.constant(a.clone()))
                .collect();
            let params: BTreeMap<&str, Tensor> = params
                .iter()
                .map(|(k, a)| (*k, g.constant((*a).clone())))
                .collect();
            let y = c.apply(&inputs, &params);
            let mut out = vec![y.clone()];
            if let Some(grad) = c.tensors.get("grad_output.0") {
                let loss = y.mul(&g.constant(grad.clone())).sum(&[], false);
                let of = |key: &str| match key.strip_prefix("grad.input.") {
                    Some(k) => inputs[k.parse::<usize>().unwrap()].clone(),
                    None => params[key.strip_prefix("grad.param.").unwrap()].clone(),
                };
                let wrt: Vec<Tensor> = grads.iter().map(|k| of(k)).collect();
                let found = g.gradients(&loss, &wrt.iter().collect::<Vec<_>>());
                out.extend(found.into_iter().map(|g| g.expect("a gradient")));
            }
            out
        });
        let results = results.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(results.len(), grads.len() + 1, "{name}");
        close(
            &format!("{name} output"),
            &results[0],
            &c.tensors["output.0"],
        );
        for (key, got) in grads.iter().zip(&results[1..]) {
            close(&format!("{name} {key}"), got, &c.tensors[*key]);
        }
    }
}
