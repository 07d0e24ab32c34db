//! The loop: schedules, accumulation, logs, predictions.

use super::{fit, fit_with, pairs, small, small_of, task};
use crate::common::{arguments, digits, session};
use std::path::Path;
use tempfile::TempDir;
use wgrad::data::{DataLoader, DataLoaderOptions};
use wgrad::nn::{Flatten, Linear, Module, Sequential};
use wgrad::optim::Sgd;
use wgrad::train::{History, IntervalStrategy, Logs, Outcome, Trainer, TrainingArguments};
use wgrad::weights::Reader;
use wgrad::{Params, Tensor};

#[test]
fn a_loss_that_is_not_finite_keeps_the_last_checkpoint() {
    let dir = TempDir::new().unwrap();
    let run = |lr: f64, epochs: usize| {
        let args = TrainingArguments {
            output_dir: Some(dir.path().to_owned()),
            overwrite_output_dir: true,
            ..pairs(epochs)
        };
        fit_with(args, |t| t.optimizer(Sgd::new(lr)), |_, _| ())
    };
    run(0.1, 2).unwrap();
    assert!(dir.path().join("checkpoint-4/model.safetensors").exists());
    let error = run(1e30, 9).unwrap_err().to_string();
    assert!(
        error.starts_with("the loss became ") && error.contains(" at step 1 (learning rate 1e30)"),
        "{error}"
    );
    // It grows slowly enough for epochs to end well.
    let error = run(30.0, 50).unwrap_err().to_string();
    let kept = error.split("; the last good checkpoint, after ").nth(1);
    let kept = kept.and_then(|k| k.split(" epochs, is ").nth(1));
    let kept = Path::new(kept.unwrap().split(": a smaller").next().unwrap());
    let kept = Reader::open(kept.join("model.safetensors")).unwrap();
    let weight = kept.read("fc.weight").unwrap();
    assert!(weight.to_f32().iter().all(|x| x.is_finite()));
}

