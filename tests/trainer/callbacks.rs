//! Events and the callbacks that come with the trainer.

use super::{fit_with, pairs, small, task};
use crate::common::{arguments, session};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use wgrad::optim::{MinimizeOptions, ParamGroup, Sgd};
use wgrad::train::{
    Callback, CsvLogger, EarlyStopping, Ema, Event, IntervalStrategy, JsonLogger, Lambda,
    LearningRateMonitor, Logs, ModelCheckpoint, SaveStrategy, TensorBoard, TerminateOnNan, Trainer,
    TrainingArguments,
};
use wgrad::weights::Reader;
use wgrad::{Array, Result};

type Notes = Arc<Mutex<Vec<String>>>;

/// Notes every event.
struct Recorder(Notes);

impl Recorder {
    fn note(&self, event: &Event, what: &str) -> Result<()> {
        let step = event.state.global_step;
        self.0.lock().unwrap().push(format!("{what} {step}"));
        Ok(())
    }
}

impl Callback for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }
    fn on_train_begin(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "train_begin")
    }
    fn on_train_end(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "train_end")
    }
    fn on_epoch_begin(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "epoch_begin")
    }
    fn on_epoch_end(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "epoch_end")
    }
    fn on_step_begin(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "step_begin")
    }
    fn on_step_end(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "step_end")
    }
    fn on_substep_end(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "substep_end")
    }
    fn on_prediction_step(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "prediction_step")
    }
    fn on_predict(&mut self, e: &mut Event, metrics: &Logs) -> Result<()> {
        assert!(metrics.get("test_loss").is_some());
        self.note(e, "predict")
    }
    fn on_loss(&mut self, e: &mut Event, batch: u64, _: f64) -> Result<()> {
        self.note(e, &format!("loss of {batch} at"))
    }
    fn on_log(&mut self, e: &mut Event, _: &mut Logs) -> Result<()> {
        self.note(e, "log")
    }
    fn on_evaluate(&mut self, e: &mut Event, _: &Logs) -> Result<()> {
        self.note(e, "evaluate")
    }
    fn on_save(&mut self, e: &mut Event, checkpoint: &Path) -> Result<()> {
        let name = checkpoint.file_name().unwrap().to_string_lossy();
        self.note(e, &format!("save {name} at"))
    }
}

#[test]
fn events_come_in_their_order() {
    let dir = TempDir::new().unwrap();
    let notes = Notes::default();
    let args = TrainingArguments {
        logging_steps: 2.0,
        output_dir: Some(dir.path().into()),
        ..pairs(1)
    };
    fit_with(args, |t| t.callback(Recorder(notes.clone())), |_, _| ()).unwrap();
    assert_eq!(
        *notes.lock().unwrap(),
        [
            "train_begin 0",
            "epoch_begin 0",
            "step_begin 0",
            "step_end 1",
            "step_begin 1",
            "loss of 0 at 1",
            "step_end 2",
            "loss of 1 at 2",
            "log 2",
            "epoch_end 2",
            "prediction_step 2",
            "log 2",
            "evaluate 2",
            "save checkpoint-2 at 2",
            "log 2",
            "train_end 2",
        ]
    );
}

#[test]
fn batches_that_only_accumulate_and_predictions_have_events_too() {
    let notes = Notes::default();
    let args = TrainingArguments {
        gradient_accumulation_steps: 2,
        logging_strategy: IntervalStrategy::No,
        eval_strategy: IntervalStrategy::No,
        ..pairs(1)
    };
    let small = super::small_of(0, 6);
    let mut s = session(&small.params);
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args).callback(Recorder(notes.clone()));
    trainer.fit(small.data.clone(), ()).unwrap();
    trainer.predict(small.data.clone()).unwrap();
    drop(trainer);
    let notes = notes.lock().unwrap();
    let seen: Vec<&str> = notes
        .iter()
        .filter(|n| !n.contains("loss") && !n.contains("epoch") && !n.contains("train"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        seen,
        [
            "step_begin 0",
            "substep_end 0",
            "step_end 1",
            "step_begin 1",
            // The last batch of the epoch makes an update of its own.
            "step_end 2",
            "log 2",
            "prediction_step 2",
            "predict 2",
        ]
    );
}

