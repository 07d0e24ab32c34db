//! What comes before the training loop: loaders, functions, where it begins.

use super::args::{IntervalStrategy, Intervals};
use super::checkpoints::Saved;
use super::console::ProgressBar;
use super::interrupt::Guard;
use super::on_device::Feed;
use super::run::{Position, Run};
use super::task::types_of;
use super::trainer::{Pace, Source, Trainer};
use super::{History, Progress, Summary};
use crate::data::{self, DataLoader};
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::time::Instant;

impl Trainer<'_> {
    /// Train on `train` and evaluate on `valid`, as [`TrainingArguments`](super::TrainingArguments) say. `valid` may be a
    /// [`ValidationSplit`](super::ValidationSplit) of `train`; `()` is for no held-out data: there is then
    /// no evaluation.
    ///
    /// In `output_dir` there are then the checkpoints, `model.safetensors`, `history.json`, the page `report.html`, and its
    /// pictures: `curves`, and for classifiers `confusion_matrix`, both as `.svg` and `.png`, and for images `mistakes.png`.
    /// After an error there is the page, and what was saved until then.
    ///
    /// # Errors
    /// Arguments or data that do not fit; a checkpoint that is broken or another training's; [`Error::Diverged`] where a loss
    /// becomes NaN or infinite: the checkpoints stay; [`Error::Interrupted`] after Ctrl-C, once the step is finished and a
    /// checkpoint written.
    pub fn fit(&mut self, train: impl Source, valid: impl Source) -> Result<History> {
        self.check()?;
        let loader = train.loader(self.loader_options())?;
        let mut loader = loader.ok_or_else(|| Error::argument("no data to train on"))?;
        let split = valid.split();
        self.split_seed = split.map(|s| s.seed_or(self.args.seed));
        let valid = match split {
            Some(split) => {
                let parts = split.of(&loader, self.args.seed, self.eval_options())?;
                loader = parts.0;
                Some(parts.1)
            }
            None => self.eval_loader(valid)?,
        };
        let strategy = self.args.eval_strategy;
        if valid.is_none() {
            self.go_without_evaluations()?;
        }
        let result = self.fit_to(loader, valid);
        self.args.eval_strategy = strategy;
        result?;
        Ok(self.history.clone())
    }

    /// Have no evaluation, for the time of a training without held-out data, where that is nothing that was asked for.
    fn go_without_evaluations(&mut self) -> Result<()> {
        let without = |what: &str, otherwise: &str| {
            Err(Error::argument(format!(
                "{what} without data to evaluate on: pass some, or set {otherwise}"
            )))
        };
        if self.args.eval_on_start {
            return without("eval_on_start", "it to false");
        }
        let strategy = self.args.eval_strategy;
        match strategy {
            IntervalStrategy::No => return Ok(()),
            IntervalStrategy::Steps => {
                return without("eval_strategy Steps", "eval_strategy to No");
            }
            IntervalStrategy::Epoch => self.args.eval_strategy = IntervalStrategy::No,
        }
        // What needs evaluations says so.
        self.check().map_err(|error| {
            self.args.eval_strategy = strategy;
            Error::argument(format!("{error}, as there are no held-out data: pass some"))
        })
    }

    fn fit_to(&mut self, loader: DataLoader, valid: Option<DataLoader>) -> Result<()> {
        let placed = self.place_data(&loader, valid.as_ref())?;
        let result = self.fit_on(loader, valid, placed);
        let released = self.release_data();
        result.and(released)
    }

    fn fit_on(
        &mut self,
        loader: DataLoader,
        valid: Option<DataLoader>,
        placed: [Option<(DataLoader, Feed)>; 2],
    ) -> Result<()> {
        let [train, held_out] = placed;
        let (loader, feed) = train.unwrap_or((loader, Feed::default()));
        let fed = held_out.or_else(|| Some((valid.clone()?, Feed::default())));
        self.compile(&types_of(&loader.first()?), &feed)?;
        let function = self.train.as_ref().map(|c| &c.function);
        self.table = Some(Summary::new(self.session, function));
        let intervals = self.args.intervals(loader.len())?;
        if intervals.max_steps >= intervals.updates_per_epoch {
            self.check_last_batch(&loader)?;
        }
        let schedule = self.args.schedule(&intervals)?;
        if let Some((valid, feed)) = &fed {
            self.check_metrics(valid, feed)?;
        }
        let saved = self.checkpoint_to_resume()?;
        self.prepare_folder(saved.is_some())?;
        let console = (self.args.progress != Progress::Silent).then(|| {
            self.callbacks
                .push(Box::new(ProgressBar::new(self.args.progress)))
        });
        let started = self.start(loader, intervals, saved);
        let result = started.and_then(|run| {
            let result = self.run(&mut Run {
                valid,
                fed,
                schedule,
                ..run
            });
            result.inspect_err(|error| self.write_failure(error))
        });
        if console.is_some() {
            self.callbacks.pop();
        }
        result
    }

    /// Check that the model can train on the last batch of an epoch where that is smaller than the others.
    fn check_last_batch(&mut self, loader: &DataLoader) -> Result<()> {
        let (all, size) = (loader.order(0).len(), loader.options().batch_size);
        let left = all % size;
        if left == 0 || loader.len() < 2 || loader.options().drop_last {
            return Ok(());
        }
        let last = data::Position {
            epoch: 0,
            batch: loader.len() - 1,
        };
        let Some(batch) = loader.resume(last).next().transpose()? else {
            return Ok(());
        };
        let Some(compiled) = &self.train else {
            return Ok(());
        };
        let checked = self
            .session
            .check_inputs(&compiled.function, &types_of(&batch));
        checked.map_err(|error| {
            Error::argument(format!(
                "the last batch of an epoch has {left} of {all} samples, the others {size}, and the model cannot train on it: \
                 {error}; leave it out with dataloader_drop_last (of a DataLoader of your own: drop_last), or take another \
                 train_batch_size"
            ))
        })
    }

    /// Where a training on `loader` begins.
    fn start(
        &mut self,
        loader: DataLoader,
        intervals: Intervals,
        saved: Option<(PathBuf, Saved)>,
    ) -> Result<Run> {
        let mut at = Position::default();
        (self.state, self.control) = Default::default();
        self.history = History::default();
        self.kept.clear();
        if let Pace::Plateau(plateau) = &mut self.pace {
            plateau.set_counts((None, 0, 0));
        }
        self.callbacks.iter_mut().for_each(|c| c.reset());
        let mut before = self.session.updates();
        self.session.clear_accumulated();
        for (group, rate) in self.minimize.rates(self.rule().as_ref()) {
            self.session.set_learning_rate_of(group, rate);
        }
        if let Some((folder, saved)) = saved {
            at = self.go_on(&folder, saved, &loader)?;
            before = self.session.updates() - self.state.global_step;
        }
        let whole = intervals.updates_per_epoch as f64;
        self.state.max_steps = intervals.max_steps;
        self.state.num_train_epochs = intervals.max_steps as f64 / whole;
        self.state.train_samples = loader.dataset().len();
        Ok(Run {
            samples: (at.of_epoch.samples, at.of_run.samples),
            steps_before: self.state.global_step,
            loader,
            valid: None,
            fed: None,
            intervals,
            schedule: None,
            guard: Guard::new(),
            at,
            in_flight: None,
            before,
            started: Instant::now(),
            epoch_started: Instant::now(),
            broken: false,
        })
    }
}
