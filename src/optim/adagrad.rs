//! Adagrad, as `torch.optim.Adagrad`.

use super::{Optimizer, Update, not_negative, setters, shown};
use crate::tensor::Tensor;

/// `torch.optim.Adagrad` (Duchi et al., 2011).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adagrad {
    /// Learning rate; 0.01 in PyTorch.
    pub lr: f64,
    /// The learning rate of update `n` is `lr / (1 + (n - 1) lr_decay)`; 0 by default.
    pub lr_decay: f64,
    /// L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f32,
    /// What the sum of squares starts with; 0 by default.
    pub initial_accumulator_value: f32,
    /// Added to the denominator; 1e-10 by default.
    pub eps: f32,
}

impl Adagrad {
    /// Adagrad with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            lr_decay: 0.0,
            weight_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
        }
    }

    setters! {
        /// With this decay of the learning rate: `lr_decay`.
        lr_decay: f64;
        /// With this L2 penalty: `weight_decay`.
        weight_decay: f32;
        /// With sums of squares that start with this: `initial_accumulator_value`.
        initial_accumulator_value: f32;
        /// With this added to the denominator: `eps`.
        eps: f32;
    }
}

impl Optimizer for Adagrad {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        not_negative(&[
            ("lr_decay", self.lr_decay),
            (
                "initial_accumulator_value",
                shown(self.initial_accumulator_value),
            ),
            ("eps", shown(self.eps)),
        ])
    }

    fn update(&self, u: &Update) -> Tensor {
        let grad = u.decayed_grad();
        let slot = u.slot_filled("sum", self.initial_accumulator_value);
        let sum = slot.value.add(&grad.square());
        u.keep(&slot, &sum);
        let decay = u.of_slot(&slot, "adagrad.decay", [self.lr_decay, 0.0], |n, [d, _]| {
            1.0 / (1.0 + (n as f64 - 1.0) * d)
        });
        let step = grad.div(&sum.sqrt().add_scalar(self.eps));
        u.param.sub(&step.mul(&u.rate.mul(&decay)))
    }
}
