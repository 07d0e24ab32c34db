//! NAdam, as `torch.optim.NAdam`.

use super::{
    Optimizer, Update, adam::check_betas, lerp, mean_square, not_negative, root_correction, setters,
};
use crate::tensor::Tensor;

/// `torch.optim.NAdam` (Dozat, 2016): Adam with Nesterov's momentum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NAdam {
    /// Learning rate; 2e-3 in PyTorch.
    pub lr: f64,
    /// Decay of the running means; 0.9 and 0.999 by default.
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8 by default.
    pub eps: f32,
    /// L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f32,
    /// How fast the momentum grows to `betas.0`; 4e-3 by default.
    pub momentum_decay: f64,
    /// Whether the decay acts on the weights alone, as in AdamW (PyTorch's `decoupled_weight_decay`).
    pub decoupled: bool,
}

impl NAdam {
    /// NAdam with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            momentum_decay: 4e-3,
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
        /// With this growth of the momentum: `momentum_decay`.
        momentum_decay: f64;
        /// Whether the decay acts on the weights alone: `decoupled_weight_decay`.
        decoupled: bool;
    }
}

impl Optimizer for NAdam {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        check_betas(self.betas, self.eps)?;
        not_negative(&[("momentum_decay", self.momentum_decay)])
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
        let args = [self.betas.0, self.momentum_decay];
        let of_grad = u.of_slot(&m, "nadam.grad", args, |n, args| {
            (1.0 - momentum(n, args)) / (1.0 - product(n, args))
        });
        let of_mean = u.of_slot(&m, "nadam.mean", args, |n, args| {
            momentum(n + 1, args) / (1.0 - product(n + 1, args))
        });
        let step = grad.mul(&of_grad).add(&mean.mul(&of_mean));
        let root = square.sqrt().mul(&root_correction(u, &v, self.betas.1));
        param.sub(&step.div(&root.add_scalar(self.eps)).mul(&u.rate))
    }
}

/// The momentum of update `n`.
fn momentum(n: u64, [beta, decay]: [f64; 2]) -> f64 {
    beta * (1.0 - 0.5 * 0.96f64.powf(n as f64 * decay))
}

/// The product of the momenta of updates 1 to `n`, 0 from where 1 less it is 1.
fn product(n: u64, args: [f64; 2]) -> f64 {
    let mut product = 1.0;
    for k in 1..=n {
        product *= momentum(k, args);
        if product < 1e-18 {
            return 0.0;
        }
    }
    product
}
