//! Held-out data that are a share of the training data; how loaders are made.

use super::{fit_with, pairs, small, small_of, task};
use crate::common::{arguments, digits, hash, session};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use wgrad::Params;
use wgrad::data::{DataLoader, DataLoaderOptions, Dataset, SequentialSampler, class_counts};
use wgrad::nn::{Flatten, Linear, Sequential};
use wgrad::optim::{Adam, Sgd};
use wgrad::train::{
    IntervalStrategy, Resume, SaveStrategy, SchedulerType, Trainer, TrainingArguments,
    ValidationSplit,
};

/// Train on digits for an epoch with `split`; the labels of the held-out part in their order.
fn held_out(split: ValidationSplit, seed: u64) -> wgrad::Result<Vec<i32>> {
    let params = Params::new(0);
    let model = Sequential::new(&params)
        .add(Flatten)
        .add(Linear::new(1024, 10));
    let labels = Arc::<Mutex<Vec<i32>>>::default();
    let seen = labels.clone();
    let mut s = session(&params);
    let args = TrainingArguments {
        seed,
        ..arguments(1)
    };
    let mut trainer = Trainer::classifier(&mut s, &model, args).compute_metrics(move |p| {
        *seen.lock().unwrap() = p.labels.as_slice::<i32>()?.to_vec();
        Ok(vec![])
    });
    trainer.fit(digits(0, 400), split)?;
    assert_eq!(
        trainer.state().train_samples,
        400 - labels.lock().unwrap().len()
    );
    let labels = labels.lock().unwrap().clone();
    Ok(labels)
}

#[test]
fn a_part_of_the_training_data_is_held_out() {
    let split = ValidationSplit::new(0.1);
    let labels = held_out(split, 0).unwrap();
    assert_eq!(labels.len(), 40);
    // As much of each class as the whole has, to a sample.
    let all = digits(0, 400).labels().unwrap();
    let whole = class_counts(&all).unwrap();
    for (held, whole) in class_counts(&labels).unwrap().into_iter().zip(whole) {
        assert!(
            (held as f64 - whole as f64 / 10.0).abs() < 1.0,
            "{held} of {whole}"
        );
    }
    assert_eq!(held_out(split, 0).unwrap(), labels);
    assert_ne!(held_out(split, 1).unwrap(), labels);
    assert_eq!(held_out(split.seed(0), 1).unwrap(), labels);
    assert_ne!(held_out(split.stratify(false), 0).unwrap(), labels);
    // As Keras: the last ones.
    assert_eq!(held_out(split.shuffle(false), 0).unwrap(), all[360..]);
}

#[test]
fn splits_that_cannot_be_are_refused() {
    let refused = |share: f64| {
        held_out(ValidationSplit::new(share), 0)
            .unwrap_err()
            .to_string()
    };
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        assert_eq!(
            refused(share),
            format!("ValidationSplit of {share}: takes a share above 0 and below 1")
        );
    }
    // Of 400 samples 20 are left, one batch.
    assert_eq!(held_out(ValidationSplit::new(0.95), 0).unwrap().len(), 380);
    let of = |n: usize, split: ValidationSplit| {
        let small = small_of(0, n);
        let mut s = session(&small.params);
        let args = TrainingArguments {
            train_batch_size: 1,
            ..arguments(1)
        };
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args);
        trainer.fit(small.data.clone(), split)
    };
    let message = |n, split| of(n, split).unwrap_err().to_string();
    let half = ValidationSplit::new(0.5);
    assert_eq!(
        message(1, half),
        "ValidationSplit of 0.5: a training set of 1 samples has none to hold out"
    );
    assert_eq!(
        message(3, ValidationSplit::new(0.9)),
        "ValidationSplit of 0.9: a test_size of 0.9 of 3 samples leaves 0 to train and 3 to test"
    );
    assert_eq!(
        message(4, half.stratify(true)),
        "the labels of a TensorDataset are f32 [4,2], not i32 [n]"
    );
    // Numbers are no classes: without being asked for, there are no strata.
    assert_eq!(of(4, half).unwrap().get("val_loss").len(), 1);
    let small = small();
    let mut s = session(&small.params);
    let mut trainer = Trainer::new(&mut s, task(&small.fc), pairs(1));
    let alone = "a ValidationSplit is a part of training data: it takes the place of the held-out data of \
                 Trainer::fit alone";
    assert_eq!(trainer.evaluate(half).unwrap_err().to_string(), alone);
    assert_eq!(trainer.fit(half, half).unwrap_err().to_string(), alone);
    let options = DataLoaderOptions {
        batch_size: 2,
        ..Default::default()
    };
    let loader = DataLoader::new(small.data.clone(), options).unwrap();
    let sampled = loader.clone().sampler(SequentialSampler(4)).unwrap();
    assert_eq!(
        trainer.fit(sampled, half).unwrap_err().to_string(),
        "a DataLoader with a sampler cannot be split: its orders are of the whole data set"
    );
    let history = trainer.fit(loader, half).unwrap();
    assert_eq!((history.epochs(), history.last("step")), (1, Some(1.0)));
}