#[test]
fn logs_have_the_names_of_hugging_face() {
    let params = Params::new(0);
    let model = Sequential::new(&params)
        .add(Flatten)
        .add(Linear::new(1024, 10));
    let mut s = session(&params);
    let args = TrainingArguments {
        train_batch_size: 10,
        max_grad_norm: Some(1.0),
        logging_steps: 3.0,
        ..arguments(2)
    };
    let mut trainer = Trainer::classifier(&mut s, &model, args).compute_metrics(|p| {
        assert_eq!(p.predictions.shape().to_vec(), [25, 10]);
        let labels = &p.labels;
        Ok(vec![(
            "largest_label".to_owned(),
            f64::from(labels.to_f32().iter().fold(0f32, |a, b| a.max(*b))),
        )])
    });
    let history = trainer.fit(digits(0, 40), digits(40, 25)).unwrap();
    let names = |logs: &Logs| {
        logs.iter()
            .map(|(n, _)| n.to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let logged: Vec<String> = trainer.state().log_history.iter().map(names).collect();
    let train = "accuracy epoch grad_norm learning_rate loss step";
    let eval = "epoch eval_accuracy eval_largest_label eval_loss eval_runtime eval_samples_per_second \
                eval_steps_per_second step";
    let end = "epoch step train_loss train_runtime train_samples_per_second train_steps_per_second";
    assert_eq!(logged, [train, eval, train, eval, end]);
    let first = &trainer.state().log_history[0];
    assert_eq!(
        (first.get("step"), first.get("epoch")),
        (Some(3.0), Some(0.75))
    );
    assert_eq!(history.steps("step"), [3.0, 6.0]);
    assert_eq!(history.evaluations("step"), [4.0, 8.0]);
    assert_eq!(history.get("val_largest_label"), [9.0, 9.0]);
    assert_eq!(
        history.get("val_accuracy"),
        history.evaluations("eval_accuracy")
    );
    assert_eq!(history.get("val_runtime"), [0.0; 0]);
    assert_eq!(history.epochs(), 2);
}

#[test]
fn evaluations_and_predictions_cover_all_samples_in_order() {
    let small = small_of(3, 7);
    let mut s = session(&small.params);
    let mut trainer = Trainer::new(&mut s, task(&small.fc), pairs(1));
    let predicted = trainer.predict(small.data.clone()).unwrap();
    assert_eq!(predicted.predictions.shape().to_vec(), [7, 2]);
    let labels = predicted.label_ids.unwrap();
    let wanted = wgrad::data::Dataset::batch(&small.data, &[0, 1, 2, 3, 4, 5, 6], 0).unwrap();
    assert_eq!(labels, wanted[1]);
    let errors = predicted
        .predictions
        .to_f32()
        .into_iter()
        .zip(labels.to_f32());
    let mse = errors.map(|(p, y)| f64::from(p - y).powi(2)).sum::<f64>() / 14.0;
    let loss = predicted.metrics.get("test_loss").unwrap();
    assert!((loss - mse).abs() < 1e-6, "{loss} {mse}");
    // In batches of other sizes too.
    let options = DataLoaderOptions {
        batch_size: 3,
        ..Default::default()
    };
    let loader = DataLoader::new(small.data.clone(), options).unwrap();
    let again = trainer.evaluate(loader).unwrap().get("eval_loss").unwrap();
    assert!((again - mse).abs() < 1e-6);
    let mut alone = Trainer::new(
        trainer.session(),
        |_, b| Outcome::new(small.fc.forward(&b[0]).sum(&[], false)),
        pairs(1),
    );
    assert_eq!(
        alone.predict(small.data.clone()).unwrap_err().to_string(),
        "the task gives no predictions: return them with Outcome::predictions, [n, ...]"
    );
}

#[test]
fn accuracies_count_what_the_task_counts() {
    let small = small();
    let mut s = session(&small.params);
    let task = |_: &wgrad::Trace, batch: &[Tensor]| {
        let out = small.fc.forward(&batch[0]);
        let zero = out.mul_scalar(0.0);
        // Half of eight places are right.
        Outcome::new(out.sub(&batch[1]).square().mean(&[], false))
            .correct(zero.add_scalar(0.5).sum(&[], false))
            .counted(zero.add_scalar(1.0).sum(&[], false))
    };
    let metrics = Trainer::new(&mut s, task, pairs(1))
        .evaluate(small.data.clone())
        .unwrap();
    assert_eq!(metrics.get("eval_accuracy"), Some(0.5));
}

#[test]
fn steps_and_parts_of_the_run_say_when() {
    let at = |change: fn(&mut TrainingArguments)| {
        let mut args = TrainingArguments {
            eval_strategy: IntervalStrategy::Steps,
            ..pairs(5)
        };
        change(&mut args);
        let (mut logs, mut evals) = (Vec::new(), Vec::new());
        fit_with(
            args,
            |t| t,
            |_, h| {
                logs = h.steps("step").to_vec();
                evals = h.evaluations("step").to_vec();
            },
        )
        .unwrap();
        (logs, evals)
    };
    let every = |n: usize| (n..=10).step_by(n).map(|x| x as f64).collect::<Vec<_>>();
    assert_eq!(at(|_| ()), (every(1), every(1)));
    assert_eq!(at(|a| a.logging_steps = 4.0), (every(4), every(4)));
    assert_eq!(at(|a| a.eval_steps = Some(0.25)), (every(1), every(3)));
    let (logs, evals) = at(|a| {
        a.max_steps = Some(7);
        a.logging_strategy = IntervalStrategy::Epoch;
        a.eval_steps = Some(5.0);
    });
    assert_eq!((logs, evals), (vec![2.0, 4.0, 6.0, 7.0], vec![5.0]));
    // More steps than the epochs would have, and a part of an epoch.
    assert_eq!(at(|a| a.max_steps = Some(12)).0.len(), 12);
    assert_eq!(at(|a| a.num_train_epochs = 1.5).0.len(), 3);
}

#[test]
fn a_trainer_follows_schedules() {
    use wgrad::optim::{MinimizeOptions, ParamGroup, Plateau, PlateauMode, Schedule};
    let rate = |history: &History| history.get("learning_rate").to_vec();
    // The rate of the last update of each epoch: the second and the fourth.
    let groups = MinimizeOptions {
        groups: vec![ParamGroup::new("*.bias").lr(1.0)],
        ..Default::default()
    };
    fit(
        |t| {
            t.schedule(Schedule::exponential(0.5).unwrap())
                .minimize_options(groups)
        },
        |session, history| {
            assert_eq!(rate(history), [0.05, 0.0125]);
            assert_eq!(session.learning_rate_of(1), 0.125);
        },
    )
    .unwrap();
    fit(
        |t| t.schedule_per_epoch(Schedule::exponential(0.5).unwrap()),
        |_, history| assert_eq!(rate(history), [0.1, 0.05]),
    )
    .unwrap();
    // No loss is a hundred times better than the last one.
    let plateau = || {
        let mut plateau = Plateau::new(PlateauMode::Min, 0.5, 0).unwrap();
        plateau.threshold = wgrad::optim::Threshold::Relative(0.99);
        plateau
    };
    fit(
        |t| t.plateau(plateau()),
        |session, history| {
            assert_eq!(rate(history), [0.1, 0.1]);
            assert_eq!(session.learning_rate(), 0.05);
        },
    )
    .unwrap();
    let mut growing = plateau();
    growing.mode = PlateauMode::Max;
    let error = fit(|t| t.plateau(growing), |_, _| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plateau looks at eval_accuracy, which evaluations do not have: there are eval_loss, eval_runtime, \
         eval_samples_per_second, eval_steps_per_second"
    );
}

#[test]
fn a_trainer_accumulates_and_averages() {
    use wgrad::optim::{MinimizeOptions, Penalty};
    let accumulating = |micro_steps| MinimizeOptions {
        micro_steps,
        ema: Some(0.5),
        penalties: vec![Penalty::l2("*", 0.01)],
        ..Default::default()
    };
    for (micro_steps, updates) in [(1, 4), (2, 2), (3, 2)] {
        let mut trained = None;
        fit(
            |t| t.minimize_options(accumulating(micro_steps)),
            |session, history| {
                assert_eq!(session.updates(), updates);
                assert_eq!(session.accumulated(), 0);
                trained = history.last("val_loss");
                let average = session.get("ema/fc.weight").unwrap();
                assert_ne!(session.get("fc.weight").unwrap(), average);
            },
        )
        .unwrap();
        assert!(trained.is_some_and(f64::is_finite));
    }
}

#[test]
fn arguments_make_schedule_clipping_and_accumulation() {
    let rates = |change: fn(&mut TrainingArguments)| {
        let mut args = TrainingArguments {
            logging_steps: 1.0,
            ..pairs(4)
        };
        change(&mut args);
        let mut rates = Vec::new();
        let run = fit_with(
            args,
            |t| t,
            |_, h| rates = h.steps("learning_rate").to_vec(),
        );
        run.unwrap();
        rates
            .iter()
            .map(|r| (r * 1e4).round() / 1e3)
            .collect::<Vec<_>>()
    };
    use wgrad::train::SchedulerType;
    assert_eq!(rates(|_| ()), [1.0; 8]);
    assert_eq!(
        rates(|a| {
            a.lr_scheduler_type = SchedulerType::Linear;
            a.warmup_steps = 0.5;
        }),
        [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]
    );
    assert_eq!(
        rates(|a| {
            a.lr_scheduler_type = SchedulerType::Cosine;
            a.gradient_accumulation_steps = 2;
        }),
        [1.0, 0.854, 0.5, 0.146]
    );
}
