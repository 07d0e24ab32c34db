//! The trainer: arguments, the loop, callbacks, checkpoints.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

mod accumulation;
mod arguments;
mod batches;
mod best;
mod callbacks;
mod checkpoints;
mod console;
mod damage;
mod fit;
mod on_device;
mod penalties;
mod pictures;
mod split;
mod stops;

use common::{arguments, session};
use wgrad::data::TensorDataset;
use wgrad::nn::{Linear, Module};
use wgrad::optim::Sgd;
use wgrad::train::{History, Outcome, Trainer, TrainingArguments};
use wgrad::{Array, Params, Session, Tensor, Trace};

/// A linear layer and data for it, which is learnt in a few steps.
struct Small {
    params: Params,
    fc: Linear,
    data: TensorDataset,
}

/// `n` samples; initial values from `seed`.
fn small_of(seed: u64, n: usize) -> Small {
    let params = Params::new(seed);
    let fc = Linear::new(3, 2).build(&params.at("fc"));
    let x: Vec<f32> = (0..3 * n).map(|i| (i * 7 % 12) as f32 * 0.1).collect();
    let y: Vec<f32> = (0..2 * n).map(|i| 0.5 + (i % 4) as f32 * 0.1).collect();
    let x = Array::new([n, 3], x).unwrap();
    let y = Array::new([n, 2], y).unwrap();
    let data = TensorDataset::new(vec![x, y]).unwrap();
    Small { params, fc, data }
}

fn small() -> Small {
    small_of(0, 4)
}

/// The mean squared error of the layer, with its predictions.
fn task(fc: &Linear) -> impl Fn(&Trace, &[Tensor]) -> Outcome + Send + Sync + '_ {
    |_, batch| {
        let out = fc.forward(&batch[0]);
        let loss = out.sub(&batch[1]).square().mean(&[], false);
        Outcome::new(loss)
            .predictions(out)
            .label_ids(batch[1].clone())
    }
}

/// Arguments for batches of two and `epochs` passes.
fn pairs(epochs: usize) -> TrainingArguments {
    TrainingArguments {
        train_batch_size: 2,
        ..arguments(epochs)
    }
}

/// Train the small model, for two epochs of two batches unless changed.
fn fit(
    change: impl FnOnce(Trainer) -> Trainer,
    look: impl FnOnce(&mut Session, &History),
) -> wgrad::Result<()> {
    fit_with(pairs(2), change, look)
}

fn fit_with(
    args: TrainingArguments,
    change: impl FnOnce(Trainer) -> Trainer,
    look: impl FnOnce(&mut Session, &History),
) -> wgrad::Result<()> {
    let small = small();
    let mut s = session(&small.params);
    let trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Sgd::new(0.1));
    let mut trainer = change(trainer);
    let history = trainer.fit(small.data.clone(), small.data.clone())?;
    look(trainer.session(), &history);
    Ok(())
}
