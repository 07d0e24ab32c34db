//! Adamax, as `torch.optim.Adamax`.

use super::{Optimizer, Update, adam::check_betas, correction, lerp, setters};
use crate::tensor::Tensor;

/// `torch.optim.Adamax` (Kingma and Ba, 2014): Adam with the largest gradient in place of the root mean square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adamax {
    /// Learning rate; 2e-3 in PyTorch.
    pub lr: f64,
    /// Decay of the running means; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8 by default.
    pub eps: f32,
    /// L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f32,
}

impl Adamax {
    /// Adamax with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }

    setters! {
        /// With these decays of the running means: `betas`.
        betas: (f64, f64);
        /// With this added to the denominator: `eps`.
        eps: f32;
        /// With this L2 penalty: `weight_decay`.
        weight_decay: f32;
    }
}

impl Optimizer for Adamax {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        check_betas(self.betas, self.eps)
    }

    fn update(&self, u: &Update) -> Tensor {
        let grad = u.decayed_grad();
        let (m, v) = (u.slot("exp_avg"), u.slot("exp_inf"));
        let mean = lerp(&m.value, &grad, 1.0 - self.betas.0);
        let faded = v.value.mul_scalar(self.betas.1 as f32);
        let largest = faded.maximum(&grad.abs().add_scalar(self.eps));
        u.keep(&m, &mean);
        u.keep(&v, &largest);
        let rate = u.rate.mul(&correction(u, &m, self.betas.0));
        u.param.sub(&mean.div(&largest).mul(&rate))
    }
}
