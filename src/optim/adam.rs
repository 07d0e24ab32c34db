//! Adam and AdamW, as `torch.optim.Adam` and `torch.optim.AdamW`.

use super::{Optimizer, Update};
use crate::tensor::Tensor;

/// `torch.optim.Adam` (Kingma and Ba, 2014); with `decoupled` decay `torch.optim.AdamW` (Loshchilov and Hutter, 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate; 1e-3 by default.
    pub lr: f64,
    /// Decay of the running means of the gradient and of its square; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8 by default.
    pub eps: f32,
    /// Weight decay; 0 by default, 0.01 for AdamW.
    pub weight_decay: f32,
    /// Whether the decay acts on the weights alone (AdamW) or through the gradient (Adam).
    pub decoupled: bool,
    /// Divide by the largest running mean so far (Reddi et al., 2018).
    pub amsgrad: bool,
}

impl Adam {
    /// Adam with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            amsgrad: false,
        }
    }

    /// AdamW with the learning rate `lr` and a weight decay of 0.01.
    pub fn adamw(lr: f64) -> Self {
        Self {
            weight_decay: 0.01,
            decoupled: true,
            ..Self::new(lr)
        }
    }
}

impl Optimizer for Adam {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn update(&self, u: &Update) -> Tensor {
        let decay = u.param.mul_scalar(self.weight_decay);
        let grad = if self.weight_decay == 0.0 || self.decoupled {
            u.grad.clone()
        } else {
            u.grad.add(&decay)
        };
        let param = if self.weight_decay != 0.0 && self.decoupled {
            u.param.sub(&decay.mul(&u.rate))
        } else {
            u.param.clone()
        };
        let (beta1, beta2) = self.betas;
        let (m, v) = (u.slot("exp_avg"), u.slot("exp_avg_sq"));
        let mean = m
            .value
            .add(&grad.sub(&m.value).mul_scalar((1.0 - beta1) as f32));
        let square = v
            .value
            .mul_scalar(beta2 as f32)
            .add(&grad.square().mul_scalar((1.0 - beta2) as f32));
        u.keep(&m, &mean);
        u.keep(&v, &square);
        let largest = if self.amsgrad {
            let slot = u.slot("max_exp_avg_sq");
            let largest = slot.value.maximum(&square);
            u.keep(&slot, &largest);
            largest
        } else {
            square
        };
        // Bias corrections of the mean and, as its square root, of the denominator.
        let correction1 = u.of_update("adam.correction1", [beta1, 0.0], |n, [b, _]| {
            1.0 / (1.0 - b.powi(n as i32))
        });
        let correction2 = u.of_update("adam.correction2", [beta2, 0.0], |n, [b, _]| {
            1.0 / (1.0 - b.powi(n as i32)).sqrt()
        });
        let denominator = largest.sqrt().mul(&correction2).add_scalar(self.eps);
        param.sub(&mean.div(&denominator).mul(&u.rate.mul(&correction1)))
    }
}
