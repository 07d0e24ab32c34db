//! What a training measures: logs, evaluations, the best of them, the history.

use super::Logs;
use super::args::SaveStrategy;
use super::run::Run;
use super::trainer::{Pace, Trainer};
use crate::error::Result;
use crate::optim::PlateauMode;

impl Trainer<'_> {
    /// Log and evaluate where that is asked for. Either may ask for the other; both come once an update at most.
    pub(super) fn carry_out(&mut self, run: &mut Run) -> Result<()> {
        while !run.broken && (self.control.should_log || self.control.should_evaluate) {
            if std::mem::take(&mut self.control.should_log) {
                self.log_means(run)?;
            }
            if std::mem::take(&mut self.control.should_evaluate) {
                self.evaluate_after(run)?;
            }
        }
        Ok(())
    }

    fn log_means(&mut self, run: &mut Run) -> Result<()> {
        let step = self.state.global_step;
        if run.at.since_log.batches == 0 || run.at.logged == step {
            return Ok(());
        }
        run.at.logged = step;
        let mut logs = std::mem::take(&mut run.at.since_log).means();
        logs.set("learning_rate", run.at.rate);
        if let Some(norm) = run.at.grad_norm {
            logs.set("grad_norm", norm);
        }
        let logs = self.log(logs)?;
        self.history.push_steps(&logs);
        Ok(())
    }

    fn evaluate_after(&mut self, run: &mut Run) -> Result<()> {
        let step = self.state.global_step;
        match run.at.evaluated.replace(step) == Some(step) {
            true => Ok(()),
            false => self.evaluate_in(run, true),
        }
    }

    /// The evaluation before the first update. As in Hugging Face's trainer the plateau does not count it.
    pub(super) fn evaluate_at_start(&mut self, run: &mut Run) -> Result<()> {
        run.at.evaluated = Some(self.state.global_step);
        self.evaluate_in(run, false)?;
        // The first pass has those that come in it.
        run.at.evaluation = None;
        Ok(())
    }

    /// Keep numbers, with where the training is, in the log.
    pub(super) fn log(&mut self, mut logs: Logs) -> Result<Logs> {
        logs.set("epoch", self.state.epoch);
        logs.set("step", self.state.global_step as f64);
        self.emit(|c, e| c.on_log(e, &mut logs))?;
        self.emit(|c, e| c.on_logged(e, &logs))?;
        self.state.log_history.push(logs.clone());
        Ok(logs)
    }

    /// Evaluate the held-out data, if there are such.
    fn evaluate_in(&mut self, run: &mut Run, counts: bool) -> Result<()> {
        let Some((valid, feed)) = &run.fed else {
            return Ok(());
        };
        let metrics = self.evaluate_loader(valid, feed, "eval_")?.metrics;
        let loss = metrics.get("eval_loss").unwrap_or(f64::NAN);
        if !loss.is_finite() {
            run.broken = true;
            if self.tell_loss(run.at.read, loss)? {
                return Ok(());
            }
            let rate = self.session.learning_rate_of(self.minimize.first_group);
            return Err(self.diverged(self.session.updates(), loss as f32, rate));
        }
        if counts {
            self.observe(&metrics)?;
        }
        self.note_best(&metrics);
        let metrics = self.log(metrics)?;
        self.history.push_evaluation(&metrics);
        self.emit(|c, e| c.on_evaluate(e, &metrics))?;
        run.at.evaluation = Some(metrics);
        Ok(())
    }

    /// Take note of an evaluation that is the best so far, which has a checkpoint where one is to be gone back to.
    fn note_best(&mut self, metrics: &Logs) {
        let Some(value) = metrics.get(&self.args.best_metric()) else {
            return;
        };
        let best = match (self.state.best_metric, self.args.larger_is_better()) {
            (best, true) => value > best.unwrap_or(f64::NEG_INFINITY),
            (best, false) => value < best.unwrap_or(f64::INFINITY),
        };
        if best {
            self.state.best_metric = Some(value);
            self.state.best_global_step = Some(self.state.global_step);
            let args = &self.args;
            self.control.should_save |=
                args.save_strategy == SaveStrategy::Best || args.load_best_model_at_end;
        }
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
    pub(super) fn push_epoch(&mut self, run: &mut Run) {
        let sums = std::mem::take(&mut run.at.of_epoch);
        let evaluation = run.at.evaluation.take();
        if sums.batches == 0 {
            return;
        }
        let mut row = sums.means();
        for (name, value) in evaluation.iter().flat_map(Logs::iter) {
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
}
