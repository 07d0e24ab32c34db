//! Instance normalisation.

use super::super::look::Python;
use super::super::{Build, Module, Scope};
use super::{Affine, Running, check, refuse};
use crate::ops::norm::BatchNormed;
use crate::state::Params;
use crate::tensor::Tensor;

/// Each channel of each sample of `x [n, c, sizes…]` less its mean, divided by its deviation, as
/// `torch.nn.InstanceNorm2d` (Ulyanov et al., 2016); where asked for times `weight [c]`, plus `bias [c]`, and with running
/// statistics as [`BatchNorm`](super::BatchNorm) has.
#[derive(Debug, Clone)]
pub struct InstanceNorm<const D: usize> {
    affine: Affine,
    running: Option<Running>,
    options: InstanceNormBuilder<D>,
    pub(crate) scope: Scope,
}

/// `x [n, c, l]`, as `torch.nn.InstanceNorm1d`.
pub type InstanceNorm1d = InstanceNorm<1>;
/// `x [n, c, h, w]`, as `torch.nn.InstanceNorm2d`.
pub type InstanceNorm2d = InstanceNorm<2>;
/// `x [n, c, d, h, w]`, as `torch.nn.InstanceNorm3d`.
pub type InstanceNorm3d = InstanceNorm<3>;

/// The description of an [`InstanceNorm`].
#[derive(Debug, Clone)]
pub struct InstanceNormBuilder<const D: usize> {
    channels: usize,
    eps: f32,
    momentum: f32,
    affine: bool,
    track: bool,
}

impl<const D: usize> InstanceNorm<D> {
    const KIND: &str = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"][D - 1];

    /// For inputs of `channels` channels.
    pub fn new(channels: usize) -> InstanceNormBuilder<D> {
        InstanceNormBuilder {
            channels,
            eps: 1e-5,
            momentum: 0.1,
            affine: false,
            track: false,
        }
    }

    fn compute(&self, x: &Tensor) -> Tensor {
        let options = &self.options;
        if let Some(poison) = check(Self::KIND, x, options.channels, &[D + 2]) {
            return poison;
        }
        let (g, eps) = (x.trace(), options.eps);
        let [weight, bias] = self.affine.values(g);
        let (weight, bias) = (weight.as_ref(), bias.as_ref());
        let Some(running) = &self.running else {
            return x.instance_norm(weight, bias, eps);
        };
        let params = g.params();
        let frozen = self.affine.is_frozen(&params) || running.is_frozen(&params);
        if frozen || !g.is_training() {
            let [mean, var] = running.values(g);
            return x.batch_norm_by(&mean, &var, weight, bias, eps);
        }
        let found = x.instance_norm_tracked(weight, bias, eps);
        if !found.y.is_poisoned() && x.numel() > 0 && !g.keeps_statistics() {
            let n = x.numel() / found.mean.numel();
            let each = BatchNormed {
                y: found.y.clone(),
                mean: found.mean.mean(&[0], false),
                var: found.var.mean(&[0], false),
            };
            running.follow(g, &each, n, &g.scalar(options.momentum));
        }
        found.y
    }
}

impl<const D: usize> InstanceNormBuilder<D> {
    /// What is added to the variance; 1e-5 by default.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the batch in a move of the running statistics, 0.1 by default.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Whether there are weight and bias; false by default.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Whether there are running statistics, which evaluation then takes; false by default.
    pub fn track_running_stats(mut self, track: bool) -> Self {
        self.track = track;
        self
    }

    /// The layer: weight and running variance are ones at first, the rest zeros. No channels, an `eps` below 0 and a
    /// momentum outside of 0 to 1 are errors that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> InstanceNorm<D> {
        let scope = Scope::new(params, InstanceNorm::<D>::KIND).detail(format!(
            "{}, eps={}, momentum={}, affine={affine}, bias={affine}, track_running_stats={}",
            self.channels,
            self.eps.python(),
            self.momentum.python(),
            self.track.python(),
            affine = self.affine.python(),
        ));
        refuse(&scope, params, self.channels, self.eps);
        let bad = !(0.0..=1.0).contains(&self.momentum);
        let message = format!("momentum is {}: a share, 0 to 1", self.momentum);
        scope.refuse(params, &[(bad, message)]);
        InstanceNorm {
            affine: Affine::new(params, &[self.channels], self.affine, self.affine),
            running: self.track.then(|| Running::new(params, self.channels)),
            options: self,
            scope,
        }
    }
}

impl<const D: usize> Build for InstanceNormBuilder<D> {
    type Layer = InstanceNorm<D>;

    #[track_caller]
    fn build(self, params: &Params) -> InstanceNorm<D> {
        InstanceNormBuilder::build(self, params)
    }
}

impl<const D: usize> Module for InstanceNorm<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || self.compute(x))
    }
}
