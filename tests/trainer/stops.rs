//! Trainings that end before their time, and go on as if they never had.

use super::{pairs, small_of, task};
use crate::common::{hash, session};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use wgrad::optim::{Plateau, PlateauMode, Sgd, Threshold};
use wgrad::train::{
    CsvLogger, EarlyStopping, Event, IntervalStrategy, JsonLogger, Lambda, LearningRateMonitor,
    ModelCheckpoint, Resume, SaveStrategy, Trainer, TrainerState, TrainingArguments,
};
use wgrad::{Error, Result};

/// Train on 8 samples, four batches a pass; the bits of all states, and where it was.
fn train(
    args: TrainingArguments,
    change: impl for<'a> FnOnce(Trainer<'a>) -> Trainer<'a>,
) -> Result<(u64, TrainerState)> {
    let small = small_of(1, 8);
    let mut s = session(&small.params);
    let trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Sgd::new(0.05));
    let mut trainer = change(trainer);
    trainer.fit(small.data.clone(), small.data.clone())?;
    let state = trainer.state().clone();
    Ok((hash(trainer.session()), state))
}

fn saving(dir: &Path, save: SaveStrategy) -> TrainingArguments {
    TrainingArguments {
        output_dir: Some(dir.to_owned()),
        save_strategy: save,
        resume_from_checkpoint: Resume::LatestIfAny,
        ..pairs(2)
    }
}

fn at(step: u64, f: impl Fn(&mut Event) + Send + 'static) -> Lambda<'static> {
    Lambda::new().on_step_end(move |event| {
        if event.state.global_step == step {
            f(event);
        }
        Ok(())
    })
}

fn steps_of(state: &TrainerState, name: &str) -> Vec<f64> {
    let of = state.log_history.iter().filter(|l| l.get(name).is_some());
    of.filter_map(|l| l.get("step")).collect()
}

#[test]
fn an_end_within_a_pass_is_gone_on_from() {
    for save in [SaveStrategy::Epoch, SaveStrategy::Best, SaveStrategy::No] {
        let dir = TempDir::new().unwrap();
        let (bits, state) = train(saving(&dir.path().join("whole"), save), |t| t).unwrap();
        for (name, end) in [("callback", 2), ("max_steps", 2), ("both", 6)] {
            let folder = dir.path().join(name);
            let mut args = saving(&folder, save);
            if name != "callback" {
                args.max_steps = Some(end);
            }
            // The callback's own checkpoint is the same as that of the strategy.
            let own = save == SaveStrategy::No;
            let stop = at(end, move |event| {
                event.control.should_save |= own;
                event.control.should_training_stop = true;
            });
            let first = train(args, |t| t.callback(stop)).unwrap().1;
            assert_eq!(first.global_step, end);
            assert!(
                folder.join(format!("checkpoint-{end}")).exists(),
                "{save:?}"
            );
            let (found, after) = train(saving(&folder, save), |t| t).unwrap();
            assert_eq!(found, bits, "{save:?} {name}");
            assert_eq!(after.best_metric, state.best_metric);
            assert_eq!(steps_of(&after, "eval_loss"), [4.0, 8.0]);
            assert_eq!(steps_of(&after, "loss"), steps_of(&state, "loss"));
        }
    }
}

#[test]
fn what_early_stopping_has_ended_stays_ended() {
    for save in [SaveStrategy::Epoch, SaveStrategy::Steps] {
        let dir = TempDir::new().unwrap();
        let run = |patience| {
            let args = TrainingArguments {
                num_train_epochs: 9.0,
                save_steps: 1.0,
                ..saving(dir.path(), save)
            };
            // Nothing is ever better than by so much.
            let stop = EarlyStopping::new(patience).min_delta(100.0);
            train(args, |t| t.callback(stop)).unwrap()
        };
        let (bits, first) = run(2);
        assert_eq!(first.global_step, 12);
        for _ in 0..2 {
            let (again, state) = run(2);
            assert_eq!((again, state.global_step), (bits, 12), "{save:?}");
            assert_eq!(steps_of(&state, "eval_loss"), [4.0, 8.0, 12.0]);
        }
        // With more patience it goes on.
        assert_eq!(run(4).1.global_step, 20);
    }
}

#[test]
fn passes_that_callbacks_end_count() {
    let begun = Arc::<Mutex<u32>>::default();
    let of = |max_steps, at_begin: bool| {
        *begun.lock().unwrap() = 0;
        let count = begun.clone();
        let stop = Lambda::new()
            .on_epoch_begin(move |event| {
                *count.lock().unwrap() += 1;
                event.control.should_epoch_stop = at_begin;
                Ok(())
            })
            .on_step_end(|event| {
                event.control.should_epoch_stop = event.state.global_step % 2 == 0;
                Ok(())
            });
        let args = TrainingArguments {
            max_steps,
            ..pairs(2)
        };
        let state = train(args, |t| t.callback(stop)).unwrap().1;
        (state.global_step, *begun.lock().unwrap())
    };
    assert_eq!(of(None, false), (4, 2));
    assert_eq!(of(None, true), (0, 2));
    assert_eq!(of(Some(12), false), (6, 3));
    assert_eq!(of(Some(9), true), (0, 3));
    // What a pass has accumulated when it is ended is no part of the next one's updates.
    let args = TrainingArguments {
        gradient_accumulation_steps: 2,
        ..pairs(2)
    };
    let mut first = true;
    let substeps = Lambda::new().on_substep_end(move |event| {
        event.control.should_epoch_stop = std::mem::take(&mut first);
        Ok(())
    });
    let state = train(args, |t| t.callback(substeps)).unwrap().1;
    assert_eq!((state.global_step, state.epoch), (2, 2.0));
}

#[test]
fn the_end_of_the_last_pass_is_made_up_for() {
    let dir = TempDir::new().unwrap();
    let run = |folder: &str, resume| {
        let args = TrainingArguments {
            save_steps: 4.0,
            resume_from_checkpoint: resume,
            ..saving(&dir.path().join(folder), SaveStrategy::Steps)
        };
        let small = small_of(1, 8);
        let mut s = session(&small.params);
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args)
            .optimizer(Sgd::new(0.05))
            .callback(EarlyStopping::new(9).restore_best_weights(true));
        let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        let losses = ["loss", "val_loss", "step"].map(|n| history.get(n).to_vec());
        (
            losses,
            history.evaluations("eval_loss").to_vec(),
            hash(trainer.session()),
        )
    };
    let whole = run("whole", Resume::No);
    assert_eq!(whole.1.len(), 2);
    for step in [4, 8] {
        let from = dir.path().join(format!("whole/checkpoint-{step}"));
        assert_eq!(
            run(&format!("from{step}"), Resume::From(from)),
            whole,
            "{step}"
        );
    }
}

