//! Penalties in the losses, gradients for callbacks.

use super::{fit_with, pairs, small, small_of, task};
use crate::common::{hash, session};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::optim::{MinimizeOptions, Penalty, Sgd};
use wgrad::train::{Callback, Ema, Event, TensorBoard, Trainer, TrainingArguments};
use wgrad::{Array, Result, Session};

/// Keras's `val_loss` has the penalties, and so has `eval_loss`: after a step with a rate of 0, both are of the same weights.
#[test]
fn losses_of_both_kinds_have_the_penalties() {
    let small = small();
    let loss = |penalties: Vec<Penalty>| {
        let small = super::small();
        let mut s = session(&small.params);
        let options = MinimizeOptions {
            penalties,
            ..Default::default()
        };
        let mut trainer = Trainer::new(&mut s, task(&small.fc), pairs(1))
            .optimizer(Sgd::new(0.0))
            .minimize_options(options);
        let before = trainer.evaluate(small.data.clone()).unwrap();
        let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        assert_eq!(before.get("eval_loss"), history.last("val_loss"));
        (
            history.last("loss").unwrap(),
            history.last("val_loss").unwrap(),
        )
    };
    let s = session(&small.params);
    drop(s);
    let weights = |path: &str| small.params.get(path).unwrap().init.to_f32();
    let l1: f32 = weights("fc.weight").iter().map(|w| w.abs()).sum();
    let l2: f32 = weights("fc.bias")
        .iter()
        .chain(&weights("fc.weight"))
        .map(|w| w * w)
        .sum();
    let (train, eval) = loss(vec![]);
    assert!((train - eval).abs() < 1e-6);
    let both = vec![Penalty::l1("fc.weight", 0.5), Penalty::l2("*", 2.0)];
    let (penalised, evaluated) = loss(both);
    let want = f64::from(0.5 * l1 + 2.0 * l2);
    assert!(want > 0.1, "{want}");
    assert!(
        (penalised - train - want).abs() < 1e-5,
        "{penalised} {train} {want}"
    );
    assert!(
        (evaluated - eval - want).abs() < 1e-5,
        "{evaluated} {eval} {want}"
    );
    let none = MinimizeOptions {
        penalties: vec![Penalty::l1("nothing", 1.0)],
        ..Default::default()
    };
    let mut s = session(&small.params);
    let mut trainer = Trainer::new(&mut s, task(&small.fc), pairs(1)).minimize_options(none);
    let error = trainer
        .evaluate(small.data.clone())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the pattern 'nothing' stands for no parameter"),
        "{error}"
    );
}

/// With averages of the weights, the penalty of an evaluation is theirs.
#[test]
fn penalties_of_averages() {
    let mut expected = 0.0;
    let mut losses = [0.0; 2];
    for (at, penalty) in [(0, vec![]), (1, vec![Penalty::l2("fc.weight", 1.0)])] {
        let options = MinimizeOptions {
            penalties: penalty,
            ..Default::default()
        };
        // No gradient but the penalty's would differ: take a rate of 0 after the weights were set apart.
        let small = small_of(0, 4);
        let mut s = session(&small.params);
        let mut trainer = Trainer::new(&mut s, task(&small.fc), pairs(1))
            .optimizer(Sgd::new(0.0))
            .minimize_options(options)
            .callback(Ema::new(0.5).swap_at_end(false));
        let history = trainer.fit(small.data.clone(), small.data.clone()).unwrap();
        let average = trainer.session().get("ema/fc.weight").unwrap();
        expected = average.to_f32().iter().map(|w| f64::from(w * w)).sum();
        losses[at] = history.last("val_loss").unwrap();
        trainer
            .session()
            .set("fc.weight", &Array::zeros([2, 3]))
            .unwrap();
        let again = trainer.evaluate(small.data.clone()).unwrap();
        assert_eq!(again.get("eval_loss"), Some(losses[at]));
    }
    assert!((losses[1] - losses[0] - expected).abs() < 1e-6 && expected > 0.01);
}

type Seen = Arc<Mutex<Vec<(u64, Vec<(String, Array)>)>>>;

/// Keeps the gradients of every second update.
struct Gradients(Seen);