#[test]
fn a_training_with_a_split_goes_on_to_the_same_bits() {
    let dir = TempDir::new().unwrap();
    let run = |out: &str, resume: Resume, split: ValidationSplit| {
        let small = small_of(1, 14);
        let mut s = session(&small.params);
        let args = TrainingArguments {
            output_dir: Some(dir.path().join(out)),
            save_strategy: SaveStrategy::Steps,
            save_steps: 4.0,
            resume_from_checkpoint: resume,
            ..pairs(3)
        };
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Adam::new(0.01));
        let history = trainer.fit(small.data.clone(), split)?;
        Ok::<_, wgrad::Error>((history.get("val_loss").to_vec(), hash(trainer.session())))
    };
    let split = ValidationSplit::new(0.3);
    let whole = run("whole", Resume::No, split).unwrap();
    assert_eq!(whole.0.len(), 3);
    let from = || Resume::From(dir.path().join("whole/checkpoint-4"));
    assert_eq!(run("cut", from(), split).unwrap(), whole);
    let error = |split| run("other", from(), split).unwrap_err().to_string();
    let made = format!(
        "{}: made with",
        dir.path().join("whole/checkpoint-4").display()
    );
    let end = "it cannot go on in the middle of an epoch";
    assert_eq!(
        error(split.seed(5)),
        format!("{made} the ValidationSplit seed 0, this training has 5: {end}")
    );
    assert_eq!(
        error(ValidationSplit::new(0.5)),
        format!("{made} a training set of 9 samples, this training has 7 samples: {end}")
    );
}

#[test]
fn loaders_are_made_as_the_arguments_say() {
    let steps = |change: fn(&mut TrainingArguments)| {
        let mut args = pairs(2);
        change(&mut args);
        let small = small_of(0, 5);
        let mut s = session(&small.params);
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Sgd::new(0.1));
        let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        (history.last("step").unwrap(), hash(trainer.session()))
    };
    let plain = steps(|_| ());
    assert_eq!(plain.0, 6.0);
    for workers in [
        (|a| a.dataloader_num_workers = 0) as fn(&mut TrainingArguments),
        |a| a.dataloader_num_workers = 3,
        |a| (a.dataloader_num_workers, a.dataloader_prefetch_factor) = (2, Some(1)),
    ] {
        assert_eq!(steps(workers), plain);
    }
    let dropped = steps(|a| a.dataloader_drop_last = true);
    assert_eq!(dropped.0, 4.0);
    assert_ne!(dropped.1, plain.1);
}

#[test]
fn evaluations_and_logs_begin_when_they_are_asked_to() {
    let steps = |change: fn(&mut TrainingArguments)| {
        let mut args = TrainingArguments {
            logging_steps: 4.0,
            ..pairs(3)
        };
        change(&mut args);
        let mut found = (Vec::new(), Vec::new(), Vec::new());
        fit_with(
            args,
            |t| t,
            |_, h| {
                found = (
                    h.evaluations("step").to_vec(),
                    h.steps("step").to_vec(),
                    h.get("val_loss").to_vec(),
                );
            },
        )
        .unwrap();
        found
    };
    let (evals, logs, val) = steps(|_| ());
    assert_eq!((evals, logs), (vec![2.0, 4.0, 6.0], vec![4.0]));
    let (evals, logs, on_start) = steps(|a| (a.eval_on_start, a.logging_first_step) = (true, true));
    assert_eq!((evals, logs), (vec![0.0, 2.0, 4.0, 6.0], vec![1.0, 4.0]));
    // The history's lines are those of epochs.
    assert_eq!(on_start, val);
    assert_eq!(steps(|a| a.eval_delay = 2.0).0, [4.0, 6.0]);
    let by_steps = |a: &mut TrainingArguments| {
        (a.eval_strategy, a.eval_steps) = (IntervalStrategy::Steps, Some(1.0));
        a.eval_delay = 5.0;
    };
    assert_eq!(steps(by_steps).0, [5.0, 6.0]);
}

#[test]
fn a_trainer_with_a_scheduler_fits_again() {
    let small = small();
    let mut s = session(&small.params);
    let args = TrainingArguments {
        lr_scheduler_type: SchedulerType::Polynomial {
            power: 1.0,
            lr_end: 2e-4,
        },
        warmup_steps: 1.0,
        ..pairs(2)
    };
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args);
    let rates = |trainer: &mut Trainer| {
        let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        history.steps("learning_rate").to_vec()
    };
    let first = rates(&mut trainer);
    let want = [0.0, 1e-3, 2e-4 + 8e-4 * 2.0 / 3.0, 2e-4 + 8e-4 / 3.0];
    assert!(
        first.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12),
        "{first:?}"
    );
    assert_eq!(rates(&mut trainer), first);
}

#[test]
fn the_numbers_of_adamw_and_smoothing_are_the_arguments() {
    let losses = |change: fn(&mut TrainingArguments), optimizer: Option<Adam>| {
        let params = Params::new(0);
        let model = Sequential::new(&params)
            .add(Flatten)
            .add(Linear::new(1024, 10));
        let mut s = session(&params);
        let mut args = arguments(1);
        change(&mut args);
        let mut trainer = Trainer::classifier(&mut s, &model, args);
        if let Some(optimizer) = optimizer {
            trainer = trainer.optimizer(optimizer);
        }
        let history = trainer.fit(digits(0, 64), digits(64, 32)).unwrap();
        (history.get("val_loss").to_vec(), hash(trainer.session()))
    };
    let adam = Adam {
        betas: (0.5, 0.7),
        eps: 1e-3,
        weight_decay: 0.0,
        ..Adam::adamw(1e-3)
    };
    let set = |a: &mut TrainingArguments| {
        (a.adam_beta1, a.adam_beta2, a.adam_epsilon) = (0.5, 0.7, 1e-3);
    };
    let plain = losses(|_| (), None);
    assert_eq!(losses(set, None), losses(|_| (), Some(adam)));
    assert_ne!(losses(set, None), plain);
    let smooth = losses(|a| a.label_smoothing_factor = 0.3, None);
    assert!(smooth.0[0] > plain.0[0], "{smooth:?} {plain:?}");
}
