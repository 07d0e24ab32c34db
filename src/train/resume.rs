//! Checkpoints of a training that runs: what goes into them, how it goes on from them.

use super::args::Resume;
use super::checkpoints::{self, DataState, Saved};
use super::run::{Position, Run};
use super::trainer::{Pace, Trainer};
use crate::data::DataLoader;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

impl Trainer<'_> {
    /// The checkpoint that the training goes on from, if there is one.
    pub(super) fn checkpoint_to_resume(&self) -> Result<Option<(PathBuf, Saved)>> {
        let output = self.args.output_dir.as_deref();
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
        checkpoints::sweep(output)?;
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
        if let (Some(best), Some(output)) =
            (&mut self.state.best_model_checkpoint, &self.args.output_dir)
        {
            *best = output.join(best.file_name().unwrap_or_default());
        }
        self.kept = kept(folder, self.state.epoch);
        Ok(saved.position)
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
    pub(super) fn save_checkpoint(&mut self, run: &mut Run) -> Result<Option<PathBuf>> {
        let Some(output) = self.args.output_dir.clone() else {
            return Ok(None);
        };
        let step = self.state.global_step;
        let folder = checkpoints::folder(&output, step);
        if self.state.best_global_step == Some(step) {
            self.state.best_model_checkpoint = Some(folder.clone());
        }
        let data = self.data_state(&run.loader);
        checkpoints::write(&folder, |files| {
            self.session.save(files.join(checkpoints::MODEL))?;
            self.session
                .save_optimizer(files.join(checkpoints::OPTIMIZER))?;
            let mut saved = Saved::new(
                self.state.clone(),
                run.at.clone(),
                data,
                self.history.clone(),
            );
            if let Pace::Plateau(plateau) = &self.pace {
                saved.plateau = Some(plateau.counts());
            }
            for (name, callback) in names(&self.callbacks).into_iter().zip(&mut self.callbacks) {
                if let Some(state) = callback.state(files)? {
                    saved.callbacks.insert(name, state);
                }
            }
            Ok(saved)
        })?;
        self.kept = kept(&folder, self.state.epoch);
        if let Some(limit) = self.args.save_total_limit {
            let best = self.state.best_model_checkpoint.as_deref();
            checkpoints::prune(&output, limit, best)?;
        }
        self.write_history(&output)?;
        self.emit(|c, e| c.on_save(e, &folder))?;
        Ok(Some(folder))
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
