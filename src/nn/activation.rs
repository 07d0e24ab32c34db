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
    /// As `torch.nn.GELU` without an approximation.
    Gelu = |x| x.gelu(GeluApprox::None);
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
    /// As `torch.nn.Softplus` with its defaults, beta 1 and threshold 20.
    Softplus = |x| x.softplus(1.0, 20.0);
    /// As `torch.nn.SELU`.
    Selu = |x| x.selu();
    /// As `torch.nn.ELU` with alpha 1.
    Elu = |x| x.elu(1.0);
    /// As `torch.nn.LeakyReLU` with a slope of 0.01.
    LeakyRelu = |x| x.leaky_relu(0.01);
}
