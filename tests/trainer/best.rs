//! The best evaluation: which model a training ends with.

use super::{pairs, small_of, task};
use crate::common::{hash, session};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use wgrad::Array;
use wgrad::optim::{MinimizeOptions, Sgd};
use wgrad::train::{
    EarlyStopping, Ema, IntervalStrategy, Lambda, ModelCheckpoint, Resume, SaveStrategy, Trainer,
    TrainerState, TrainingArguments,
};
use wgrad::weights::Reader;

/// What a training ends with.
struct Ended {
    state: TrainerState,
    weight: Array,
    average: Option<Array>,
    /// Evaluated afterwards.
    loss: f64,
}

/// A training on 8 samples whose learning rate is too large to get better for long.
fn train(
    rate: f64,
    args: TrainingArguments,
    change: impl for<'a> FnOnce(Trainer<'a>) -> Trainer<'a>,
) -> wgrad::Result<Ended> {
    let small = small_of(1, 8);
    let mut s = session(&small.params);
    let trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Sgd::new(rate));
    let mut trainer = change(trainer);
    trainer.fit(small.data.clone(), small.data.clone())?;
    let loss = trainer
        .evaluate(small.data.clone())?
        .get("eval_loss")
        .unwrap();
    let state = trainer.state().clone();
    Ok(Ended {
        state,
        loss,
        weight: trainer.session().get("fc.weight")?,
        average: trainer.session().get("ema/fc.weight").ok(),
    })
}

fn best(dir: &Path) -> TrainingArguments {
    TrainingArguments {
        output_dir: Some(dir.to_owned()),
        load_best_model_at_end: true,
        ..pairs(4)
    }
}

/// It gets better for an epoch or two, then worse.
const TOO_LARGE: f64 = 1.2;

fn is_best(ended: &Ended) {
    assert_eq!(Some(ended.loss), ended.state.best_metric);
    assert_ne!(ended.state.best_global_step, Some(ended.state.global_step));
}

#[test]
fn averages_go_with_the_best() {
    let dir = TempDir::new().unwrap();
    for swap in [true, false] {
        let ended = train(TOO_LARGE, best(&dir.path().join(format!("{swap}"))), |t| {
            t.callback(Ema::new(0.5).swap_at_end(swap))
        });
        let ended = ended.unwrap();
        is_best(&ended);
        assert_eq!(ended.average.as_ref() == Some(&ended.weight), swap);
    }
    let options = MinimizeOptions {
        ema: Some(0.5),
        ..Default::default()
    };
    let args = best(&dir.path().join("options"));
    is_best(&train(TOO_LARGE, args, |t| t.minimize_options(options)).unwrap());
}

#[test]
fn averages_go_with_weights_that_early_stopping_restores() {
    let dir = TempDir::new().unwrap();
    let stop = || EarlyStopping::new(9).restore_best_weights(true);
    let mut weights = Vec::new();
    for (order, swap) in [(0, true), (1, true), (0, false)] {
        let at = |name: &str| dir.path().join(format!("{order}{swap}-{name}.safetensors"));
        let file = ModelCheckpoint::new(at("best").to_str().unwrap()).save_best_only("loss");
        let file = file.save_last(at("last"));
        let ema = Ema::new(0.5).swap_at_end(swap).save_to(at("ema"));
        let ended = train(TOO_LARGE, pairs(4), |t| match order {
            0 => t.callback(file).callback(stop()).callback(ema),
            _ => t.callback(ema).callback(stop()).callback(file),
        });
        let ended = ended.unwrap();
        is_best(&ended);
        let read = |name| Reader::open(at(name)).unwrap().read("fc.weight").unwrap();
        let average = ended.average.unwrap();
        assert_eq!(read("best"), average);
        assert_eq!(read("ema"), average);
        assert_eq!(read("last"), ended.weight);
        assert_eq!(ended.weight == average, swap);
        weights.push(average);
    }
    assert!(weights.iter().all(|w| *w == weights[0]));
}

#[test]
fn the_start_may_be_the_best() {
    let dir = TempDir::new().unwrap();
    let start = small_of(1, 8);
    let start = session(&start.params).get("fc.weight").unwrap();
    for (name, save) in [("best", SaveStrategy::Best), ("epoch", SaveStrategy::Epoch)] {
        let args = TrainingArguments {
            eval_on_start: true,
            save_strategy: save,
            save_total_limit: Some(1),
            ..best(&dir.path().join(name))
        };
        // So large that it gets worse at once.
        let ended = train(3.0, args, |t| t).unwrap();
        assert_eq!(ended.state.best_global_step, Some(0));
        is_best(&ended);
        assert_eq!(ended.weight, start);
    }
    // Where nothing changes, all are as good.
    let args = TrainingArguments {
        eval_on_start: true,
        ..best(&dir.path().join("ties"))
    };
    let ended = train(0.0, args, |t| t).unwrap();
    assert_eq!(ended.state.best_global_step, Some(0));
    let folder = ended.state.best_model_checkpoint.unwrap();
    assert_eq!(folder, dir.path().join("ties/checkpoint-0"));
}

