//! Models print as PyTorch prints them: tests/interop/print_models.py wrote the texts.

use wgrad::nn::*;
use wgrad::ops::conv::Padding;
use wgrad::ops::interpolate::InterpolateMode;
use wgrad::ops::pool::PoolOptions;
use wgrad::scalar::GeluApprox;
use wgrad::{Array, Mode, Params, Tensor, TensorType, Trace};

/// What PyTorch printed for `name`.
fn printed(name: &str) -> &'static str {
    let all = include_str!("../fixtures/printed.txt");
    let mut parts = all.split("== ").filter_map(|p| p.split_once('\n'));
    let (_, text) = parts.find(|(n, _)| *n == name).unwrap();
    text.trim_end()
}

fn same(name: &str, got: impl ToString) {
    let (got, want) = (got.to_string(), printed(name));
    assert!(
        got == want,
        "{name}: printed\n{got}\nwhere PyTorch prints\n{want}"
    );
}

fn root() -> Params {
    Params::new(0)
}

#[test]
fn structs_of_a_user() {
    let p = root();
    p.describe("LeNet");
    let (conv1, pool) = (Conv2d::new(1, 6, 5), MaxPool2d::new(2));
    conv1.build(&p.at("conv1"));
    Build::build(pool, &p.at("pool"));
    Conv2d::new(6, 16, 5).padding(2).build(&p.at("conv2"));
    Linear::new(400, 120).build(&p.at("fc1"));
    let fc2 = Linear::new(120, 10).bias(false).build(&p.at("fc2"));
    same("lenet", &p);
    assert_eq!(
        fc2.to_string(),
        "Linear(in_features=120, out_features=10, bias=False)"
    );

    let p = root();
    p.describe("Tagger");
    Embedding::new(1000, 64)
        .padding_idx(0)
        .build(&p.at("embedding"));
    let lstm = Lstm::new(64, 128).num_layers(2).batch_first(true);
    let lstm = lstm.dropout(0.25).bidirectional(true);
    lstm.build(&p.at("lstm"));
    Dropout::new(0.5).build(&p.at("dropout"));
    Linear::new(256, 9).build(&p.at("fc"));
    same("tagger", &p);

    let p = root();
    let layers = ModuleList::new(&p.at("layers"), (0..3).map(|_| Linear::new(8, 8)));
    ModuleList::new(&p.at("mixed"), [Linear::new(8, 8), Linear::new(8, 4)]);
    ModuleList::new(&p.at("empty"), Vec::<LinearBuilder>::new());
    let tail = Sequential::new(&p.at("head").at("1"));
    let tail = tail.add(Relu).add(Linear::new(2, 1));
    // The head comes first here, where it is in PyTorch.
    let head = Sequential::new(&p.at("head"));
    let _ = head.add(Linear::new(4, 2)).add(tail);
    p.describe("Blocks");
    let lines = printed("blocks").lines().skip(2).take(1);
    assert!(
        lines.eq(layers
            .to_string()
            .lines()
            .skip(1)
            .take(1)
            .map(|l| format!("  {l}")))
    );
    let (got, want) = (p.to_string(), printed("blocks"));
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&got), sorted(want), "{got}");
}

#[test]
fn chains() {
    same("linear", Linear::new(3, 2).build(&root()));
    same("bilinear", Bilinear::new(2, 3, 4).build(&root()));
    let conv = Conv1d::new(4, 8, 3).padding(Padding::Same).bias(false);
    let net = Sequential::new(&root())
        .add(conv)
        .add(BatchNorm1d::new(8))
        .add(Relu)
        .add(MaxPool1d::new(2))
        .add(Flatten)
        .add(Dropout::new(0.5))
        .add(Linear::new(64, 10))
        .add(LogSoftmax::new(1));
    same("sequential", net);
    let net = Sequential::new(&root())
        .add(Lstm::new(64, 128).num_layers(2).batch_first(true))
        .add(Gru::new(8, 16).bias(false))
        .add(Rnn::new(8, 16).relu(true));
    same("recurrent", net);
}

