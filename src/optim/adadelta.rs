//! Adadelta, as `torch.optim.Adadelta`.

use super::{Optimizer, Update, mean_square, not_negative, setters, shares, shown};
use crate::tensor::Tensor;

/// `torch.optim.Adadelta` (Zeiler, 2012).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adadelta {
    /// Learning rate; 1.0 in PyTorch.
    pub lr: f64,
    /// Share of the running means that each update keeps; 0.9 by default.
    pub rho: f64,
    /// Added below the roots; 1e-6 by default.
    pub eps: f32,
    /// L2 penalty, added to the gradient; 0 by default.
    pub weight_decay: f32,
}

impl Adadelta {
    /// Adadelta with the learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.0,
        }
    }

    setters! {
        /// With running means of which each update keeps this share: `rho`.
        rho: f64;
        /// With this added below the roots: `eps`.
        eps: f32;
        /// With this L2 penalty: `weight_decay`.
        weight_decay: f32;
    }
}

impl Optimizer for Adadelta {
    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), String> {
        shares(&[("rho", self.rho)])?;
        not_negative(&[("eps", shown(self.eps))])
    }

    fn update(&self, u: &Update) -> Tensor {
        let grad = u.decayed_grad();
        let (squares, deltas) = (u.slot("square_avg"), u.slot("acc_delta"));
        let square = mean_square(&squares.value, &grad, self.rho);
        u.keep(&squares, &square);
        let root = |mean: &Tensor| mean.add_scalar(self.eps).sqrt();
        let delta = root(&deltas.value).div(&root(&square)).mul(&grad);
        u.keep(&deltas, &mean_square(&deltas.value, &delta, self.rho));
        u.param.sub(&delta.mul(&u.rate))
    }
}