#[test]
fn flags_are_carried_out_once() {
    let dir = TempDir::new().unwrap();
    let notes = Notes::default();
    let args = TrainingArguments {
        logging_strategy: IntervalStrategy::No,
        eval_strategy: IntervalStrategy::No,
        save_strategy: SaveStrategy::No,
        output_dir: Some(dir.path().into()),
        ..pairs(3)
    };
    let ask = Lambda::new().on_step_end(|event| {
        let control = &mut *event.control;
        match event.state.global_step {
            1 => control.should_log = true,
            2 => control.should_evaluate = true,
            3 => (control.should_save, control.should_epoch_stop) = (true, true),
            5 => control.should_training_stop = true,
            _ => {}
        }
        Ok(())
    });
    let with = |t: Trainer| {
        // The lifetime of the closures ends with the trainer.
        let mut t = t.callback(ask).callback(Recorder(notes.clone()));
        let small = small();
        t.fit(small.data.clone(), small.data).unwrap();
    };
    let small = small();
    let mut s = session(&small.params);
    with(Trainer::new(&mut s, task(&small.fc), args).optimizer(Sgd::new(0.1)));
    let notes = notes.lock().unwrap();
    let asked = notes
        .iter()
        .filter(|n| !n.contains("step_") && !n.contains("loss"));
    let asked: Vec<&str> = asked.map(String::as_str).collect();
    assert_eq!(
        asked,
        [
            "train_begin 0",
            "epoch_begin 0",
            "log 1",
            "prediction_step 2",
            "log 2",
            "evaluate 2",
            "epoch_end 2",
            "epoch_begin 2",
            "save checkpoint-3 at 3",
            "epoch_end 3",
            "epoch_begin 3",
            "epoch_end 5",
            "log 5",
            "train_end 5",
        ]
    );
}

/// Train with evaluations that say `scores`; the epochs that ran and the weights after each and at the end.
fn scored(scores: &'static [f64], stop: EarlyStopping) -> (usize, Vec<Array>) {
    let at = AtomicUsize::new(0);
    let small = small();
    let mut s = session(&small.params);
    let weights = Arc::<Mutex<Vec<Array>>>::default();
    let seen = weights.clone();
    let keep = Lambda::new().on_evaluate(move |event, _| {
        seen.lock().unwrap().push(event.session.get("fc.weight")?);
        Ok(())
    });
    let mut trainer = Trainer::new(&mut s, task(&small.fc), pairs(scores.len()))
        .optimizer(Sgd::new(0.1))
        .compute_metrics(|_| {
            // The first call looks which metrics there are.
            let at = at.fetch_add(1, Ordering::SeqCst);
            Ok(vec![("score".to_owned(), scores[at.saturating_sub(1)])])
        })
        .callback(keep)
        .callback(stop);
    let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
    let last = trainer.session().get("fc.weight").unwrap();
    let mut weights = weights.lock().unwrap().clone();
    weights.push(last);
    (history.epochs(), weights)
}

#[test]
fn early_stopping_counts_evaluations() {
    let score = |patience| EarlyStopping::new(patience).monitor("score");
    let epochs = |scores, stop| scored(scores, stop).0;
    let up_and_down: &[f64] = &[1.0, 2.0, 1.5, 1.9, 2.5, 2.0, 2.0, 2.0];
    assert_eq!(epochs(up_and_down, score(1)), 3);
    assert_eq!(epochs(up_and_down, score(2)), 4);
    assert_eq!(epochs(up_and_down, score(3)), 8);
    assert_eq!(epochs(up_and_down, score(4)), 8);
    assert_eq!(epochs(up_and_down, score(3).start_from(4)), 8);
    assert_eq!(epochs(up_and_down, score(3).min_delta(1.0)), 4);
    assert_eq!(epochs(up_and_down, score(1).greater_is_better(false)), 2);
    assert_eq!(epochs(up_and_down, score(3).baseline(1.8)), 8);
    assert_eq!(epochs(up_and_down, score(3).baseline(9.0)), 3);
    // NaN is no better than anything.
    assert_eq!(epochs(&[1.0, f64::NAN, f64::NAN, 5.0], score(2)), 3);
    let (ran, weights) = scored(up_and_down, score(2).restore_best_weights(true));
    assert_eq!((ran, weights.len()), (4, 5));
    assert_eq!(weights[4], weights[1]);
    assert_ne!(weights[4], weights[3]);
}

