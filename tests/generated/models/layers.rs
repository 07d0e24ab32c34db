//! Layers from the descriptions that `tests/interop/make_models.py` writes, whose head says what they are.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use wgrad::nn::*;
use wgrad::state::Param;
use wgrad::{Params, Tensor};

/// All that a description may name.
pub const KINDS: &[&str] = &[
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Bilinear",
    "Branches",
    "CELU",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ELU",
    "Embedding",
    "Flatten",
    "GELU",
    "GLU",
    "GRU",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LSTM",
    "LastStep",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MeanTime",
    "MinPool1d",
    "MinPool2d",
    "MinPool3d",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RMSNorm",
    "RNN",
    "ReLU",
    "ReLU6",
    "Residual",
    "SELU",
    "Sequential",
    "Shared",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "Tied",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Transpose",
    "Upsample",
];

/// The kinds of a description and of what is in it.
pub fn kinds_of(node: &Value) -> Vec<String> {
    let mut found = vec![node["op"].as_str().unwrap().to_owned()];
    for key in ["layers", "branches"] {
        let children = node[key].as_array();
        found.extend(children.into_iter().flatten().flat_map(kinds_of));
    }
    if node["inner"].is_object() {
        found.extend(kinds_of(&node["inner"]));
    }
    found
}

/// What was built, by path.
#[derive(Default)]
pub struct Layers {
    modules: BTreeMap<String, Arc<dyn Module>>,
    tables: BTreeMap<String, Param>,
}

/// The arguments of a layer.
#[derive(Clone, Copy)]
struct Arguments<'a>(&'a Value);

impl Arguments<'_> {
    fn size(self, key: &str) -> usize {
        let size = self.0[key].as_u64();
        size.unwrap_or_else(|| panic!("no {key}: {}", self.0)) as usize
    }

    fn sizes(self, key: &str) -> Vec<usize> {
        let list = self.0[key].as_array();
        let list = list.unwrap_or_else(|| panic!("no list {key}: {}", self.0));
        list.iter().map(|v| v.as_u64().unwrap() as usize).collect()
    }

    /// One number a spatial dimension, each `default` if there are none.
    fn each<const D: usize>(self, key: &str, default: usize) -> [usize; D] {
        match self.0.get(key) {
            Some(_) => self.sizes(key).try_into().unwrap(),
            None => [default; D],
        }
    }

    fn number(self, key: &str) -> f32 {
        let number = self.0[key].as_f64();
        number.unwrap_or_else(|| panic!("no {key}: {}", self.0)) as f32
    }

    fn number_or(self, key: &str, default: f32) -> f32 {
        self.0[key].as_f64().map_or(default, |x| x as f32)
    }

    fn flag(self, key: &str, default: bool) -> bool {
        self.0[key].as_bool().unwrap_or(default)
    }

    fn text(self, key: &str) -> &'static str {
        match self.0[key].as_str().unwrap() {
            "none" => "none",
            "tanh" => "tanh",
            "gelu" => "gelu",
            "relu" => "relu",
            "nearest" => "nearest",
            "linear" => "linear",
            "bilinear" => "bilinear",
            "trilinear" => "trilinear",
            "add" => "add",
            "mul" => "mul",
            "cat" => "cat",
            other => panic!("{key} is {other}"),
        }
    }

    fn dim(self) -> isize {
        self.0["dim"].as_i64().unwrap() as isize
    }
}

impl Layers {
    /// The module of a description; its parameters lie below the path of `params`, which is `path`.
    pub fn build(&mut self, node: &Value, params: &Params, path: &str) -> Arc<dyn Module> {
        let module = self.module(node, params, path);
        self.modules.insert(path.to_owned(), module.clone());
        module
    }

