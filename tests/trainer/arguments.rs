//! Refusals before anything is trained or written.

use super::{fit_with, pairs};
use crate::common::{arguments, digits, session};
use tempfile::TempDir;
use wgrad::Params;
use wgrad::nn::{Flatten, Linear, Sequential};
use wgrad::optim::{MinimizeOptions, Schedule, Sgd};
use wgrad::train::{
    IntervalStrategy, Resume, SaveStrategy, SchedulerType, Trainer, TrainingArguments,
};

#[test]
fn sizes_that_do_not_fit_are_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("run");
    let fit = |change: &dyn Fn(&mut TrainingArguments)| {
        let params = Params::new(0);
        let model = Sequential::new(&params)
            .add(Flatten)
            .add(Linear::new(1024, 10));
        let mut s = session(&params);
        let mut args = TrainingArguments {
            output_dir: Some(out.clone()),
            ..arguments(1)
        };
        change(&mut args);
        let mut trainer = Trainer::classifier(&mut s, &model, args);
        let result = trainer.fit(digits(0, 20), digits(20, 10));
        result.unwrap_err().to_string()
    };
    assert_eq!(
        fit(&|a| (a.train_batch_size, a.dataloader_drop_last) = (21, true)),
        "a DataLoader with drop_last, and batch_size 21 of 20 samples: no batch is left; take a batch_size of 20 or less, or \
         leave drop_last (the trainer's dataloader_drop_last) at false"
    );
    assert_eq!(
        fit(&|a| (a.train_batch_size, a.warmup_steps) = (20, 1.0)),
        "warmup_steps 1 of 1 steps in all: takes fewer"
    );
    assert!(!out.exists());
}

