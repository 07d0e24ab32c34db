//! Adam and AdamW, as `torch.optim.Adam` and `torch.optim.AdamW`.

use super::{
    Optimizer, Update, correction, lerp, mean_square, not_negative, root_correction, setters,
    shares, shown,
};
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

    setters! {
        /// With these decays of the running means of the gradient and of its square: `betas`.
        betas: (f64, f64);
        /// With this added to the denominator: `eps`.
        eps: f32;
        /// With this weight decay: `weight_decay`.
        weight_decay: f32;
        /// Whether the decay acts on the weights alone, as in AdamW: `decoupled_weight_decay`.
        decoupled: bool;
        /// Whether the largest running mean so far divides: `amsgrad`.
        amsgrad: bool;
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
        let (beta1, beta2) = self.betas;
        let (m, v) = (u.slot("exp_avg"), u.slot("exp_avg_sq"));
        let mean = lerp(&m.value, &grad, 1.0 - beta1);
        let square = mean_square(&v.value, &grad, beta2);
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
        let (correction1, correction2) = (correction(u, &m, beta1), root_correction(u, &v, beta2));
        let denominator = largest.sqrt().mul(&correction2).add_scalar(self.eps);
        param.sub(&mean.div(&denominator).mul(&u.rate.mul(&correction1)))
    }
}

/// Check what the relatives of Adam share.
pub(super) fn check_betas((beta1, beta2): (f64, f64), eps: f32) -> Result<(), String> {
    shares(&[("beta 1", beta1), ("beta 2", beta2)])?;
    not_negative(&[("eps", shown(eps))])
}
