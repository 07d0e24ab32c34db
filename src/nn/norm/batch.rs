//! Batch normalisation.

use super::super::look::Python;
use super::super::{Build, Module, Scope};
use super::{Affine, Running, check, refuse};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// Each channel of `x [n, c, sizes…]` less its mean over the batch, divided by its deviation, times a weight, plus a
/// bias, as `torch.nn.BatchNorm2d` (Ioffe and Szegedy, 2015): `weight [c]`, `bias [c]`, `running_mean [c]`,
/// `running_var [c]`, `num_batches_tracked []`. `BatchNorm1d` takes `[n, c]` too.
///
/// In training a run moves the running statistics; in evaluation they take the place of the batch's. So they do where
/// the layer is frozen, that is where training changes neither its weight nor its bias, or where
/// [`Params::set_trainable`] froze the layer's path: then it does not move at all. (PyTorch asks for `eval()` besides.)
/// [`Params::eval`] has a layer use its statistics and leave them while its weight and bias train;
/// [`Trace::keep_statistics`](crate::Trace::keep_statistics) has it use the batch's and leave them.
#[derive(Debug, Clone)]
pub struct BatchNorm<const D: usize> {
    affine: Affine,
    running: Option<Running>,
    options: BatchNormBuilder<D>,
    pub(crate) scope: Scope,
}

/// `x [n, c]` or `[n, c, l]`, as `torch.nn.BatchNorm1d`.
pub type BatchNorm1d = BatchNorm<1>;
/// `x [n, c, h, w]`, as `torch.nn.BatchNorm2d`.
pub type BatchNorm2d = BatchNorm<2>;
/// `x [n, c, d, h, w]`, as `torch.nn.BatchNorm3d`.
pub type BatchNorm3d = BatchNorm<3>;

/// The description of a [`BatchNorm`].
#[derive(Debug, Clone)]
pub struct BatchNormBuilder<const D: usize> {
    channels: usize,
    eps: f32,
    momentum: Option<f32>,
    affine: bool,
    track: bool,
}

impl<const D: usize> BatchNorm<D> {
    const KIND: &str = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"][D - 1];

    /// For inputs of `channels` channels.
    pub fn new(channels: usize) -> BatchNormBuilder<D> {
        BatchNormBuilder {
            channels,
            eps: 1e-5,
            momentum: Some(0.1),
            affine: true,
            track: true,
        }
    }

    /// The weight `[c]`, if there is one.
    pub fn weight(&self) -> Option<&Param> {
        self.affine.weight.as_ref()
    }

    /// The bias `[c]`, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.affine.bias.as_ref()
    }

    fn compute(&self, x: &Tensor) -> Tensor {
        let ranks: &[usize] = if D == 1 { &[2, 3] } else { &[D + 2] };
        let options = &self.options;
        if let Some(poison) = check(Self::KIND, x, options.channels, ranks) {
            return poison;
        }
        let (g, eps) = (x.trace(), options.eps);
        let [weight, bias] = self.affine.values(g);
        let (weight, bias) = (weight.as_ref(), bias.as_ref());
        let Some(running) = &self.running else {
            return x.batch_norm(weight, bias, eps).y;
        };
        let params = g.params();
        let frozen = self.affine.is_frozen(&params) || running.is_frozen(&params);
        if frozen || !g.is_training() {
            let [mean, var] = running.values(g);
            return x.batch_norm_by(&mean, &var, weight, bias, eps);
        }
        let found = x.batch_norm(weight, bias, eps);
        if found.y.is_poisoned() || g.keeps_statistics() {
            return found.y;
        }
        let number = running.count(g);
        let factor = match options.momentum {
            Some(momentum) => g.scalar(momentum),
            None => number.reciprocal(),
        };
        running.follow(g, &found, x.numel() / options.channels, &factor);
        found.y
    }
}

impl<const D: usize> BatchNormBuilder<D> {
    /// What is added to the variance; 1e-5 by default.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the batch in a move of the running statistics, 0.1 by default; `None` makes them the average of all
    /// batches so far.
    pub fn momentum(mut self, momentum: impl Into<Option<f32>>) -> Self {
        self.momentum = momentum.into();
        self
    }

    /// Whether there are weight and bias; true by default.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Whether there are running statistics; true by default. Without them evaluation takes those of its batch.
    pub fn track_running_stats(mut self, track: bool) -> Self {
        self.track = track;
        self
    }

    /// The layer: weight and running variance are ones at first, the rest zeros. No channels, an `eps` below 0 and a
    /// momentum outside of 0 to 1 are errors that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> BatchNorm<D> {
        let scope = Scope::new(params, BatchNorm::<D>::KIND).detail(format!(
            "{}, eps={}, momentum={}, affine={affine}, bias={affine}, track_running_stats={}",
            self.channels,
            self.eps.python(),
            self.momentum.python(),
            self.track.python(),
            affine = self.affine.python(),
        ));
        refuse(&scope, params, self.channels, self.eps);
        if let Some(m) = self.momentum {
            let bad = !(0.0..=1.0).contains(&m);
            scope.refuse(
                params,
                &[(bad, format!("momentum is {m}: a share, 0 to 1"))],
            );
        }
        BatchNorm {
            affine: Affine::new(params, &[self.channels], self.affine, self.affine),
            running: self.track.then(|| Running::new(params, self.channels)),
            options: self,
            scope,
        }
    }
}

impl<const D: usize> Build for BatchNormBuilder<D> {
    type Layer = BatchNorm<D>;

    #[track_caller]
    fn build(self, params: &Params) -> BatchNorm<D> {
        BatchNormBuilder::build(self, params)
    }
}

impl<const D: usize> Module for BatchNorm<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || self.compute(x))
    }
}