#[test]
fn arguments_that_cannot_work_are_refused() {
    let run = "runs/of/none";
    type Change = fn(&mut TrainingArguments);
    let cases: &[(Change, &str)] = &[
        (
            |a| a.num_train_epochs = 0.0,
            "num_train_epochs 0: takes more than 0",
        ),
        (
            |a| a.num_train_epochs = f64::NAN,
            "num_train_epochs NaN: takes more than 0",
        ),
        (|a| a.max_steps = Some(0), "max_steps 0: takes 1 or more"),
        (
            |a| a.train_batch_size = 0,
            "train_batch_size 0: takes 1 or more",
        ),
        (
            |a| a.eval_batch_size = Some(0),
            "eval_batch_size 0: takes 1 or more",
        ),
        (
            |a| a.save_total_limit = Some(0),
            "save_total_limit 0: takes 1 or more",
        ),
        (
            |a| a.gradient_accumulation_steps = 0,
            "gradient_accumulation_steps 0: takes 1 or more",
        ),
        (
            |a| a.learning_rate = -1.0,
            "learning_rate -1: takes 0 or more",
        ),
        (
            |a| a.max_grad_norm = Some(0.0),
            "max_grad_norm 0: takes more than 0, or None for gradients as they are",
        ),
        (
            |a| a.warmup_steps = -1.0,
            "warmup_steps -1: takes a whole number of steps, or a part of the run below 1",
        ),
        (
            |a| a.logging_steps = 0.0,
            "logging_steps 0: takes a whole number of steps, or a part of the run below 1",
        ),
        (
            |a| {
                a.eval_strategy = IntervalStrategy::Steps;
                a.eval_steps = Some(2.5);
            },
            "eval_steps 2.5: takes a whole number of steps, or a part of the run below 1",
        ),
        (
            |a| {
                a.save_strategy = SaveStrategy::Steps;
                a.save_steps = f64::INFINITY;
            },
            "save_steps inf: takes a whole number of steps, or a part of the run below 1",
        ),
        (
            |a| {
                a.save_strategy = SaveStrategy::Best;
                a.eval_strategy = IntervalStrategy::No;
            },
            "save_strategy Best needs evaluations: eval_strategy is No",
        ),
        (
            |a| {
                a.load_best_model_at_end = true;
                a.eval_strategy = IntervalStrategy::No;
            },
            "load_best_model_at_end needs evaluations: eval_strategy is No",
        ),
        (
            |a| {
                a.load_best_model_at_end = true;
                a.output_dir = None;
            },
            "load_best_model_at_end needs checkpoints: set output_dir, or use EarlyStopping with restore_best_weights",
        ),
        (
            |a| {
                a.load_best_model_at_end = true;
                a.eval_strategy = IntervalStrategy::Steps;
            },
            "load_best_model_at_end needs a checkpoint at each evaluation: eval_strategy is Steps, save_strategy Epoch; \
             set both the same, or save_strategy to Best",
        ),
        (
            |a| {
                a.load_best_model_at_end = true;
                a.eval_strategy = IntervalStrategy::Steps;
                a.save_strategy = SaveStrategy::Steps;
                a.eval_steps = Some(0.1);
            },
            "load_best_model_at_end needs eval_steps and save_steps both as numbers of steps or both as parts of the run: \
             they are 0.1 and 500",
        ),
        (
            |a| {
                a.load_best_model_at_end = true;
                a.eval_strategy = IntervalStrategy::Steps;
                a.save_strategy = SaveStrategy::Steps;
                a.eval_steps = Some(300.0);
            },
            "load_best_model_at_end needs save_steps to be a multiple of eval_steps: 500 is none of 300",
        ),
        (
            |a| {
                a.output_dir = None;
                a.resume_from_checkpoint = Resume::LatestIfAny;
            },
            "resume_from_checkpoint looks for checkpoints in output_dir: set it, or name the checkpoint with Resume::From",
        ),
        (
            |a| a.resume_from_checkpoint = Resume::Latest,
            "resume_from_checkpoint: no checkpoint in runs/of/none",
        ),
        (
            |a| {
                a.output_dir = None;
                a.save_total_limit = Some(1);
            },
            "save_total_limit without output_dir: no checkpoint is written",
        ),
        (
            |a| a.adam_beta1 = 1.0,
            "adam_beta1 1: takes 0 or more and below 1",
        ),
        (
            |a| a.adam_beta2 = 0.5,
            "adam_beta1, adam_beta2 or adam_epsilon, and an optimizer: set them there alone",
        ),
        (
            |a| a.adam_epsilon = f32::NAN,
            "adam_epsilon NaN: takes 0 or more",
        ),
        (
            |a| a.label_smoothing_factor = 1.5,
            "label_smoothing_factor 1.5: takes 0 to 1",
        ),
        (
            |a| a.label_smoothing_factor = 0.1,
            "label_smoothing_factor 0.1 is for Trainer::classifier: this task has its own loss",
        ),
        (
            |a| a.dataloader_prefetch_factor = Some(0),
            "dataloader_prefetch_factor 0: takes 1 or more",
        ),
        (
            |a| (a.dataloader_num_workers, a.dataloader_prefetch_factor) = (0, Some(2)),
            "dataloader_prefetch_factor 2 with dataloader_num_workers 0: there is no thread to make batches ahead",
        ),
        (|a| a.eval_delay = -1.0, "eval_delay -1: takes 0 or more"),
        (
            |a| (a.eval_delay, a.eval_on_start) = (2.0, true),
            "eval_delay 2 and eval_on_start: set one of them",
        ),
        (
            |a| (a.eval_delay, a.eval_strategy) = (2.0, IntervalStrategy::No),
            "eval_delay 2: eval_strategy is No",
        ),
        (
            |a| a.lr_scheduler_type = SchedulerType::ConstantWithWarmup,
            "lr_scheduler_type ConstantWithWarmup without warmup_steps",
        ),
        (
            |a| {
                a.lr_scheduler_type = SchedulerType::Polynomial {
                    power: 1.0,
                    lr_end: 0.5,
                }
            },
            "lr_scheduler_type Polynomial with lr_end 0.5: takes less than the learning rate 0.1",
        ),
        (
            |a| a.lr_scheduler_type = SchedulerType::CosineWithRestarts { num_cycles: 0 },
            "Schedule::cosine_with_restarts: num_cycles 0: takes 1 or more",
        ),
        (
            |a| {
                a.lr_scheduler_type = SchedulerType::WarmupStableDecay {
                    num_decay_steps: 9,
                    min_lr_ratio: 0.0,
                };
            },
            "Schedule::warmup_stable_decay: 2 steps of which 0 warm up and 9 decay: takes at least as many",
        ),
        (
            |a| a.learning_rate = 0.5,
            "learning_rate 0.5 and an optimizer with the rate 0.1: set it there alone",
        ),
        (
            |a| a.weight_decay = 0.5,
            "weight_decay 0.5 and an optimizer: set the decay there alone",
        ),
        (
            |a| {
                a.load_best_model_at_end = true;
                a.metric_for_best_model = Some("f1".into());
            },
            "metric_for_best_model looks at eval_f1, which evaluations do not have: there are eval_loss, eval_runtime, \
             eval_samples_per_second, eval_steps_per_second",
        ),
    ];
    for (change, message) in cases {
        let mut args = TrainingArguments {
            output_dir: Some(run.into()),
            ..pairs(1)
        };
        change(&mut args);
        let error = fit_with(args, |t| t, |_, _| ()).unwrap_err();
        assert_eq!(error.to_string(), *message);
    }
    assert!(!std::path::Path::new(run).exists());
}