    fn children(&mut self, list: &Value, params: &Params, path: &str) -> Vec<Arc<dyn Module>> {
        let list = list.as_array().unwrap().iter().enumerate();
        let child = |(k, node): (usize, &Value)| {
            let below = match path {
                "" => k.to_string(),
                path => format!("{path}.{k}"),
            };
            self.build(node, &params.at(k.to_string()), &below)
        };
        list.map(child).collect()
    }

    fn module(&mut self, node: &Value, params: &Params, path: &str) -> Arc<dyn Module> {
        let (kind, a) = (node["op"].as_str().unwrap(), Arguments(node));
        match kind {
            "Sequential" => {
                let layers = self.children(&node["layers"], params, path);
                closure(move |x| layers.iter().fold(x.clone(), |x, l| l.forward(&x)))
            }
            "Residual" => {
                let inner = self.build(&node["inner"], params, path);
                Arc::new(Residual(move |x: &Tensor| inner.forward(x)))
            }
            "Branches" => {
                let branches = self.children(&node["branches"], params, path);
                let (join, dim) = (a.text("join"), a.dim());
                closure(move |x| {
                    let all: Vec<Tensor> = branches.iter().map(|b| b.forward(x)).collect();
                    let all: Vec<&Tensor> = all.iter().collect();
                    match join {
                        "cat" => Tensor::cat(&all, dim),
                        "add" => all[1..].iter().fold(all[0].clone(), |x, y| x.add(*y)),
                        _ => all[1..].iter().fold(all[0].clone(), |x, y| x.mul(*y)),
                    }
                })
            }
            "Shared" => self.modules[node["path"].as_str().unwrap()].clone(),
            "Tied" => {
                let table = self.tables[node["path"].as_str().unwrap()].clone();
                closure(move |x| x.matmul(&x.trace().param(&table).t()))
            }
            "Embedding" => {
                let layer = Embedding::new(a.size("num_embeddings"), a.size("embedding_dim"));
                let layer = match node["padding_idx"].as_u64() {
                    Some(row) => layer.padding_idx(row as usize),
                    None => layer,
                };
                let layer = layer.build(params);
                self.tables.insert(path.to_owned(), layer.weight.clone());
                Arc::new(layer)
            }
            "Transpose" => closure(|x| x.transpose(1, 2)),
            "MeanTime" => closure(|x| x.mean(&[1], false)),
            "LastStep" => closure(|x| x.select(1, -1)),
            _ => spatial(kind, a, params)
                .or_else(|| sequence(kind, a, params))
                .or_else(|| activation(kind, a, params))
                .unwrap_or_else(|| plain(kind, a, params)),
        }
    }
}