impl Callback for Gradients {
    fn name(&self) -> &'static str {
        "gradients"
    }
    fn wants_gradients(&self, step: u64) -> bool {
        step.is_multiple_of(2)
    }
    fn on_gradients(
        &mut self,
        _: &mut Event,
        step: u64,
        gradients: &[(Arc<str>, Array)],
    ) -> Result<()> {
        let named = gradients.iter().map(|(p, g)| (p.to_string(), g.clone()));
        self.0.lock().unwrap().push((step, named.collect()));
        Ok(())
    }
}

#[test]
fn callbacks_get_the_gradients_that_the_optimizer_gets() {
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        let run = |watch: bool, accumulate: usize, norm: Option<f32>| {
            let small = small_of(0, 12);
            let options = DeviceOptions {
                kind: Some(kind),
                ..Default::default()
            };
            let mut s = Session::with_options(&small.params, &options).unwrap();
            let args = TrainingArguments {
                gradient_accumulation_steps: accumulate,
                max_grad_norm: norm,
                ..pairs(2)
            };
            let seen = Seen::default();
            let mut trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Sgd::new(0.1));
            // The weights before each update.
            let weights = Arc::<Mutex<Vec<Vec<f32>>>>::default();
            let noted = weights.clone();
            trainer = trainer.callback(wgrad::train::Lambda::new().on_step_begin(move |e| {
                let now = e.session.get("fc.weight")?.to_f32();
                noted.lock().unwrap().push(now);
                Ok(())
            }));
            if watch {
                trainer = trainer.callback(Gradients(seen.clone()));
            }
            trainer.fit(small.data.clone(), small.data.clone()).unwrap();
            let last = trainer.session().get("fc.weight").unwrap().to_f32();
            let bits = hash(trainer.session());
            drop(trainer);
            let mut weights = weights.lock().unwrap().clone();
            weights.push(last);
            let seen = seen.lock().unwrap().clone();
            (bits, seen, weights)
        };
        for (accumulate, norm) in [(1, None), (2, None), (4, Some(0.01))] {
            let (bits, seen, weights) = run(true, accumulate, norm);
            assert_eq!(bits, run(false, accumulate, norm).0, "{kind:?}");
            let steps: Vec<u64> = seen.iter().map(|s| s.0).collect();
            let updates = weights.len() as u64 - 1;
            let want: Vec<u64> = (1..=updates).filter(|s| s % 2 == 0).collect();
            assert_eq!(steps, want);
            for (step, gradients) in seen {
                assert_eq!(gradients[0].0, "fc.weight");
                assert_eq!(gradients[1].0, "fc.bias");
                assert_eq!(gradients.len(), 2);
                let (before, after) = (&weights[step as usize - 1], &weights[step as usize]);
                let gradient = gradients[0].1.to_f32();
                for ((w, g), new) in before.iter().zip(&gradient).zip(after) {
                    assert!((w - 0.1 * g - new).abs() < 1e-6, "{w} {g} {new}");
                }
                let all = gradients.iter().flat_map(|g| g.1.to_f32());
                let length = all.map(|g| f64::from(g * g)).sum::<f64>().sqrt();
                assert!(norm.is_none() || (length - 0.01).abs() < 1e-5, "{length}");
            }
        }
    }
}

#[test]
fn tensorboard_has_histograms_of_gradients() {
    let dir = TempDir::new().unwrap();
    let board = TensorBoard::new(dir.path()).gradients(2);
    fit_with(pairs(2), |t| t.callback(board), |_, _| ()).unwrap();
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap();
    let bytes = std::fs::read(file.unwrap().path()).unwrap();
    let count = |tag: &str| {
        bytes
            .windows(tag.len())
            .filter(|w| *w == tag.as_bytes())
            .count()
    };
    assert_eq!(
        (count("gradients/fc.weight"), count("gradients/fc.bias")),
        (2, 2)
    );
    let none = TensorBoard::new(dir.path()).gradients(0);
    let error = fit_with(pairs(2), |t| t.callback(none), |_, _| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "TensorBoard: gradients every 0 steps: takes 1 or more"
    );
}
