//! Normalisation: the methods that choose among the operators.
//!
//! Short rows go through one kernel. Long rows and the columns of batch norm take their statistics in two stages; the
//! rest is a map, which the planner fuses with what follows.

use crate::error::Site;
use crate::ops::moments::Moments;
use crate::ops::normalize::{Normalized, normalized};
use crate::ops::row_norm::RowNorm;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Longest row that one kernel takes.
const SHORT: usize = 8192;

/// A batch norm's result and the statistics that it took.
#[derive(Debug, Clone)]
pub struct BatchNormed {
    /// The result, in the shape of the input.
    pub y: Tensor,
    /// Mean of each channel, `[c]`.
    pub mean: Tensor,
    /// Biased variance of each channel, `[c]`.
    pub var: Tensor,
}

/// What is multiplied and added after normalising.
type Affine<'a> = [Option<&'a Tensor>; 2];

impl Tensor {
    /// Each row of the last dimensions, which `normalized_shape` names, less its mean and divided by its deviation
    /// `sqrt(variance + eps)`, times `weight`, plus `bias`, both of shape `normalized_shape`:
    /// `torch.nn.functional.layer_norm` (Ba et al., 2016), whose `eps` is 1e-5 by default.
    #[track_caller]
    pub fn layer_norm(
        &self,
        normalized_shape: &[usize],
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f32,
    ) -> Tensor {
        let norm = RowNorm { centred: true, eps };
        let site = Site::here();
        self.trailing("layer_norm", normalized_shape, [weight, bias], norm, site)
    }

    /// Each row of the last dimensions, which `normalized_shape` names, divided by `sqrt(mean square + eps)`, times
    /// `weight` of shape `normalized_shape`: `torch.nn.functional.rms_norm` (Zhang and Sennrich, 2019), whose `eps` is
    /// [`f32::EPSILON`] by default.
    #[track_caller]
    pub fn rms_norm(
        &self,
        normalized_shape: &[usize],
        weight: Option<&Tensor>,
        eps: f32,
    ) -> Tensor {
        let norm = RowNorm {
            centred: false,
            eps,
        };
        let site = Site::here();
        self.trailing("rms_norm", normalized_shape, [weight, None], norm, site)
    }

    fn trailing(
        &self,
        name: &str,
        shape: &[usize],
        affine: Affine,
        norm: RowNorm,
        site: Site,
    ) -> Tensor {
        if self.any_poisoned(affine) {
            return self.trace().poison();
        }
        if shape.is_empty() || !self.shape().ends_with(shape) {
            let message = format!(
                "{}: takes an input whose last dimensions are the normalized shape {shape:?}",
                self.shape()
            );
            return self.trace().misuse(name, message, site);
        }
        if let Some(poison) = self.misfit(name, affine, shape, site) {
            return poison;
        }
        let n: usize = shape.iter().product();
        let rows = self.shape()[..self.rank() - shape.len()].iter().product();
        let x = self.reshape_to([rows, 1, n, 1].into());
        x.rows_normalized(
            affine.map(|t| Some(t?.reshape_to([1, 1, n, 1].into()))),
            norm,
            site,
        )
        .reshape_to(self.shape().clone())
    }

    /// For each sample the channels of `self` `[n, c, …]`, cut in `groups` parts, each part less its mean and divided by
    /// its deviation `sqrt(variance + eps)`; then each channel times `weight` `[c]`, plus `bias` `[c]`:
    /// `torch.nn.functional.group_norm` (Wu and He, 2018), whose `eps` is 1e-5 by default.
    #[track_caller]
    pub fn group_norm(
        &self,
        groups: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f32,
    ) -> Tensor {
        let (site, affine) = (Site::here(), [weight, bias]);
        if self.any_poisoned(affine) {
            return self.trace().poison();
        }
        let c = self.size(1);
        if self.rank() < 2 || groups == 0 || !c.is_multiple_of(groups) {
            let message = format!(
                "{}: takes an input [n, c, ...], {groups} groups do not divide {c} channels",
                self.shape()
            );
            return self.trace().misuse("group_norm", message, site);
        }
        if let Some(poison) = self.misfit("group_norm", affine, &[c], site) {
            return poison;
        }
        self.by_channel(groups, affine, eps, site)
    }

