//! Checkpoints: whole or not at all, resumed to the same bits.

use super::{pairs, small_of, task};
use crate::common::{arguments, hash, session};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use wgrad::nn::{Dropout, Linear, Relu, Sequential};
use wgrad::optim::{Adam, Plateau, PlateauMode};
use wgrad::train::{
    EarlyStopping, IntervalStrategy, Lambda, Resume, SaveStrategy, Trainer, TrainingArguments,
};
use wgrad::weights::Reader;
use wgrad::{Params, Result};

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The small model on 11 samples, six batches an epoch; the bits of everything after it.
fn train(seed: u64, args: TrainingArguments) -> Result<u64> {
    let small = small_of(seed, 11);
    let mut s = session(&small.params);
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Adam::new(0.01));
    trainer.fit(small.data.clone(), small.data.clone())?;
    Ok(hash(trainer.session()))
}

fn saving(dir: &Path, steps: f64) -> TrainingArguments {
    TrainingArguments {
        output_dir: Some(dir.to_owned()),
        save_strategy: SaveStrategy::Steps,
        save_steps: steps,
        ..pairs(3)
    }
}

#[test]
fn a_training_goes_on_in_the_middle_of_an_epoch() {
    let dir = TempDir::new().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let expected = train(1, saving(&whole, 4.0)).unwrap();
    assert_eq!(
        names(&whole),
        [
            "checkpoint-12",
            "checkpoint-16",
            "checkpoint-18",
            "checkpoint-4",
            "checkpoint-8",
            "curves.png",
            "curves.svg",
            "history.json",
            "model.safetensors",
            "report.html"
        ]
    );
    assert_eq!(
        names(&whole.join("checkpoint-4")),
        [
            "model.safetensors",
            "optimizer.safetensors",
            "trainer_state.json"
        ]
    );
    // The seed of the initial values differs, so that only the files can make the bits equal.
    for step in [4, 8, 12, 16, 18] {
        let args = TrainingArguments {
            resume_from_checkpoint: Resume::From(whole.join(format!("checkpoint-{step}"))),
            ..saving(&cut.join(step.to_string()), 4.0)
        };
        assert_eq!(train(1, args).unwrap(), expected, "from {step}");
    }
    let json = std::fs::read(whole.join("checkpoint-8/trainer_state.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["global_step"], 8);
    assert_eq!(
        (&json["position"]["epoch"], &json["position"]["batch"]),
        (&1.into(), &2.into())
    );
    assert_eq!(json["history"]["step"], serde_json::json!([6.0]));
    assert!(json["log_history"].as_array().unwrap().len() > 8);
}

#[test]
fn histories_and_counts_go_on_too() {
    let dir = TempDir::new().unwrap();
    let run = |out: &str, resume: Resume| {
        let params = Params::new(1);
        let model = Sequential::new(&params)
            .add(Linear::new(3, 8))
            .add(Relu)
            .add(Dropout::new(0.5))
            .add(Linear::new(8, 2));
        let data = small_of(0, 11).data;
        let mut s = session(&params);
        let args = TrainingArguments {
            eval_strategy: IntervalStrategy::Steps,
            eval_steps: Some(2.0),
            gradient_accumulation_steps: 2,
            resume_from_checkpoint: resume,
            num_train_epochs: 8.0,
            ..saving(&dir.path().join(out), 5.0)
        };
        let mut plateau = Plateau::new(PlateauMode::Min, 0.5, 0).unwrap();
        plateau.threshold = wgrad::optim::Threshold::Absolute(0.02);
        let task = |_: &wgrad::Trace, b: &[wgrad::Tensor]| {
            let error = wgrad::nn::Module::forward(&model, &b[0]).sub(&b[1]);
            wgrad::train::Outcome::new(error.square().mean(&[], false))
        };
        let mut trainer = Trainer::new(&mut s, task, args).plateau(plateau).callback(
            EarlyStopping::new(4)
                .min_delta(0.01)
                .restore_best_weights(true),
        );
        let history = trainer.fit(data.clone(), data).unwrap();
        let columns = ["eval_loss", "step"].map(|n| history.evaluations(n).to_vec());
        let logs = ["loss", "learning_rate"].map(|n| history.steps(n).to_vec());
        let epochs = history.get("loss").to_vec();
        (columns, logs, epochs, hash(trainer.session()))
    };
    let whole = run("whole", Resume::No);
    assert!(whole.1[1].iter().any(|r| *r < 1e-3), "{whole:?}");
    for step in [5, 10] {
        let from = dir.path().join(format!("whole/checkpoint-{step}"));
        assert_eq!(
            run(&format!("cut{step}"), Resume::From(from)),
            whole,
            "from {step}"
        );
    }
}

/// A parameter that is frozen for the second of three epochs: its momentum waits in the checkpoints.
#[test]
fn what_a_frozen_parameter_keeps_goes_on() {
    let dir = TempDir::new().unwrap();
    let run = |out: &str, from: Option<u64>| {
        let small = small_of(from.unwrap_or(0), 11);
        let mut s = session(&small.params);
        let folder = |step| dir.path().join(format!("whole/checkpoint-{step}"));
        if from.is_some() {
            small.params.freeze("fc.bias").unwrap();
        }
        let args = TrainingArguments {
            resume_from_checkpoint: from.map_or(Resume::No, |step| Resume::From(folder(step))),
            ..saving(&dir.path().join(out), 4.0)
        };
        let freeze = Lambda::new().on_step_end(|event| {
            let params = event.session.params();
            match event.state.global_step {
                6 => params.freeze("fc.bias").map(drop),
                12 => params.thaw("fc.bias").map(drop),
                _ => Ok(()),
            }
        });
        let mut trainer = Trainer::new(&mut s, task(&small.fc), args)
            .optimizer(Adam::new(0.01))
            .callback(freeze);
        trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        hash(trainer.session())
    };
    let whole = run("whole", None);
    assert_eq!(run("cut", Some(8)), whole);
}

#[test]
fn old_checkpoints_go_but_never_the_best() {
    let dir = TempDir::new().unwrap();
    let scores = [0.5, 0.9, 0.6, 0.7];
    let at = std::sync::atomic::AtomicUsize::new(0);
    let small = small_of(0, 4);
    let mut s = session(&small.params);
    let args = TrainingArguments {
        output_dir: Some(dir.path().to_owned()),
        save_total_limit: Some(2),
        load_best_model_at_end: true,
        metric_for_best_model: Some("score".into()),
        ..pairs(4)
    };
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args).compute_metrics(|_| {
        let at = at.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(vec![("score".to_owned(), scores[at.saturating_sub(1)])])
    });
    trainer.fit(small.data.clone(), small.data.clone()).unwrap();
    let state = trainer.state().clone();
    assert_eq!(
        (state.best_metric, state.best_global_step),
        (Some(0.9), Some(4))
    );
    let best = dir.path().join("checkpoint-4");
    assert_eq!(state.best_model_checkpoint, Some(best.clone()));
    assert_eq!(names(dir.path())[..2], ["checkpoint-4", "checkpoint-8"]);
    let read = |folder: &Path| {
        let file = Reader::open(folder.join("model.safetensors")).unwrap();
        file.read("fc.weight").unwrap()
    };
    assert_eq!(trainer.session().get("fc.weight").unwrap(), read(&best));
    assert_eq!(read(dir.path()), read(&best));
    assert_ne!(read(&dir.path().join("checkpoint-8")), read(&best));
}

#[test]
fn checkpoints_of_another_training_are_in_the_way() {
    let dir = TempDir::new().unwrap();
    let first = train(1, saving(dir.path(), 9.0)).unwrap();
    let last = dir.path().join("checkpoint-18");
    assert_eq!(
        train(1, saving(dir.path(), 9.0)).unwrap_err().to_string(),
        format!(
            "{} is there from a training before: go on from it with resume_from_checkpoint, set overwrite_output_dir, \
             or take another output_dir",
            last.display()
        )
    );
    let over = TrainingArguments {
        overwrite_output_dir: true,
        ..saving(dir.path(), 6.0)
    };
    assert_eq!(train(1, over).unwrap(), first);
    assert_eq!(
        names(dir.path())[..3],
        ["checkpoint-12", "checkpoint-18", "checkpoint-6"]
    );
    let resume = |change: fn(&mut TrainingArguments)| {
        let mut args = TrainingArguments {
            resume_from_checkpoint: Resume::Latest,
            ..saving(dir.path(), 6.0)
        };
        change(&mut args);
        train(1, args).unwrap_err().to_string()
    };
    let made = format!("{}: made with", last.display());
    let end = "it cannot go on in the middle of an epoch";
    assert_eq!(
        resume(|a| a.train_batch_size = 3),
        format!("{made} train_batch_size 2, this training has 3: {end}")
    );
    assert_eq!(
        resume(|a| a.seed = 5),
        format!("{made} seed 0, this training has 5: {end}")
    );
    assert_eq!(
        resume(|a| a.gradient_accumulation_steps = 2),
        format!("{made} gradient_accumulation_steps 1, this training has 2: {end}")
    );
}

#[test]
fn a_broken_checkpoint_is_named_and_the_one_before_offered() {
    let dir = TempDir::new().unwrap();
    let resume = || {
        let args = TrainingArguments {
            resume_from_checkpoint: Resume::Latest,
            ..saving(dir.path(), 6.0)
        };
        train(2, args)
    };
    let expected = train(2, saving(dir.path(), 6.0)).unwrap();
    let (before, last) = (
        dir.path().join("checkpoint-12"),
        dir.path().join("checkpoint-18"),
    );
    let offer = format!(
        "{} before it is whole: go on from there with Resume::From, or remove the broken one",
        before.display()
    );
    type Harm = fn(&Path);
    let harms: &[(Harm, &str)] = &[
        (
            |f| {
                let path = f.join("model.safetensors");
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(path, &bytes[..100]).unwrap();
            },
            "model.safetensors: 100 bytes: ",
        ),
        (
            |f| {
                let path = f.join("optimizer.safetensors");
                let mut bytes = std::fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                std::fs::write(path, bytes).unwrap();
            },
            "optimizer.safetensors: CRC-32 ",
        ),
        (
            |f| std::fs::write(f.join("trainer_state.json"), "{").unwrap(),
            "trainer_state.json: not the state of a training: ",
        ),
        (
            |f| std::fs::remove_file(f.join("trainer_state.json")).unwrap(),
            "trainer_state.json: ",
        ),
        (
            |f| std::fs::remove_file(f.join("model.safetensors")).unwrap(),
            "model.safetensors: ",
        ),
    ];
    for (harm, what) in harms {
        let copy = dir.path().join("copy");
        std::fs::rename(&last, &copy).unwrap();
        std::fs::create_dir(&last).unwrap();
        for name in names(&copy) {
            std::fs::copy(copy.join(&name), last.join(&name)).unwrap();
        }
        harm(&last);
        let error = resume().unwrap_err().to_string();
        let start = format!(
            "{}: this checkpoint is broken ({}/{what}",
            last.display(),
            last.display()
        );
        assert!(
            error.starts_with(&start) && error.ends_with(&offer),
            "{error}"
        );
        let args = TrainingArguments {
            resume_from_checkpoint: Resume::From(last.clone()),
            ..saving(dir.path(), 6.0)
        };
        assert!(train(2, args).unwrap_err().to_string().contains(what));
        std::fs::remove_dir_all(&last).unwrap();
        std::fs::rename(&copy, &last).unwrap();
    }
    // From the one before, to the same end.
    std::fs::remove_dir_all(&last).unwrap();
    assert_eq!(resume().unwrap(), expected);
    for name in ["checkpoint-6", "checkpoint-12"] {
        std::fs::remove_dir_all(dir.path().join(name)).unwrap();
    }
    std::fs::remove_file(last.join("trainer_state.json")).unwrap();
    let error = resume().unwrap_err().to_string();
    assert!(
        error.ends_with("; there is no other: remove it to begin anew"),
        "{error}"
    );
}

const FOLDER: &str = "WGRAD_TEST_TRAINING";

/// The training that is killed: it goes on from its newest checkpoint and writes the final bits.
fn process(folder: &Path) {
    let params = Params::new(7);
    let model = Sequential::new(&params)
        .add(Linear::new(3, 16))
        .add(Relu)
        .add(Dropout::new(0.3))
        .add(Linear::new(16, 2));
    let data = small_of(0, 23).data;
    let mut s = session(&params);
    let args = TrainingArguments {
        output_dir: Some(folder.to_owned()),
        eval_strategy: IntervalStrategy::Steps,
        eval_steps: Some(3.0),
        save_strategy: SaveStrategy::Steps,
        save_steps: 3.0,
        save_total_limit: Some(2),
        load_best_model_at_end: true,
        resume_from_checkpoint: Resume::LatestIfAny,
        ..TrainingArguments {
            train_batch_size: 2,
            ..arguments(12)
        }
    };
    let task = |_: &wgrad::Trace, b: &[wgrad::Tensor]| {
        let error = wgrad::nn::Module::forward(&model, &b[0]).sub(&b[1]);
        wgrad::train::Outcome::new(error.square().mean(&[], false))
    };
    let slow = Lambda::new().on_step_end(|_| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    });
    let mut trainer = Trainer::new(&mut s, task, args).callback(slow);
    let history = trainer.fit(data.clone(), data).unwrap();
    let losses = history
        .steps("loss")
        .iter()
        .chain(history.evaluations("eval_loss"));
    let losses = losses.fold(0u64, |h, x| h.rotate_left(7) ^ x.to_bits());
    let bits = format!("{:016x} {losses:016x}", hash(trainer.session()));
    std::fs::write(folder.join("bits"), bits).unwrap();
}

