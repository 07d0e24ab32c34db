//! The training loop.

use super::Logs;
use super::args::{IntervalStrategy, Intervals, SaveStrategy};
use super::checkpoints;
use super::interrupt::Guard;
use super::on_device::Feed;
use super::task::{Sums, lock_layout, samples, types_of};
use super::trainer::{Pace, Trainer};
use crate::array::Array;
use crate::data::{self, DataLoader};
use crate::error::{Error, Result};
use crate::optim::{PlateauMode, Schedule};
use crate::session::Pending;
use crate::state::StateKind;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// Where the loop is in its data, and sums over it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The pass, from 0.
    pub epoch: u64,
    /// The batch of it that comes next.
    pub batch: usize,
    /// Batches read, of all passes.
    read: u64,
    pub of_epoch: Sums,
    since_log: Sums,
    pub of_run: Sums,
    grad_norm: Option<f64>,
    /// Learning rate of the last batch.
    rate: f64,
    logged: u64,
    evaluated: Option<u64>,
}

impl Position {
    /// All that it counts.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        let sums = [self.of_epoch, self.since_log, self.of_run];
        let own = [
            self.epoch,
            self.batch as u64,
            self.read,
            self.logged,
            self.evaluated.unwrap_or(0),
        ];
        let sums = sums.into_iter();
        own.into_iter()
            .chain(sums.flat_map(|s| [s.samples as u64, s.batches]))
    }
}

/// A training that runs.
pub(super) struct Run {
    pub loader: DataLoader,
    pub valid: Option<DataLoader>,
    /// What evaluations take their batches from: `valid`, or indices of data on the device.
    pub fed: Option<(DataLoader, Feed)>,
    pub intervals: Intervals,
    /// The course of the learning rate that arguments ask for.
    pub schedule: Option<Schedule>,
    pub guard: Guard,
    pub at: Position,
    pub in_flight: Option<InFlight>,
    /// Updates of the session before this training.
    pub before: u64,
    pub started: Instant,
    pub epoch_started: Instant,
    /// Samples of this pass and of all when the clocks were started.
    pub samples: (usize, usize),
    pub steps_before: u64,
    /// Metrics of the last evaluation in this pass.
    pub evaluation: Option<Logs>,
    /// Whether a loss was not finite.
    pub broken: bool,
}

/// A batch that was submitted.
pub(super) struct InFlight {
    pending: Pending,
    /// Whether the gradients are among the results.
    gradients: bool,
    samples: usize,
    step: u64,
    learning_rate: f64,
}

