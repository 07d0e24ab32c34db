//! Learning rates that fall where a metric no longer gets better.

use crate::error::{Error, Result};

/// Which metrics are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlateauMode {
    /// Smaller ones, such as losses.
    #[default]
    Min,
    /// Larger ones, such as accuracies.
    Max,
}

/// By how much a metric must be better than the best one to count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// By this share of the best one.
    Relative(f64),
    /// By this.
    Absolute(f64),
}

/// Multiplies the learning rate by a factor when a metric has not become better for a while, as
/// `torch.optim.lr_scheduler.ReduceLROnPlateau`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plateau {
    /// Which metrics are better.
    pub mode: PlateauMode,
    /// What the learning rate is multiplied by; 0.1 by default.
    pub factor: f64,
    /// Metrics in a row that may be no better; 10 by default.
    pub patience: u64,
    /// By how much a metric must be better; 1e-4 of the best one by default.
    pub threshold: Threshold,
    /// Metrics after a reduction that do not count; 0 by default.
    pub cooldown: u64,
    /// The learning rate is not reduced below this; 0 by default.
    pub min_lr: f64,
    /// A reduction by less than this is not made; 1e-8 by default.
    pub eps: f64,
    best: Option<f64>,
    bad: u64,
    cooling: u64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            mode: PlateauMode::Min,
            factor: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
            best: None,
            bad: 0,
            cooling: 0,
        }
    }
}

impl Plateau {
    /// With PyTorch's defaults, but for the factor and the patience.
    ///
    /// # Errors
    /// As [`Plateau::check`].
    pub fn new(mode: PlateauMode, factor: f64, patience: u64) -> Result<Self> {
        let plateau = Self {
            mode,
            factor,
            patience,
            ..Self::default()
        };
        plateau.check()?;
        Ok(plateau)
    }

    /// Check the options.
    ///
    /// # Errors
    /// A factor that is not from 0 to 1, excluded; negative numbers.
    pub fn check(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.factor) {
            let message = format!(
                "Plateau: factor {}: takes one from 0 to 1, excluded",
                self.factor
            );
            return Err(Error::argument(message));
        }
        let (Threshold::Relative(threshold) | Threshold::Absolute(threshold)) = self.threshold;
        for (what, x) in [
            ("threshold", threshold),
            ("min_lr", self.min_lr),
            ("eps", self.eps),
        ] {
            if x.is_nan() || x < 0.0 {
                return Err(Error::argument(format!(
                    "Plateau: {what} {x}: takes 0 or more"
                )));
            }
        }
        Ok(())
    }

    /// Take the next metric; whether learning rates are to be reduced now. NaN is no better than anything.
    pub fn observe(&mut self, metric: f64) -> bool {
        let worst = match self.mode {
            PlateauMode::Min => f64::INFINITY,
            PlateauMode::Max => f64::NEG_INFINITY,
        };
        if self.better(metric, self.best.unwrap_or(worst)) {
            (self.best, self.bad) = (Some(metric), 0);
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            (self.cooling, self.bad) = (self.cooling - 1, 0);
        }
        let reduce = self.bad > self.patience;
        if reduce {
            (self.cooling, self.bad) = (self.cooldown, 0);
        }
        reduce
    }

    /// What becomes of a learning rate that is reduced.
    pub fn reduced(&self, lr: f64) -> f64 {
        let new = (lr * self.factor).max(self.min_lr);
        if lr - new > self.eps { new } else { lr }
    }

    /// The learning rate that follows `lr` after a metric.
    pub fn step(&mut self, metric: f64, lr: f64) -> f64 {
        if self.observe(metric) {
            self.reduced(lr)
        } else {
            lr
        }
    }

    /// Best metric, metrics without improvement, metrics that do not count: for checkpoints.
    pub(crate) fn counts(&self) -> (Option<f64>, u64, u64) {
        (self.best, self.bad, self.cooling)
    }

    /// Go on from counts of before.
    pub(crate) fn set_counts(&mut self, (best, bad, cooling): (Option<f64>, u64, u64)) {
        (self.best, self.bad, self.cooling) = (best, bad, cooling);
    }

    fn better(&self, metric: f64, best: f64) -> bool {
        match (self.mode, self.threshold) {
            (PlateauMode::Min, Threshold::Relative(t)) => metric < best * (1.0 - t),
            (PlateauMode::Min, Threshold::Absolute(t)) => metric < best - t,
            (PlateauMode::Max, Threshold::Relative(t)) => metric > best * (t + 1.0),
            (PlateauMode::Max, Threshold::Absolute(t)) => metric > best + t,
        }
    }
}
