//! Lion.

use super::{Optimizer, Update, adam::check_betas, lerp, setters};
use crate::tensor::Tensor;

/// Lion (Chen et al., 2023): the sign of an interpolated momentum; the decay acts on the weights alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion {
    /// Learning rate; the paper's advice is a third to a tenth of AdamW's, 1e-4 as a rule.
    pub lr: f64,
    /// Share of the momentum in the update, and in the next momentum; 0.9 and 0.99 by default.
    pub betas: (f64, f64),
    /// Weight decay; 0 by default.
    pub weight_decay: f32,
}

impl Lion {
    /// Lion with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            betas: (0.9, 0.99),
            weight_decay: 0.0,
        }
    }

    setters! {
        /// With these decays of the direction and of the running mean: `betas`.
        betas: (f64, f64);
        /// With this decay of the weights: `weight_decay`.
        weight_decay: f32;
    }
}

impl Optimizer for Lion {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        check_betas(self.betas, 0.0)
    }

    fn update(&self, u: &Update) -> Tensor {
        let slot = u.slot("exp_avg");
        let direction = lerp(&slot.value, &u.grad, 1.0 - self.betas.0).sign();
        u.keep(&slot, &lerp(&slot.value, &u.grad, 1.0 - self.betas.1));
        u.decayed_param().sub(&direction.mul(&u.rate))
    }
}
