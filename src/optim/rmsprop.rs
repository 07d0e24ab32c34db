//! RMSprop, as `torch.optim.RMSprop`.

use super::{Optimizer, Update, lerp, mean_square, not_negative, setters, shares, shown};
use crate::tensor::Tensor;

/// `torch.optim.RMSprop` (Hinton, 2012), with momentum and its centered form (Graves, 2013).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    /// Learning rate; 0.01 in PyTorch.
    pub lr: f64,
    /// Share of the running mean of squares that each update keeps; 0.99 by default.
    pub alpha: f64,
    /// Added to the denominator; 1e-8 by default.
    pub eps: f32,
    /// L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f32,
    /// Share of the last update that goes into the next; 0 by default.
    pub momentum: f32,
    /// Divide by the deviation from the running mean in place of the root mean square.
    pub centered: bool,
}

impl RmsProp {
    /// RMSprop with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
        }
    }

    setters! {
        /// With a running mean of squares of which each update keeps this share: `alpha`.
        alpha: f64;
        /// With this added to the denominator: `eps`.
        eps: f32;
        /// With this L2 penalty: `weight_decay`.
        weight_decay: f32;
        /// With this share of the last update in the next: `momentum`.
        momentum: f32;
        /// Whether the deviation from the running mean divides: `centered`.
        centered: bool;
    }
}

impl Optimizer for RmsProp {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        shares(&[("alpha", self.alpha)])?;
        let (eps, momentum) = (shown(self.eps), shown(self.momentum));
        not_negative(&[("eps", eps), ("momentum", momentum)])
    }

    fn update(&self, u: &Update) -> Tensor {
        let grad = u.decayed_grad();
        let slot = u.slot("square_avg");
        let square = mean_square(&slot.value, &grad, self.alpha);
        u.keep(&slot, &square);
        let square = if self.centered {
            let slot = u.slot("grad_avg");
            let mean = lerp(&slot.value, &grad, 1.0 - self.alpha);
            u.keep(&slot, &mean);
            square.sub(&mean.square())
        } else {
            square
        };
        let step = grad.div(&square.sqrt().add_scalar(self.eps));
        if self.momentum == 0.0 {
            return u.param.sub(&step.mul(&u.rate));
        }
        let slot = u.slot("momentum_buffer");
        let velocity = slot.value.mul_scalar(self.momentum).add(&step);
        u.keep(&slot, &velocity);
        u.param.sub(&velocity.mul(&u.rate))
    }
}