#[test]
fn a_row_of_the_history_keeps_the_evaluation_of_its_pass() {
    let dir = TempDir::new().unwrap();
    let run = |resume| {
        let args = TrainingArguments {
            eval_strategy: IntervalStrategy::Steps,
            eval_steps: Some(3.0),
            save_steps: 3.0,
            resume_from_checkpoint: resume,
            ..saving(dir.path(), SaveStrategy::Steps)
        };
        let small = small_of(1, 8);
        let mut s = session(&small.params);
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args);
        let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        (
            history.get("val_loss").to_vec(),
            history.get("loss").to_vec(),
        )
    };
    let whole = run(Resume::No);
    assert_eq!(whole.0.len(), 2);
    assert_eq!(run(Resume::From(dir.path().join("checkpoint-3"))), whole);
}

#[test]
fn the_evaluation_at_the_start_is_made_once() {
    let dir = TempDir::new().unwrap();
    let run = |resume, crash: bool| {
        let args = TrainingArguments {
            eval_on_start: true,
            resume_from_checkpoint: resume,
            ..saving(dir.path(), SaveStrategy::Best)
        };
        let end = Lambda::new().on_step_end(move |_| match crash {
            true => Err(Error::Argument("crash".into())),
            false => Ok(()),
        });
        train(args, |t| t.callback(EarlyStopping::new(9)).callback(end))
    };
    assert_eq!(run(Resume::No, true).unwrap_err().to_string(), "crash");
    let (_, state) = run(Resume::Latest, false).unwrap();
    assert_eq!(steps_of(&state, "eval_loss"), [0.0, 4.0, 8.0]);
    let path = state
        .best_model_checkpoint
        .unwrap()
        .join("trainer_state.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(json["callbacks"]["early_stopping"]["evaluations"], 3);
}

#[test]
fn a_plateau_counts_from_anew_and_not_the_start() {
    let mut plateau = Plateau::new(PlateauMode::Min, 0.5, 1).unwrap();
    plateau.threshold = Threshold::Absolute(100.0);
    let small = small_of(1, 8);
    let mut s = session(&small.params);
    let args = TrainingArguments {
        eval_on_start: true,
        ..pairs(4)
    };
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args)
        .optimizer(Sgd::new(0.01))
        .plateau(plateau);
    for _ in 0..2 {
        let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        // The first of the evaluations after a pass is the best one, two are no better.
        assert_eq!(history.get("learning_rate"), [0.01, 0.01, 0.01, 0.005]);
    }
}

