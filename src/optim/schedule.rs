//! Learning rates as functions of time, by PyTorch's formulas in closed form.

mod with_warmup;

use crate::error::{Error, Result};
use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

/// A learning rate as a function of time: of the number of updates, or of epochs, counted from 0.
///
/// ```
/// use wgrad::optim::Schedule;
/// # fn main() -> wgrad::Result<()> {
/// let schedule = Schedule::cosine(100, 0.0)?.warmup(10)?;
/// assert_eq!(schedule.at(5, 0.1), 0.05);
/// assert_eq!(schedule.at(10, 0.1), 0.1);
/// assert!(schedule.at(110, 0.1) < 1e-9);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Schedule {
    name: &'static str,
    rate: Arc<dyn Fn(u64, f64) -> f64 + Send + Sync>,
}

impl Schedule {
    fn new(name: &'static str, rate: impl Fn(u64, f64) -> f64 + Send + Sync + 'static) -> Self {
        Self {
            name,
            rate: Arc::new(rate),
        }
    }

    /// The learning rate at `step`, where `base` is that of the optimizer.
    pub fn at(&self, step: u64, base: f64) -> f64 {
        (self.rate)(step, base)
    }

    /// The learning rate of the optimizer.
    pub fn constant() -> Self {
        Self::new("constant", |_, base| base)
    }

    /// `base factor(step)`, as `LambdaLR`.
    pub fn lambda(factor: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        Self::new("lambda", move |step, base| base * factor(step))
    }

    /// Times `gamma` every `step_size` steps, as `StepLR`, where `gamma` is 0.1 by default.
    ///
    /// # Errors
    /// A size of 0, a negative `gamma`.
    pub fn step(step_size: u64, gamma: f64) -> Result<Self> {
        let name = "step";
        steps(name, "step_size", step_size)?;
        positive(name, "gamma", gamma)?;
        Ok(Self::new(name, move |step, base| {
            base * gamma.powf((step / step_size) as f64)
        }))
    }

    /// Times `gamma` at each of `milestones`, as `MultiStepLR`, where `gamma` is 0.1 by default.
    ///
    /// # Errors
    /// No milestones, a negative `gamma`.
    pub fn multi_step(milestones: impl Into<Vec<u64>>, gamma: f64) -> Result<Self> {
        let (name, milestones) = ("multi_step", milestones.into());
        if milestones.is_empty() {
            return Err(fault(name, "no milestones: takes 1 or more"));
        }
        positive(name, "gamma", gamma)?;
        Ok(Self::new(name, move |step, base| {
            let passed = milestones.iter().filter(|m| **m <= step).count();
            base * gamma.powf(passed as f64)
        }))
    }

    /// Times `gamma` every step, as `ExponentialLR`.
    ///
    /// # Errors
    /// A negative `gamma`.
    pub fn exponential(gamma: f64) -> Result<Self> {
        let name = "exponential";
        positive(name, "gamma", gamma)?;
        Ok(Self::new(name, move |step, base| {
            base * gamma.powf(step as f64)
        }))
    }

    /// `factor base` for `total_iters` steps, then `base`, as `ConstantLR`, where these are 1/3 and 5 by default.
    ///
    /// # Errors
    /// A factor that is not from 0 to 1.
    pub fn constant_factor(factor: f64, total_iters: u64) -> Result<Self> {
        let name = "constant_factor";
        share(name, "factor", factor)?;
        Ok(Self::new(name, move |step, base| {
            if step < total_iters {
                base * factor
            } else {
                base
            }
        }))
    }

    /// From `start_factor base` to `end_factor base` over `total_iters` steps, as `LinearLR`, where these are 1/3, 1 and 5
    /// by default.
    ///
    /// # Errors
    /// No steps, factors that are not from 0 to 1.
    pub fn linear(start_factor: f64, end_factor: f64, total_iters: u64) -> Result<Self> {
        let name = "linear";
        steps(name, "total_iters", total_iters)?;
        share(name, "start_factor", start_factor)?;
        share(name, "end_factor", end_factor)?;
        Ok(Self::new(name, move |step, base| {
            let done = step.min(total_iters) as f64 / total_iters as f64;
            base * (start_factor + (end_factor - start_factor) * done)
        }))
    }

