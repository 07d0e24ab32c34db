//! Batches that are larger or smaller than most, and trainings without held-out data.

use super::{pairs, small_of, task};
use crate::common::{arguments, session};
use tempfile::TempDir;
use wgrad::data::{DataLoader, DataLoaderOptions, TensorDataset};
use wgrad::nn::{BatchNorm1d, Linear, Sequential};
use wgrad::optim::{Plateau, PlateauMode};
use wgrad::train::{
    EarlyStopping, History, IntervalStrategy, ModelCheckpoint, SaveStrategy, Trainer,
    TrainingArguments,
};
use wgrad::{Array, Params, Result};

#[test]
fn a_batch_may_be_larger_than_the_data() {
    let small = small_of(0, 10);
    let mut s = session(&small.params);
    let mut trainer = Trainer::new(&mut s, task(&small.fc), arguments(3));
    let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
    assert_eq!(history.get("step"), [1.0, 2.0, 3.0]);
    trainer.summary(&small.data).unwrap();
    drop(trainer);
    let options = DataLoaderOptions {
        batch_size: 32,
        ..Default::default()
    };
    let loader = DataLoader::new(small.data.clone(), options.clone()).unwrap();
    let batches: Vec<_> = loader.epoch(0).map(Result::unwrap).collect();
    assert_eq!((batches.len(), loader.len()), (1, 1));
    assert_eq!(batches[0][0].shape().to_vec(), [10, 3]);
    let dropping = TrainingArguments {
        dataloader_drop_last: true,
        ..arguments(1)
    };
    let mut trainer = Trainer::new(&mut s, task(&small.fc), dropping);
    let error = trainer.fit(small.data.clone(), ()).unwrap_err().to_string();
    assert_eq!(
        error,
        "a DataLoader with drop_last, and batch_size 32 of 10 samples: no batch is left; take a batch_size of 10 or less, \
         or leave drop_last (the trainer's dataloader_drop_last) at false"
    );
}

/// Train a classifier with batch norm on `n` samples in batches of 4.
fn normalized(n: usize, change: impl FnOnce(&mut TrainingArguments)) -> Result<History> {
    let params = Params::new(0);
    let model = Sequential::new(&params)
        .add(Linear::new(3, 8))
        .add(BatchNorm1d::new(8))
        .add(Linear::new(8, 2));
    let x = (0..3 * n)
        .map(|i| (i * 7 % 12) as f32 * 0.1)
        .collect::<Vec<f32>>();
    let y = (0..n).map(|i| (i % 2) as i32).collect::<Vec<_>>();
    let data = TensorDataset::new(vec![Array::new([n, 3], x)?, Array::vector(y)])?;
    let mut s = session(&params);
    let mut args = TrainingArguments {
        train_batch_size: 4,
        ..arguments(1)
    };
    change(&mut args);
    Trainer::classifier(&mut s, &model, args).fit(data.clone(), data)
}

#[test]
fn a_last_batch_that_a_model_cannot_train_on_is_said_at_the_start() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("run");
    for on_device in [None, Some(true)] {
        let error = normalized(9, |a| {
            (a.output_dir, a.data_on_device) = (Some(out.clone()), on_device);
        });
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with(
                "the last batch of an epoch has 1 of 9 samples, the others 4, and the model cannot train on it: 1: batch_norm \
                 [1,8]: takes more than 1 value a channel in training"
            ) && error.contains("leave it out with dataloader_drop_last"),
            "{error}"
        );
        assert!(!out.exists());
    }
    normalized(9, |a| a.dataloader_drop_last = true).unwrap();
    normalized(10, |_| ()).unwrap();
    normalized(8, |_| ()).unwrap();
    // It ends before.
    normalized(9, |a| a.max_steps = Some(2)).unwrap();
    assert!(normalized(9, |a| a.max_steps = Some(3)).is_err());
    // The last batch alone does not make an update.
    assert!(normalized(9, |a| a.gradient_accumulation_steps = 2).is_err());
}

#[test]
fn without_held_out_data_there_is_no_evaluation() {
    let small = small_of(0, 8);
    let dir = TempDir::new().unwrap();
    let fit = |args: TrainingArguments, change: &dyn Fn(Trainer) -> Result<History>| {
        let mut s = session(&small.params);
        change(Trainer::new(&mut s, task(&small.fc), args))
    };
    let plain = |t: Trainer| {
        let mut t = t;
        t.fit(small.data.clone(), ())
    };
    let history = fit(pairs(2), &plain).unwrap();
    assert_eq!(
        (history.epochs(), history.evaluations("step").len()),
        (2, 0)
    );
    // The same trainer evaluates where it can.
    let both = |mut t: Trainer| {
        t.fit(small.data.clone(), ())?;
        t.fit(small.data.clone(), small.data.clone())
    };
    assert_eq!(
        fit(pairs(2), &both).unwrap().evaluations("step"),
        [4.0, 8.0]
    );
    let refused = |args: TrainingArguments, change: &dyn Fn(Trainer) -> Result<History>| {
        fit(args, change).unwrap_err().to_string()
    };
    let end = "eval_strategy is No, as there are no held-out data: pass some";
    let with = |change: fn(&mut TrainingArguments)| {
        let mut args = TrainingArguments {
            output_dir: Some(dir.path().join("run")),
            ..pairs(1)
        };
        change(&mut args);
        args
    };
    assert_eq!(
        refused(with(|a| a.load_best_model_at_end = true), &plain),
        format!("load_best_model_at_end needs evaluations: {end}")
    );
    assert_eq!(
        refused(with(|a| a.save_strategy = SaveStrategy::Best), &plain),
        format!("save_strategy Best needs evaluations: {end}")
    );
    assert_eq!(
        refused(with(|a| a.eval_delay = 1.0), &plain),
        format!("eval_delay 1: {end}")
    );
    assert_eq!(
        refused(with(|a| a.eval_strategy = IntervalStrategy::Steps), &plain),
        "eval_strategy Steps without data to evaluate on: pass some, or set eval_strategy to No"
    );
    let stopping = |t: Trainer| {
        t.callback(EarlyStopping::new(1))
            .fit(small.data.clone(), ())
    };
    assert_eq!(
        refused(pairs(1), &stopping),
        format!("EarlyStopping looks at eval_loss of evaluations: {end}")
    );
    let model = |t: Trainer| {
        let best = ModelCheckpoint::new("never.safetensors").save_best_only("loss");
        t.callback(best).fit(small.data.clone(), ())
    };
    assert_eq!(
        refused(pairs(1), &model),
        format!("ModelCheckpoint looks at eval_loss of evaluations: {end}")
    );
    let plateau = |t: Trainer| {
        let plateau = Plateau::new(PlateauMode::Min, 0.5, 1)?;
        t.plateau(plateau).fit(small.data.clone(), ())
    };
    assert_eq!(
        refused(pairs(1), &plateau),
        format!("the plateau looks at eval_loss of evaluations: {end}")
    );
    assert!(!dir.path().join("run").exists());
}