    /// For each sample each channel of `self` `[n, c, l, …]` less its mean and divided by its deviation
    /// `sqrt(variance + eps)`, times `weight` `[c]`, plus `bias` `[c]`: `torch.nn.functional.instance_norm` with the
    /// input's own statistics, where `eps` is 1e-5 by default.
    #[track_caller]
    pub fn instance_norm(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f32,
    ) -> Tensor {
        let (site, affine) = (Site::here(), [weight, bias]);
        match self.instances(affine, site) {
            Ok(c) => self.by_channel(c, affine, eps, site),
            Err(poison) => poison,
        }
    }

    /// [`Tensor::instance_norm`], and mean and biased variance of each channel of each sample, `[n, c]`.
    pub(crate) fn instance_norm_tracked(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f32,
    ) -> BatchNormed {
        let (site, affine) = (Site::here(), [weight, bias]);
        let whole = match self.instances(affine, site) {
            Ok(c) => {
                let kept: Shape = [self.shape()[0], c, 1, 1].into();
                let affine = affine.map(|t| Some(t?.reshape_to([1, c, 1, 1].into())));
                let x = self.reshape_to([self.shape()[0], c, 1, self.spatial()].into());
                let found = x.by_moments(kept, true, affine, eps, site);
                found.map(|f| self.batch_normed(f, &[self.shape()[0], c]))
            }
            Err(_) => None,
        };
        whole.unwrap_or_else(|| self.no_batch())
    }

    fn instances(&self, affine: Affine, site: Site) -> Result<usize, Tensor> {
        if self.any_poisoned(affine) {
            return Err(self.trace().poison());
        }
        if self.rank() < 3 || self.spatial() == 1 {
            let message = format!(
                "{}: takes an input [n, c, l, ...] of more than 1 value a channel",
                self.shape()
            );
            return Err(self.trace().misuse("instance_norm", message, site));
        }
        let c = self.shape()[1];
        self.misfit("instance_norm", affine, &[c], site)
            .map_or(Ok(c), Err)
    }

    /// Each channel of `self` `[n, c, …]` less its mean over the batch and divided by its deviation
    /// `sqrt(variance + eps)`, times `weight` `[c]`, plus `bias` `[c]`, and the statistics: what
    /// `torch.nn.functional.batch_norm` does in training (Ioffe and Szegedy, 2015), where `eps` is 1e-5 by default.
    #[track_caller]
    pub fn batch_norm(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f32,
    ) -> BatchNormed {
        let (site, affine) = (Site::here(), [weight, bias]);
        if self.any_poisoned(affine) {
            return self.no_batch();
        }
        let c = self.size(1);
        let fault = if self.rank() < 2 {
            Some(format!("{}: takes an input [n, c, ...]", self.shape()))
        } else if self.numel() == c {
            Some(format!(
                "{}: takes more than 1 value a channel in training, to have a variance",
                self.shape()
            ))
        } else if self.numel() == 0 {
            Some(format!("{}: of no values there is no mean", self.shape()))
        } else {
            None
        };
        if let Some(message) = fault {
            self.trace().misuse("batch_norm", message, site);
            return self.no_batch();
        }
        if self.misfit("batch_norm", affine, &[c], site).is_some() {
            return self.no_batch();
        }
        let kept = self.channel_shape();
        let affine = affine.map(|t| Some(t?.reshape_to(kept.clone())));
        let found = self.by_moments(kept, true, affine, eps, site);
        found.map_or_else(|| self.no_batch(), |f| self.batch_normed(f, &[c]))
    }

    /// [`Tensor::batch_norm`] by given statistics `mean` `[c]` and `var` `[c]`: what `torch.nn.functional.batch_norm` does
    /// in evaluation.
    #[track_caller]
    pub fn batch_norm_by(
        &self,
        mean: &Tensor,
        var: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f32,
    ) -> Tensor {
        let (site, c) = (Site::here(), self.size(1));
        if self.any_poisoned([weight, bias]) || self.any_poisoned([Some(mean), Some(var)]) {
            return self.trace().poison();
        }
        if self.rank() < 2 {
            let message = format!("{}: takes an input [n, c, ...]", self.shape());
            return self.trace().misuse("batch_norm", message, site);
        }
        for pair in [[weight, bias], [Some(mean), Some(var)]] {
            if let Some(poison) = self.misfit("batch_norm", pair, &[c], site) {
                return poison;
            }
        }
        let along = |t: &Tensor| t.reshape_to(self.channel_shape());
        let scale = along(&var.add_scalar(eps).rsqrt());
        let y = self.sub(&along(mean)).mul(&scale);
        scaled(&y, [weight, bias].map(|t| t.map(along)))
    }