#[test]
fn options_that_say_the_same_twice_are_refused() {
    let refused = |args: TrainingArguments, change: fn(Trainer) -> Trainer| {
        fit_with(args, change, |_, _| ()).unwrap_err().to_string()
    };
    let with = |steps, norm| TrainingArguments {
        gradient_accumulation_steps: steps,
        max_grad_norm: norm,
        ..pairs(1)
    };
    let twice: fn(Trainer) -> Trainer = |t| {
        t.minimize_options(MinimizeOptions {
            micro_steps: 3,
            clip_norm: Some(2.0),
            ..Default::default()
        })
    };
    assert_eq!(
        refused(with(2, None), twice),
        "gradient_accumulation_steps 2 and MinimizeOptions of 3 micro_steps: set one of them"
    );
    assert_eq!(
        refused(with(1, Some(1.0)), twice),
        "max_grad_norm and MinimizeOptions with clip_norm: set one of them"
    );
    let linear = TrainingArguments {
        lr_scheduler_type: SchedulerType::Linear,
        ..pairs(1)
    };
    assert_eq!(
        refused(linear, |t| t.schedule(Schedule::constant())),
        "lr_scheduler_type or warmup_steps, and a schedule or plateau: set one of them"
    );
}

#[test]
fn an_evaluation_needs_data() {
    let small = super::small();
    let fit = |strategy| {
        let mut s = session(&small.params);
        let args = TrainingArguments {
            eval_strategy: strategy,
            ..pairs(1)
        };
        Trainer::new(&mut s, super::task(&small.fc), args)
            .optimizer(Sgd::new(0.1))
            .fit(small.data.clone(), ())
    };
    assert_eq!(
        fit(IntervalStrategy::Steps).unwrap_err().to_string(),
        "eval_strategy Steps without data to evaluate on: pass some, or set eval_strategy to No"
    );
    let mut s = session(&small.params);
    let args = TrainingArguments {
        eval_strategy: IntervalStrategy::No,
        eval_on_start: true,
        ..pairs(1)
    };
    let mut trainer = Trainer::new(&mut s, super::task(&small.fc), args);
    assert_eq!(
        trainer.fit(small.data.clone(), ()).unwrap_err().to_string(),
        "eval_on_start without data to evaluate on: pass some, or set it to false"
    );
    // The default is that of a training with data to evaluate.
    for strategy in [IntervalStrategy::No, IntervalStrategy::Epoch] {
        let history = fit(strategy).unwrap();
        assert_eq!((history.epochs(), history.get("val_loss").len()), (1, 0));
    }
}
