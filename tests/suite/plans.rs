//! Plans in print: what the planner makes of a network's step may change, but not unseen.
//!
//! `WGRAD_UPDATE_SNAPSHOTS=1` writes them anew.

use crate::common::say;
use std::path::Path;
use wgrad::caps::Caps;
use wgrad::nn::{Linear, Module};
use wgrad::optim::Adam;
use wgrad::plan::Plan;
use wgrad::{Params, TensorType, Trace};

/// A multilayer perceptron's training step.
fn mlp(caps: &Caps) -> Plan {
    let params = Params::new(0);
    let linear1 = Linear::new(100, 200).build(&params.at("linear1"));
    let linear2 = Linear::new(200, 10).build(&params.at("linear2"));
    let trace = Trace::new(&params, true);
    let x = trace.input(TensorType::f32([16, 100]));
    let labels = trace.input(TensorType::i32([16]));
    let y = linear2.forward(&linear1.forward(&x).relu());
    let loss = y.cross_entropy(&labels);
    trace.minimize(&loss, &Adam::new(1e-3));
    let traced = trace.finish(&[loss]).unwrap();
    Plan::compile(traced.graph, caps).unwrap()
}

fn snapshot(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var("WGRAD_UPDATE_SNAPSHOTS").is_ok_and(|v| v == "1") {
        std::fs::write(&path, text).unwrap();
        say(&format!("wrote {name}\n"));
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((k, (new, old))) = text
        .lines()
        .zip(stored.lines())
        .enumerate()
        .find(|(_, (a, b))| a != b)
    {
        panic!(
            "{name}, line {}:\n  stored {old}\n  now    {new}\nall of it:\n{text}",
            k + 1
        );
    }
    assert_eq!(
        text.lines().count(),
        stored.lines().count(),
        "{name}:\n{text}"
    );
}

#[test]
fn mlp_on_the_cpu() {
    snapshot("mlp_cpu", &mlp(&Caps::cpu()).to_string());
}

#[test]
fn mlp_within_default_limits() {
    snapshot("mlp_gpu", &mlp(&Caps::default()).to_string());
}
