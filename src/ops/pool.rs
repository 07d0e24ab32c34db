//! Pooling: where its windows lie, its options, and the methods that build it.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Site};
use crate::graph::TensorType;
use crate::kernel::Dispatch;
use crate::op::OpDef;
use crate::ops::avg_pool::AvgPool;
use crate::ops::conv::spread;
use crate::ops::max_pool::MaxPool;
use crate::ops::window::{LAYOUTS, Spatial, Steps, Window};
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::ops::Range;

/// Where the windows of a pooling lie, by spatial dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Windows {
    /// Of `kernel` taps, moving in steps.
    Moving {
        /// Taps.
        kernel: Vec<usize>,
        /// How they move.
        steps: Steps,
        /// Whether the last window may stick out behind the padding.
        ceil: bool,
    },
    /// This many, which share the elements as evenly as can be; neighbours overlap where they cannot.
    Adaptive(Vec<usize>),
}

/// The windows over an input of three spatial dimensions, missing ones standing in front with size 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub window: Window,
    adaptive: bool,
}

impl Windows {
    /// The shape of the output, or what is wrong.
    pub(crate) fn output(&self, x: &Shape) -> Result<Shape, String> {
        let dims = match self {
            Self::Moving { kernel, .. } => kernel.len(),
            Self::Adaptive(sizes) => sizes.len(),
        };
        if !(1..=3).contains(&dims) || x.rank() != dims + 2 {
            let layout = LAYOUTS.get(dims).unwrap_or(&"");
            return Err(format!("input {x}: takes an input {layout}"));
        }
        let sizes = match self {
            Self::Adaptive(sizes) if sizes.contains(&0) || x[2..].contains(&0) => {
                return Err(format!("input {x} to {sizes:?}: sizes are at least 1"));
            }
            Self::Adaptive(sizes) => sizes.clone(),
            Self::Moving {
                kernel,
                steps,
                ceil,
            } => {
                if steps.check()? != dims || kernel.contains(&0) {
                    return Err(format!(
                        "kernel {kernel:?}, {steps}: takes one number for each of {dims} spatial dimensions, kernels of at least 1"
                    ));
                }
                if (0..dims).any(|d| steps.padding[d] > kernel[d] / 2) {
                    return Err(format!(
                        "padding {:?} of kernel {kernel:?}: may be at most half the kernel's size",
                        steps.padding
                    ));
                }
                let size = |d: usize| {
                    let n = steps.positions(d, x[d + 2], kernel[d], *ceil);
                    n.filter(|_| x[d + 2] > 0).ok_or_else(|| {
                        format!(
                            "input {x}, kernel {kernel:?}: with {steps} the kernel is larger than the padded input in spatial dimension {d}"
                        )
                    })
                };
                (0..dims).map(size).collect::<Result<Vec<_>, _>>()?
            }
        };
        Ok(x[..2].iter().copied().chain(sizes).collect())
    }

    /// The windows over an input with the spatial sizes `input`, of which there are `output`.
    pub(crate) fn geometry(&self, input: &[usize], output: &[usize]) -> Geometry {
        let dims = input.len();
        let (kernel, steps) = match self {
            Self::Moving { kernel, steps, .. } => (kernel.clone(), steps.clone()),
            Self::Adaptive(_) => (
                vec![1; dims],
                Steps {
                    stride: vec![1; dims],
                    padding: vec![0; dims],
                    dilation: vec![1; dims],
                },
            ),
        };
        Geometry {
            window: Window::new(&steps, input, &kernel, output),
            adaptive: matches!(self, Self::Adaptive(_)),
        }
    }
}

impl Geometry {
    /// The elements of window `o` along dimension `d`: from the first one to behind the last one, a dilation apart.
    pub fn elements(&self, d: usize, o: usize) -> Range<usize> {
        let w = &self.window;
        if self.adaptive {
            let (n, m) = (w.input[d], w.output[d]);
            return o * n / m..((o + 1) * n).div_ceil(m);
        }
        let start = o * w.stride[d];
        let skipped = w.padding[d].saturating_sub(start).div_ceil(w.dilation[d]);
        let first = start + skipped * w.dilation[d] - w.padding[d];
        let end = start + (w.kernel[d] - 1) * w.dilation[d] + 1;
        first..end.saturating_sub(w.padding[d]).min(w.input[d])
    }

    /// How many elements window `o` counts along dimension `d`, with those on the padding.
    pub fn extent(&self, d: usize, o: usize) -> usize {
        let w = &self.window;
        if self.adaptive {
            return self.elements(d, o).len();
        }
        let start = o * w.stride[d];
        (start + w.kernel[d]).min(w.input[d] + 2 * w.padding[d]) - start
    }

    /// Whether the windows are pairs of rows and columns that do not overlap.
    pub fn is_halving(&self) -> bool {
        let w = &self.window;
        !self.adaptive
            && w.kernel == [1, 2, 2]
            && w.stride[1..] == [2, 2]
            && w.padding == [0; 3]
            && w.dilation == [1; 3]
            && w.output[0] == w.input[0]
            && 2 * w.output[1] <= w.input[1]
            && 2 * w.output[2] <= w.input[2]
    }