#[test]
fn callbacks_that_cannot_work_are_refused_before_the_training() {
    let dir = TempDir::new().unwrap();
    let without = TrainingArguments {
        eval_strategy: IntervalStrategy::No,
        ..pairs(1)
    };
    let best = TrainingArguments {
        load_best_model_at_end: true,
        output_dir: Some(dir.path().into()),
        ..pairs(1)
    };
    let there = "which evaluations do not have: there are eval_loss, eval_runtime, eval_samples_per_second, \
                 eval_steps_per_second";
    let refused = |args: &TrainingArguments, callback: Box<dyn Fn(Trainer) -> Trainer>| {
        let error = fit_with(args.clone(), callback, |_, _| ()).unwrap_err();
        error.to_string()
    };
    let stop = || EarlyStopping::new(2);
    assert_eq!(
        refused(&without, Box::new(move |t| t.callback(stop()))),
        "EarlyStopping looks at eval_loss of evaluations: eval_strategy is No"
    );
    assert_eq!(
        refused(
            &pairs(1),
            Box::new(move |t| t.callback(stop().monitor("val_accuracy")))
        ),
        format!("early_stopping looks at eval_accuracy, {there}")
    );
    assert_eq!(
        refused(
            &pairs(1),
            Box::new(move |t| t.callback(stop().min_delta(-1.0)))
        ),
        "EarlyStopping: min_delta -1: takes 0 or more"
    );
    assert_eq!(
        refused(
            &best,
            Box::new(move |t| t.callback(stop().restore_best_weights(true)))
        ),
        "EarlyStopping with restore_best_weights, and load_best_model_at_end: set one of them"
    );
    let model = || ModelCheckpoint::new("never/{epoch}.safetensors");
    assert_eq!(
        refused(&pairs(1), Box::new(move |t| t.callback(model().every(0)))),
        "ModelCheckpoint: every 0 steps: takes 1 or more"
    );
    assert_eq!(
        refused(
            &pairs(1),
            Box::new(move |t| t.callback(model().every(2).save_best_only("loss")))
        ),
        "ModelCheckpoint with every and save_best_only: an evaluation alone says what is best"
    );
    assert_eq!(
        refused(&without, Box::new(move |t| t.callback(model()))),
        "ModelCheckpoint looks at eval_loss of evaluations: eval_strategy is No"
    );
    assert_eq!(
        refused(
            &pairs(1),
            Box::new(move |t| t.callback(model().save_best_only("f1")))
        ),
        format!("model_checkpoint looks at eval_f1, {there}")
    );
    for (pattern, message) in [
        (
            "{f1}",
            "the path '{f1}' names f1, which there is not: there are epoch, eval_loss",
        ),
        ("{epoch", "the path '{epoch' has a { without its }"),
        (
            "{epoch:x}",
            "the path '{epoch:x}' has the format 'x': takes .N or 0N",
        ),
    ] {
        let error = refused(
            &pairs(1),
            Box::new(move |t| t.callback(ModelCheckpoint::new(pattern))),
        );
        assert!(
            error.starts_with(&format!("ModelCheckpoint: {message}")),
            "{error}"
        );
    }
    assert!(!Path::new("never").exists());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn model_checkpoints_name_their_numbers() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let best = ModelCheckpoint::new(at("best/{epoch:.1}-{val_loss:.3}.safetensors"));
    let best = best
        .save_best_only("loss")
        .save_last(at("last.safetensors"));
    let every = ModelCheckpoint::new(at("every/{step:03}.safetensors")).every(2);
    let all = ModelCheckpoint::new(at("all/{step}.safetensors"));
    let mut loss = 0.0;
    let mut weight = None;
    fit_with(
        pairs(3),
        |t| t.callback(best).callback(every).callback(all),
        |session, history| {
            let losses = history.get("val_loss");
            assert!(losses[2] < losses[1] && losses[1] < losses[0]);
            loss = losses[2];
            weight = session.get("fc.weight").ok();
        },
    )
    .unwrap();
    let names = |folder: &str| {
        let entries = std::fs::read_dir(dir.path().join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let three = |all: [&str; 3]| all.map(|n| format!("{n}.safetensors")).to_vec();
    assert_eq!(names("every"), three(["002", "004", "006"]));
    assert_eq!(names("all"), three(["2", "4", "6"]));
    assert_eq!(names("best"), [format!("3.0-{loss:.3}.safetensors")]);
    let last = Reader::open(at("last.safetensors")).unwrap();
    assert_eq!(last.read("fc.weight").ok(), weight);
}

#[test]
fn loggers_write_every_log() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join("logs").join(name);
    let args = TrainingArguments {
        logging_steps: 2.0,
        ..pairs(2)
    };
    let groups = MinimizeOptions {
        groups: vec![ParamGroup::new("*.bias").lr(0.5)],
        ..Default::default()
    };
    let mut losses = Vec::new();
    fit_with(
        args,
        |t| {
            t.minimize_options(groups)
                .callback(LearningRateMonitor)
                .callback(CsvLogger::new(at("log.csv")))
                .callback(JsonLogger::new(at("log.jsonl")))
                .callback(TensorBoard::new(at("board")))
        },
        |_, h| losses = h.get("val_loss").to_vec(),
    )
    .unwrap();
    let csv = std::fs::read_to_string(at("log.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(
        rows[0][..5],
        ["step", "epoch", "learning_rate", "learning_rate/1", "loss"]
    );
    assert!(rows.iter().all(|r| r.len() == rows[0].len()));
    assert_eq!(rows[1][..4], ["2", "1", "0.1", "0.5"]);
    let eval = rows[0].iter().position(|n| *n == "eval_loss").unwrap();
    assert_eq!(
        (rows[1][eval], rows[2][eval]),
        ("", losses[0].to_string().as_str())
    );
    let lines = std::fs::read_to_string(at("log.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["learning_rate/1"], 0.5);
    assert_eq!(lines[3]["eval_loss"].as_f64(), Some(losses[1]));
    let board: Vec<_> = std::fs::read_dir(at("board")).unwrap().collect();
    let bytes = std::fs::read(board[0].as_ref().unwrap().path()).unwrap();
    let has = |tag: &str| bytes.windows(tag.len()).any(|w| w == tag.as_bytes());
    for tag in [
        "train/loss",
        "eval/loss",
        "weights/fc.bias",
        "model/text_summary",
        "args/text_summary",
    ] {
        assert!(has(tag), "{tag}");
    }
    assert!(board.len() == 1 && !has("train/step"));
}

#[test]
fn nan_ends_a_training_without_an_error_where_that_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let args = TrainingArguments {
        output_dir: Some(dir.path().into()),
        ..pairs(5)
    };
    let mut epochs = None;
    fit_with(
        args,
        |t| t.optimizer(Sgd::new(1e30)).callback(TerminateOnNan),
        |_, history| epochs = Some(history.epochs()),
    )
    .unwrap();
    assert_eq!(epochs, Some(0));
    assert!(!dir.path().join("model.safetensors").exists());
    assert!(dir.path().join("history.json").exists());
}

#[test]
fn averages_become_the_weights_at_the_end() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("ema.safetensors");
    for swap in [true, false] {
        let ema = Ema::new(0.5).swap_at_end(swap).save_to(&file);
        fit_with(
            arguments_of_pairs(),
            |t| t.callback(ema),
            |s, _| {
                let (weight, average) =
                    (s.get("fc.weight").unwrap(), s.get("ema/fc.weight").unwrap());
                assert_eq!(weight == average, swap);
                let written = Reader::open(&file).unwrap().read("fc.weight").unwrap();
                assert_eq!(written, average);
            },
        )
        .unwrap();
    }
}

fn arguments_of_pairs() -> TrainingArguments {
    TrainingArguments {
        train_batch_size: 2,
        ..arguments(2)
    }
}
