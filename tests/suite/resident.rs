//! What a process grows by against what the memory table predicts, loading included. Linux says what a process has.
#![cfg(target_os = "linux")]

use crate::common::{Pass, cpu, gpu, say};
use std::path::Path;
use std::process::Command;
use wgrad::nn::{Embedding, Linear, Module};
use wgrad::optim::Adam;
use wgrad::{Array, Mode, Params, Session, TensorType};

/// Names the task of a process that measures itself.
const TASK: &str = "WGRAD_RESIDENT_TASK";
const MIB: u64 = 1 << 20;

/// Bytes that were resident at most.
fn most_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// A table of BERT's size and four layers of its width: 162 MiB.
struct Model {
    table: Embedding,
    layers: Vec<[Linear; 2]>,
}

impl Model {
    fn new(params: &Params, rows: usize, width: usize) -> Self {
        let layer = |i: usize| {
            let at = |name: &str| params.at(format!("layers.{i}.{name}"));
            [
                Linear::new(width, 4 * width).build(&at("fc1")),
                Linear::new(4 * width, width).build(&at("fc2")),
            ]
        };
        Self {
            table: Embedding::new(rows, width).build(&params.at("table")),
            layers: (0..4).map(layer).collect(),
        }
    }

    /// Run it once; returns what was predicted.
    fn run(&self, session: &mut Session, train: bool) -> wgrad::plan::Memory {
        let mode = if train { Mode::Train } else { Mode::Eval };
        let mut f = session
            .compile(mode, &[TensorType::i32([4, 32])], |g, a| {
                let x = self.table.forward(&a[0]);
                let y = self.layers.iter().fold(x, |x, [up, down]| {
                    &x + &down.forward(&up.forward(&x).relu())
                });
                let loss = y.square().mean(&[], false);
                if train {
                    g.minimize(&loss, &Adam::new(1e-3));
                }
                vec![loss]
            })
            .unwrap();
        let ids = Array::new([4, 32], (0..128).collect::<Vec<i32>>()).unwrap();
        let result = session.run(&mut f, &[&ids]).unwrap();
        assert!(result[0].item().is_finite());
        session.predicted_memory(&f)
    }
}

/// What one process measures: growth and prediction, printed.
fn measure(task: &str) {
    let (device, task) = task.split_once(' ').unwrap();
    let (task, path) = task.split_once(' ').unwrap();
    let pass = if device == "gpu" { gpu() } else { cpu() };
    // Threads, the driver and its compiler come before.
    let train = task == "train";
    let small = Params::new(0);
    let model = Model::new(&small, 128, 16);
    let mut session = pass.open(&small).unwrap();
    model.run(&mut session, train);
    let before = most_resident();
    drop(session);

    let params = Params::new(1);
    let model = Model::new(&params, 30_522, 768);
    let mut session = pass.open(&params).unwrap();
    match task {
        "save" => session.save(path).unwrap(),
        "load" => session.load(path).unwrap(),
        _ => {}
    }
    let predicted = model.run(&mut session, train);
    assert_eq!(predicted, session.memory());
    let growth = most_resident() - before;
    say(&format!(
        "\nresident {} {} {}\n",
        growth,
        predicted.total() + predicted.host,
        predicted.peak()
    ));
}

fn measured(name: &str, pass: &Pass, task: &str, path: &Path) {
    if pass.open(&Params::new(0)).is_none() {
        return;
    }
    let test = std::env::current_exe().unwrap();
    let run = Command::new(test)
        .args(["--exact", &format!("resident::{name}"), "--nocapture"])
        .env(TASK, format!("{} {task} {}", pass.name, path.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    let line = text.lines().find_map(|l| l.strip_prefix("resident "));
    let line = line.unwrap_or_else(|| panic!("{task}: {text}"));
    let [grown, held, peak] =
        [0, 1, 2].map(|i| line.split(' ').nth(i).unwrap().parse::<u64>().unwrap());
    let mib = |n: u64| n as f64 / MIB as f64;
    say(&format!(
        "{} {task}: grew by {:.1} MiB, {:.1} predicted, {:.1} at the peak\n",
        pass.name,
        mib(grown),
        mib(held),
        mib(peak)
    ));
    // Stacks, packed blocks of products, pages that the allocator keeps; on a GPU what its compiler needs for this model.
    let beside = if pass.name == "cpu" { 24 } else { 64 } * MIB;
    assert!(
        grown <= peak + peak / 50 + beside,
        "more than the peak: {line}"
    );
    assert!(grown + beside >= held, "less than what is held: {line}");
}

fn all(name: &str, pass: &Pass) {
    if let Ok(task) = std::env::var(TASK) {
        return measure(&task);
    }
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    for task in ["save", "load", "train"] {
        measured(name, pass, task, &path);
    }
}

#[test]
fn on_the_cpu() {
    all("on_the_cpu", &cpu());
}

#[test]
fn on_the_gpu() {
    all("on_the_gpu", &gpu());
}