    /// Whether the windows lie side by side and leave no element out.
    pub fn covers(&self) -> bool {
        let w = &self.window;
        let along = |d: usize| {
            w.kernel[d] == w.stride[d]
                && w.padding[d] == 0
                && w.output[d] * w.stride[d] == w.input[d]
        };
        !self.adaptive && w.dilation == [1; 3] && (0..3).all(along)
    }

    /// The most elements that a window has.
    pub fn reach(&self) -> usize {
        let w = &self.window;
        let along = |d: usize| match self.adaptive {
            true => (w.input[d].div_ceil(w.output[d].max(1)) + 1).min(w.input[d]),
            false => w.kernel[d].min(w.input[d]),
        };
        (0..3).map(along).product()
    }

    /// The most windows that an element is in.
    pub fn overlaps(&self) -> usize {
        let w = &self.window;
        let along = |d: usize| match self.adaptive {
            true => (w.output[d].div_ceil(w.input[d].max(1)) + 1).min(w.output[d]),
            false => ((w.kernel[d] - 1) * w.dilation[d] / w.stride[d] + 1).min(w.output[d]),
        };
        (0..3).map(along).product()
    }

    /// The launch of a pooling shader with one thread for each of `n` elements, or a workgroup where the `turns` that an
    /// element takes are too many for a thread.
    ///
    /// # Errors
    /// They are too many for a workgroup.
    pub fn launch(
        &self,
        (stem, source): (&'static str, &'static str),
        n: usize,
        turns: usize,
        flag: bool,
        caps: &Caps,
    ) -> Result<Dispatch, Error> {
        let w = &self.window;
        let team = turns > caps.iterations;
        let (threads, groups, library) = if team {
            let library = include_str!("../../shaders/lib/row_team.wgsl");
            (caps.threads.min(256), n, library)
        } else {
            let threads = caps.lanes();
            let library = include_str!("../../shaders/lib/row_single.wgsl");
            (threads, n.div_ceil(threads as usize), library)
        };
        let members = if team { threads as usize } else { 1 };
        caps.allow_turns(stem, turns.div_ceil(members))?;
        let mut d = Dispatch::new(stem, source)
            .sizes([n, usize::from(flag), 0, 0])
            .constant("THREADS", threads)
            .grid(caps.grid(groups));
        for k in 0..3 {
            d = d.sizes([w.input[k], w.output[k], w.kernel[k], w.stride[k]]);
            d = d.sizes([w.padding[k], w.dilation[k], usize::from(self.adaptive), 0]);
        }
        d.generated
            .push_str(include_str!("../../shaders/lib/pool.wgsl"));
        d.generated.push_str(library);
        Ok(d)
    }
}

/// What a pooling takes, as the arguments of `torch.nn.functional.max_pool2d` and `avg_pool2d`. Lists hold one number a
/// spatial dimension, or one that serves all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Size of the window.
    pub kernel: Vec<usize>,
    /// Distance of neighbouring windows; by default the kernel's size.
    pub stride: Option<Vec<usize>>,
    /// Elements added on either side, 0 by default, at most half the kernel's size: smaller than any for a maximum,
    /// zero for a mean.
    pub padding: Vec<usize>,
    /// Distance of neighbouring taps, 1 by default; a mean takes no other.
    pub dilation: Vec<usize>,
    /// Whether the number of windows is rounded up: the last one may stick out behind. Not by default.
    pub ceil_mode: bool,
    /// Whether a mean counts the padding; it does by default.
    pub count_include_pad: bool,
}

impl PoolOptions {
    /// Windows of size `kernel`, side by side.
    pub fn new(kernel: impl Into<Spatial>) -> Self {
        Self {
            kernel: kernel.into().0,
            stride: None,
            padding: vec![0],
            dilation: vec![1],
            ceil_mode: false,
            count_include_pad: true,
        }
    }

    /// With this distance of neighbouring windows.
    pub fn stride(mut self, stride: impl Into<Spatial>) -> Self {
        self.stride = Some(stride.into().0);
        self
    }

