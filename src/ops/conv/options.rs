//! The methods that build convolutions, and their options.

use super::Conv;
use crate::error::Site;
use crate::op::OpDef;
use crate::ops::conv_grad_input::ConvGradInput;
use crate::ops::window::{LAYOUTS, Spatial, Steps};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// What is added around the input of a convolution: zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Padding {
    /// This many on either side of each spatial dimension; one number serves all.
    Explicit(Vec<usize>),
    /// As many as keep the size, where the stride is 1; an odd one goes behind.
    Same,
    /// None.
    Valid,
}

/// How a convolution moves; as the arguments of `torch.nn.functional.conv2d`. Lists hold one number a spatial dimension,
/// or one that serves all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvOptions {
    /// Distance of neighbouring positions, 1 by default.
    pub stride: Vec<usize>,
    /// Zeros around the input, none by default.
    pub padding: Padding,
    /// Distance of neighbouring taps, 1 by default.
    pub dilation: Vec<usize>,
    /// Parts that the channels are cut into, 1 by default; as many as there are channels is a depthwise convolution.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self {
            stride: vec![1],
            padding: Padding::Explicit(vec![0]),
            dilation: vec![1],
            groups: 1,
        }
    }
}

/// How a transposed convolution moves; as the arguments of `torch.nn.functional.conv_transpose2d`. Lists hold one number
/// a spatial dimension, or one that serves all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvTransposeOptions {
    /// Distance that neighbours of the input have in the output, 1 by default.
    pub stride: Vec<usize>,
    /// Elements cut from either side of the output, 0 by default.
    pub padding: Vec<usize>,
    /// Elements added behind the output, 0 by default; less than the stride or the dilation.
    pub output_padding: Vec<usize>,
    /// Distance of neighbouring taps, 1 by default.
    pub dilation: Vec<usize>,
    /// Parts that the channels are cut into, 1 by default.
    pub groups: usize,
}

impl Default for ConvTransposeOptions {
    fn default() -> Self {
        Self {
            stride: vec![1],
            padding: vec![0],
            output_padding: vec![0],
            dilation: vec![1],
            groups: 1,
        }
    }
}

/// `list` with one number for each of `dims` dimensions.
pub(crate) fn spread(what: &str, list: &[usize], dims: usize) -> Result<Vec<usize>, String> {
    match list {
        [one] => Ok(vec![*one; dims]),
        _ if list.len() == dims => Ok(list.to_vec()),
        _ => Err(format!(
            "{what} {list:?}: takes 1 number or {dims}, one a spatial dimension"
        )),
    }
}

impl ConvOptions {
    /// By single steps, without padding, over all channels: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this distance of neighbouring positions.
    pub fn stride(mut self, stride: impl Into<Spatial>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// With these zeros around the input.
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.padding = padding.into();
        self
    }

