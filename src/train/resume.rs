//! Checkpoints of a training that runs: what goes into them, how it goes on from them.

use super::args::Resume;
use super::callback::TrainerControl;
use super::checkpoints::{self, DataState, Draft, Saved};
use super::run::{Position, Run};
use super::trainer::{Pace, Trainer};
use crate::data::DataLoader;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Where a training is, for a checkpoint.
pub(super) struct Snapshot {
    draft: Draft,
    /// The learning rates of then: what is measured later may change them.
    rates: Vec<(usize, f64)>,
}

impl Trainer<'_> {
    /// The checkpoint that the training goes on from, if there is one.
    pub(super) fn checkpoint_to_resume(&self) -> Result<Option<(PathBuf, Saved)>> {
        let output = self.args.output_dir.as_deref();
        output.map_or(Ok(()), checkpoints::sweep)?;
        let newest = || output.map_or(Ok(None), checkpoints::newest);
        match &self.args.resume_from_checkpoint {
            Resume::No => Ok(None),
            Resume::From(path) => Ok(Some((path.clone(), checkpoints::read(path)?))),
            Resume::LatestIfAny => newest(),
            Resume::Latest => newest()?.map(Some).ok_or_else(|| {
                let output = output.unwrap_or(Path::new("")).display();
                Error::argument(format!("resume_from_checkpoint: no checkpoint in {output}"))
            }),
        }
    }

    pub(super) fn prepare_folder(&self, resumes: bool) -> Result<()> {
        let Some(output) = &self.args.output_dir else {
            return Ok(());
        };
        std::fs::create_dir_all(output).map_err(|e| Error::io(output, e))?;
        if resumes {
            return Ok(());
        }
        if self.args.overwrite_output_dir {
            return checkpoints::remove_all(output);
        }
        match checkpoints::list(output)?.last() {
            None => Ok(()),
            Some((_, path)) => Err(Error::argument(format!(
                "{} is there from a training before: go on from it with resume_from_checkpoint, set \
                 overwrite_output_dir, or take another output_dir",
                path.display()
            ))),
        }
    }

    /// Have everything be as it was when `saved` was written, and say where that was.
    pub(super) fn go_on(
        &mut self,
        folder: &Path,
        saved: Saved,
        loader: &DataLoader,
    ) -> Result<Position> {
        saved.check(folder, self.data_state(loader))?;
        let best = self.best_of(folder, &saved)?;
        self.session.load(folder.join(checkpoints::MODEL))?;
        self.session
            .load_optimizer(folder.join(checkpoints::OPTIMIZER))?;
        let (step, updates) = (saved.state.global_step, self.session.updates());
        if step > updates {
            let message =
                format!("the training is after step {step}, its optimizer after {updates}");
            return Err(Error::file(folder.join(checkpoints::STATE), None, message));
        }
        for (name, callback) in names(&self.callbacks).into_iter().zip(&mut self.callbacks) {
            if let Some(state) = saved.callbacks.get(&name) {
                callback.load_state(state, folder)?;
            }
        }
        if let (Pace::Plateau(plateau), Some(counts)) = (&mut self.pace, saved.plateau) {
            plateau.set_counts(counts);
        }
        (self.state, self.history) = (saved.state, saved.history);
        self.state.best_model_checkpoint = best;
        self.control = TrainerControl {
            should_training_stop: false,
            ..saved.control
        };
        self.kept = kept(folder, self.state.epoch);
        Ok(saved.position)
    }

    /// Where the best checkpoint of the training is that `saved`, of `folder`, is a part of: beside it, where it was, or in
    /// `output_dir`.
    fn best_of(&self, folder: &Path, saved: &Saved) -> Result<Option<PathBuf>> {
        let Some(was) = &saved.state.best_model_checkpoint else {
            return Ok(None);
        };
        if saved.state.best_global_step == Some(saved.state.global_step) {
            return Ok(Some(self.in_output(folder.to_owned())));
        }
        let name = was.file_name().unwrap_or_default();
        let output = self.args.output_dir.as_deref();
        let beside = folder.parent().map(|parent| parent.join(name));
        let places = [beside, Some(was.clone()), output.map(|o| o.join(name))];
        let mut places = places.into_iter().flatten();
        let found = places.find(|p| p.join(checkpoints::MODEL).exists());
        if !self.args.load_best_model_at_end {
            return Ok(found.map(|path| self.in_output(path)));
        }
        let Some(found) = found else {
            // Where the training that went on from here had a better one, it may not have had room for both.
            let of = &saved.state;
            let parent = folder.parent().filter(|p| !p.as_os_str().is_empty());
            let beside = checkpoints::list(parent.unwrap_or(Path::new(".")))?;
            let replaced = beside.iter().any(|(later, path)| {
                let has_better = |s: Saved| s.state.best_global_step > of.best_global_step;
                *later > of.global_step && checkpoints::read_state(path).is_ok_and(has_better)
            });
            if replaced {
                return Ok(None);
            }
            return Err(Error::argument(format!(
                "load_best_model_at_end: {}, the best checkpoint of the training that {} is of, is not there any more: put it \
                 beside that, or set load_best_model_at_end to false",
                was.display(),
                folder.display()
            )));
        };
        checkpoints::read(&found)?;
        Ok(Some(self.in_output(found)))
    }

    /// The same folder as one of `output_dir`, where it is: that is how it is known there.
    fn in_output(&self, folder: PathBuf) -> PathBuf {
        let own = |output: &PathBuf| Some(output.join(folder.file_name()?));
        let own = self.args.output_dir.as_ref().and_then(own);
        let real = |path: &Path| path.canonicalize().ok();
        match own.filter(|own| real(own).is_some_and(|own| real(&folder) == Some(own))) {
            Some(own) => own,
            None => folder,
        }
    }

    fn data_state(&self, loader: &DataLoader) -> DataState {
        DataState {
            seed: loader.options().seed,
            samples: loader.dataset().len(),
            batch_size: loader.options().batch_size,
            gradient_accumulation_steps: self.args.gradient_accumulation_steps,
            drop_last: loader.options().drop_last,
            split_seed: self.split_seed,
        }
    }

    /// Write a checkpoint, if there is an `output_dir`, and remove old ones.
    pub(super) fn save_checkpoint(&mut self, run: &Run) -> Result<Option<PathBuf>> {
        let Some(snapshot) = self.snapshot(run)? else {
            return Ok(None);
        };
        let asked = self.control;
        let folder = self.write_checkpoint(snapshot)?;
        if self.control != asked {
            checkpoints::amend(&folder, self.control)?;
        }
        Ok(Some(folder))
    }

    /// Where the training is, for a checkpoint, if there is an `output_dir`.
    pub(super) fn snapshot(&mut self, run: &Run) -> Result<Option<Snapshot>> {
        let Some(output) = &self.args.output_dir else {
            return Ok(None);
        };
        let mut state = self.state.clone();
        let folder = checkpoints::folder(output, state.global_step);
        if state.best_global_step == Some(state.global_step) {
            state.best_model_checkpoint = Some(folder.clone());
        }
        let data = self.data_state(&run.loader);
        let mut saved = Saved::new(state, run.at.clone(), data, self.history.clone());
        saved.control = self.control;
        if let Pace::Plateau(plateau) = &self.pace {
            saved.plateau = Some(plateau.counts());
        }
        let draft = Draft::new(folder, |files| {
            for (name, callback) in names(&self.callbacks).into_iter().zip(&mut self.callbacks) {
                if let Some(state) = callback.state(files)? {
                    saved.callbacks.insert(name, state);
                }
            }
            Ok(saved)
        })?;
        Ok(Some(Snapshot {
            draft,
            rates: self.session.rates(),
        }))
    }

    /// Write the checkpoint of a snapshot, after which there was no update, and remove old ones. What callbacks ask for when it is
    /// written is not in it.
    pub(super) fn write_checkpoint(&mut self, snapshot: Snapshot) -> Result<PathBuf> {
        let rates = self.session.rates();
        let before = snapshot.draft.best();
        self.set_all_rates(&snapshot.rates);
        let written = snapshot.draft.write(|files| {
            self.session.save(files.join(checkpoints::MODEL))?;
            self.session
                .save_optimizer(files.join(checkpoints::OPTIMIZER))
        });
        self.set_all_rates(&rates);
        let folder = written?;
        let step = self.state.global_step;
        if self.state.best_global_step == Some(step) {
            self.state.best_model_checkpoint = Some(folder.clone());
        }
        self.kept = kept(&folder, self.state.epoch);
        if let Some(output) = self.args.output_dir.clone() {
            if let Some(limit) = self.args.save_total_limit {
                // One of a training that ended within a pass goes on with the best one of before.
                let best = [&self.state.best_model_checkpoint, &before];
                let best: Vec<&PathBuf> = best.into_iter().flatten().collect();
                checkpoints::prune(&output, limit, step, &best)?;
            }
            self.write_history(&output)?;
        }
        self.emit(|c, e| c.on_save(e, &folder))?;
        Ok(folder)
    }

    fn set_all_rates(&mut self, rates: &[(usize, f64)]) {
        for (group, rate) in rates {
            self.session.set_learning_rate_of(*group, *rate);
        }
    }

    /// Save, and say where.
    pub(super) fn interrupted(&mut self, run: &mut Run) -> Error {
        let step = self.session.updates();
        match self.save_checkpoint(run) {
            Ok(Some(folder)) => Error::Interrupted {
                step,
                kept: format!("the checkpoint is {}", folder.display()),
            },
            Ok(None) => Error::Interrupted {
                step,
                kept: "nothing is saved: there is no output_dir".into(),
            },
            Err(error) => error,
        }
    }
}

/// Names under which checkpoints keep the states of callbacks.
fn names(callbacks: &[Box<dyn super::Callback + '_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for callback in callbacks {
        let name = callback.name();
        let same = names.iter().filter(|n| n.split('#').next() == Some(name));
        names.push(match same.count() {
            0 => name.to_owned(),
            n => format!("{name}#{n}"),
        });
    }
    names
}

/// A clause of messages: where the last checkpoint is.
fn kept(folder: &Path, epoch: f64) -> String {
    format!(
        "; the last good checkpoint, after {} epochs, is {}",
        super::logs::short(epoch),
        folder.display()
    )
}