    /// With this many elements added on either side.
    pub fn padding(mut self, padding: impl Into<Spatial>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// With this distance of neighbouring taps.
    pub fn dilation(mut self, dilation: impl Into<Spatial>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// Whether the number of windows is rounded up.
    pub fn ceil_mode(mut self, ceil: bool) -> Self {
        self.ceil_mode = ceil;
        self
    }

    /// Whether a mean counts the padding.
    pub fn count_include_pad(mut self, count: bool) -> Self {
        self.count_include_pad = count;
        self
    }

    fn windows(&self, dims: usize) -> Result<Windows, String> {
        let kernel = spread("kernel", &self.kernel, dims)?;
        let steps = Steps {
            stride: match &self.stride {
                Some(list) => spread("stride", list, dims)?,
                None => kernel.clone(),
            },
            padding: spread("padding", &self.padding, dims)?,
            dilation: spread("dilation", &self.dilation, dims)?,
        };
        Ok(Windows::Moving {
            kernel,
            steps,
            ceil: self.ceil_mode,
        })
    }

    fn undilated(&self) -> Result<(), String> {
        if self.dilation.iter().all(|d| *d == 1) {
            return Ok(());
        }
        Err(format!("dilation {:?}: a mean takes 1", self.dilation))
    }
}

/// The type of `shape` as `f32` if `x` is, else what is wrong.
pub(crate) fn floats(x: &TensorType, shape: Shape) -> Result<TensorType, String> {
    if x.dtype == DType::F32 {
        Ok(TensorType::f32(shape))
    } else {
        Err(format!("takes f32, {x} came: convert with to_f32()"))
    }
}

macro_rules! methods {
    ($($dims:literal, $layout:literal: $max:ident, $max_with:ident, $min:ident, $min_with:ident, $avg:ident, $avg_with:ident, $max_to:ident, $avg_to:ident;)*) => {
        /// Pooling, as in `torch.nn.functional`.
        impl Tensor {
            $(
                #[doc = concat!("The largest of each window of `kernel` elements a side, side by side, of `x ", $layout, "`.")]
                #[track_caller]
                pub fn $max(&self, kernel: usize) -> Tensor {
                    self.$max_with(PoolOptions::new([kernel]))
                }

                #[doc = concat!("The largest of each window of `x ", $layout, "`; NaN where any is.")]
                #[track_caller]
                pub fn $max_with(&self, options: PoolOptions) -> Tensor {
                    let op = options.windows($dims).map(|windows| MaxPool { windows });
                    self.pooled(stringify!($max), op, Site::here())
                }

                #[doc = concat!("The smallest of each window of `kernel` elements a side, side by side, of `x ", $layout, "`.")]
                #[track_caller]
                pub fn $min(&self, kernel: usize) -> Tensor {
                    self.$min_with(PoolOptions::new([kernel]))
                }

                #[doc = concat!("The smallest of each window of `x ", $layout, "`; NaN where any is.")]
                #[track_caller]
                pub fn $min_with(&self, options: PoolOptions) -> Tensor {
                    let op = options.windows($dims).map(|windows| MaxPool { windows });
                    self.neg().pooled(stringify!($min), op, Site::here()).neg()
                }

                #[doc = concat!("The mean of each window of `kernel` elements a side, side by side, of `x ", $layout, "`.")]
                #[track_caller]
                pub fn $avg(&self, kernel: usize) -> Tensor {
                    self.$avg_with(PoolOptions::new([kernel]))
                }

                #[doc = concat!("The mean of each window of `x ", $layout, "`.")]
                #[track_caller]
                pub fn $avg_with(&self, options: PoolOptions) -> Tensor {
                    let windows = options.undilated().and_then(|()| options.windows($dims));
                    let op = windows.map(|windows| AvgPool { windows, padding: options.count_include_pad });
                    self.pooled(stringify!($avg), op, Site::here())
                }

                #[doc = concat!("The largest of each of as many windows as `sizes` says, which share `x ", $layout, "` evenly.")]
                #[track_caller]
                pub fn $max_to(&self, sizes: [usize; $dims]) -> Tensor {
                    let windows = Windows::Adaptive(sizes.to_vec());
                    self.pooled(stringify!($max_to), Ok(MaxPool { windows }), Site::here())
                }

                #[doc = concat!("The mean of each of as many windows as `sizes` says, which share `x ", $layout, "` evenly.")]
                #[track_caller]
                pub fn $avg_to(&self, sizes: [usize; $dims]) -> Tensor {
                    if sizes == [1; $dims] && self.rank() == $dims + 2 {
                        let dims: Vec<isize> = (2..$dims + 2).collect();
                        return self.mean(&dims, true);
                    }
                    let windows = Windows::Adaptive(sizes.to_vec());
                    self.pooled(stringify!($avg_to), Ok(AvgPool { windows, padding: false }), Site::here())
                }
            )*
        }
    };
}

methods! {
    1, "[n, c, l]": max_pool1d, max_pool1d_with, min_pool1d, min_pool1d_with, avg_pool1d, avg_pool1d_with, adaptive_max_pool1d, adaptive_avg_pool1d;
    2, "[n, c, h, w]": max_pool2d, max_pool2d_with, min_pool2d, min_pool2d_with, avg_pool2d, avg_pool2d_with, adaptive_max_pool2d, adaptive_avg_pool2d;
    3, "[n, c, d, h, w]": max_pool3d, max_pool3d_with, min_pool3d, min_pool3d_with, avg_pool3d, avg_pool3d_with, adaptive_max_pool3d, adaptive_avg_pool3d;
}

impl Tensor {
    /// Apply `op` under the name that the user knows.
    fn pooled(&self, name: &str, op: Result<impl OpDef, String>, site: Site) -> Tensor {
        if self.is_poisoned() {
            return self.trace().poison();
        }
        let checked = op.and_then(|op| op.infer(&[self.ty().clone()]).map(|_| op));
        match checked {
            Ok(op) => self.apply(op, &[], site),
            Err(message) => self.trace().misuse(name, message, site),
        }
    }
}
