//! Transposed convolutions over one, two and three spatial dimensions.

use super::look::{spread, tuple, unless};
use super::{Build, Module, Scope, Sizes, init};
use crate::ops::conv::ConvTransposeOptions;
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// The transpose of a convolution over `D` spatial dimensions: `x [n, in, sizes…]` to `[n, out, sizes…]`, as
/// `torch.nn.ConvTranspose2d`.
#[derive(Debug, Clone)]
pub struct ConvTranspose<const D: usize> {
    /// `[in, out / groups, kernel…]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    options: ConvTransposeOptions,
    pub(crate) scope: Scope,
}

/// `x [n, in, l]`, as `torch.nn.ConvTranspose1d`.
pub type ConvTranspose1d = ConvTranspose<1>;
/// `x [n, in, h, w]`, as `torch.nn.ConvTranspose2d`.
pub type ConvTranspose2d = ConvTranspose<2>;
/// `x [n, in, d, h, w]`, as `torch.nn.ConvTranspose3d`.
pub type ConvTranspose3d = ConvTranspose<3>;

/// The description of a [`ConvTranspose`].
#[derive(Debug, Clone)]
pub struct ConvTransposeBuilder<const D: usize> {
    inputs: usize,
    outputs: usize,
    kernel: [usize; D],
    options: ConvTransposeOptions,
    bias: bool,
}

impl<const D: usize> ConvTranspose<D> {
    const KIND: &str = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"][D - 1];

    /// From `inputs` to `outputs` channels by a kernel of `kernel` elements: one number, or one a spatial dimension.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<D>>,
    ) -> ConvTransposeBuilder<D> {
        ConvTransposeBuilder {
            inputs,
            outputs,
            kernel: kernel.into().0,
            options: ConvTransposeOptions::default(),
            bias: true,
        }
    }
}

impl<const D: usize> ConvTransposeBuilder<D> {
    fn detail(&self) -> String {
        let o = &self.options;
        let all = |sizes: &[usize], n: usize| sizes.iter().all(|s| *s == n);
        format!(
            "{}, {}, kernel_size={}, stride={}{}{}{}{}{}",
            self.inputs,
            self.outputs,
            tuple(&self.kernel),
            spread(&o.stride, D),
            unless(all(&o.padding, 0), "padding", spread(&o.padding, D)),
            unless(all(&o.dilation, 1), "dilation", spread(&o.dilation, D)),
            unless(
                all(&o.output_padding, 0),
                "output_padding",
                spread(&o.output_padding, D)
            ),
            unless(o.groups == 1, "groups", o.groups),
            unless(self.bias, "bias", self.bias),
        )
    }

    /// Distance that neighbours of the input have in the output; 1 by default.
    pub fn stride(mut self, stride: impl Into<Sizes<D>>) -> Self {
        self.options.stride = stride.into().0.to_vec();
        self
    }

    /// Elements cut from either side of the output; 0 by default.
    pub fn padding(mut self, padding: impl Into<Sizes<D>>) -> Self {
        self.options.padding = padding.into().0.to_vec();
        self
    }

    /// Elements added behind the output; 0 by default.
    pub fn output_padding(mut self, padding: impl Into<Sizes<D>>) -> Self {
        self.options.output_padding = padding.into().0.to_vec();
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

    /// The layer, with `weight` and `bias` drawn uniformly within `1 / sqrt(outputs / groups * kernel)`. Sizes of 0 and
    /// groups that do not divide the channels are errors that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> ConvTranspose<D> {
        let scope = Scope::new(params, ConvTranspose::<D>::KIND).detail(self.detail());
        let (i, o, kernel) = (self.inputs, self.outputs, self.kernel);
        let given = self.options.groups;
        let groups = given.max(1);
        let zero = |list: &[usize]| list.contains(&0);
        let (stride, dilation) = (&self.options.stride, &self.options.dilation);
        scope.refuse(
            params,
            &[
                (
                    zero(&[i, o]) || zero(&kernel),
                    format!("{i} to {o} channels, kernel {kernel:?}: all must be 1 or more"),
                ),
                (
                    zero(stride) || zero(dilation),
                    format!("stride {stride:?}, dilation {dilation:?}: all must be 1 or more"),
                ),
                (
                    given == 0 || i % groups != 0 || o % groups != 0,
                    format!("{given} groups do not divide {i} input and {o} output channels"),
                ),
            ],
        );
        let shape: Vec<usize> = [i, o / groups].into_iter().chain(kernel).collect();
        let fan_in = shape[1..].iter().fold(1usize, |n, &d| n.saturating_mul(d));
        ConvTranspose {
            weight: params.drawn("weight", shape, init::kaiming_uniform(fan_in, 5f32.sqrt())),
            bias: self
                .bias
                .then(|| params.drawn("bias", [o], init::bias(fan_in))),
            options: self.options,
            scope,
        }
    }
}

impl<const D: usize> Build for ConvTransposeBuilder<D> {
    type Layer = ConvTranspose<D>;

    #[track_caller]
    fn build(self, params: &Params) -> ConvTranspose<D> {
        ConvTransposeBuilder::build(self, params)
    }
}

impl<const D: usize> Module for ConvTranspose<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let weight = x.trace().param(&self.weight);
            let bias = self.bias.as_ref().map(|b| x.trace().param(b));
            let (bias, options) = (bias.as_ref(), self.options.clone());
            match D {
                1 => x.conv_transpose1d(&weight, bias, options),
                2 => x.conv_transpose2d(&weight, bias, options),
                _ => x.conv_transpose3d(&weight, bias, options),
            }
        })
    }
}
