//! Layers, the training loop, checkpoints.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod common;

use common::{LeNet, arguments, digits, session};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use wgrad::nn::{Build, Conv1d, Conv2d, Dropout, Embedding, Linear, Module, Relu, Sequential};
use wgrad::optim::Adam;
use wgrad::train::{Trainer, TrainingArguments};
use wgrad::weights::{self, Reader};
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType};

#[test]
fn lenet_learns() {
    let dir = TempDir::new().unwrap();
    let params = Params::new(1);
    let model = LeNet::new(&params);
    let mut session = session(&params);
    let args = TrainingArguments {
        train_batch_size: 48,
        output_dir: Some(dir.path().join("a/run")),
        save_total_limit: Some(1),
        ..arguments(3)
    };
    let mut trainer = Trainer::classifier(&mut session, &model, args).optimizer(Adam::new(3e-3));
    let history = trainer.fit(digits(0, 1000), digits(9_000, 500)).unwrap();
    let loss = history.get("loss");
    assert!(loss.len() == 3 && loss[2] < 0.4 * loss[0], "{loss:?}");
    let accuracy = history.last("val_accuracy").unwrap();
    assert!(accuracy > 0.8, "{accuracy}"); // by chance 0.1
    assert_eq!(history.get("step"), [21.0, 42.0, 63.0]);
    assert_eq!(history.steps("epoch").last(), Some(&3.0));
    let again = trainer.evaluate(digits(9_000, 500)).unwrap();
    assert_eq!(again.get("eval_accuracy"), Some(accuracy));
    // One plan for whole batches, one for the last.
    let mut written: Vec<_> = std::fs::read_dir(dir.path().join("a/run"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    assert_eq!(
        written,
        [
            "checkpoint-63",
            "confusion_matrix.png",
            "confusion_matrix.svg",
            "curves.png",
            "curves.svg",
            "history.json",
            "mistakes.png",
            "model.safetensors",
            "report.html"
        ]
    );
    let json = std::fs::read(dir.path().join("a/run/history.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["val_accuracy"][2].as_f64(), Some(accuracy));
    assert_eq!(json["steps"]["loss"].as_array().unwrap().len(), 63);
    let svg = std::fs::read_to_string(dir.path().join("a/run/curves.svg")).unwrap();
    assert!(svg.contains("held out") && svg.contains("accuracy (%)"));
}

#[test]
fn a_summary_lists_layers_and_memory() {
    let params = Params::new(0);
    let model = LeNet::new(&params);
    let mut session = session(&params);
    let mut trainer = Trainer::classifier(&mut session, &model, arguments(1));
    let summary = trainer.summary(&digits(0, 100)).unwrap();
    assert_eq!((summary.trainable, summary.frozen), (81_290, 0));
    // However wide the columns are.
    let text = summary.to_string();
    let lines = text
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
    let text = lines.collect::<Vec<_>>().join("\n");
    for part in [
        "\nconv1 (Conv2d) [32,6,28,28] 156 yes 3,763,200 624 B\n",
        "\nfc1 (Linear) [32,120] 69,240 yes 2,211,840 270.5 KiB\n",
        "parameters: 81,290 trainable, 0 frozen\nmultiply-adds of one forward pass: ",
        "gradients 3",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn initial_values_are_pytorchs() {
    let params = Params::new(3);
    Linear::new(400, 300).build(&params.at("fc"));
    Conv2d::new(32, 64, 3).groups(2).build(&params.at("conv"));
    Embedding::new(500, 64)
        .padding_idx(2)
        .build(&params.at("embedding"));
    let mut session = session(&params);
    let moments = |x: &[f32]| {
        let n = x.len() as f32;
        let mean = x.iter().sum::<f32>() / n;
        let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n;
        (mean, var.sqrt(), x.iter().fold(0f32, |a, x| a.max(x.abs())))
    };
    for (path, shape, fan_in) in [
        ("fc.weight", vec![300, 400], 400),
        ("fc.bias", vec![300], 400),
        ("conv.weight", vec![64, 16, 3, 3], 144),
        ("conv.bias", vec![64], 144),
    ] {
        let values = session.get(path).unwrap();
        assert_eq!(values.shape().to_vec(), shape);
        let (mean, std, largest) = moments(&values.to_f32());
        let bound = 1.0 / (fan_in as f32).sqrt();
        let sigma = bound / 3f32.sqrt();
        let n = values.numel() as f32;
        assert!(mean.abs() < 4.0 * sigma / n.sqrt(), "{path}: mean {mean}");
        assert!(
            (std / sigma - 1.0).abs() < 4.0 / n.sqrt(),
            "{path}: std {std} of {sigma}"
        );
        assert!(
            largest <= bound && largest > 0.9 * bound,
            "{path}: {largest} of {bound}"
        );
    }
    let mut table = session.get("embedding.weight").unwrap().to_f32();
    assert!(table[128..192].iter().all(|x| *x == 0.0));
    table.drain(128..192);
    let (mean, std, _) = moments(&table);
    assert!(
        mean.abs() < 0.025 && (std - 1.0).abs() < 0.02,
        "{mean} {std}"
    );
    // A value depends on the seed and the path, not on what else there is.
    let other = Params::new(3);
    Linear::new(400, 300).build(&other.at("fc"));
    assert_eq!(
        params.get("fc.weight").unwrap().init,
        other.get("fc.weight").unwrap().init
    );
    assert_ne!(
        params.get("fc.weight").unwrap().init.to_f32()[..300],
        params.get("fc.bias").unwrap().init.to_f32()[..]
    );
}

fn refused(build: impl FnOnce(&Params)) -> String {
    let params = Params::new(0);
    build(&params);
    Session::new(&params).err().unwrap().to_string()
}

#[test]
fn bad_arguments_name_layer_and_line() {
    let line = line!() + 1;
    let error = refused(|p| drop(Conv2d::new(6, 16, 3).groups(4).build(&p.at("net.conv2"))));
    assert_eq!(
        error,
        format!(
            "net.conv2: Conv2d: 4 groups do not divide 6 input and 16 output channels, at tests/training.rs:{line}"
        )
    );
    let starts = |error: String, with: &str| assert!(error.starts_with(with), "{error}");
    starts(
        refused(|p| drop(Conv1d::new(0, 1, 3).build(&p.at("c")))),
        "c: Conv1d: 0 to 1 channels, kernel [3]: all must be 1 or more",
    );
    starts(
        refused(|p| drop(Conv1d::new(1, 1, 3).stride(0).build(&p.at("c")))),
        "c: Conv1d: stride [0], dilation [1]: all must be 1 or more",
    );
    starts(
        refused(|p| drop(Linear::new(3, 0).build(p))),
        "the model: Linear: from 3 to 0 features: both must be 1 or more",
    );
    starts(
        refused(|p| drop(Linear::new(usize::MAX, 2).build(&p.at("huge")))),
        "huge.weight: [2,18446744073709551615] has more elements than memory can hold",
    );
    starts(
        refused(|p| drop(Embedding::new(3, 2).padding_idx(3).build(&p.at("e")))),
        "e: Embedding: padding_idx 3 of 3 rows",
    );
    starts(
        refused(|p| drop(Dropout::new(1.5).build(&p.at("d")))),
        "d: Dropout: p is 1.5: a probability, 0 to 1",
    );
    starts(
        refused(|p| drop(Sequential::new(p).add(Relu).add(Linear::new(0, 2)))),
        "1: Linear: from 0 to 2 features",
    );
}

#[test]
fn misuses_inside_of_layers_name_path_and_build_line() {
    let params = Params::new(0);
    let line = line!() + 1;
    let fc = Linear::new(32, 8).build(&params.at("encoder.fc"));
    let mut session = session(&params);
    let compiled = session.compile(Mode::Eval, &[TensorType::f32([4, 31])], |_, a| {
        vec![fc.forward(&a[0])]
    });
    assert_eq!(
        compiled.err().unwrap().to_string(),
        format!(
            "encoder.fc: matmul [4,31] x [32,8]: inner sizes 31 and 32 differ, at tests/training.rs:{line}"
        )
    );
}

#[test]
fn modules_take_closures_and_any_layer() {
    let params = Params::new(0);
    let net = Sequential::new(&params)
        .add(Linear::new(2, 3).bias(false))
        .add(|x: &Tensor| x.add_scalar(1.0))
        .add(Relu);
    let built = Build::build(Linear::new(3, 1), &params.at("out"));
    let mut session = session(&params);
    let x = Array::new([2, 2], vec![0.0f32; 4]).unwrap();
    let out = session
        .eval(|g| {
            let x = g.constant(x.clone());
            vec![net.forward(&x), built.forward(&net.forward(&x))]
        })
        .unwrap();
    assert_eq!(out[0].to_f32(), [1.0; 6]);
    assert_eq!(out[1].shape().to_vec(), [2, 1]);
}

/// One step of `optimizer` of a small model at a time, and its session.
fn small(seed: u64) -> (Params, Linear, Array, Array) {
    let params = Params::new(seed);
    let fc = Linear::new(3, 2).build(&params.at("fc"));
    params.buffer("running", Array::vector(vec![1i32, -2]));
    let x = Array::new([4, 3], (0..12).map(|i| i as f32 * 0.1).collect::<Vec<_>>()).unwrap();
    let y = Array::new([4, 2], vec![0.5f32; 8]).unwrap();
    (params, fc, x, y)
}

#[test]
fn training_goes_on_to_the_same_bits_from_files() {
    let dir = TempDir::new().unwrap();
    let (weights, optimizer) = (
        dir.path().join("m.safetensors"),
        dir.path().join("o.safetensors"),
    );
    let run = |load: bool, steps: usize, save: bool| {
        // The seed differs, so that only the files can make the bits equal.
        let (params, fc, x, y) = small(if load { 9 } else { 1 });
        let mut s = session(&params);
        let types = [TensorType::of(&x), TensorType::of(&y)];
        let mut f = s
            .compile(Mode::Train, &types, |g, a| {
                let loss = fc.forward(&a[0]).sub(&a[1]).square().mean(&[], false);
                g.minimize(&loss, &Adam::new(0.01));
                vec![loss]
            })
            .unwrap();
        if load {
            s.load(&weights).unwrap();
            s.load_optimizer(&optimizer).unwrap();
            assert_eq!((s.updates(), s.micro_step()), (5, 5));
            assert_eq!(s.learning_rate(), 0.123456789);
        }
        for _ in 0..steps {
            s.run(&mut f, &[&x, &y]).unwrap();
        }
        s.set_learning_rate(0.123456789);
        if save {
            s.save(&weights).unwrap();
            s.save_optimizer(&optimizer).unwrap();
        }
        for _ in 0..if load { 0 } else { 4 } {
            s.run(&mut f, &[&x, &y]).unwrap();
        }
        common::hash(&mut s)
    };
    let whole = run(false, 5, true);
    assert_eq!(run(true, 4, false), whole);
    let file = Reader::open(&weights).unwrap();
    assert_eq!(file.names(), ["fc.weight", "fc.bias", "running"]);
    assert_eq!(file.metadata()["format"], "pt");
}

fn write(path: &Path, tensors: &[(&str, Array)]) {
    let named: Vec<_> = tensors
        .iter()
        .map(|(n, a)| ((*n).to_owned(), a.clone()))
        .collect();
    weights::write(path, &named, &BTreeMap::new()).unwrap();
}

#[test]
fn loading_is_strict() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("w.safetensors");
    let (params, ..) = small(0);
    let mut s = session(&params);
    let before = common::hash(&mut s);
    write(
        &path,
        &[
            ("fc.weight", Array::zeros([3, 2])),
            ("head.weight", Array::zeros([1])),
            ("bn.num_batches_tracked", Array::scalar(3i32)),
        ],
    );
    assert_eq!(
        s.load(&path).unwrap_err().to_string(),
        format!(
            "{}: not this model's parameters:\n  missing: fc.bias, running\n  unexpected: head.weight\n  \
             of another shape: fc.weight: the model has [2,3], the file [3,2]",
            path.display()
        )
    );
    let good = [
        ("fc.bias", Array::vector(vec![1.0f32, 2.0])),
        ("fc.weight", Array::zeros([2, 3])),
        ("bn.num_batches_tracked", Array::scalar(3i32)),
    ];
    write(
        &path,
        &[&good[..], &[("running", Array::zeros([2]))]].concat(),
    );
    let error = s.load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("running: the model has i32 [2], the file f32 [2]"),
        "{error}"
    );
    assert!(s.load_optimizer(&path).is_err());
    assert_eq!(common::hash(&mut s), before); // nothing was loaded in part
    write(
        &path,
        &[&good[..], &[("running", Array::vector(vec![5i32, 6]))]].concat(),
    );
    s.load(&path).unwrap();
    assert_eq!(s.get("fc.bias").unwrap().to_f32(), [1.0, 2.0]);
    std::fs::write(&path, b"no such format").unwrap();
    assert!(s.load(&path).is_err() && s.load(dir.path().join("none")).is_err());
}
