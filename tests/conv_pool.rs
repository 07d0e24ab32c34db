//! Convolution and pooling: PyTorch's answers, both devices step by step, gradients of gradients, what misuses say.

use std::collections::BTreeMap;
use std::path::Path;
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
use wgrad::ops::pool::PoolOptions;
use wgrad::rng::Rng;
use wgrad::{Array, Params, Session, Tensor, Trace};

fn session(kind: DeviceKind, max_workgroups: Option<u32>) -> Session {
    let options = DeviceOptions {
        kind: Some(kind),
        default_limits: max_workgroups.is_some(),
        max_workgroups,
        ..Default::default()
    };
    Session::with_options(&Params::new(0), &options).unwrap()
}

/// A session on the CPU, one in lockstep with a GPU, and one with a GPU of few workgroups.
fn sessions() -> [Session; 3] {
    [
        session(DeviceKind::Cpu, None),
        session(DeviceKind::Lockstep, None),
        session(DeviceKind::Lockstep, Some(7)),
    ]
}

fn random(shape: &[usize], name: &str) -> Array {
    let mut rng = Rng::new(3, name);
    let n = shape.iter().product();
    Array::new(shape, (0..n).map(|_| rng.normal()).collect::<Vec<f32>>()).unwrap()
}

struct Case {
    op: String,
    attrs: serde_json::Value,
    tensors: BTreeMap<String, Array>,
}

fn load(path: &Path) -> Case {
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let info = metadata.metadata().clone().unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let array = |name: &str| {
        let t = file.tensor(name).unwrap();
        assert_eq!(t.dtype(), safetensors::Dtype::F32);
        let values = t.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        Array::new(t.shape(), values.collect::<Vec<f32>>()).unwrap()
    };
    Case {
        op: info["op"].clone(),
        attrs: serde_json::from_str(&info["attrs"]).unwrap(),
        tensors: file.names().into_iter().map(|n| (n.to_owned(), array(n))).collect(),
    }
}

impl Case {
    fn list(&self, name: &str) -> Vec<usize> {
        self.attrs[name].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
    }

    fn flag(&self, name: &str) -> bool {
        self.attrs[name].as_bool().unwrap()
    }

    fn call(&self, x: &Tensor, params: &BTreeMap<String, Tensor>) -> Tensor {
        let (w, b) = (params.get("weight"), params.get("bias"));
        let dims = self.op.bytes().find(u8::is_ascii_digit).unwrap() - b'0';
        let pool = || PoolOptions {
            stride: Some(self.list("stride")),
            padding: self.list("padding"),
            ceil_mode: self.flag("ceil_mode"),
            ..PoolOptions::new(self.list("kernel_size"))
        };
        let to = |at: usize| self.list("output_size")[at];
        match (&self.op[..self.op.len() - 2], dims) {
            ("conv", _) => {
                let options = ConvOptions {
                    stride: self.list("stride"),
                    padding: Padding::Explicit(self.list("padding")),
                    dilation: self.list("dilation"),
                    groups: self.attrs["groups"].as_u64().unwrap() as usize,
                };
                [Tensor::conv1d, Tensor::conv2d, Tensor::conv3d][dims as usize - 1](x, w.unwrap(), b, options)
            }
            ("conv_transpose", _) => {
                let options = ConvTransposeOptions {
                    stride: self.list("stride"),
                    padding: self.list("padding"),
                    output_padding: self.list("output_padding"),
                    dilation: self.list("dilation"),
                    groups: self.attrs["groups"].as_u64().unwrap() as usize,
                };
                let call = [Tensor::conv_transpose1d, Tensor::conv_transpose2d, Tensor::conv_transpose3d];
                call[dims as usize - 1](x, w.unwrap(), b, options)
            }
            ("max_pool", _) => {
                let options = PoolOptions { dilation: self.list("dilation"), ..pool() };
                let call = [Tensor::max_pool1d_with, Tensor::max_pool2d_with, Tensor::max_pool3d_with];
                call[dims as usize - 1](x, options)
            }
            ("avg_pool", _) => {
                let options = PoolOptions { count_include_pad: self.flag("count_include_pad"), ..pool() };
                let call = [Tensor::avg_pool1d_with, Tensor::avg_pool2d_with, Tensor::avg_pool3d_with];
                call[dims as usize - 1](x, options)
            }
            ("adaptive_max_pool", 1) => x.adaptive_max_pool1d([to(0)]),
            ("adaptive_max_pool", 2) => x.adaptive_max_pool2d([to(0), to(1)]),
            ("adaptive_avg_pool", 1) => x.adaptive_avg_pool1d([to(0)]),
            ("adaptive_avg_pool", 2) => x.adaptive_avg_pool2d([to(0), to(1)]),
            _ => panic!("{}", self.op),
        }
    }
}

fn close(what: &str, got: &Array, want: &Array) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let (got, want) = (got.as_slice::<f32>().unwrap(), want.as_slice::<f32>().unwrap());
    let most = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        let bound = 1e-5 + 1e-4 * b.abs() + 1e-6 * most;
        assert!((a - b).abs() <= bound, "{what}[{i}]: {a}, PyTorch has {b}");
    }
}

#[test]
fn pytorch_agrees() {
    let mut sessions = sessions();
    let mut count = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let kinds = ["conv", "max_pool", "avg_pool", "adaptive_"];
        if !kinds.iter().any(|k| name.starts_with(k)) {
            continue;
        }
        count += 1;
        let case = load(&path);
        let wanted: Vec<&str> = case.tensors.keys().filter_map(|k| k.strip_prefix("grad.")).collect();
        for session in &mut sessions {
            let out = session.eval(|g| {
                let x = g.constant(case.tensors["input.0"].clone());
                let param = |(name, a): (&String, &Array)| {
                    Some((name.strip_prefix("param.")?.to_owned(), g.constant(a.clone())))
                };
                let params: BTreeMap<String, Tensor> = case.tensors.iter().filter_map(param).collect();
                let y = case.call(&x, &params);
                let loss = y.mul(&g.constant(case.tensors["grad_output.0"].clone())).sum(&[], false);
                let wrt: Vec<&Tensor> = wanted
                    .iter()
                    .map(|w| w.strip_prefix("param.").map_or(&x, |p| &params[p]))
                    .collect();
                let grads = g.gradients(&loss, &wrt).into_iter().map(Option::unwrap);
                std::iter::once(y).chain(grads).collect()
            });
            let out = out.unwrap_or_else(|e| panic!("{name}: {e}"));
            close(&name, &out[0], &case.tensors["output.0"]);
            for (what, got) in wanted.iter().zip(&out[1..]) {
                close(&format!("{name} {what}"), got, &case.tensors[&format!("grad.{what}")]);
            }
        }
    }
    assert_eq!(count, 57);
}
