//! Initial values, as `torch.nn.init`: [`Init`] is what [`Params::init`] takes, each function returns what
//! [`Params::parameter`] and [`Params::drawn`] draw with.
//!
//! [`Params::init`]: crate::Params::init
//! [`Params::parameter`]: crate::Params::parameter
//! [`Params::drawn`]: crate::Params::drawn

mod by_shape;

pub use by_shape::{Fan, Init, Nonlinearity};

use crate::rng::Rng;

/// Every element `value`, as `torch.nn.init.constant_`.
pub fn constant(value: f32) -> impl Fn(&mut Rng, usize) -> Vec<f32> + Clone + Send + Sync {
    move |_, n| vec![value; n]
}

/// Uniform in `[low, high)`, as `torch.nn.init.uniform_`.
pub fn uniform(low: f32, high: f32) -> impl Fn(&mut Rng, usize) -> Vec<f32> + Clone + Send + Sync {
    move |rng, n| (0..n).map(|_| low + (high - low) * rng.uniform()).collect()
}

/// Normal, as `torch.nn.init.normal_`.
pub fn normal(mean: f32, std: f32) -> impl Fn(&mut Rng, usize) -> Vec<f32> + Clone + Send + Sync {
    move |rng, n| (0..n).map(|_| mean + std * rng.normal()).collect()
}

/// Uniform within `sqrt(6 / ((1 + a²) fan_in))`, as `torch.nn.init.kaiming_uniform_(a=a)` (He et al., 2015). With
/// `a = sqrt(5)`, the default of PyTorch's layers, the bound is `1 / sqrt(fan_in)`.
pub fn kaiming_uniform(
    fan_in: usize,
    a: f32,
) -> impl Fn(&mut Rng, usize) -> Vec<f32> + Clone + Send + Sync {
    let bound = (6.0 / ((1.0 + a * a) * fan_in.max(1) as f32)).sqrt();
    uniform(-bound, bound)
}

/// Uniform within `1 / sqrt(fan_in)`: the default of biases.
pub fn bias(fan_in: usize) -> impl Fn(&mut Rng, usize) -> Vec<f32> + Clone + Send + Sync {
    let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
    uniform(-bound, bound)
}

/// Uniform within `gain * sqrt(6 / (fan_in + fan_out))`, as `torch.nn.init.xavier_uniform_` (Glorot and Bengio, 2010).
pub fn xavier_uniform(
    fan_in: usize,
    fan_out: usize,
    gain: f32,
) -> impl Fn(&mut Rng, usize) -> Vec<f32> + Clone + Send + Sync {
    let bound = gain * (6.0 / (fan_in + fan_out).max(1) as f32).sqrt();
    uniform(-bound, bound)
}
