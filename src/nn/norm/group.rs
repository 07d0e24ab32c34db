//! Group normalisation.

use super::super::look::Python;
use super::super::{Build, Module, Scope};
use super::{Affine, check, refuse};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// For each sample of `x [n, c, sizes…]` the channels cut in groups, each less its mean and divided by its deviation;
/// each channel times `weight [c]`, plus `bias [c]`: `torch.nn.GroupNorm` (Wu and He, 2018).
#[derive(Debug, Clone)]
pub struct GroupNorm {
    affine: Affine,
    options: GroupNormBuilder,
    pub(crate) scope: Scope,
}

/// The description of a [`GroupNorm`].
#[derive(Debug, Clone)]
pub struct GroupNormBuilder {
    groups: usize,
    channels: usize,
    eps: f32,
    affine: bool,
}

impl GroupNorm {
    /// `groups` groups of `channels` channels, which they must divide.
    pub fn new(groups: usize, channels: usize) -> GroupNormBuilder {
        GroupNormBuilder {
            groups,
            channels,
            eps: 1e-5,
            affine: true,
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
}

impl GroupNormBuilder {
    /// What is added to the variance; 1e-5 by default.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Whether there are weight and bias; true by default.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// The layer, with weights of 1 and biases of 0. Groups that do not divide the channels, no channels and an `eps`
    /// below 0 are errors that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> GroupNorm {
        let scope = Scope::new(params, "GroupNorm").detail(format!(
            "{}, {}, eps={}, affine={affine}, bias={affine}",
            self.groups,
            self.channels,
            self.eps.python(),
            affine = self.affine.python(),
        ));
        let (groups, channels) = (self.groups, self.channels);
        refuse(&scope, params, channels, self.eps);
        let bad = groups == 0 || !channels.is_multiple_of(groups);
        let message = format!("{groups} groups do not divide {channels} channels");
        scope.refuse(params, &[(bad, message)]);
        GroupNorm {
            affine: Affine::new(params, &[channels], self.affine, self.affine),
            options: self,
            scope,
        }
    }
}

impl Build for GroupNormBuilder {
    type Layer = GroupNorm;

    #[track_caller]
    fn build(self, params: &Params) -> GroupNorm {
        GroupNormBuilder::build(self, params)
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let o = &self.options;
            if let Some(poison) = check("GroupNorm", x, o.channels, &[2, 3, 4, 5]) {
                return poison;
            }
            let [weight, bias] = self.affine.values(x.trace());
            x.group_norm(o.groups, weight.as_ref(), bias.as_ref(), o.eps)
        })
    }
}