    /// `base (1 - step / total_iters)^power`, then 0, as `PolynomialLR`, where these are 5 and 1 by default.
    ///
    /// # Errors
    /// No steps, a negative power.
    pub fn polynomial(total_iters: u64, power: f64) -> Result<Self> {
        let name = "polynomial";
        steps(name, "total_iters", total_iters)?;
        positive(name, "power", power)?;
        Ok(Self::new(name, move |step, base| {
            let left = 1.0 - step.min(total_iters) as f64 / total_iters as f64;
            base * left.powf(power)
        }))
    }

    /// From `base` to `eta_min` along half a cosine of `t_max` steps, and back along the next half, as
    /// `CosineAnnealingLR`.
    ///
    /// # Errors
    /// No steps, a negative `eta_min`.
    pub fn cosine(t_max: u64, eta_min: f64) -> Result<Self> {
        let name = "cosine";
        steps(name, "t_max", t_max)?;
        positive(name, "eta_min", eta_min)?;
        Ok(Self::new(name, move |step, base| {
            annealed(base, eta_min, step as f64 / t_max as f64)
        }))
    }

    /// Half cosines from `base` to `eta_min`, of `t_0` steps and then of `t_mult` times as many as the last one, as
    /// `CosineAnnealingWarmRestarts`.
    ///
    /// # Errors
    /// No steps, a `t_mult` of 0, a negative `eta_min`.
    pub fn cosine_restarts(t_0: u64, t_mult: u64, eta_min: f64) -> Result<Self> {
        let name = "cosine_restarts";
        steps(name, "t_0", t_0)?;
        steps(name, "t_mult", t_mult)?;
        positive(name, "eta_min", eta_min)?;
        Ok(Self::new(name, move |step, base| {
            let (mut at, mut length) = (step, t_0);
            if t_mult == 1 {
                at %= t_0;
            }
            while at >= length {
                at -= length;
                length = length.saturating_mul(t_mult);
            }
            annealed(base, eta_min, at as f64 / length as f64)
        }))
    }

    /// Up to `max_lr` and down again in `total_steps`, as `OneCycleLR`; see [`OneCycle`] for its options. The rate of the
    /// optimizer has no part in it.
    ///
    /// # Errors
    /// As [`OneCycle::schedule`].
    pub fn one_cycle(max_lr: f64, total_steps: u64) -> Result<Self> {
        OneCycle::new(max_lr, total_steps).schedule()
    }

    /// This schedule after `steps` steps in which the rate goes from 0 to what it begins with: `step / steps` of it.
    ///
    /// # Errors
    /// No steps.
    pub fn warmup(self, steps_: u64) -> Result<Self> {
        steps("warmup", "steps", steps_)?;
        self.after_warmup(steps_)
    }

    fn after_warmup(self, steps: u64) -> Result<Self> {
        Ok(Self::new("warmup", move |step, base| {
            if step < steps {
                return self.at(0, base) * step as f64 / steps as f64;
            }
            self.at(step - steps, base)
        }))
    }

    /// One schedule after the other: each begins anew at its milestone, as `SequentialLR`.
    ///
    /// # Errors
    /// No schedules, milestones that are not one less or do not ascend.
    pub fn sequence(
        schedules: impl Into<Vec<Schedule>>,
        milestones: impl Into<Vec<u64>>,
    ) -> Result<Self> {
        let (name, schedules, milestones) = ("sequence", schedules.into(), milestones.into());
        if schedules.len() != milestones.len() + 1 {
            let message = format!(
                "{} schedules and {} milestones: takes one milestone less than schedules",
                schedules.len(),
                milestones.len()
            );
            return Err(fault(name, message));
        }
        if !milestones.is_sorted() {
            return Err(fault(
                name,
                format!("milestones {milestones:?}: they must ascend"),
            ));
        }
        Ok(Self::new(name, move |step, base| {
            let passed = milestones.iter().filter(|m| **m <= step).count();
            let start = passed.checked_sub(1).map_or(0, |last| milestones[last]);
            schedules[passed].at(step - start, base)
        }))
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({})", self.name)
    }
}

