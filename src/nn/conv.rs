//! Convolutions over one, two and three spatial dimensions.

use super::look::{spread, tuple, unless};
use super::{Build, Module, Scope, init};
use crate::ops::conv::{ConvOptions, Padding};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// A convolution over `D` spatial dimensions: `x [n, in, sizes…]` to `[n, out, sizes…]`, as `torch.nn.Conv2d`.
#[derive(Debug, Clone)]
pub struct Conv<const D: usize> {
    /// `[out, in / groups, kernel…]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    options: ConvOptions,
    pub(crate) scope: Scope,
}

/// `x [n, in, l]`, as `torch.nn.Conv1d`.
pub type Conv1d = Conv<1>;
/// `x [n, in, h, w]`, as `torch.nn.Conv2d`.
pub type Conv2d = Conv<2>;
/// `x [n, in, d, h, w]`, as `torch.nn.Conv3d`.
pub type Conv3d = Conv<3>;

/// The description of a [`Conv`].
#[derive(Debug, Clone)]
pub struct ConvBuilder<const D: usize> {
    inputs: usize,
    outputs: usize,
    kernel: [usize; D],
    options: ConvOptions,
    bias: bool,
}

/// A number a spatial dimension: `3` serves all, `[3, 5]` says each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes<const D: usize>(pub [usize; D]);

impl<const D: usize> From<usize> for Sizes<D> {
    fn from(size: usize) -> Self {
        Self([size; D])
    }
}

impl<const D: usize> From<[usize; D]> for Sizes<D> {
    fn from(sizes: [usize; D]) -> Self {
        Self(sizes)
    }
}

impl From<usize> for Padding {
    fn from(size: usize) -> Self {
        Self::Explicit(vec![size])
    }
}

impl<const D: usize> From<[usize; D]> for Padding {
    fn from(sizes: [usize; D]) -> Self {
        Self::Explicit(sizes.to_vec())
    }
}

impl<const D: usize> Conv<D> {
    const KIND: &str = ["Conv1d", "Conv2d", "Conv3d"][D - 1];

    /// From `inputs` to `outputs` channels by a kernel of `kernel` elements: one number, or one a spatial dimension.
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<Sizes<D>>) -> ConvBuilder<D> {
        ConvBuilder {
            inputs,
            outputs,
            kernel: kernel.into().0,
            options: ConvOptions::default(),
            bias: true,
        }
    }
}

impl<const D: usize> ConvBuilder<D> {
    fn detail(&self) -> String {
        let o = &self.options;
        let padding = match &o.padding {
            Padding::Explicit(sizes) => {
                let none = sizes.iter().all(|s| *s == 0);
                unless(none, "padding", spread(sizes, D))
            }
            Padding::Same => ", padding=same".to_owned(),
            Padding::Valid => ", padding=valid".to_owned(),
        };
        format!(
            "{}, {}, kernel_size={}, stride={}{padding}{}{}{}",
            self.inputs,
            self.outputs,
            tuple(&self.kernel),
            spread(&o.stride, D),
            unless(
                o.dilation.iter().all(|d| *d == 1),
                "dilation",
                spread(&o.dilation, D)
            ),
            unless(o.groups == 1, "groups", o.groups),
            unless(self.bias, "bias", self.bias),
        )
    }

    /// Distance of neighbouring positions; 1 by default.
    pub fn stride(mut self, stride: impl Into<Sizes<D>>) -> Self {
        self.options.stride = stride.into().0.to_vec();
        self
    }

    /// Zeros around the input: a number, one a spatial dimension, [`Padding::Same`] or [`Padding::Valid`]; 0 by default.
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.options.padding = padding.into();
        self
    }

    /// Distance of neighbouring taps; 1 by default.
    pub fn dilation(mut self, dilation: impl Into<Sizes<D>>) -> Self {
        self.options.dilation = dilation.into().0.to_vec();
        self
    }

    /// Parts that the channels are cut into; 1 by default. It must divide both numbers of channels.
    pub fn groups(mut self, groups: usize) -> Self {
        self.options.groups = groups;
        self
    }

    /// Whether a bias is added; true by default.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// The layer, with `weight` and `bias` drawn uniformly within `1 / sqrt(inputs / groups * kernel)`. Sizes of 0 and
    /// groups that do not divide the channels are errors that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Conv<D> {
        let scope = Scope::new(params, Conv::<D>::KIND).detail(self.detail());
        let (i, o, kernel, groups) = (
            self.inputs,
            self.outputs,
            self.kernel,
            self.options.groups.max(1),
        );
        let zero = |list: &[usize]| list.contains(&0);
        let o_ = &self.options;
        scope.refuse(
            params,
            &[
                (
                    zero(&[i, o]) || zero(&kernel),
                    format!("{i} to {o} channels, kernel {kernel:?}: all must be 1 or more"),
                ),
                (
                    zero(&o_.stride) || zero(&o_.dilation),
                    format!(
                        "stride {:?}, dilation {:?}: all must be 1 or more",
                        o_.stride, o_.dilation
                    ),
                ),
                (
                    o_.groups == 0 || i % groups != 0 || o % groups != 0,
                    format!(
                        "{} groups do not divide {i} input and {o} output channels",
                        o_.groups
                    ),
                ),
            ],
        );
        let shape: Vec<usize> = [o, i / groups].into_iter().chain(kernel).collect();
        let fan_in = shape[1..].iter().fold(1usize, |n, &d| n.saturating_mul(d));
        Conv {
            weight: params.drawn("weight", shape, init::kaiming_uniform(fan_in, 5f32.sqrt())),
            bias: self
                .bias
                .then(|| params.drawn("bias", [o], init::bias(fan_in))),
            options: self.options,
            scope,
        }
    }
}

impl<const D: usize> Build for ConvBuilder<D> {
    type Layer = Conv<D>;

    #[track_caller]
    fn build(self, params: &Params) -> Conv<D> {
        ConvBuilder::build(self, params)
    }
}

impl<const D: usize> Module for Conv<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let weight = x.trace().param(&self.weight);
            let bias = self.bias.as_ref().map(|b| x.trace().param(b));
            let (bias, options) = (bias.as_ref(), self.options.clone());
            match D {
                1 => x.conv1d(&weight, bias, options),
                2 => x.conv2d(&weight, bias, options),
                _ => x.conv3d(&weight, bias, options),
            }
        })
    }
}
