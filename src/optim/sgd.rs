//! Stochastic gradient descent, as `torch.optim.SGD`.

use super::{Optimizer, Update, not_negative, setters, shown};
use crate::tensor::Tensor;

/// `torch.optim.SGD`: with momentum, dampening, Nesterov's form, L2 decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Share of the last update that goes into the next; 0 by default.
    pub momentum: f32,
    /// Share of the gradient that does not go into the momentum; 0 by default.
    pub dampening: f32,
    /// L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f32,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
}

impl Sgd {
    /// Plain descent with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
        }
    }

    setters! {
        /// With this share of the last update in the next: `momentum`.
        momentum: f32;
        /// With this share of the gradient kept out of the momentum: `dampening`.
        dampening: f32;
        /// With this L2 penalty: `weight_decay`.
        weight_decay: f32;
        /// Whether momentum is Nesterov's: `nesterov`.
        nesterov: bool;
    }
}

impl Optimizer for Sgd {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        not_negative(&[("momentum", shown(self.momentum))])?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err("takes nesterov with a momentum and no dampening only".to_owned());
        }
        Ok(())
    }

    fn update(&self, u: &Update) -> Tensor {
        let grad = u.decayed_grad();
        if self.momentum == 0.0 {
            return u.param.sub(&grad.mul(&u.rate));
        }
        let slot = u.slot("momentum_buffer");
        // The first update takes the gradient whole, whatever the dampening.
        let share = u.of_slot(
            &slot,
            "sgd.share",
            [f64::from(self.dampening), 0.0],
            |n, [d, _]| if n == 1 { 1.0 } else { 1.0 - d },
        );
        let velocity = slot.value.mul_scalar(self.momentum).add(&grad.mul(&share));
        u.keep(&slot, &velocity);
        let step = if self.nesterov {
            grad.add(&velocity.mul_scalar(self.momentum))
        } else {
            velocity
        };
        u.param.sub(&step.mul(&u.rate))
    }
}
