//! RAdam, as `torch.optim.RAdam`.

use super::{Optimizer, Update, adam::check_betas, correction, lerp, mean_square, setters};
use crate::tensor::Tensor;

/// `torch.optim.RAdam` (Liu et al., 2019): Adam whose first updates, of too few squares, are plain descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RAdam {
    /// Learning rate; 1e-3 in PyTorch.
    pub lr: f64,
    /// Decay of the running means; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8 by default.
    pub eps: f32,
    /// L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f32,
    /// Whether the decay acts on the weights alone, as in AdamW (PyTorch's `decoupled_weight_decay`).
    pub decoupled: bool,
}

impl RAdam {
    /// RAdam with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        }
    }

    setters! {
        /// With these decays of the running means: `betas`.
        betas: (f64, f64);
        /// With this added to the denominator: `eps`.
        eps: f32;
        /// With this weight decay: `weight_decay`.
        weight_decay: f32;
        /// Whether the decay acts on the weights alone: `decoupled_weight_decay`.
        decoupled: bool;
    }
}

impl Optimizer for RAdam {
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
        let (grad, param) = match self.decoupled {
            true => (u.grad.clone(), u.decayed_param()),
            false => (u.decayed_grad(), u.param.clone()),
        };
        let (m, v) = (u.slot("exp_avg"), u.slot("exp_avg_sq"));
        let mean = lerp(&m.value, &grad, 1.0 - self.betas.0);
        let square = mean_square(&v.value, &grad, self.betas.1);
        u.keep(&m, &mean);
        u.keep(&v, &square);
        let args = [self.betas.1, 0.0];
        // One of the two is 0.
        let adaptive = u.of_slot(&v, "radam.adaptive", args, |n, [b, _]| {
            rectified(n, b).unwrap_or(0.0)
        });
        let plain = u.of_slot(&v, "radam.plain", args, |n, [b, _]| {
            f64::from(u8::from(rectified(n, b).is_none()))
        });
        let scale = adaptive
            .div(&square.sqrt().add_scalar(self.eps))
            .add(&plain);
        let rate = u.rate.mul(&correction(u, &m, self.betas.0));
        param.sub(&mean.mul(&scale).mul(&rate))
    }
}

/// The rectification of update `n` times the correction of the root mean square; `None` where the variance is not
/// tractable.
fn rectified(n: u64, beta: f64) -> Option<f64> {
    let (t, power) = (n as f64, beta.powf(n as f64));
    let limit = 2.0 / (1.0 - beta) - 1.0;
    let length = limit - 2.0 * t * power / (1.0 - power);
    let ratio = (length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length);
    (length > 5.0).then(|| (ratio * (1.0 - power)).sqrt())
}
