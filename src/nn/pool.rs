//! Pooling over one, two and three spatial dimensions.

use super::look::{Python, short, tuple};
use super::{Build, Module, Sizes};
use crate::ops::pool::PoolOptions;
use crate::state::Params;
use crate::tensor::Tensor;

macro_rules! pools {
    ($($(#[$doc:meta])* $name:ident, $dims:literal, $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(PoolOptions);

        impl $name {
            const KIND: &str = stringify!($name);

            fn detail(&self) -> String {
                let o = &self.0;
                let stride = o.stride.as_ref().unwrap_or(&o.kernel);
                let all = [&o.kernel, stride, &o.padding];
                // The one that PyTorch makes tuples of.
                let [kernel, stride, padding] = match Self::KIND {
                    "AvgPool1d" => all.map(|s| tuple(s)),
                    _ => all.map(|s| short(s)),
                };
                let rest = match Self::KIND.starts_with("Avg") {
                    true => String::new(),
                    false => format!(", dilation={}, ceil_mode={}", short(&o.dilation), o.ceil_mode.python()),
                };
                format!("kernel_size={kernel}, stride={stride}, padding={padding}{rest}")
            }

            /// Windows of `kernel` elements, side by side: one number, or one a spatial dimension.
            pub fn new(kernel: impl Into<Sizes<$dims>>) -> Self {
                Self(PoolOptions::new(kernel.into().0))
            }

            /// Windows as `options` say.
            pub fn with_options(options: PoolOptions) -> Self {
                Self(options)
            }

            /// Distance of neighbouring windows; by default the size of the kernel.
            pub fn stride(mut self, stride: impl Into<Sizes<$dims>>) -> Self {
                self.0.stride = Some(stride.into().0.to_vec());
                self
            }

            /// Elements added on either side; 0 by default, at most half the kernel.
            pub fn padding(mut self, padding: impl Into<Sizes<$dims>>) -> Self {
                self.0.padding = padding.into().0.to_vec();
                self
            }

            /// Whether the number of windows is rounded up; false by default.
            pub fn ceil_mode(mut self, ceil: bool) -> Self {
                self.0.ceil_mode = ceil;
                self
            }
        }

        impl Build for $name {
            type Layer = Self;

            fn build(self, params: &Params) -> Self {
                params.built(Self::KIND, self.detail(), false);
                self
            }
        }

        /// As PyTorch prints it.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", Self::KIND, self.detail())
            }
        }

        impl Module for $name {
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(self.0.clone())
            }
        }
    )*};
}

pools! {
    /// The largest of each window of `x [n, c, l]`, as `torch.nn.MaxPool1d`.
    MaxPool1d, 1, max_pool1d_with;
    /// The largest of each window of `x [n, c, h, w]`, as `torch.nn.MaxPool2d`.
    MaxPool2d, 2, max_pool2d_with;
    /// The largest of each window of `x [n, c, d, h, w]`, as `torch.nn.MaxPool3d`.
    MaxPool3d, 3, max_pool3d_with;
    /// The smallest of each window of `x [n, c, l]`.
    MinPool1d, 1, min_pool1d_with;
    /// The smallest of each window of `x [n, c, h, w]`.
    MinPool2d, 2, min_pool2d_with;
    /// The smallest of each window of `x [n, c, d, h, w]`.
    MinPool3d, 3, min_pool3d_with;
    /// The mean of each window of `x [n, c, l]`, as `torch.nn.AvgPool1d`.
    AvgPool1d, 1, avg_pool1d_with;
    /// The mean of each window of `x [n, c, h, w]`, as `torch.nn.AvgPool2d`.
    AvgPool2d, 2, avg_pool2d_with;
    /// The mean of each window of `x [n, c, d, h, w]`, as `torch.nn.AvgPool3d`.
    AvgPool3d, 3, avg_pool3d_with;
}

macro_rules! adaptive {
    ($($(#[$doc:meta])* $name:ident, $dims:literal, $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name([usize; $dims]);

        impl $name {
            const KIND: &str = stringify!($name);

            fn detail(&self) -> String {
                format!("output_size={}", short(&self.0))
            }

            /// This many windows: one number, or one a spatial dimension.
            pub fn new(windows: impl Into<Sizes<$dims>>) -> Self {
                Self(windows.into().0)
            }
        }

        impl Build for $name {
            type Layer = Self;

            fn build(self, params: &Params) -> Self {
                params.built(Self::KIND, self.detail(), false);
                self
            }
        }

        /// As PyTorch prints it.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", Self::KIND, self.detail())
            }
        }

        impl Module for $name {
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(self.0)
            }
        }
    )*};
}

adaptive! {
    /// The largest of each of some windows that share `x [n, c, l]`, as `torch.nn.AdaptiveMaxPool1d`.
    AdaptiveMaxPool1d, 1, adaptive_max_pool1d;
    /// The largest of each of some windows that share `x [n, c, h, w]`, as `torch.nn.AdaptiveMaxPool2d`.
    AdaptiveMaxPool2d, 2, adaptive_max_pool2d;
    /// The largest of each of some windows that share `x [n, c, d, h, w]`, as `torch.nn.AdaptiveMaxPool3d`.
    AdaptiveMaxPool3d, 3, adaptive_max_pool3d;
    /// The mean of each of some windows that share `x [n, c, l]`, as `torch.nn.AdaptiveAvgPool1d`.
    AdaptiveAvgPool1d, 1, adaptive_avg_pool1d;
    /// The mean of each of some windows that share `x [n, c, h, w]`, as `torch.nn.AdaptiveAvgPool2d`.
    AdaptiveAvgPool2d, 2, adaptive_avg_pool2d;
    /// The mean of each of some windows that share `x [n, c, d, h, w]`, as `torch.nn.AdaptiveAvgPool3d`.
    AdaptiveAvgPool3d, 3, adaptive_avg_pool3d;
}
