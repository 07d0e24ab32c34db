//! Normalisation layers.

mod batch;
mod group;
mod instance;
mod row;

pub use batch::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormBuilder};
pub use group::{GroupNorm, GroupNormBuilder};
pub use instance::{
    InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, InstanceNormBuilder,
};
pub use row::{LayerNorm, LayerNormBuilder, RmsNorm, RmsNormBuilder};

use super::{Scope, init};
use crate::DType;
use crate::array::Array;
use crate::error::Site;
use crate::ops::norm::BatchNormed;
use crate::state::{Param, Params};
use crate::tensor::{Tensor, Trace};

/// Weight and bias of the channels, `[c]`: ones and zeros at first.
#[derive(Debug, Clone)]
struct Affine {
    weight: Option<Param>,
    bias: Option<Param>,
}

impl Affine {
    fn new(params: &Params, shape: &[usize], weight: bool, bias: bool) -> Self {
        let parameter = |wanted: bool, name: &str, value: f32| {
            wanted.then(|| params.drawn(name, shape.to_vec(), init::constant(value)))
        };
        Self {
            weight: parameter(weight, "weight", 1.0),
            bias: parameter(bias, "bias", 0.0),
        }
    }

    fn values(&self, g: &Trace) -> [Option<Tensor>; 2] {
        [&self.weight, &self.bias].map(|p| p.as_ref().map(|p| g.param(p)))
    }

    /// Whether there are parameters and training changes none of them.
    fn is_frozen(&self, params: &Params) -> bool {
        let mut all = [&self.weight, &self.bias].into_iter().flatten().peekable();
        all.peek().is_some() && all.all(|p| !params.state(p).trainable)
    }
}

/// Mean and variance over time, and the number of updates.
#[derive(Debug, Clone)]
struct Running {
    mean: Param,
    var: Param,
    updates: Param,
}

impl Running {
    fn new(params: &Params, channels: usize) -> Self {
        let ones = Array::of([channels], vec![1.0f32; channels]);
        Self {
            mean: params.buffer("running_mean", Array::zeros([channels])),
            var: params.buffer("running_var", ones),
            updates: params.buffer("num_batches_tracked", Array::of([], vec![0i32])),
        }
    }

    fn values(&self, g: &Trace) -> [Tensor; 2] {
        [&self.mean, &self.var].map(|p| g.latest(p))
    }

    fn is_frozen(&self, params: &Params) -> bool {
        !params.state(&self.mean).trainable
    }

    /// Have the statistics move by the share `factor` (`[]`) towards those of `found`, whose variance is of `n` elements.
    fn follow(&self, g: &Trace, found: &BatchNormed, n: usize, factor: &Tensor) {
        let unbiased = n as f32 / (n as f32 - 1.0);
        let new = [found.mean.clone(), found.var.mul_scalar(unbiased)];
        for ((param, old), new) in [&self.mean, &self.var]
            .into_iter()
            .zip(self.values(g))
            .zip(new)
        {
            let kept = old.mul(&factor.neg().add_scalar(1.0));
            let value = kept.add(&new.detach().mul(factor));
            g.assign(g.params().state(param).range, &value);
        }
    }

    /// Count an update; its number, `f32` `[]`.
    fn count(&self, g: &Trace) -> Tensor {
        let one = g.constant(Array::of([], vec![1i32]));
        let number = g.latest(&self.updates).add(&one);
        g.assign(g.params().state(&self.updates).range, &number);
        number.to(DType::F32)
    }
}

/// Whether `x` has `channels` channels and one of the numbers of dimensions; else a misuse.
fn check(kind: &str, x: &Tensor, channels: usize, ranks: &[usize]) -> Option<Tensor> {
    if x.is_poisoned() {
        return Some(x.clone());
    }
    if ranks.contains(&x.rank()) && x.size(1) == channels {
        return None;
    }
    const LAYOUTS: [&str; 6] = ["", "", "", ", l", ", h, w", ", d, h, w"];
    let layouts: Vec<String> = ranks
        .iter()
        .map(|r| format!("[n, {channels}{}]", LAYOUTS[*r]))
        .collect();
    let message = format!("{}: takes {}", x.shape(), layouts.join(" or "));
    Some(x.trace().misuse(kind, message, Site::here()))
}

/// Keep the fault of a layer of `channels`, and of its `eps`.
fn refuse(scope: &Scope, params: &Params, channels: usize, eps: f32) {
    scope.refuse(
        params,
        &[
            (channels == 0, "0 channels: takes 1 or more".to_owned()),
            (
                eps.is_nan() || eps < 0.0,
                format!("eps is {eps}: takes 0 or more"),
            ),
        ],
    );
}
