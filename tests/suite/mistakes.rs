//! What one who is new does wrong, and what is said of it.

use crate::common::cpu;
use wgrad::data::TensorDataset;
use wgrad::nn::{Linear, Module, Relu, Sequential};
use wgrad::optim::Sgd;
use wgrad::train::{IntervalStrategy, Progress, Trainer, TrainingArguments};
use wgrad::{Array, Mode, Params, Tensor, TensorType, Trace};

fn net(params: &Params) -> Sequential {
    Sequential::new(&params.at("net"))
        .add(Linear::new(8, 16))
        .add(Relu)
        .add(Linear::new(16, 3))
}

/// What compiling `body` for a batch of four says, of a session over other parameters than the model's where `foreign`.
fn said(foreign: bool, body: impl Fn(&Sequential, &Trace, &[Tensor]) + Send + Sync) -> String {
    let params = Params::new(0);
    let other = Params::new(0);
    let model = net(if foreign { &other } else { &params });
    let _bias = Linear::new(2, 2).build(&params.at("first"));
    params.at("first").set_trainable(false);
    let mut session = cpu().open(&params).unwrap();
    let types = [TensorType::f32([4, 8]), TensorType::i32([4])];
    let f = session.compile(Mode::Train, &types, |g, a| {
        body(&model, g, a);
        vec![]
    });
    f.err().unwrap().to_string()
}

const HERE: &str = "tests/suite/mistakes.rs:";

#[test]
fn no_loss() {
    let text = said(false, |m, g, a| {
        g.minimize(&m.forward(&a[0]), &Sgd::new(0.1));
    });
    let want = "gradients takes a scalar f32 loss, f32 [4,3] came: reduce it with mean or sum, at ";
    assert!(text.starts_with(&format!("{want}{HERE}")), "{text}");
}

#[test]
fn two_minimizes_of_the_same() {
    let text = said(false, |m, g, a| {
        let loss = m.forward(&a[0]).cross_entropy(&a[1]);
        g.minimize(&loss, &Sgd::new(0.1));
        g.minimize(&loss, &Sgd::new(0.2));
    });
    let want = "minimize comes after another one over the same parameters: add the losses, or ";
    assert!(text.starts_with(want) && text.contains(HERE), "{text}");
}

#[test]
fn layers_of_other_params() {
    let text = said(true, |m, _, a| drop(m.forward(&a[0])));
    let want = "net.0: parameter net.0.weight [16,8] is none of the session's: build layers with the Params that the session \
                is made of, at ";
    assert!(text.starts_with(&format!("{want}{HERE}")), "{text}");
}

/// What a training of a classifier on `arrays` says.
fn fitted(arrays: Vec<Array>) -> String {
    let params = Params::new(0);
    let model = net(&params);
    let mut session = cpu().open(&params).unwrap();
    let args = TrainingArguments {
        progress: Progress::Silent,
        eval_strategy: IntervalStrategy::No,
        ..Default::default()
    };
    let mut trainer = Trainer::classifier(&mut session, &model, args);
    let data = TensorDataset::new(arrays).unwrap();
    trainer.fit(data, ()).unwrap_err().to_string()
}

#[test]
fn data_of_a_classifier() {
    let x = || Array::full([40, 8], 0.5f32);
    let labels = || Array::vector(vec![1i32; 40]);
    let text = fitted(vec![x()]);
    let want = "classifier takes batches of inputs and labels, 1 arrays came, at ";
    assert!(text.starts_with(&format!("{want}{HERE}")), "{text}");
    let text = fitted(vec![x(), Array::zeros([40])]);
    let want = "cross_entropy f32 [32,3] with targets f32 [32]: takes labels i32 [32] or probabilities f32 [32,3], at ";
    assert!(text.starts_with(&format!("{want}{HERE}")), "{text}");
    let text = fitted(vec![Array::full([40, 8], f32::NAN), labels()]);
    assert!(
        text.contains("the loss became NaN at step 0")
            && text.contains("before any update: look for NaN in the data"),
        "{text}"
    );
}