#[test]
fn options() {
    let two = Conv2d::new(4, 8, [3, 5]).padding([1, 2]).dilation(2);
    let transposed = ConvTranspose2d::new(4, 8, 3).stride(2).padding(1);
    let grouped = ConvTranspose3d::new(4, 8, 3).dilation(2).groups(2);
    let net = Sequential::new(&root())
        .add(Conv1d::new(4, 8, 3).stride(2).padding(1))
        .add(two.groups(4).bias(false))
        .add(Conv3d::new(4, 8, 1).padding(Padding::Valid))
        .add(ConvTranspose1d::new(4, 8, 3))
        .add(transposed.output_padding(1))
        .add(grouped.bias(false));
    same("convolutions", net);

    let batch = BatchNorm3d::new(8).eps(1e-3).momentum(None).affine(false);
    let instance = InstanceNorm2d::new(3).affine(true);
    let plain = LayerNorm::new([8, 16]).eps(1e-6);
    let net = Sequential::new(&root())
        .add(BatchNorm2d::new(8))
        .add(batch.track_running_stats(false))
        .add(LayerNorm::new([64]))
        .add(plain.elementwise_affine(false))
        .add(LayerNorm::new([64]).bias(false))
        .add(GroupNorm::new(2, 6))
        .add(instance.track_running_stats(true))
        .add(RmsNorm::new([64]).eps(1e-5))
        .add(RmsNorm::new([64]));
    same("norms", net);
}

#[test]
fn layers_without_parameters() {
    let cut = PoolOptions {
        ceil_mode: true,
        ..PoolOptions::new([2])
    };
    let net = Sequential::new(&root())
        .add(MaxPool1d::new(2))
        .add(MaxPool2d::new([2, 3]).stride(1).padding(1))
        .add(MaxPool3d::with_options(cut))
        .add(AvgPool1d::new(2))
        .add(AvgPool2d::new(3).stride(2).padding(1))
        .add(AvgPool3d::new(2))
        .add(AdaptiveAvgPool1d::new(1))
        .add(AdaptiveAvgPool2d::new([3, 2]))
        .add(AdaptiveMaxPool3d::new(2))
        .add(Upsample::scale(2.0))
        .add(Upsample::size([4, 6]).mode(InterpolateMode::Bilinear))
        .add(Identity)
        .add(Dropout1d::new(0.5))
        .add(Dropout2d::new(0.1))
        .add(Dropout3d::new(0.1));
    same("pools", net);
    let net = Sequential::new(&root())
        .add(Relu)
        .add(Relu6)
        .add(Silu)
        .add(Mish)
        .add(Tanh)
        .add(Sigmoid)
        .add(Hardswish)
        .add(Hardsigmoid)
        .add(Selu)
        .add(Softsign)
        .add(LogSigmoid)
        .add(Tanhshrink)
        .add(Gelu::default())
        .add(Gelu::new(GeluApprox::Tanh))
        .add(Softplus::default())
        .add(Elu::default())
        .add(Celu::default())
        .add(LeakyRelu::default())
        .add(Hardtanh::default())
        .add(Hardshrink::default())
        .add(Softshrink::default())
        .add(Threshold::new(0.1, 20.5))
        .add(Glu::default())
        .add(Softmax::default())
        .add(LogSoftmax::new(1))
        .add(Prelu::new(1));
    same("activations", net);
    assert_eq!(Relu.to_string(), "ReLU()");
    assert_eq!(
        MaxPool2d::new(2).to_string(),
        printed_line("pools", "MaxPool2d")
            .replace("(2, 3)", "2")
            .replace("stride=1, padding=1", "stride=2, padding=0")
    );
}

/// The part of a line of `name` from `kind` on.
fn printed_line(name: &str, kind: &str) -> String {
    let line = printed(name).lines().find(|l| l.contains(kind)).unwrap();
    line[line.find(kind).unwrap()..].to_owned()
}

#[test]
fn attention() {
    same("attention", MultiheadAttention::new(16, 4).build(&root()));
    let layer = TransformerEncoderLayer::new(16, 4).dim_feedforward(32);
    let encoder = TransformerEncoder::new(layer.batch_first(true), 2);
    same("encoder", encoder.norm(LayerNorm::new([16])).build(&root()));
    let whole = Transformer::new(16, 4).dim_feedforward(32);
    let whole = whole.num_encoder_layers(2).num_decoder_layers(3);
    let whole = whole.build(&root().at("model"));
    same("transformer", &whole);
    let layer = printed_line("transformer", "LayerNorm");
    assert!(whole.encoder.to_string().ends_with(&format!("{layer}\n)")));
}

