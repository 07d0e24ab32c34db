//! The training loop.

use super::Logs;
use super::args::{IntervalStrategy, Intervals, SaveStrategy};
use super::interrupt::Guard;
use super::on_device::Feed;
use super::task::{Sums, lock_layout, samples, types_of};
use super::trainer::{Pace, Trainer};
use crate::array::Array;
use crate::data::{self, DataLoader};
use crate::error::{Error, Result};
use crate::glob;
use crate::optim::Schedule;
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
    pub read: u64,
    pub of_epoch: Sums,
    pub since_log: Sums,
    pub of_run: Sums,
    pub grad_norm: Option<f64>,
    /// Learning rate of the last batch.
    pub rate: f64,
    pub logged: u64,
    pub evaluated: Option<u64>,
    /// Metrics of the last evaluation in this pass.
    #[serde(default)]
    pub evaluation: Option<Logs>,
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
        let begins = (run.at.epoch, run.at.batch, run.at.evaluated) == (0, 0, None);
        if self.args.eval_on_start && begins {
            self.evaluate_at_start(run)?;
            self.save_if_asked(run)?;
        }
        while !run.broken && (run.at.batch > 0 || self.goes_on(run)) {
            self.epoch(run)?;
        }
        self.finish(run)
    }

    /// Whether there is another update.
    fn updates_on(&self, run: &Run) -> bool {
        self.state.global_step < run.intervals.max_steps && !self.control.should_training_stop
    }

    /// Whether another pass begins.
    fn goes_on(&self, run: &Run) -> bool {
        self.updates_on(run) && run.at.epoch < run.intervals.passes()
    }

    /// A pass, or what is left of one.
    fn epoch(&mut self, run: &mut Run) -> Result<()> {
        let first = run.at.batch;
        run.epoch_started = Instant::now();
        run.samples.0 = run.at.of_epoch.samples;
        if first == 0 {
            self.session.clear_accumulated();
            self.control.should_epoch_stop = false;
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
            if self.control.should_epoch_stop || !self.updates_on(run) {
                break;
            }
            self.step(run, &batch?)?;
        }
        self.drain(run)?;
        if run.broken {
            return Ok(());
        }
        let cut = run.at.batch < run.loader.len();
        // Where the training ends in the middle of a pass, what comes now belongs to this end alone: a checkpoint goes on from
        // before it, with the next batch.
        let ends_within = cut && !self.control.should_epoch_stop;
        let before = match ends_within {
            true => self.snapshot(run)?,
            false => None,
        };
        if !cut {
            self.state.epoch = (epoch + 1) as f64;
        }
        (run.at.epoch, run.at.batch) = (epoch + 1, 0);
        let args = &self.args;
        self.control.should_log |= args.logging_strategy == IntervalStrategy::Epoch;
        self.control.should_evaluate |=
            args.eval_strategy == IntervalStrategy::Epoch && self.state.epoch >= args.eval_delay;
        self.control.should_save |= args.save_strategy == SaveStrategy::Epoch;
        self.emit(|c, e| c.on_epoch_end(e))?;
        self.carry_out(run)?;
        self.push_epoch(run);
        if !ends_within {
            return self.save_if_asked(run);
        }
        let save = std::mem::take(&mut self.control.should_save) && !run.broken;
        match before.filter(|_| save) {
            Some(before) => self.write_checkpoint(before).map(drop),
            None => Ok(()),
        }
    }

    /// One batch.
    fn step(&mut self, run: &mut Run, batch: &[Array]) -> Result<()> {
        let first_group = self.minimize.first_group;
        if self.session.accumulated_of(first_group) == 0 {
            self.emit(|c, e| c.on_step_begin(e))?;
        }
        let last = run.at.batch + 1 == run.loader.len();
        if last {
            self.session.apply_next();
        }
        self.set_rates(run);
        let inputs: Vec<&Array> = batch.iter().collect();
        let (step, learning_rate) = (
            self.session.updates(),
            self.session.learning_rate_of(first_group),
        );
        let accumulated = self.session.accumulated_of(first_group) as usize;
        let whole = accumulated + 1 >= self.minimize.micro_steps;
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
            self.carry_out(run)?;
            self.save_if_asked(run)?;
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
        let patterns = &self.minimize.parameters;
        let meant =
            |path: &str| patterns.is_empty() || patterns.iter().any(|p| glob::matches(p, path));
        params.retain(|s| s.kind == StateKind::Parameter && s.trainable && meant(&s.path));
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
        let ends = self.tell_loss(batch, loss)?;
        if !loss.is_finite() {
            run.broken = true;
            return match ends {
                true => Ok(()),
                false => Err(self.diverged(step.step, loss as f32, step.learning_rate)),
            };
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

    /// Have callbacks take note of a loss, and whether one of them ends the training for it.
    pub(super) fn tell_loss(&mut self, batch: u64, loss: f64) -> Result<bool> {
        let before = std::mem::take(&mut self.control.should_training_stop);
        self.emit(|c, e| c.on_loss(e, batch, loss))?;
        let ends = self.control.should_training_stop;
        self.control.should_training_stop |= before;
        Ok(ends)
    }

    pub(super) fn diverged(&self, step: u64, loss: f32, learning_rate: f64) -> Error {
        Error::Diverged {
            step,
            learning_rate,
            loss,
            kept: self.kept.clone(),
        }
    }

    fn save_if_asked(&mut self, run: &mut Run) -> Result<()> {
        if !std::mem::take(&mut self.control.should_save) || run.broken {
            return Ok(());
        }
        self.save_checkpoint(run).map(|_| ())
    }
}

fn missing() -> Error {
    Error::argument("the training function is not compiled")
}