    /// `self` `[n, c, …]`, each of `groups` parts of the channels normalised.
    fn by_channel(&self, groups: usize, affine: Affine, eps: f32, site: Site) -> Tensor {
        let (n, c) = (self.shape()[0], self.shape()[1]);
        let per = c.checked_div(groups).unwrap_or(0);
        let x = self.reshape_to([n, groups, per, self.spatial()].into());
        let affine = affine.map(|t| Some(t?.reshape_to([1, groups, per, 1].into())));
        x.rows_normalized(affine, RowNorm { centred: true, eps }, site)
            .reshape_to(self.shape().clone())
    }

    /// `self` `[rows, groups, channels, inner]`, each `[channels, inner]` normalised.
    fn rows_normalized(&self, affine: [Option<Tensor>; 2], norm: RowNorm, site: Site) -> Tensor {
        let shape = self.shape();
        if self.numel() == 0 {
            return scaled(self, affine);
        }
        if shape[2] * shape[3] > SHORT {
            let kept = [shape[0], shape[1], 1, 1].into();
            let found = self.by_moments(kept, norm.centred, affine, norm.eps, site);
            return found.map_or_else(|| self.trace().poison(), |f| f.y);
        }
        let [weight, bias] = affine;
        let weight = weight.unwrap_or_else(|| self.trace().scalar(1.0));
        let bias = bias.unwrap_or_else(|| self.trace().scalar(0.0));
        self.apply(norm, &[&weight, &bias], site)
    }

    fn by_moments(
        &self,
        kept: Shape,
        centred: bool,
        affine: [Option<Tensor>; 2],
        eps: f32,
        site: Site,
    ) -> Option<Normalized> {
        let moments = Moments { kept, centred, eps };
        normalized(self, moments, affine[0].as_ref(), affine[1].as_ref(), site)
    }

    fn batch_normed(&self, found: Normalized, statistics: &[usize]) -> BatchNormed {
        let flat = |t: &Tensor| t.reshape_to(statistics.into());
        BatchNormed {
            y: found.y.reshape_to(self.shape().clone()),
            mean: flat(&found.mean),
            var: flat(&found.var),
        }
    }

    fn no_batch(&self) -> BatchNormed {
        let [y, mean, var] = [(); 3].map(|()| self.trace().poison());
        BatchNormed { y, mean, var }
    }

    /// `[1, c, 1, …]`, of as many dimensions as `self` has.
    pub(crate) fn channel_shape(&self) -> Shape {
        let size = |d: usize| if d == 1 { self.shape()[1] } else { 1 };
        (0..self.rank()).map(size).collect()
    }

    /// Elements of a channel of a sample.
    fn spatial(&self) -> usize {
        self.shape().iter().skip(2).product()
    }

    fn any_poisoned(&self, others: Affine) -> bool {
        self.is_poisoned() || others.into_iter().flatten().any(Tensor::is_poisoned)
    }

    /// Keep the misuse of a tensor that is not f32 of `shape`, or of an input that is not f32.
    fn misfit(&self, name: &str, of: Affine, shape: &[usize], site: Site) -> Option<Tensor> {
        let message = if !self.dtype().is_float() {
            format!("takes f32, {} came: convert with to_f32()", self.ty())
        } else {
            let wrong = |t: &&Tensor| t.shape()[..] != *shape || !t.dtype().is_float();
            let t = of.into_iter().flatten().find(wrong)?;
            let want = Shape::from(shape.to_vec());
            format!(
                "{}: takes weights f32 {want}, {} came",
                self.shape(),
                t.ty()
            )
        };
        Some(self.trace().misuse(name, message, site))
    }
}

/// `x` times weight, plus bias.
fn scaled(x: &Tensor, [weight, bias]: [Option<Tensor>; 2]) -> Tensor {
    let y = weight.map_or_else(|| x.clone(), |w| x.mul(&w));
    bias.map_or_else(|| y.clone(), |b| y.add(&b))
}