#[test]
fn every_evaluation_may_be_the_best() {
    let dir = TempDir::new().unwrap();
    // The best one lies between the checkpoints of the strategy.
    let args = TrainingArguments {
        eval_strategy: IntervalStrategy::Steps,
        eval_steps: Some(1.0),
        save_strategy: SaveStrategy::Steps,
        save_steps: 16.0,
        ..best(dir.path())
    };
    is_best(&train(TOO_LARGE, args, |t| t).unwrap());
}

#[test]
fn the_best_is_found_where_the_training_was() {
    let dir = TempDir::new().unwrap();
    let (first, other) = (dir.path().join("first"), dir.path().join("other"));
    let whole = train(TOO_LARGE, best(&first), |t| t).unwrap();
    is_best(&whole);
    let step = whole.state.best_global_step.unwrap();
    // The folder was moved since.
    let moved = dir.path().join("moved");
    std::fs::rename(&first, &moved).unwrap();
    let from = |output: &Path| TrainingArguments {
        resume_from_checkpoint: Resume::From(moved.join("checkpoint-12")),
        ..best(output)
    };
    let ended = train(TOO_LARGE, from(&other), |t| t).unwrap();
    assert_eq!((ended.weight, ended.loss), (whole.weight, whole.loss));
    let folder = moved.join(format!("checkpoint-{step}"));
    assert_eq!(ended.state.best_model_checkpoint, Some(folder.clone()));
    // Where it is not, that is said before the training.
    std::fs::remove_dir_all(&folder).unwrap();
    let error = train(TOO_LARGE, from(&dir.path().join("late")), |t| t);
    let error = error.err().unwrap().to_string();
    assert!(
        error.starts_with("load_best_model_at_end: ")
            && error.ends_with(
                "is not there any more: put it beside that, or set load_best_model_at_end to false"
            ),
        "{error}"
    );
    let without = TrainingArguments {
        load_best_model_at_end: false,
        ..from(&dir.path().join("without"))
    };
    let ended = train(TOO_LARGE, without, |t| t).unwrap();
    assert_eq!(ended.state.best_model_checkpoint, None);
}

#[test]
fn a_best_one_that_a_better_one_replaced_may_be_gone() {
    let dir = TempDir::new().unwrap();
    let scores = |last: f64| [0.0, 1.0, 0.5, last];
    let run = |output: &str, scores: [f64; 4], resume| {
        let args = TrainingArguments {
            num_train_epochs: 3.0,
            save_total_limit: Some(2),
            metric_for_best_model: Some("score".into()),
            resume_from_checkpoint: resume,
            ..best(&dir.path().join(output))
        };
        let step = Arc::<AtomicU64>::default();
        let now = step.clone();
        let note = Lambda::new().on_epoch_end(move |event| {
            step.store(event.state.global_step, Ordering::SeqCst);
            Ok(())
        });
        let small = small_of(1, 8);
        let mut s = session(&small.params);
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args)
            .callback(note)
            .compute_metrics(move |_| {
                let pass = now.load(Ordering::SeqCst) / 4;
                Ok(vec![("score".to_owned(), scores[pass as usize])])
            });
        trainer.fit(small.data.clone(), small.data.clone())?;
        Ok::<_, wgrad::Error>(hash(trainer.session()))
    };
    let whole = run("run", scores(2.0), Resume::No).unwrap();
    let from = || Resume::From(dir.path().join("run/checkpoint-8"));
    assert!(!dir.path().join("run/checkpoint-4").exists());
    assert_eq!(run("other", scores(2.0), from()).unwrap(), whole);
    let error = run("worse", scores(0.0), from()).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "load_best_model_at_end: the best evaluation, after step 4, has no checkpoint any more"
        ) && error.contains("worse/checkpoint-12"),
        "{error}"
    );
    std::fs::remove_dir_all(dir.path().join("run/checkpoint-12")).unwrap();
    let error = run("late", scores(2.0), from()).unwrap_err().to_string();
    assert!(error.contains("is not there any more"), "{error}");
}
