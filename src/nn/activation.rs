//! Activations as modules, for [`Sequential`](super::Sequential).

use super::{Build, Module};
use crate::scalar::GeluApprox;
use crate::state::Params;
use crate::tensor::Tensor;

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident = |$x:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name;

        impl Build for $name {
            type Layer = Self;

            fn build(self, _: &Params) -> Self {
                self
            }
        }

        impl Module for $name {
            fn forward(&self, $x: &Tensor) -> Tensor {
                $body
            }
        }
    )*};
}

activations! {
    /// `max(x, 0)`, as `torch.nn.ReLU`.
    Relu = |x| x.relu();
    /// As `torch.nn.ReLU6`.
    Relu6 = |x| x.relu6();
    /// As `torch.nn.SiLU`.
    Silu = |x| x.silu();
    /// As `torch.nn.Mish`.
    Mish = |x| x.mish();
    /// As `torch.nn.Tanh`.
    Tanh = |x| x.tanh();
    /// As `torch.nn.Sigmoid`.
    Sigmoid = |x| x.sigmoid();
    /// As `torch.nn.Hardswish`.
    Hardswish = |x| x.hardswish();
    /// As `torch.nn.Hardsigmoid`.
    Hardsigmoid = |x| x.hardsigmoid();
    /// As `torch.nn.SELU`.
    Selu = |x| x.selu();
    /// As `torch.nn.Softsign`.
    Softsign = |x| x.softsign();
    /// As `torch.nn.LogSigmoid`.
    LogSigmoid = |x| x.log_sigmoid();
    /// As `torch.nn.Tanhshrink`.
    Tanhshrink = |x| x.tanhshrink();
}

macro_rules! with_options {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty = $default:expr),* } = |$x:ident, $o:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            $(#[doc = concat!("PyTorch's `", stringify!($field), "`, `", stringify!($default), "` by default.")]
            pub $field: $ty,)*
        }

        impl $name {
            /// With these options; `default()` has PyTorch's.
            pub fn new($($field: $ty),*) -> Self {
                Self { $($field),* }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        impl Build for $name {
            type Layer = Self;

            fn build(self, _: &Params) -> Self {
                self
            }
        }

        impl Module for $name {
            fn forward(&self, $x: &Tensor) -> Tensor {
                let $o = self;
                $body
            }
        }
    )*};
}

with_options! {
    /// As `torch.nn.GELU`.
    Gelu { approximate: GeluApprox = GeluApprox::None } = |x, o| x.gelu(o.approximate);
    /// As `torch.nn.Softplus`.
    Softplus { beta: f32 = 1.0, threshold: f32 = 20.0 } = |x, o| x.softplus(o.beta, o.threshold);
    /// As `torch.nn.ELU`.
    Elu { alpha: f32 = 1.0 } = |x, o| x.elu(o.alpha);
    /// As `torch.nn.CELU`.
    Celu { alpha: f32 = 1.0 } = |x, o| x.celu(o.alpha);
    /// As `torch.nn.LeakyReLU`.
    LeakyRelu { negative_slope: f32 = 0.01 } = |x, o| x.leaky_relu(o.negative_slope);
    /// As `torch.nn.Hardtanh`.
    Hardtanh { min_val: f32 = -1.0, max_val: f32 = 1.0 } = |x, o| x.hardtanh(o.min_val, o.max_val);
    /// As `torch.nn.Hardshrink`.
    Hardshrink { lambda: f32 = 0.5 } = |x, o| x.hardshrink(o.lambda);
    /// As `torch.nn.Softshrink`.
    Softshrink { lambda: f32 = 0.5 } = |x, o| x.softshrink(o.lambda);
    /// As `torch.nn.Threshold`, which has no defaults.
    Threshold { threshold: f32 = 0.0, value: f32 = 0.0 } = |x, o| x.threshold(o.threshold, o.value);
    /// As `torch.nn.GLU`.
    Glu { dim: isize = -1 } = |x, o| x.glu(o.dim);
    /// As `torch.nn.Softmax`, along the last dimension by default.
    Softmax { dim: isize = -1 } = |x, o| x.softmax(o.dim);
    /// As `torch.nn.LogSoftmax`, along the last dimension by default.
    LogSoftmax { dim: isize = -1 } = |x, o| x.log_softmax(o.dim);
}