impl Trainer<'_> {
    pub(super) fn run(&mut self, run: &mut Run) -> Result<()> {
        self.emit(|c, e| c.on_train_begin(e))?;
        if self.args.eval_on_start && self.state.global_step == 0 {
            run.at.evaluated = Some(0);
            self.evaluate_in(run)?;
            // The first epoch's are those that come in it.
            run.evaluation = None;
            self.save_if_asked(run)?;
        }
        while self.state.global_step < run.intervals.max_steps && !self.control.should_training_stop
        {
            self.epoch(run)?;
        }
        self.finish(run)
    }

    fn epoch(&mut self, run: &mut Run) -> Result<()> {
        let first = run.at.batch;
        run.epoch_started = Instant::now();
        run.samples.0 = run.at.of_epoch.samples;
        self.control.should_epoch_stop = false;
        if first == 0 {
            self.emit(|c, e| c.on_epoch_begin(e))?;
        }
        let epoch = run.at.epoch;
        for batch in run.loader.resume(data::Position {
            epoch,
            batch: first,
        }) {
            if run.guard.pressed() {
                self.drain(run)?;
                return Err(self.interrupted(run));
            }
            let stop = self.control.should_training_stop || self.control.should_epoch_stop;
            if stop || self.state.global_step >= run.intervals.max_steps {
                break;
            }
            self.step(run, &batch?)?;
        }
        self.drain(run)?;
        if run.broken {
            return Ok(());
        }
        // The pass has ended: a checkpoint from now on begins with the next.
        let cut = run.at.batch < run.loader.len();
        (run.at.epoch, run.at.batch) = (epoch + 1, 0);
        if !cut {
            self.state.epoch = (epoch + 1) as f64;
        }
        let args = &self.args;
        self.control.should_log |= args.logging_strategy == IntervalStrategy::Epoch;
        self.control.should_evaluate |=
            args.eval_strategy == IntervalStrategy::Epoch && self.state.epoch >= args.eval_delay;
        self.control.should_save |= args.save_strategy == SaveStrategy::Epoch;
        self.emit(|c, e| c.on_epoch_end(e))?;
        self.log_and_evaluate(run)?;
        self.push_epoch(run);
        self.save_if_asked(run)
    }

    /// One batch.
    fn step(&mut self, run: &mut Run, batch: &[Array]) -> Result<()> {
        if self.session.accumulated() == 0 {
            self.emit(|c, e| c.on_step_begin(e))?;
        }
        let last = run.at.batch + 1 == run.loader.len();
        if last {
            self.session.apply_next();
        }
        self.set_rates(run);
        let inputs: Vec<&Array> = batch.iter().collect();
        let (step, learning_rate) = (self.session.updates(), self.session.learning_rate());
        let whole = self.session.accumulated() as usize + 1 >= self.minimize.micro_steps;
        let gradients = (whole || last) && self.gradients_wanted(step + 1 - run.before);
        if gradients && self.observed.is_none() {
            let feed = self.train.as_ref().map(|c| c.feed.clone());
            let compiled = self.compiled(&types_of(batch), &feed.unwrap_or_default(), true)?;
            self.observed = Some(compiled);
        }
        let compiled = match gradients {
            true => self.observed.as_mut(),
            false => self.train.as_mut(),
        };
        let compiled = compiled.ok_or_else(missing)?;
        let pending = self.session.submit(&mut compiled.function, &inputs)?;
        let next = InFlight {
            pending,
            gradients,
            samples: samples(batch),
            step,
            learning_rate,
        };
        // The next step is submitted before the last one is read.
        let last = run.in_flight.replace(next);
        self.read(run, last)?;
        run.at.batch += 1;
        if self.session.updates() == step {
            return self.emit(|c, e| c.on_substep_end(e));
        }
        let done = self.session.updates() - run.before;
        self.state.global_step = done;
        self.state.epoch = run.at.epoch as f64 + run.at.batch as f64 / run.loader.len() as f64;
        let every = |interval: Option<u64>| interval.is_some_and(|n| done.is_multiple_of(n));
        self.control.should_log |= every(run.intervals.logging);
        self.control.should_log |= self.args.logging_first_step && done == 1;
        self.control.should_evaluate |=
            every(run.intervals.eval) && done as f64 >= self.args.eval_delay;
        self.control.should_save |= every(run.intervals.save);
        self.control.should_save |= run.intervals.save.is_some() && done == run.intervals.max_steps;
        self.emit(|c, e| c.on_step_end(e))?;
        let control = self.control;
        if control.should_log || control.should_evaluate || control.should_save {
            self.drain(run)?;
            if !run.broken {
                self.log_and_evaluate(run)?;
                self.save_if_asked(run)?;
            }
        }
        Ok(())
    }

    /// Set the learning rates that the schedule gives for the next update.
    fn set_rates(&mut self, run: &Run) {
        let (schedule, at) = match (&self.pace, &run.schedule) {
            (Pace::PerStep(schedule), _) | (Pace::Constant, Some(schedule)) => {
                (schedule, self.state.global_step)
            }
            (Pace::PerEpoch(schedule), _) => (schedule, run.at.epoch),
            (Pace::Constant, None) | (Pace::Plateau(_), _) => return,
        };
        for (group, base) in self.minimize.rates(self.rule().as_ref()) {
            self.session
                .set_learning_rate_of(group, schedule.at(at, base));
        }
    }

    /// Whether a callback wants the gradients of update `step` of this training.
    fn gradients_wanted(&self, step: u64) -> bool {
        self.callbacks.iter().any(|c| c.wants_gradients(step))
    }

    /// Hand out the gradients of update `step`.
    fn hand_out(&mut self, step: u64, gradients: Vec<Array>) -> Result<()> {
        let mut params = self.session.params().root().list();
        params.retain(|s| s.kind == StateKind::Parameter && s.trainable);
        let paths = params.into_iter().map(|s| s.path);
        let named: Vec<(Arc<str>, Array)> = paths.zip(gradients).collect();
        self.emit(|c, e| match c.wants_gradients(step) {
            true => c.on_gradients(e, step, &named),
            false => Ok(()),
        })
    }

    /// Read what was submitted last.
    fn drain(&mut self, run: &mut Run) -> Result<()> {
        let last = run.in_flight.take();
        self.read(run, last)
    }

    fn read(&mut self, run: &mut Run, step: Option<InFlight>) -> Result<()> {
        let Some(step) = step else {
            return Ok(());
        };
        let values = self.session.read(step.pending)?;
        let compiled = match step.gradients {
            true => &self.observed,
            false => &self.train,
        };
        let layout = match compiled {
            Some(compiled) => lock_layout(&compiled.layout),
            None => return Err(missing()),
        };
        let mut values = layout.read(values);
        if step.gradients {
            let gradients = std::mem::take(&mut values.gradients);
            self.hand_out(step.step + 1 - run.before, gradients)?;
        }
        let loss = values.loss;
        let batch = run.at.read;
        (run.at.read, run.at.rate) = (batch + 1, step.learning_rate);
        self.emit(|c, e| c.on_loss(e, batch, loss))?;
        if !loss.is_finite() {
            if self.control.should_training_stop {
                run.broken = true;
                return Ok(());
            }
            return Err(self.diverged(step.step, loss as f32, step.learning_rate));
        }
        for sums in [
            &mut run.at.of_epoch,
            &mut run.at.since_log,
            &mut run.at.of_run,
        ] {
            sums.add(step.samples, &values);
        }
        if step.step != self.session.updates() {
            run.at.grad_norm = values.norm.or(run.at.grad_norm);
        }
        self.state.loss = run.at.of_epoch.loss();
        self.state.accuracy = run.at.of_epoch.accuracy();
        let new = run.at.of_epoch.samples - run.samples.0;
        self.state.samples_per_second = new as f64 / run.epoch_started.elapsed().as_secs_f64();
        Ok(())
    }

    fn diverged(&self, step: u64, loss: f32, learning_rate: f64) -> Error {
        Error::Diverged {
            step,
            learning_rate,
            loss,
            kept: self.kept.clone(),
        }
    }

    fn log_and_evaluate(&mut self, run: &mut Run) -> Result<()> {
        let control = &mut self.control;
        let log = std::mem::take(&mut control.should_log);
        let evaluate = std::mem::take(&mut control.should_evaluate);
        let step = self.state.global_step;
        if log && run.at.since_log.batches > 0 && run.at.logged != step {
            run.at.logged = step;
            let mut logs = std::mem::take(&mut run.at.since_log).means();
            logs.set("learning_rate", run.at.rate);
            if let Some(norm) = run.at.grad_norm {
                logs.set("grad_norm", norm);
            }
            let logs = self.log(logs)?;
            self.history.push_steps(&logs);
        }
        if evaluate && run.at.evaluated != Some(step) {
            run.at.evaluated = Some(step);
            return self.evaluate_in(run);
        }
        Ok(())
    }

    /// Keep numbers, with where the training is, in the log.
    fn log(&mut self, mut logs: Logs) -> Result<Logs> {
        logs.set("epoch", self.state.epoch);
        logs.set("step", self.state.global_step as f64);
        self.emit(|c, e| c.on_log(e, &mut logs))?;
        self.state.log_history.push(logs.clone());
        Ok(logs)
    }

    /// Evaluate the held-out data, if there are such.
    fn evaluate_in(&mut self, run: &mut Run) -> Result<()> {
        let Some((valid, feed)) = &run.fed else {
            return Ok(());
        };
        let metrics = self.evaluate_loader(valid, feed, "eval_")?.metrics;
        let loss = metrics.get("eval_loss").unwrap_or(f64::NAN);
        if !loss.is_finite() {
            self.emit(|c, e| c.on_loss(e, run.at.read, loss))?;
            if !self.control.should_training_stop {
                let rate = self.session.learning_rate();
                return Err(self.diverged(self.session.updates(), loss as f32, rate));
            }
            run.broken = true;
            return Ok(());
        }
        self.observe(&metrics)?;
        let name = self.args.best_metric();
        if let Some(value) = metrics.get(&name).filter(|v| !v.is_nan()) {
            let larger = self.args.larger_is_better();
            let best = self.state.best_metric.is_none_or(|best| match larger {
                true => value > best,
                false => value < best,
            });
            if best {
                self.state.best_metric = Some(value);
                self.state.best_global_step = Some(self.state.global_step);
                self.control.should_save |= self.args.save_strategy == SaveStrategy::Best;
            }
        }
        let metrics = self.log(metrics)?;
        self.history.push_evaluation(&metrics);
        self.emit(|c, e| c.on_evaluate(e, &metrics))?;
        run.evaluation = Some(metrics);
        Ok(())
    }

    /// Reduce the learning rates where held-out data ask for it.
    fn observe(&mut self, metrics: &Logs) -> Result<()> {
        let name = self.plateau_metric();
        let Pace::Plateau(plateau) = &mut self.pace else {
            return Ok(());
        };
        let metric = metrics.get(&name).unwrap_or(f64::NAN);
        if plateau.observe(metric) {
            for (group, rate) in self.session.rates() {
                self.session
                    .set_learning_rate_of(group, plateau.reduced(rate));
            }
        }
        Ok(())
    }

    /// The metric that the plateau looks at.
    pub(super) fn plateau_metric(&self) -> String {
        match &self.pace {
            Pace::Plateau(plateau)
                if plateau.mode == PlateauMode::Max
                    && self.args.metric_for_best_model.is_none() =>
            {
                "eval_accuracy".to_owned()
            }
            _ => self.args.best_metric(),
        }
    }

    /// The history's line of a pass.
    fn push_epoch(&mut self, run: &mut Run) {
        let sums = std::mem::take(&mut run.at.of_epoch);
        if sums.batches == 0 {
            return;
        }
        let mut row = sums.means();
        for (name, value) in run.evaluation.take().iter().flat_map(Logs::iter) {
            let timing = ["runtime", "_per_second"];
            if let Some(bare) = name.strip_prefix("eval_")
                && !timing.iter().any(|t| bare.ends_with(t))
            {
                row.set(format!("val_{bare}"), value);
            }
        }
        let seconds = run.epoch_started.elapsed().as_secs_f64();
        row.extend(Logs::from([
            ("epoch", self.state.epoch),
            ("epoch_time", seconds),
            (
                "samples_per_second",
                (sums.samples - run.samples.0) as f64 / seconds,
            ),
            ("learning_rate", run.at.rate),
            ("step", self.state.global_step as f64),
        ]));
        self.history.push_epoch(&row);
    }

    fn save_if_asked(&mut self, run: &mut Run) -> Result<()> {
        if !std::mem::take(&mut self.control.should_save) || run.broken {
            return Ok(());
        }
        self.save_checkpoint(run).map(|_| ())
    }

    fn finish(&mut self, run: &mut Run) -> Result<()> {
        let seconds = run.started.elapsed().as_secs_f64();
        let sums = run.at.of_run;
        let rate = |n: f64| n / seconds;
        let best = self.state.best_model_checkpoint.clone();
        if let Some(best) = best.filter(|_| self.args.load_best_model_at_end) {
            self.session.load(best.join(checkpoints::MODEL))?;
            run.broken = false;
        }
        self.log(Logs::from([
            ("train_loss", sums.loss()),
            ("train_runtime", seconds),
            (
                "train_samples_per_second",
                rate((sums.samples - run.samples.1) as f64),
            ),
            (
                "train_steps_per_second",
                rate((self.state.global_step - run.steps_before) as f64),
            ),
        ]))?;
        self.emit(|c, e| c.on_train_end(e))?;
        self.write_results(!run.broken, run.valid.as_ref())
    }
}

fn missing() -> Error {
    Error::argument("the training function is not compiled")
}