/// Options of `OneCycleLR` (Smith and Topin, 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    /// The highest rate.
    pub max_lr: f64,
    /// Steps of the cycle; after them the rate stays where it is.
    pub total_steps: u64,
    /// Share of the cycle that goes up; 0.3 by default.
    pub pct_start: f64,
    /// Along straight lines in place of cosines (PyTorch's `anneal_strategy`).
    pub linear: bool,
    /// The first rate is `max_lr / div_factor`; 25 by default.
    pub div_factor: f64,
    /// The last rate is the first one divided by this; 1e4 by default.
    pub final_div_factor: f64,
    /// Come down to the first rate as fast as it went up, then to the last.
    pub three_phase: bool,
}

impl OneCycle {
    /// A cycle with PyTorch's defaults.
    pub fn new(max_lr: f64, total_steps: u64) -> Self {
        Self {
            max_lr,
            total_steps,
            pct_start: 0.3,
            linear: false,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }

    /// The schedule.
    ///
    /// # Errors
    /// No steps, a negative rate, a share that is not from 0 to 1, divisors that are not positive.
    pub fn schedule(self) -> Result<Schedule> {
        let name = "one_cycle";
        steps(name, "total_steps", self.total_steps)?;
        positive(name, "max_lr", self.max_lr)?;
        share(name, "pct_start", self.pct_start)?;
        for (what, x) in [
            ("div_factor", self.div_factor),
            ("final_div_factor", self.final_div_factor),
        ] {
            if x.is_nan() || x <= 0.0 {
                return Err(fault(name, format!("{what} {x}: takes one above 0")));
            }
        }
        let (total, max) = (self.total_steps as f64, self.max_lr);
        let (first, last) = (
            max / self.div_factor,
            max / self.div_factor / self.final_div_factor,
        );
        let up = self.pct_start * total - 1.0;
        let mut phases = vec![(up, first, max)];
        if self.three_phase {
            phases.push((2.0 * up, max, first));
            phases.push((total - 1.0, first, last));
        } else {
            phases.push((total - 1.0, max, last));
        }
        Ok(Schedule::new(name, move |step, _| {
            let step = (step as f64).min(total - 1.0);
            let mut start = 0.0;
            for &(end, from, to) in &phases {
                if step <= end || end == total - 1.0 {
                    let done = (step - start) / (end - start);
                    let done = if done.is_finite() { done } else { 1.0 };
                    return if self.linear {
                        from + (to - from) * done
                    } else {
                        annealed(from, to, done)
                    };
                }
                start = end;
            }
            last
        }))
    }
}

/// From `from` to `to` along half a cosine, of which `done` is done.
fn annealed(from: f64, to: f64, done: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * done).cos()) / 2.0
}

fn fault(schedule: &str, message: impl fmt::Display) -> Error {
    Error::argument(format!("Schedule::{schedule}: {message}"))
}

fn steps(schedule: &str, what: &str, n: u64) -> Result<()> {
    match n {
        0 => Err(fault(schedule, format!("{what} 0: takes 1 or more"))),
        _ => Ok(()),
    }
}

fn positive(schedule: &str, what: &str, x: f64) -> Result<()> {
    if x.is_finite() && x >= 0.0 {
        return Ok(());
    }
    Err(fault(schedule, format!("{what} {x}: takes 0 or more")))
}

fn share(schedule: &str, what: &str, x: f64) -> Result<()> {
    if (0.0..=1.0).contains(&x) {
        return Ok(());
    }
    Err(fault(
        schedule,
        format!("{what} {x}: takes one from 0 to 1"),
    ))
}