    /// With this distance of neighbouring taps.
    pub fn dilation(mut self, dilation: impl Into<Spatial>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// With the channels cut into this many parts.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// The convolution over `dims` dimensions by `kernel`, and what must be added behind the input first.
    fn resolve(&self, dims: usize, kernel: &[usize]) -> Result<(Conv, Vec<usize>), String> {
        let stride = spread("stride", &self.stride, dims)?;
        let dilation = spread("dilation", &self.dilation, dims)?;
        let mut behind = vec![0; dims];
        let padding = match &self.padding {
            Padding::Explicit(list) => spread("padding", list, dims)?,
            Padding::Valid => vec![0; dims],
            Padding::Same if stride.iter().any(|s| *s != 1) => {
                return Err(format!(
                    "stride {stride:?}: Padding::Same takes a stride of 1"
                ));
            }
            Padding::Same => {
                let total = |d: usize| dilation[d].saturating_mul(kernel[d].saturating_sub(1));
                behind = (0..dims).map(|d| total(d) % 2).collect();
                (0..dims).map(|d| total(d) / 2).collect()
            }
        };
        let steps = Steps {
            stride,
            padding,
            dilation,
        };
        let groups = self.groups;
        Ok((Conv { steps, groups }, behind))
    }
}

impl ConvTransposeOptions {
    /// By single steps, without padding, over all channels: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this distance that neighbours of the input have in the output.
    pub fn stride(mut self, stride: impl Into<Spatial>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// With this many elements cut from either side of the output.
    pub fn padding(mut self, padding: impl Into<Spatial>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// With this many elements added behind the output.
    pub fn output_padding(mut self, padding: impl Into<Spatial>) -> Self {
        self.output_padding = padding.into().0;
        self
    }

    /// With this distance of neighbouring taps.
    pub fn dilation(mut self, dilation: impl Into<Spatial>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// With the channels cut into this many parts.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// The gradient of a convolution that it is, and what must be added behind its input first.
    fn resolve(&self, x: &Shape, weight: &Shape) -> Result<(ConvGradInput, Vec<usize>), String> {
        let dims = x.rank() - 2;
        let steps = Steps {
            stride: spread("stride", &self.stride, dims)?,
            padding: spread("padding", &self.padding, dims)?,
            dilation: spread("dilation", &self.dilation, dims)?,
        };
        let more = spread("output padding", &self.output_padding, dims)?;
        steps.check()?;
        let (mut input, mut behind) = (Vec::new(), Vec::new());
        for d in 0..dims {
            let (stride, dilation) = (steps.stride[d], steps.dilation[d]);
            if more[d] >= stride.max(dilation) {
                return Err(format!(
                    "output padding {more:?}: must be less than the stride {:?} or the dilation {:?}",
                    steps.stride, steps.dilation
                ));
            }
            let (n, kernel) = (x[d + 2], weight[d + 2]);
            let full = (n.saturating_sub(1).saturating_mul(stride))
                .saturating_add(dilation.saturating_mul(kernel.saturating_sub(1)))
                .saturating_add(1 + more[d]);
            let size = full
                .checked_sub(2 * steps.padding[d])
                .filter(|s| *s > 0 && n > 0);
            input.push(size.ok_or_else(|| {
                format!(
                    "input {x}, weight {weight}: {steps} leave nothing of spatial dimension {d}"
                )
            })?);
            behind.push(more[d] / stride);
        }
        let conv = Conv {
            steps,
            groups: self.groups,
        };
        Ok((ConvGradInput { conv, input }, behind))
    }

    fn check(&self, x: &Shape, weight: &Shape) -> Result<(), String> {
        let (c, groups) = (x[1], self.groups);
        if weight[0] != c {
            return Err(format!(
                "input {x}, weight {weight} [c, o / groups, kernel…]: the weight takes {} input channels, {c} came",
                weight[0]
            ));
        }
        if groups == 0 || c % groups != 0 {
            return Err(format!(
                "input {x}, weight {weight}: the number of groups, {groups}, must divide {c} input channels"
            ));
        }
        Ok(())
    }
}

/// Convolutions, as in `torch.nn.functional`.
impl Tensor {
    /// `x [n, c, l]` by `weight [o, c / groups, k]`, and `bias [o]` added, to `[n, o, positions]`.
    #[track_caller]
    pub fn conv1d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Tensor {
        self.conv("conv1d", 1, weight, bias, options)
    }

    /// `x [n, c, h, w]` by `weight [o, c / groups, kh, kw]`, and `bias [o]` added, to `[n, o, rows, columns]`.
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Tensor {
        self.conv("conv2d", 2, weight, bias, options)
    }

    /// `x [n, c, d, h, w]` by `weight [o, c / groups, kd, kh, kw]`, and `bias [o]` added.
    #[track_caller]
    pub fn conv3d(&self, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Tensor {
        self.conv("conv3d", 3, weight, bias, options)
    }

    /// `x [n, c, l]` by `weight [c, o / groups, k]`, and `bias [o]` added: the transpose of a convolution.
    #[track_caller]
    pub fn conv_transpose1d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: ConvTransposeOptions,
    ) -> Tensor {
        self.conv_transpose("conv_transpose1d", 1, weight, bias, options)
    }

    /// `x [n, c, h, w]` by `weight [c, o / groups, kh, kw]`, and `bias [o]` added: the transpose of a convolution.
    #[track_caller]
    pub fn conv_transpose2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: ConvTransposeOptions,
    ) -> Tensor {
        self.conv_transpose("conv_transpose2d", 2, weight, bias, options)
    }

    /// `x [n, c, d, h, w]` by `weight [c, o / groups, kd, kh, kw]`, and `bias [o]` added: the transpose of a convolution.
    #[track_caller]
    pub fn conv_transpose3d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: ConvTransposeOptions,
    ) -> Tensor {
        self.conv_transpose("conv_transpose3d", 3, weight, bias, options)
    }

    #[track_caller]
    fn conv(
        &self,
        name: &'static str,
        dims: usize,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: ConvOptions,
    ) -> Tensor {
        let site = Site::here();
        if self.is_poisoned() || weight.is_poisoned() {
            return self.trace().poison();
        }
        let resolved = self
            .ranks(dims, weight)
            .and_then(|()| options.resolve(dims, &weight.shape()[2..]));
        match resolved {
            Ok((op, behind)) => self.behind(&behind).checked(name, op, weight, bias, site),
            Err(message) => self.trace().misuse(name, message, site),
        }
    }

    #[track_caller]
    fn conv_transpose(
        &self,
        name: &'static str,
        dims: usize,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: ConvTransposeOptions,
    ) -> Tensor {
        let site = Site::here();
        if self.is_poisoned() || weight.is_poisoned() {
            return self.trace().poison();
        }
        let resolved = self
            .ranks(dims, weight)
            .and_then(|()| options.check(self.shape(), weight.shape()))
            .and_then(|()| options.resolve(self.shape(), weight.shape()));
        match resolved {
            Ok((op, behind)) => self.behind(&behind).checked(name, op, weight, bias, site),
            Err(message) => self.trace().misuse(name, message, site),
        }
    }

    fn ranks(&self, dims: usize, weight: &Tensor) -> Result<(), String> {
        if self.rank() == dims + 2 && weight.rank() == dims + 2 {
            return Ok(());
        }
        Err(format!(
            "input {}, weight {}: takes an input {} and a weight of {} dimensions",
            self.shape(),
            weight.shape(),
            LAYOUTS[dims],
            dims + 2
        ))
    }

    /// With zeros behind the elements of each spatial dimension.
    #[track_caller]
    fn behind(&self, behind: &[usize]) -> Tensor {
        if behind.iter().all(|n| *n == 0) {
            return self.clone();
        }
        let pairs: Vec<usize> = behind.iter().rev().flat_map(|n| [0, *n]).collect();
        self.pad(&pairs, 0.0)
    }

    /// Apply `op` under the name that the user knows, then add the bias.
    #[track_caller]
    fn checked(
        &self,
        name: &str,
        op: impl OpDef,
        weight: &Tensor,
        bias: Option<&Tensor>,
        site: Site,
    ) -> Tensor {
        let channels = match op.infer(&[self.ty().clone(), weight.ty().clone()]) {
            Ok(types) => types[0].shape[1],
            Err(message) => return self.trace().misuse(name, message, site),
        };
        let rank = self.rank();
        let y = self.apply(op, &[weight], site);
        match bias {
            None => y,
            Some(b) if b.is_poisoned() => self.trace().poison(),
            Some(b) if **b.shape() != [channels] => {
                let message = format!(
                    "bias {}: takes one number an output channel, [{channels}]",
                    b.shape()
                );
                self.trace().misuse(name, message, site)
            }
            Some(b) => {
                let shape = (0..rank).map(|d| if d == 1 { channels } else { 1 });
                y.add(&b.reshape_to(shape.collect()))
            }
        }
    }
}