#[test]
fn as_a_process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        process(&PathBuf::from(folder));
    }
}

fn spawn(folder: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["checkpoints::as_a_process", "--exact"]);
    command.env(FOLDER, folder).env("WGRAD_DEVICE", "cpu");
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn newest(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let steps = names.filter_map(|n| n.strip_prefix("checkpoint-")?.parse().ok());
    steps.max().unwrap_or(0)
}

/// `kill` is SIGKILL on Unix.
#[test]
fn a_training_that_is_killed_ends_in_the_same_bits() {
    let dir = TempDir::new().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    assert!(spawn(&whole).wait().unwrap().success());
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut random = time.unwrap().subsec_nanos() | 1;
    let mut kills = Vec::new();
    let patience = Instant::now() + Duration::from_secs(100);
    loop {
        let before = newest(&killed);
        let mut child = spawn(&killed);
        // It gets one checkpoint further; then any moment will do.
        while newest(&killed) <= before && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < patience, "killed at {kills:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wait = Duration::from_micros(u64::from(random >> 8) % 40_000);
        if kills.len() < 8 {
            std::thread::sleep(wait);
            child.kill().unwrap();
        }
        if child.wait().unwrap().success() {
            break;
        }
        kills.push((newest(&killed), wait));
    }
    let bits = |folder: &Path| std::fs::read_to_string(folder.join("bits")).unwrap();
    assert_eq!(bits(&killed), bits(&whole), "killed at {kills:?}");
    assert!(kills.len() >= 3, "{kills:?}");
    let hidden = |n: &&String| n.starts_with('.');
    assert_eq!(names(&killed).iter().filter(hidden).count(), 0);
}
