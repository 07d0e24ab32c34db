//! AdamW, as `torch.optim.AdamW`.

use super::{Adam, Optimizer, Update, setters};
use crate::tensor::Tensor;

/// `torch.optim.AdamW` (Loshchilov and Hutter, 2017): [`Adam`] whose weight decay acts on the weights alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate; 1e-3 in PyTorch.
    pub lr: f64,
    /// Decay of the running means of the gradient and of its square; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8 by default.
    pub eps: f32,
    /// Weight decay; 0.01 by default.
    pub weight_decay: f32,
    /// Divide by the largest running mean so far (Reddi et al., 2018); false by default.
    pub amsgrad: bool,
}

impl AdamW {
    /// AdamW with the learning rate `lr` and a weight decay of 0.01.
    pub fn new(lr: f64) -> Self {
        let rule = Adam::adamw(lr);
        Self {
            lr,
            betas: rule.betas,
            eps: rule.eps,
            weight_decay: rule.weight_decay,
            amsgrad: rule.amsgrad,
        }
    }

    setters! {
        /// With these decays of the running means of the gradient and of its square: `betas`.
        betas: (f64, f64);
        /// With this added to the denominator: `eps`.
        eps: f32;
        /// With this weight decay: `weight_decay`.
        weight_decay: f32;
        /// Whether the largest running mean so far divides: `amsgrad`.
        amsgrad: bool;
    }

    fn rule(&self) -> Adam {
        Adam {
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            amsgrad: self.amsgrad,
            ..Adam::adamw(self.lr)
        }
    }
}

impl Optimizer for AdamW {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        self.rule().check()
    }

    fn update(&self, u: &Update) -> Tensor {
        self.rule().update(u)
    }
}
