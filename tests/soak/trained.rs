//! The training that is disturbed: dropout, accumulated gradients, evaluations, checkpoints.

use std::path::Path;
use wgrad::data::TensorDataset;
use wgrad::nn::{Dropout, Linear, Module, Relu, Sequential};
use wgrad::optim::Adam;
use wgrad::rng::Rng;
use wgrad::train::{
    Callback, IntervalStrategy, Outcome, Progress, Resume, SaveStrategy, Trainer, TrainingArguments,
};
use wgrad::{Array, Params, Result, Session};

/// Updates of the whole training.
pub const STEPS: u64 = 150;

/// Checkpoints below `folder` every five updates; it goes on from the newest, where there is one.
pub fn arguments(folder: &Path) -> TrainingArguments {
    TrainingArguments {
        output_dir: Some(folder.to_owned()),
        train_batch_size: 8,
        gradient_accumulation_steps: 2,
        max_steps: Some(STEPS),
        save_strategy: SaveStrategy::Steps,
        save_steps: 5.0,
        save_total_limit: Some(3),
        eval_strategy: IntervalStrategy::Steps,
        eval_steps: Some(10.0),
        logging_steps: 10.0,
        progress: Progress::Silent,
        resume_from_checkpoint: Resume::LatestIfAny,
        ..TrainingArguments::default()
    }
}

/// Train on the session that `open` gives; the bits of all states in one number.
pub fn train<C: Callback + 'static>(
    open: impl FnOnce(&Params) -> Session,
    args: TrainingArguments,
    callback: C,
) -> Result<u64> {
    let params = Params::new(7);
    let net = Sequential::new(&params.at("net"))
        .add(Linear::new(12, 64))
        .add(Relu)
        .add(Dropout::new(0.2))
        .add(Linear::new(64, 64))
        .add(Relu)
        .add(Linear::new(64, 3));
    let mut rng = Rng::new(5, "samples");
    let n = 100;
    let x: Vec<f32> = (0..n * 12).map(|_| rng.normal()).collect();
    let y: Vec<f32> = (0..n * 3).map(|_| rng.normal()).collect();
    let data = TensorDataset::new(vec![Array::new([n, 12], x)?, Array::new([n, 3], y)?])?;
    let mut session = open(&params);
    let task = |_: &wgrad::Trace, batch: &[wgrad::Tensor]| {
        let error = &net.forward(&batch[0]) - &batch[1];
        Outcome::new(error.square().mean(&[], false))
    };
    let mut trainer = Trainer::new(&mut session, task, args)
        .optimizer(Adam::new(1e-3))
        .callback(callback);
    trainer.fit(data.clone(), data)?;
    let session = trainer.session();
    let states = session.params().all();
    let values = session.get_all(&states)?;
    let bits = values.iter().flat_map(Array::to_f32).map(f32::to_bits);
    Ok(bits.fold(0xcbf2_9ce4_8422_2325, |h, w| {
        (h ^ u64::from(w)).wrapping_mul(0x100_0000_01b3)
    }))
}

/// A session on the CPU.
pub fn on_the_cpu(params: &Params) -> Session {
    crate::common::cpu().open(params).unwrap()
}
