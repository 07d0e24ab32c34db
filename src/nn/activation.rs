//! Activations as modules, for [`Sequential`](super::Sequential).

use super::look::Python;
use super::{Build, Module};
use crate::scalar::GeluApprox;
use crate::state::Params;
use crate::tensor::Tensor;

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident ($kind:ident) = |$x:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name;

        impl $name {
            const KIND: &str = stringify!($kind);

            fn detail(&self) -> String {
                String::new()
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
            fn forward(&self, $x: &Tensor) -> Tensor {
                $body
            }
        }
    )*};
}

activations! {
    /// `max(x, 0)`, as `torch.nn.ReLU`.
    Relu (ReLU) = |x| x.relu();
    /// As `torch.nn.ReLU6`.
    Relu6 (ReLU6) = |x| x.relu6();
    /// As `torch.nn.SiLU`.
    Silu (SiLU) = |x| x.silu();
    /// As `torch.nn.Mish`.
    Mish (Mish) = |x| x.mish();
    /// As `torch.nn.Tanh`.
    Tanh (Tanh) = |x| x.tanh();
    /// As `torch.nn.Sigmoid`.
    Sigmoid (Sigmoid) = |x| x.sigmoid();
    /// As `torch.nn.Hardswish`.
    Hardswish (Hardswish) = |x| x.hardswish();
    /// As `torch.nn.Hardsigmoid`.
    Hardsigmoid (Hardsigmoid) = |x| x.hardsigmoid();
    /// As `torch.nn.SELU`.
    Selu (SELU) = |x| x.selu();
    /// As `torch.nn.Softsign`.
    Softsign (Softsign) = |x| x.softsign();
    /// As `torch.nn.LogSigmoid`.
    LogSigmoid (LogSigmoid) = |x| x.log_sigmoid();
    /// As `torch.nn.Tanhshrink`.
    Tanhshrink (Tanhshrink) = |x| x.tanhshrink();
}

macro_rules! with_options {
    ($($(#[$doc:meta])* $name:ident ($kind:ident) { $($field:ident: $ty:ty = $default:expr),* } = |$x:ident, $o:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            $(#[doc = concat!("PyTorch's `", stringify!($field), "`, `", stringify!($default), "` by default.")]
            pub $field: $ty,)*
        }

        impl $name {
            const KIND: &str = stringify!($kind);

            /// PyTorch leaves the name out where it is `lambd`.
            fn detail(&self) -> String {
                let fields = [$((stringify!($field), self.$field.python())),*];
                let text = fields.map(|(name, value)| match name {
                    "lambda" => value,
                    _ => format!("{name}={value}"),
                });
                text.join(", ")
            }

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
            fn forward(&self, $x: &Tensor) -> Tensor {
                let $o = self;
                $body
            }
        }
    )*};
}

with_options! {
    /// As `torch.nn.GELU`.
    Gelu (GELU) { approximate: GeluApprox = GeluApprox::None } = |x, o| x.gelu(o.approximate);
    /// As `torch.nn.Softplus`.
    Softplus (Softplus) { beta: f32 = 1.0, threshold: f32 = 20.0 } = |x, o| x.softplus(o.beta, o.threshold);
    /// As `torch.nn.ELU`.
    Elu (ELU) { alpha: f32 = 1.0 } = |x, o| x.elu(o.alpha);
    /// As `torch.nn.CELU`.
    Celu (CELU) { alpha: f32 = 1.0 } = |x, o| x.celu(o.alpha);
    /// As `torch.nn.LeakyReLU`.
    LeakyRelu (LeakyReLU) { negative_slope: f32 = 0.01 } = |x, o| x.leaky_relu(o.negative_slope);
    /// As `torch.nn.Hardtanh`.
    Hardtanh (Hardtanh) { min_val: f32 = -1.0, max_val: f32 = 1.0 } = |x, o| x.hardtanh(o.min_val, o.max_val);
    /// As `torch.nn.Hardshrink`.
    Hardshrink (Hardshrink) { lambda: f32 = 0.5 } = |x, o| x.hardshrink(o.lambda);
    /// As `torch.nn.Softshrink`.
    Softshrink (Softshrink) { lambda: f32 = 0.5 } = |x, o| x.softshrink(o.lambda);
    /// As `torch.nn.Threshold`, which has no defaults.
    Threshold (Threshold) { threshold: f32 = 0.0, value: f32 = 0.0 } = |x, o| x.threshold(o.threshold, o.value);
    /// As `torch.nn.GLU`.
    Glu (GLU) { dim: isize = -1 } = |x, o| x.glu(o.dim);
    /// As `torch.nn.Softmax`, along the last dimension by default.
    Softmax (Softmax) { dim: isize = -1 } = |x, o| x.softmax(o.dim);
    /// As `torch.nn.LogSoftmax`, along the last dimension by default.
    LogSoftmax (LogSoftmax) { dim: isize = -1 } = |x, o| x.log_softmax(o.dim);
}