fn closure(f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Arc<dyn Module> {
    Arc::new(f)
}

fn built(layer: impl Build, params: &Params) -> Arc<dyn Module> {
    Arc::new(layer.build(params))
}

/// What has one, two and three spatial dimensions.
fn spatial(kind: &str, a: Arguments, p: &Params) -> Option<Arc<dyn Module>> {
    let options = || PoolOptions {
        stride: Some(a.sizes("stride")),
        padding: a.sizes("padding"),
        dilation: a.0.get("dilation").map_or(vec![1], |_| a.sizes("dilation")),
        ceil_mode: a.flag("ceil_mode", false),
        count_include_pad: a.flag("count_include_pad", true),
        ..PoolOptions::new(a.sizes("kernel_size"))
    };
    let windows = "output_size";
    Some(match kind {
        "Conv1d" => conv::<1>(a, p),
        "Conv2d" => conv::<2>(a, p),
        "Conv3d" => conv::<3>(a, p),
        "ConvTranspose1d" => conv_transpose::<1>(a, p),
        "ConvTranspose2d" => conv_transpose::<2>(a, p),
        "ConvTranspose3d" => conv_transpose::<3>(a, p),
        "BatchNorm1d" => batch_norm::<1>(a, p),
        "BatchNorm2d" => batch_norm::<2>(a, p),
        "BatchNorm3d" => batch_norm::<3>(a, p),
        "InstanceNorm1d" => instance_norm::<1>(a, p),
        "InstanceNorm2d" => instance_norm::<2>(a, p),
        "InstanceNorm3d" => instance_norm::<3>(a, p),
        "Dropout1d" => built(Dropout1d::new(a.number("p")), p),
        "Dropout2d" => built(Dropout2d::new(a.number("p")), p),
        "Dropout3d" => built(Dropout3d::new(a.number("p")), p),
        "MaxPool1d" => built(MaxPool1d::with_options(options()), p),
        "MaxPool2d" => built(MaxPool2d::with_options(options()), p),
        "MaxPool3d" => built(MaxPool3d::with_options(options()), p),
        "MinPool1d" => built(MinPool1d::with_options(options()), p),
        "MinPool2d" => built(MinPool2d::with_options(options()), p),
        "MinPool3d" => built(MinPool3d::with_options(options()), p),
        "AvgPool1d" => built(AvgPool1d::with_options(options()), p),
        "AvgPool2d" => built(AvgPool2d::with_options(options()), p),
        "AvgPool3d" => built(AvgPool3d::with_options(options()), p),
        "AdaptiveAvgPool1d" => built(AdaptiveAvgPool1d::new(a.each::<1>(windows, 1)), p),
        "AdaptiveAvgPool2d" => built(AdaptiveAvgPool2d::new(a.each::<2>(windows, 1)), p),
        "AdaptiveAvgPool3d" => built(AdaptiveAvgPool3d::new(a.each::<3>(windows, 1)), p),
        "AdaptiveMaxPool1d" => built(AdaptiveMaxPool1d::new(a.each::<1>(windows, 1)), p),
        "AdaptiveMaxPool2d" => built(AdaptiveMaxPool2d::new(a.each::<2>(windows, 1)), p),
        "AdaptiveMaxPool3d" => built(AdaptiveMaxPool3d::new(a.each::<3>(windows, 1)), p),
        "Upsample" => {
            let mode = match a.text("mode") {
                "linear" => InterpolateMode::Linear,
                "bilinear" => InterpolateMode::Bilinear,
                "trilinear" => InterpolateMode::Trilinear,
                _ => InterpolateMode::Nearest,
            };
            built(
                Upsample::scale(a.number("scale_factor").into()).mode(mode),
                p,
            )
        }
        _ => return None,
    })
}

fn conv<const D: usize>(a: Arguments, p: &Params) -> Arc<dyn Module> {
    let channels = [a.size("in_channels"), a.size("out_channels")];
    let layer = Conv::<D>::new(channels[0], channels[1], a.each::<D>("kernel_size", 1))
        .stride(a.each::<D>("stride", 1))
        .padding(a.each::<D>("padding", 0))
        .dilation(a.each::<D>("dilation", 1))
        .groups(a.0["groups"].as_u64().unwrap_or(1) as usize)
        .bias(a.flag("bias", true));
    Arc::new(layer.build(p))
}

fn conv_transpose<const D: usize>(a: Arguments, p: &Params) -> Arc<dyn Module> {
    let channels = [a.size("in_channels"), a.size("out_channels")];
    let layer = ConvTranspose::<D>::new(channels[0], channels[1], a.each::<D>("kernel_size", 1))
        .stride(a.each::<D>("stride", 1))
        .padding(a.each::<D>("padding", 0))
        .output_padding(a.each::<D>("output_padding", 0))
        .dilation(a.each::<D>("dilation", 1))
        .groups(a.size("groups"))
        .bias(a.flag("bias", true));
    Arc::new(layer.build(p))
}

fn batch_norm<const D: usize>(a: Arguments, p: &Params) -> Arc<dyn Module> {
    let layer = BatchNorm::<D>::new(a.size("num_features"))
        .eps(a.number("eps"))
        .momentum(a.0["momentum"].as_f64().map(|m| m as f32))
        .affine(a.flag("affine", true))
        .track_running_stats(a.flag("track_running_stats", true));
    Arc::new(layer.build(p))
}

fn instance_norm<const D: usize>(a: Arguments, p: &Params) -> Arc<dyn Module> {
    let layer = InstanceNorm::<D>::new(a.size("num_features"))
        .eps(a.number("eps"))
        .affine(a.flag("affine", false))
        .track_running_stats(a.flag("track_running_stats", false));
    Arc::new(layer.build(p))
}

fn recurrent<K: RecurrentKind>(
    layer: RecurrentBuilder<K>,
    a: Arguments,
    p: &Params,
) -> Arc<dyn Module> {
    let layer = layer
        .num_layers(a.0["num_layers"].as_u64().unwrap_or(1) as usize)
        .bidirectional(a.flag("bidirectional", false))
        .bias(a.flag("bias", true))
        .batch_first(a.flag("batch_first", false));
    Arc::new(layer.build(p))
}

/// Sets what layers of transformers have in common.
macro_rules! transformer {
    ($layer:expr, $a:expr) => {
        $layer
            .dim_feedforward($a.size("dim_feedforward"))
            .dropout($a.number("dropout"))
            .activation(match $a.text("activation") {
                "gelu" => |x| x.gelu(GeluApprox::None),
                _ => |x| x.relu(),
            })
            .layer_norm_eps($a.number("layer_norm_eps"))
            .batch_first($a.flag("batch_first", false))
            .norm_first($a.flag("norm_first", false))
            .bias($a.flag("bias", true))
    };
}

/// What is for sequences.
fn sequence(kind: &str, a: Arguments, p: &Params) -> Option<Arc<dyn Module>> {
    let hidden = || (a.size("input_size"), a.size("hidden_size"));
    let heads = || (a.size("d_model"), a.size("nhead"));
    let encoder = || transformer!(TransformerEncoderLayer::new(heads().0, heads().1), a);
    let decoder = || transformer!(TransformerDecoderLayer::new(heads().0, heads().1), a);
    let all = Masks::default;
    Some(match kind {
        "RNN" => {
            let relu = a.text("nonlinearity") == "relu";
            recurrent(Rnn::new(hidden().0, hidden().1).relu(relu), a, p)
        }
        "LSTM" => recurrent(Lstm::new(hidden().0, hidden().1), a, p),
        "GRU" => recurrent(Gru::new(hidden().0, hidden().1), a, p),
        "MultiheadAttention" => {
            let layer = MultiheadAttention::new(a.size("embed_dim"), a.size("num_heads"))
                .dropout(a.number("dropout"))
                .bias(a.flag("bias", true))
                .batch_first(a.flag("batch_first", false))
                .add_bias_kv(a.flag("add_bias_kv", false))
                .add_zero_attn(a.flag("add_zero_attn", false))
                .build(p);
            let is_causal = a.flag("is_causal", false);
            closure(move |x| {
                let masks = Masks {
                    is_causal,
                    ..Masks::default()
                };
                layer.forward(x, x, x, &masks)
            })
        }
        "TransformerEncoderLayer" => built(encoder(), p),
        "TransformerEncoder" => {
            let layers = TransformerEncoder::new(encoder(), a.size("num_layers"));
            match a.flag("norm", false) {
                true => built(layers.norm(LayerNorm::new([a.size("d_model")])), p),
                false => built(layers, p),
            }
        }
        "TransformerDecoderLayer" => {
            let layer = decoder().build(p);
            closure(move |x| layer.forward(x, x, &all(), &all()))
        }
        "TransformerDecoder" => {
            let layers = TransformerDecoder::new(decoder(), a.size("num_layers")).build(p);
            closure(move |x| layers.forward(x, x, &all(), &all()))
        }
        "Transformer" => {
            let layer = transformer!(Transformer::new(heads().0, heads().1), a)
                .num_encoder_layers(a.size("num_encoder_layers"))
                .num_decoder_layers(a.size("num_decoder_layers"))
                .build(p);
            closure(move |x| layer.forward(x, x, &TransformerMasks::default()))
        }
        "SinusoidalPositions" => built(SinusoidalPositions::new(), p),
        "LearnedPositions" => built(LearnedPositions::new(a.size("max_len"), a.size("size")), p),
        _ => return None,
    })
}

fn activation(kind: &str, a: Arguments, p: &Params) -> Option<Arc<dyn Module>> {
    Some(match kind {
        "ReLU" => built(Relu, p),
        "ReLU6" => built(Relu6, p),
        "SiLU" => built(Silu, p),
        "Mish" => built(Mish, p),
        "Tanh" => built(Tanh, p),
        "Sigmoid" => built(Sigmoid, p),
        "Hardswish" => built(Hardswish, p),
        "Hardsigmoid" => built(Hardsigmoid, p),
        "SELU" => built(Selu, p),
        "Softsign" => built(Softsign, p),
        "LogSigmoid" => built(LogSigmoid, p),
        "Tanhshrink" => built(Tanhshrink, p),
        "GELU" => {
            let approximate = match a.text("approximate") {
                "tanh" => GeluApprox::Tanh,
                _ => GeluApprox::None,
            };
            built(Gelu { approximate }, p)
        }
        "Softplus" => built(Softplus::new(a.number("beta"), a.number("threshold")), p),
        "ELU" => built(Elu::new(a.number("alpha")), p),
        "CELU" => built(Celu::new(a.number("alpha")), p),
        "LeakyReLU" => built(LeakyRelu::new(a.number("negative_slope")), p),
        "Hardtanh" => built(Hardtanh::new(a.number("min_val"), a.number("max_val")), p),
        "Hardshrink" => built(Hardshrink::new(a.number("lambd")), p),
        "Softshrink" => built(Softshrink::new(a.number("lambd")), p),
        "Threshold" => built(Threshold::new(a.number("threshold"), a.number("value")), p),
        "GLU" => built(Glu::new(a.dim()), p),
        "Softmax" => built(Softmax::new(a.dim()), p),
        "LogSoftmax" => built(LogSoftmax::new(a.dim()), p),
        _ => return None,
    })
}

/// What has neither time nor space.
fn plain(kind: &str, a: Arguments, p: &Params) -> Arc<dyn Module> {
    let eps = |default: f32| a.number_or("eps", default);
    match kind {
        "Linear" => {
            let layer = Linear::new(a.size("in_features"), a.size("out_features"));
            built(layer.bias(a.flag("bias", true)), p)
        }
        "Bilinear" => {
            let inputs = [a.size("in1_features"), a.size("in2_features")];
            let layer = Bilinear::new(inputs[0], inputs[1], a.size("out_features"));
            let layer = layer.bias(a.flag("bias", true)).build(p);
            closure(move |x| layer.forward(x, x))
        }
        "LayerNorm" => {
            let layer = LayerNorm::new(a.sizes("normalized_shape")).eps(eps(1e-5));
            let layer = layer.elementwise_affine(a.flag("elementwise_affine", true));
            built(layer.bias(a.flag("bias", true)), p)
        }
        "RMSNorm" => {
            let layer = RmsNorm::new(a.sizes("normalized_shape")).eps(eps(f32::EPSILON));
            built(
                layer.elementwise_affine(a.flag("elementwise_affine", true)),
                p,
            )
        }
        "GroupNorm" => {
            let layer = GroupNorm::new(a.size("num_groups"), a.size("num_channels"));
            built(layer.eps(eps(1e-5)).affine(a.flag("affine", true)), p)
        }
        "PReLU" => built(Prelu::new(a.size("num_parameters")), p),
        "Dropout" => built(Dropout::new(a.number("p")), p),
        "Flatten" => built(Flatten, p),
        "Identity" => built(Identity, p),
        other => panic!("no layer {other}"),
    }
}
