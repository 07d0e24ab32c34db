//! The end of a training: which weights the model has, what is written.

use super::Logs;
use super::callbacks::averages_of;
use super::checkpoints;
use super::run::Run;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::state::AVERAGE;
use crate::weights::Reader;
use std::path::Path;

impl Trainer<'_> {
    pub(super) fn finish(&mut self, run: &mut Run) -> Result<()> {
        let seconds = run.started.elapsed().as_secs_f64();
        let sums = run.at.of_run;
        let rate = |n: f64| n / seconds;
        run.broken &= !self.restore_weights()?;
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

    /// Have the model be that of the best evaluation where that is asked for, and its averages stand for its weights where
    /// that is; whether its weights are those of an earlier time.
    fn restore_weights(&mut self) -> Result<bool> {
        let best = self.state.best_model_checkpoint.clone();
        let best = best.filter(|_| self.args.load_best_model_at_end);
        let measured = self.state.best_global_step;
        if let (None, true, Some(step)) = (&best, self.args.load_best_model_at_end, measured) {
            return Err(Error::argument(format!(
                "load_best_model_at_end: the best evaluation, after step {step}, has no checkpoint any more: it was removed when a \
                 later one was better, from before which this training has gone on{}",
                self.kept
            )));
        }
        let mut restored = best.is_some();
        if let Some(best) = best {
            self.session.load(best.join(checkpoints::MODEL))?;
            self.load_averages(&best.join(checkpoints::OPTIMIZER))?;
        }
        self.emit(|c, e| {
            restored |= c.restore_weights(e)?;
            Ok(())
        })?;
        if self.callbacks.iter().any(|c| c.swaps_averages()) {
            self.swap_averages()?;
        }
        Ok(restored)
    }

    /// Have the averages of weights be those that an optimizer's file holds.
    fn load_averages(&mut self, path: &Path) -> Result<()> {
        let averages = averages_of(self.session);
        if averages.is_empty() {
            return Ok(());
        }
        let file = Reader::open(path)?;
        for state in averages {
            // A parameter that was frozen then had none.
            if file.shape(&state.path) == Some(&state.shape) {
                self.session.set(&state.path, &file.read(&state.path)?)?;
            }
        }
        Ok(())
    }

    fn swap_averages(&mut self) -> Result<()> {
        let averages = averages_of(self.session);
        let values = self.session.get_all(&averages)?;
        for (state, value) in averages.iter().zip(&values) {
            let path = state.path.strip_prefix(AVERAGE).unwrap_or_default();
            self.session.set(path.trim_start_matches('/'), value)?;
        }
        Ok(())
    }
}