#[test]
fn a_limit_is_for_what_is_written_now() {
    let dir = TempDir::new().unwrap();
    let run = |steps: f64, limit, resume| {
        let args = TrainingArguments {
            save_steps: steps,
            save_total_limit: limit,
            max_steps: Some(if limit.is_some() { 6 } else { 8 }),
            resume_from_checkpoint: resume,
            ..saving(dir.path(), SaveStrategy::Steps)
        };
        train(args, |t| t).unwrap();
    };
    run(2.0, None, Resume::No);
    run(3.0, Some(2), Resume::From(dir.path().join("checkpoint-2")));
    let entries = std::fs::read_dir(dir.path()).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|n| n.starts_with("checkpoint")).collect();
    names.sort();
    assert_eq!(names, ["checkpoint-3", "checkpoint-6"]);
}

#[test]
fn the_best_file_is_there_after_a_crash() {
    let dir = TempDir::new().unwrap();
    let scores = [0.0, 1.0, 2.0, 3.0, 1.0];
    let run = |save_until: u64, end: u64, resume| {
        let args = TrainingArguments {
            save_strategy: SaveStrategy::No,
            resume_from_checkpoint: resume,
            num_train_epochs: 4.0,
            ..saving(&dir.path().join("run"), SaveStrategy::No)
        };
        let pattern = dir.path().join("best-{step}.safetensors");
        let best = ModelCheckpoint::new(pattern.to_str().unwrap()).save_best_only("score");
        let crash = Lambda::new().on_step_end(move |event| {
            let step = event.state.global_step;
            event.control.should_save = step == save_until;
            match step == end {
                true => Err(Error::Argument("crash".into())),
                false => Ok(()),
            }
        });
        let small = small_of(1, 8);
        let mut s = session(&small.params);
        let step = Arc::<Mutex<u64>>::default();
        let (seen, now) = (step.clone(), step);
        let note = Lambda::new().on_epoch_end(move |event| {
            *seen.lock().unwrap() = event.state.global_step;
            Ok(())
        });
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args)
            .compute_metrics(move |_| {
                let at = *now.lock().unwrap() / 4;
                Ok(vec![("score".to_owned(), scores[at as usize])])
            })
            .callback(note)
            .callback(best)
            .callback(crash);
        trainer
            .fit(small.data.clone(), small.data.clone())
            .map(drop)
    };
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n != "run").collect::<Vec<_>>()
    };
    run(6, 10, Resume::No).unwrap_err();
    assert_eq!(names(), ["best-8.safetensors"]);
    // At step 6 the best file was that of step 4, which is gone since; at 7 it crashes again.
    run(0, 7, Resume::Latest).unwrap_err();
    assert!(names().contains(&"best-4.safetensors".to_owned()));
    run(0, 99, Resume::Latest).unwrap();
    assert!(names().contains(&"best-12.safetensors".to_owned()));
    assert!(!names().contains(&"best-4.safetensors".to_owned()));
}

#[test]
fn logs_do_not_depend_on_the_order_of_callbacks() {
    let dir = TempDir::new().unwrap();
    let read = |first: bool| {
        let at = |name: &str| dir.path().join(format!("{first}{name}"));
        let args = TrainingArguments {
            logging_steps: 2.0,
            ..pairs(1)
        };
        let groups = || wgrad::optim::MinimizeOptions {
            groups: vec![wgrad::optim::ParamGroup::new("*.bias").lr(0.5)],
            ..Default::default()
        };
        let run = train(args, |t| {
            let t = t.minimize_options(groups());
            let t = if first {
                t.callback(LearningRateMonitor)
            } else {
                t
            };
            let t = t.callback(CsvLogger::new(at(".csv")));
            let t = t.callback(JsonLogger::new(at(".jsonl")));
            if first {
                t
            } else {
                t.callback(LearningRateMonitor)
            }
        });
        run.unwrap();
        let text = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        let head = text(".csv").lines().next().unwrap().to_owned();
        let json: serde_json::Value =
            serde_json::from_str(text(".jsonl").lines().next().unwrap()).unwrap();
        (head, json)
    };
    let (head, json) = read(true);
    assert!(head.contains("learning_rate/1"), "{head}");
    assert_eq!(json["learning_rate/1"], 0.5);
    assert_eq!(read(false), (head, json));
}