/// What PyTorch has no word for.
#[test]
fn our_own() {
    let p = root();
    let block = Sequential::new(&p.at("block")).add(Linear::new(8, 8));
    let net = Sequential::new(&p)
        .add(Residual(block))
        .add(Residual(Linear::new(8, 8)))
        .add(|x: &Tensor| x.relu());
    let want = "Sequential(
  (0): Residual(
    (inner): Sequential(
      (0): Linear(in_features=8, out_features=8, bias=True)
    )
  )
  (1): Residual(
    (inner): Linear(in_features=8, out_features=8, bias=True)
  )
  (2): Lambda()
)";
    assert_eq!(net.to_string(), want);

    // Nothing says what it is; a path of its own with two names; a module inside of itself.
    let p = root();
    p.at("a.b").parameter("scale", [1], |_, n| vec![1.0; n]);
    p.at("c").describe_with("Scale", "by=2");
    assert_eq!(
        p.to_string(),
        "Module(\n  (a): Module(\n    (b): Module()\n  )\n  (c): Scale(by=2)\n)"
    );
    let p = root();
    let net = Sequential::new(&p).add(Sequential::new(&p));
    assert_eq!(net.to_string(), "Sequential(\n  (0): Sequential(...)\n)");
}

/// Multiply-adds by layer, counted by hand.
#[test]
fn a_summary_counts() {
    let params = root();
    let net = Sequential::new(&params.at("net"))
        .add(Conv1d::new(4, 6, 3).groups(2))
        .add(Relu)
        .add(ConvTranspose1d::new(6, 2, 3))
        .add(Residual(Linear::new(5, 5)));
    let attention = MultiheadAttention::new(8, 2).batch_first(true);
    let attention = attention.build(&params.at("attention"));
    let gru = Gru::new(8, 3).batch_first(true).build(&params.at("gru"));
    assert_eq!(params.freeze("net.0.weight").unwrap(), 1);
    let mut session = crate::common::cpu().open(&params).unwrap();
    let types = [TensorType::f32([7, 4, 5]), TensorType::f32([7, 9, 8])];
    let body = |g: &Trace, a: &[Tensor]| {
        let x = net.forward(&a[0]); // [7, 6, 3], [7, 2, 5]
        let y = attention.forward(&a[1], &a[1], &a[1], &Masks::default());
        let y = gru.forward(&gru.forward(&y).matmul(&g.constant(Array::zeros([3, 8]))));
        let loss = x.sum(&[], false).add(&y.sum(&[], false));
        g.minimize(&loss, &wgrad::optim::Adam::new(0.1));
        vec![loss]
    };
    let f = session.compile(Mode::Train, &types, body).unwrap();
    let count = |layers: &str| {
        let calls = f.layers().iter().filter(|c| *c.path == *layers);
        calls
            .map(|c| (c.depth, c.multiply_adds))
            .collect::<Vec<_>>()
    };
    let (conv, transposed, linear) = (7 * 6 * 3 * 2 * 3, 7 * 6 * 3 * 2 * 3, 7 * 2 * 5 * 5);
    let projections = 7 * 9 * 8 * 3 * 8;
    let scores = 7 * 2 * 9 * 9 * (4 + 4);
    let step = 7 * 9 * (8 * 9 + 3 * 9);
    assert_eq!(count("net.0"), [(0, conv)]);
    assert_eq!(count("net.1"), [(0, 0)]);
    assert_eq!(count("net.2"), [(0, transposed)]);
    assert_eq!(count("net.3"), [(0, linear)]);
    assert_eq!(count("attention"), [(0, projections + scores)]);
    assert_eq!(count("attention.out_proj"), [(1, 7 * 9 * 8 * 8)]);
    assert_eq!(count("gru"), [(0, step), (0, step)]);
    let all = conv + transposed + linear + projections + scores + 7 * 9 * 64 + 2 * step;
    let summary = wgrad::train::Summary::new(&session, Some(&f));
    assert_eq!(summary.multiply_adds, all + 7 * 9 * 3 * 8);
    assert_eq!(
        (summary.frozen, summary.trainable),
        (36, 6 + 38 + 30 + 288 + 117)
    );
    let text = summary.to_string();
    let lines = text
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<_> = lines.collect();
    for line in [
        "layer (type) output parameters trainable multiply-adds bytes",
        "net.0 (Conv1d) [7,6,3] 42 in part 756 168 B",
        "net.1 (ReLU) [7,6,3] - - - -",
        "out_proj (Linear) [7,9,8] 72 yes 4,032 288 B",
        "gru (GRU) [7,9,3] 117 yes 6,237 468 B",
        "gru (GRU, again) [7,9,3] - - 6,237 -",
        "parameters: 479 trainable, 36 frozen",
    ] {
        assert!(lines.iter().any(|l| l.ends_with(line)), "{line} in\n{text}");
    }
}
