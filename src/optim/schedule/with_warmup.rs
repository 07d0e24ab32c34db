//! The schedules of Hugging Face's `get_scheduler`: each rises in a line, then takes its course to the last step.

use super::{Schedule, annealed, fault, positive, share, steps};
use crate::error::Result;

impl Schedule {
    /// From 0 to `base` over `warmup_steps`, then `base`, as Hugging Face's `get_constant_schedule_with_warmup`.
    ///
    /// # Errors
    /// No steps.
    pub fn constant_with_warmup(warmup_steps: u64) -> Result<Self> {
        Self::constant().warmup(warmup_steps)
    }

    /// From 0 to `base` over `warmup_steps`, then down to 0 at `total_steps`, as Hugging Face's
    /// `get_linear_schedule_with_warmup`.
    ///
    /// # Errors
    /// No steps after the warm-up.
    pub fn linear_with_warmup(warmup_steps: u64, total_steps: u64) -> Result<Self> {
        let left = after("linear_with_warmup", warmup_steps, total_steps)?;
        Self::polynomial(left, 1.0)?.after_warmup(warmup_steps)
    }

    /// From 0 to `base` over `warmup_steps`, then along half a cosine to 0 at `total_steps`, as Hugging Face's
    /// `get_cosine_schedule_with_warmup`.
    ///
    /// # Errors
    /// No steps after the warm-up.
    pub fn cosine_with_warmup(warmup_steps: u64, total_steps: u64) -> Result<Self> {
        let left = after("cosine_with_warmup", warmup_steps, total_steps)?;
        Self::cosine(left, 0.0)?.after_warmup(warmup_steps)
    }

    /// As [`Schedule::cosine_with_warmup`], down to `min_lr_rate base`, where it stays: Hugging Face's
    /// `get_cosine_with_min_lr_schedule_with_warmup`.
    ///
    /// # Errors
    /// No steps after the warm-up; a `min_lr_rate` that is not from 0 to 1.
    pub fn cosine_with_min_lr(
        warmup_steps: u64,
        total_steps: u64,
        min_lr_rate: f64,
    ) -> Result<Self> {
        let name = "cosine_with_min_lr";
        let left = after(name, warmup_steps, total_steps)?;
        share(name, "min_lr_rate", min_lr_rate)?;
        let course = Self::new(name, move |step, base| {
            annealed(base, min_lr_rate * base, done(step, left))
        });
        course.after_warmup(warmup_steps)
    }

    /// From 0 to `base` over `warmup_steps`, then `num_cycles` half cosines from `base` to 0 until `total_steps`, then 0:
    /// Hugging Face's `get_cosine_with_hard_restarts_schedule_with_warmup`, where `num_cycles` is 1 by default.
    ///
    /// # Errors
    /// No steps after the warm-up, no cycles.
    pub fn cosine_with_restarts(
        warmup_steps: u64,
        total_steps: u64,
        num_cycles: u64,
    ) -> Result<Self> {
        let name = "cosine_with_restarts";
        let left = after(name, warmup_steps, total_steps)?;
        steps(name, "num_cycles", num_cycles)?;
        let course = Self::new(name, move |step, base| {
            if step >= left {
                return 0.0;
            }
            annealed(base, 0.0, (num_cycles as f64 * done(step, left)).fract())
        });
        course.after_warmup(warmup_steps)
    }

    /// From 0 to `base` over `warmup_steps`, then to `lr_end` at `total_steps` along `(1 - progress)^power`, and `lr_end`
    /// after: Hugging Face's `get_polynomial_decay_schedule_with_warmup`, where `lr_end` is 1e-7 and `power` 1 by default.
    ///
    /// # Errors
    /// No steps after the warm-up, a negative `power` or `lr_end`.
    pub fn polynomial_with_warmup(
        warmup_steps: u64,
        total_steps: u64,
        power: f64,
        lr_end: f64,
    ) -> Result<Self> {
        let name = "polynomial_with_warmup";
        let left = after(name, warmup_steps, total_steps)?;
        positive(name, "power", power)?;
        positive(name, "lr_end", lr_end)?;
        let course = Self::new(name, move |step, base| {
            lr_end + (base - lr_end) * (1.0 - done(step, left)).powf(power)
        });
        course.after_warmup(warmup_steps)
    }

    /// From 0 to `base` over `warmup_steps`, then `base sqrt(warmup_steps / step)`: Hugging Face's
    /// `get_inverse_sqrt_schedule`. Without a warm-up the time scale is 10,000 steps.
    pub fn inverse_sqrt(warmup_steps: u64) -> Self {
        let scale = match warmup_steps {
            0 => 10_000.0,
            n => n as f64,
        };
        Self::new("inverse_sqrt", move |step, base| {
            if step < warmup_steps {
                return base * step as f64 / warmup_steps as f64;
            }
            base / ((step as f64 + scale - warmup_steps as f64) / scale).sqrt()
        })
    }

    /// From `min_lr_ratio base` to `base` over `warmup_steps`, then `base`, then along half a cosine to `min_lr_ratio base` over
    /// the last `decay_steps` of `total_steps`: Hugging Face's `get_wsd_schedule`.
    ///
    /// # Errors
    /// No steps to decay in, fewer steps than warm-up and decay take, a `min_lr_ratio` that is not from 0 to 1.
    pub fn warmup_stable_decay(
        warmup_steps: u64,
        decay_steps: u64,
        total_steps: u64,
        min_lr_ratio: f64,
    ) -> Result<Self> {
        let name = "warmup_stable_decay";
        steps(name, "decay_steps", decay_steps)?;
        share(name, "min_lr_ratio", min_lr_ratio)?;
        let Some(stable) = total_steps.checked_sub(warmup_steps + decay_steps) else {
            return Err(fault(
                name,
                format!(
                    "{total_steps} steps of which {warmup_steps} warm up and {decay_steps} decay: takes at least as many"
                ),
            ));
        };
        Ok(Self::new(name, move |step, base| {
            let least = min_lr_ratio * base;
            if step < warmup_steps {
                return least + (base - least) * done(step, warmup_steps);
            }
            let decayed = step.saturating_sub(warmup_steps + stable);
            annealed(base, least, done(decayed, decay_steps))
        }))
    }
}

/// How much of `total` steps is done, 1 at most.
fn done(step: u64, total: u64) -> f64 {
    step.min(total) as f64 / total as f64
}

/// Steps after the warm-up.
fn after(schedule: &str, warmup: u64, total: u64) -> Result<u64> {
    if total > warmup {
        return Ok(total - warmup);
    }
    let message = format!("{total} steps of which {warmup} warm up: takes more steps than that");
    Err(fault(schedule, message))
}
