//! Memory over a long training: evaluations, checkpoints, batches and texts of all sizes.

use crate::common::{Pass, cpu, gpu, say};
use crate::{child, said, setting};
use wgrad::nn::{Embedding, Linear, Module};
use wgrad::optim::Adam;
use wgrad::rng::Rng;
use wgrad::{Array, Mode, Params, Result, Tensor, TensorType};

/// By how much memory may differ once every shape was seen.
const FLAT: f64 = 0.02;

struct Tagger {
    embedding: Embedding,
    hidden: Linear,
    out: Linear,
}

impl Tagger {
    /// ids [n, t] to logits [n, 5]
    fn forward(&self, ids: &Tensor) -> Tensor {
        let x = self.embedding.forward(ids).mean(&[1], false);
        self.out.forward(&self.hidden.forward(&x).relu())
    }
}

fn tokens(rng: &mut Rng, n: usize, t: usize) -> [Array; 2] {
    let mut below = |count: usize, end: u32| -> Vec<i32> {
        (0..count).map(|_| rng.below(end) as i32).collect()
    };
    let (ids, labels) = (below(n * t, 100), below(n, 5));
    [Array::new([n, t], ids).unwrap(), Array::vector(labels)]
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = text.split(' ').nth(1).unwrap();
    pages.parse::<u64>().unwrap() * 4096
}

/// A long training, and what the device and the process held at most in its third and in its last quarter.
fn soak(pass: &Pass, steps: u64) -> Result<String> {
    let params = Params::new(1);
    let net = Tagger {
        embedding: Embedding::new(2000, 64).build(&params.at("embedding")),
        hidden: Linear::new(64, 64).build(&params.at("hidden")),
        out: Linear::new(64, 5).build(&params.at("out")),
    };
    let mut session = pass.open(&params).expect("an adapter");
    let loss = |a: &[Tensor]| net.forward(&a[0]).cross_entropy(&a[1]);
    let types = [TensorType::i32([4, 7]), TensorType::i32([4])];
    let mut step = session.compile(Mode::Train, &types, |g, a| {
        let loss = loss(a);
        g.minimize(&loss, &Adam::new(1e-3));
        vec![loss]
    })?;
    let mut evaluate = session.compile(Mode::Eval, &types, |_, a| vec![loss(a)])?;
    // of a function 32 plans are kept, now of these shapes and now of those: the long form has more
    let lengths = if steps >= 5_000 { 50 } else { 6 };
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(3, "texts");
    let mut held: Vec<[u64; 2]> = Vec::new();
    let every = (steps / 20).max(1);
    for at in 0..steps {
        let n = [1, 3, 4, 8][rng.below(4) as usize];
        let t = 1 + rng.below(lengths) as usize;
        let batch = tokens(&mut rng, n, t);
        let pending = session.submit(&mut step, &batch)?;
        if at % 7 == 0 {
            session.discard(pending);
        } else {
            assert!(session.read(pending)?[0].item().is_finite());
        }
        if at % 4 == 0 {
            session.run(&mut evaluate, &batch)?;
        }
        if at % every == every - 1 {
            session.save(folder.path().join("model.safetensors"))?;
            session.save_optimizer(folder.path().join("optimizer.safetensors"))?;
            session.load(folder.path().join("model.safetensors"))?;
            held.push([session.memory().total(), resident()]);
        }
    }
    let late = &held[held.len() / 2..];
    let (third, last) = late.split_at(late.len() / 2);
    let mut text = format!(
        "{}: {steps} steps, {} plans compiled",
        pass.name,
        step.compiled()
    );
    for (k, name) in ["device", "resident"].into_iter().enumerate() {
        let most = |part: &[[u64; 2]]| part.iter().map(|h| h[k]).max().unwrap();
        let (first, most) = (most(third), most(last));
        let growth = most as f64 / first as f64 - 1.0;
        text += &format!(", {name} {} KiB, +{:.2} %", first >> 10, 100.0 * growth);
        if growth > FLAT {
            return Ok(format!("error: grows: {text} {late:?}"));
        }
    }
    Ok(text)
}

#[test]
#[ignore = "a part of the other tests, which start it"]
fn child_remembers() {
    let pass = match std::env::var("WGRAD_SOAK_DEVICE").as_deref() {
        Ok("gpu") => gpu(),
        Ok("cpu") => cpu(),
        _ => return,
    };
    println!(
        "OUTCOME {}",
        soak(&pass, setting("WGRAD_SOAK_STEPS", 1000)).unwrap()
    );
}

/// In a process of its own: what other tests hold is not counted.
fn flat(device: &str) {
    let mut command = child("memory::child_remembers");
    let outcome = said(&command.env("WGRAD_SOAK_DEVICE", device).output().unwrap());
    say(&format!("{outcome}\n"));
    assert!(!outcome.starts_with("error"), "{outcome}");
}

#[test]
fn memory_stays_on_the_cpu() {
    flat("cpu");
}

#[test]
fn memory_stays_on_the_gpu() {
    if gpu().open(&Params::new(0)).is_some() {
        flat("gpu");
    }
}
