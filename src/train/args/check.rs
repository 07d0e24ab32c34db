//! What arguments cannot be, said before anything is trained.

use super::{
    BETAS, EPSILON, IntervalStrategy, LEARNING_RATE, Resume, SaveStrategy, SchedulerType,
    TrainingArguments,
};
use crate::error::{Error, Result};

fn refuse<T>(message: String) -> Result<T> {
    Err(Error::argument(message))
}

impl TrainingArguments {
    /// Check what does not depend on data.
    ///
    /// # Errors
    /// [`Error::Argument`] for numbers out of range and for combinations that cannot work, which it names.
    pub fn check(&self) -> Result<()> {
        let (epochs, warmup) = (self.num_train_epochs, self.warmup_steps);
        if self.max_steps.is_none() && !(epochs > 0.0 && epochs.is_finite()) {
            return refuse(format!("num_train_epochs {epochs}: takes more than 0"));
        }
        if self.max_steps == Some(0) {
            return refuse("max_steps 0: takes 1 or more".into());
        }
        for (name, x) in [
            ("train_batch_size", self.train_batch_size),
            ("eval_batch_size", self.eval_batch_size.unwrap_or(1)),
            ("save_total_limit", self.save_total_limit.unwrap_or(1)),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps,
            ),
        ] {
            if x == 0 {
                return refuse(format!("{name} 0: takes 1 or more"));
            }
        }
        if !(self.learning_rate >= 0.0 && self.learning_rate.is_finite()) {
            let rate = self.learning_rate;
            return refuse(format!("learning_rate {rate}: takes 0 or more"));
        }
        self.check_numbers()?;
        if let Some(norm) = self.max_grad_norm.filter(|n| n.is_nan() || *n <= 0.0) {
            return refuse(format!(
                "max_grad_norm {norm}: takes more than 0, or None for gradients as they are"
            ));
        }
        if warmup != 0.0 {
            interval("warmup_steps", warmup)?;
        }
        if self.logging_strategy == IntervalStrategy::Steps {
            interval("logging_steps", self.logging_steps)?;
        }
        if self.eval_strategy == IntervalStrategy::Steps {
            interval("eval_steps", self.eval_steps.unwrap_or(self.logging_steps))?;
        }
        if self.save_strategy == SaveStrategy::Steps {
            interval("save_steps", self.save_steps)?;
        }
        self.check_best()?;
        self.check_folder()
    }

    fn check_numbers(&self) -> Result<()> {
        for (name, x) in [
            ("adam_beta1", self.adam_beta1),
            ("adam_beta2", self.adam_beta2),
        ] {
            if !(0.0..1.0).contains(&x) {
                return refuse(format!("{name} {x}: takes 0 or more and below 1"));
            }
        }
        let (epsilon, smoothing) = (self.adam_epsilon, self.label_smoothing_factor);
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return refuse(format!("adam_epsilon {epsilon}: takes 0 or more"));
        }
        if !(0.0..=1.0).contains(&smoothing) {
            return refuse(format!("label_smoothing_factor {smoothing}: takes 0 to 1"));
        }
        match self.dataloader_prefetch_factor {
            Some(0) => return refuse("dataloader_prefetch_factor 0: takes 1 or more".into()),
            Some(n) if self.dataloader_num_workers == 0 => {
                return refuse(format!(
                    "dataloader_prefetch_factor {n} with dataloader_num_workers 0: there is no thread to make batches ahead"
                ));
            }
            _ => {}
        }
        let delay = self.eval_delay;
        if !(delay >= 0.0 && delay.is_finite()) {
            return refuse(format!("eval_delay {delay}: takes 0 or more"));
        }
        if delay > 0.0 && self.eval_on_start {
            return refuse(format!(
                "eval_delay {delay} and eval_on_start: set one of them"
            ));
        }
        if delay > 0.0 && self.eval_strategy == IntervalStrategy::No {
            return refuse(format!("eval_delay {delay}: eval_strategy is No"));
        }
        match self.lr_scheduler_type {
            SchedulerType::ConstantWithWarmup if self.warmup_steps == 0.0 => {
                refuse("lr_scheduler_type ConstantWithWarmup without warmup_steps".into())
            }
            _ => Ok(()),
        }
    }

    fn check_best(&self) -> Result<()> {
        let evaluates = self.eval_strategy != IntervalStrategy::No;
        if self.save_strategy == SaveStrategy::Best && !evaluates {
            return refuse("save_strategy Best needs evaluations: eval_strategy is No".into());
        }
        if !self.load_best_model_at_end {
            return Ok(());
        }
        if self.output_dir.is_none() {
            return refuse(
                "load_best_model_at_end needs checkpoints: set output_dir, or use EarlyStopping with \
                 restore_best_weights"
                    .into(),
            );
        }
        let matching = match (self.eval_strategy, self.save_strategy) {
            (IntervalStrategy::No, _) => {
                return refuse(
                    "load_best_model_at_end needs evaluations: eval_strategy is No".into(),
                );
            }
            (_, SaveStrategy::Best) => true,
            (IntervalStrategy::Epoch, save) => save == SaveStrategy::Epoch,
            (IntervalStrategy::Steps, save) => save == SaveStrategy::Steps,
        };
        if !matching {
            return refuse(format!(
                "load_best_model_at_end needs a checkpoint at each evaluation: eval_strategy is {:?}, save_strategy {:?}; \
                 set both the same, or save_strategy to Best",
                self.eval_strategy, self.save_strategy
            ));
        }
        if self.save_strategy == SaveStrategy::Steps {
            let eval = self.eval_steps.unwrap_or(self.logging_steps);
            let save = self.save_steps;
            if (eval < 1.0) != (save < 1.0) {
                return refuse(format!(
                    "load_best_model_at_end needs eval_steps and save_steps both as numbers of steps or both as parts of \
                     the run: they are {eval} and {save}"
                ));
            }
            let times = save / eval;
            if (times - times.round()).abs() > 1e-6 || times < 0.5 {
                return refuse(format!(
                    "load_best_model_at_end needs save_steps to be a multiple of eval_steps: {save} is none of {eval}"
                ));
            }
        }
        Ok(())
    }

    fn check_folder(&self) -> Result<()> {
        if self.output_dir.is_some() {
            return Ok(());
        }
        match self.resume_from_checkpoint {
            Resume::Latest | Resume::LatestIfAny => refuse(
                "resume_from_checkpoint looks for checkpoints in output_dir: set it, or name the checkpoint with \
                 Resume::From"
                    .into(),
            ),
            _ if self.save_total_limit.is_some() => {
                refuse("save_total_limit without output_dir: no checkpoint is written".into())
            }
            _ => Ok(()),
        }
    }

    /// Check what the learning rate at the start has to do with them.
    pub(in crate::train) fn check_rate(&self, rate: f64) -> Result<()> {
        match self.lr_scheduler_type {
            SchedulerType::Polynomial { lr_end, .. } if lr_end >= rate => refuse(format!(
                "lr_scheduler_type Polynomial with lr_end {lr_end}: takes less than the learning rate {rate}"
            )),
            _ => Ok(()),
        }
    }

    /// Check what the optimizer has to do with these arguments.
    pub(in crate::train) fn check_optimizer(&self, rate_of_optimizer: f64) -> Result<()> {
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        if rate != LEARNING_RATE && rate != rate_of_optimizer {
            return refuse(format!(
                "learning_rate {rate} and an optimizer with the rate {rate_of_optimizer}: set it there alone"
            ));
        }
        if decay != 0.0 {
            return refuse(format!(
                "weight_decay {decay} and an optimizer: set the decay there alone"
            ));
        }
        let betas = (self.adam_beta1, self.adam_beta2);
        if betas != BETAS || self.adam_epsilon != EPSILON {
            return refuse(
                "adam_beta1, adam_beta2 or adam_epsilon, and an optimizer: set them there alone"
                    .into(),
            );
        }
        Ok(())
    }
}

fn interval(name: &str, x: f64) -> Result<()> {
    if !(x > 0.0 && x.is_finite()) || (x > 1.0 && x.fract() != 0.0) {
        return refuse(format!(
            "{name} {x}: takes a whole number of steps, or a part of the run below 1"
        ));
    }
    Ok(())
}
