//! Elementwise functions.

use super::{Build, Case, binary, function, unary};
use wgrad::Tensor;
use wgrad::scalar::GeluApprox;

pub fn find(case: &Case) -> Option<Build> {
    let number = |key| case.f32(key, f32::NAN);
    match case.op.as_str() {
        "neg" => unary(Tensor::neg),
        "abs" => unary(Tensor::abs),
        "exp" => unary(Tensor::exp),
        "square" => unary(Tensor::square),
        "sin" => unary(Tensor::sin),
        "cos" => unary(Tensor::cos),
        "tanh" => unary(Tensor::tanh),
        "sigmoid" => unary(Tensor::sigmoid),
        "relu" => unary(Tensor::relu),
        "selu" => unary(Tensor::selu),
        "silu" => unary(Tensor::silu),
        "mish" => unary(Tensor::mish),
        "softsign" => unary(Tensor::softsign),
        "hardsigmoid" => unary(Tensor::hardsigmoid),
        "hardswish" => unary(Tensor::hardswish),
        "relu6" => unary(Tensor::relu6),
        "log_sigmoid" => unary(Tensor::log_sigmoid),
        "erf" => unary(Tensor::erf),
        "tanhshrink" => unary(Tensor::tanhshrink),
        "log" => unary(Tensor::log),
        "sqrt" => unary(Tensor::sqrt),
        "rsqrt" => unary(Tensor::rsqrt),
        "reciprocal" => unary(Tensor::reciprocal),
        "leaky_relu" => {
            let slope = case.f32("negative_slope", 0.01);
            unary(move |x| x.leaky_relu(slope))
        }
        "elu" => {
            let alpha = case.f32("alpha", 1.0);
            unary(move |x| x.elu(alpha))
        }
        "celu" => {
            let alpha = case.f32("alpha", 1.0);
            unary(move |x| x.celu(alpha))
        }
        "gelu" => match case.text("approximate") {
            Some("tanh") => unary(|x| x.gelu(GeluApprox::Tanh)),
            _ => unary(|x| x.gelu(GeluApprox::None)),
        },
        "softplus" => {
            let (beta, threshold) = (case.f32("beta", 1.0), case.f32("threshold", 20.0));
            unary(move |x| x.softplus(beta, threshold))
        }
        "hardtanh" => {
            let (min, max) = (case.f32("min", -1.0), case.f32("max", 1.0));
            unary(move |x| x.hardtanh(min, max))
        }
        "clamp" => {
            let min = case.f32("min", f32::NEG_INFINITY);
            let max = case.f32("max", f32::INFINITY);
            unary(move |x| x.clamp(min, max))
        }
        "hardshrink" => {
            let lambda = case.f32("lambda", 0.5);
            unary(move |x| x.hardshrink(lambda))
        }
        "softshrink" => {
            let lambda = case.f32("lambda", 0.5);
            unary(move |x| x.softshrink(lambda))
        }
        "threshold" => {
            let (threshold, value) = (number("threshold"), number("value"));
            unary(move |x| x.threshold(threshold, value))
        }
        "pow_scalar" => {
            let exponent = number("exponent");
            unary(move |x| x.pow_scalar(exponent))
        }
        "add_scalar" => {
            let value = number("value");
            unary(move |x| x.add_scalar(value))
        }
        "mul_scalar" => {
            let value = number("value");
            unary(move |x| x.mul_scalar(value))
        }
        "glu" => {
            let dim = case.number("dim").map_or(-1, |d| d as isize);
            unary(move |x| x.glu(dim))
        }
        "add" => binary(|x, y| x.add(y)),
        "sub" => binary(|x, y| x.sub(y)),
        "mul" => binary(|x, y| x.mul(y)),
        "div" => binary(|x, y| x.div(y)),
        "maximum" => binary(|x, y| x.maximum(y)),
        "minimum" => binary(|x, y| x.minimum(y)),
        "pow" => binary(|x, y| x.pow(y)),
        "where" => function(|x| x[0].where_(&x[1], &x[2])),
        "matmul" => binary(Tensor::matmul),
        "matmul_nt" => binary(|a, b| a.matmul(&b.t())),
        "matmul_tn" => binary(|a, b| a.t().matmul(b)),
        _ => None,
    }
}
