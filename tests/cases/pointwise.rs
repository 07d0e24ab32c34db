//! Rows of the table of scalar functions, and of broadcasting.

use super::{Case, Fill, Input};
use wgrad::scalar::GeluApprox;
use wgrad::{DType, Tensor};

/// A function, its range, where its derivative jumps.
type Unary = (
    &'static str,
    fn(&Tensor) -> Tensor,
    f32,
    f32,
    &'static [f32],
);

const UNARY: &[Unary] = &[
    ("neg", |x| x.neg(), -3.0, 3.0, &[]),
    ("abs", |x| x.abs(), -3.0, 3.0, &[0.0]),
    ("exp", |x| x.exp(), -3.0, 3.0, &[]),
    ("log", |x| x.log(), 0.2, 4.0, &[]),
    ("expm1", |x| x.expm1(), -3.0, 3.0, &[]),
    ("log1p", |x| x.log1p(), -0.5, 4.0, &[]),
    ("sqrt", |x| x.sqrt(), 0.2, 4.0, &[]),
    ("rsqrt", |x| x.rsqrt(), 0.2, 4.0, &[]),
    ("reciprocal", |x| x.reciprocal(), 0.3, 4.0, &[]),
    ("square", |x| x.square(), -3.0, 3.0, &[]),
    ("sin", |x| x.sin(), -3.0, 3.0, &[]),
    ("cos", |x| x.cos(), -3.0, 3.0, &[]),
    ("sin, several turns", |x| x.sin(), -40.0, 40.0, &[]),
    ("cos, several turns", |x| x.cos(), -40.0, 40.0, &[]),
    ("tanh", |x| x.tanh(), -3.0, 3.0, &[]),
    ("sigmoid", |x| x.sigmoid(), -3.0, 3.0, &[]),
    ("erf", |x| x.erf(), -2.0, 2.0, &[]),
    ("relu", |x| x.relu(), -3.0, 3.0, &[0.0]),
    ("relu6", |x| x.relu6(), -4.0, 8.0, &[0.0, 6.0]),
    ("selu", |x| x.selu(), -3.0, 3.0, &[0.0]),
    ("silu", |x| x.silu(), -3.0, 3.0, &[]),
    ("mish", |x| x.mish(), -3.0, 3.0, &[]),
    ("softsign", |x| x.softsign(), -3.0, 3.0, &[0.0]),
    ("hardsigmoid", |x| x.hardsigmoid(), -4.0, 4.0, &[-3.0, 3.0]),
    ("hardswish", |x| x.hardswish(), -4.0, 4.0, &[-3.0, 3.0]),
    ("log_sigmoid", |x| x.log_sigmoid(), -3.0, 3.0, &[]),
    ("tanhshrink", |x| x.tanhshrink(), -3.0, 3.0, &[]),
    ("leaky_relu", |x| x.leaky_relu(0.1), -3.0, 3.0, &[0.0]),
    ("elu", |x| x.elu(1.3), -3.0, 3.0, &[0.0]),
    ("celu", |x| x.celu(1.3), -3.0, 3.0, &[0.0]),
    ("gelu", |x| x.gelu(GeluApprox::None), -3.0, 3.0, &[]),
    ("gelu, tanh", |x| x.gelu(GeluApprox::Tanh), -3.0, 3.0, &[]),
    (
        "softplus",
        |x| x.softplus(1.5, 4.0),
        -3.0,
        3.0,
        &[4.0 / 1.5],
    ),
    (
        "hardtanh",
        |x| x.hardtanh(-1.5, 0.7),
        -3.0,
        3.0,
        &[-1.5, 0.7],
    ),
    ("clamp", |x| x.clamp(-0.4, 0.9), -3.0, 3.0, &[-0.4, 0.9]),
    ("hardshrink", |x| x.hardshrink(0.5), -3.0, 3.0, &[-0.5, 0.5]),
    ("softshrink", |x| x.softshrink(0.5), -3.0, 3.0, &[-0.5, 0.5]),
    ("threshold", |x| x.threshold(0.1, 2.0), -3.0, 3.0, &[0.1]),
    ("pow_scalar, 3", |x| x.pow_scalar(3.0), -2.0, 2.0, &[]),
    ("pow_scalar, -2", |x| x.pow_scalar(-2.0), 0.4, 2.0, &[]),
    ("pow_scalar, 1.7", |x| x.pow_scalar(1.7), 0.2, 2.0, &[]),
    ("add_scalar", |x| x.add_scalar(1.75), -3.0, 3.0, &[]),
    ("mul_scalar", |x| x.mul_scalar(-0.6), -3.0, 3.0, &[]),
];

type Binary = (&'static str, fn(&Tensor, &Tensor) -> Tensor, f32, f32);

const BINARY: &[Binary] = &[
    ("add", |a, b| a + b, -2.0, 2.0),
    ("sub", |a, b| a - b, -2.0, 2.0),
    ("mul", |a, b| a * b, -2.0, 2.0),
    ("div", |a, b| a / b, 0.5, 2.5),
    ("pow", |a, b| a.pow(b), 0.3, 2.0),
];

type Comparison = fn(&Tensor, &Tensor) -> Tensor;

const COMPARE: &[(&str, Comparison)] = &[
    ("eq", |a, b| a.eq(b)),
    ("lt", |a, b| a.lt(b)),
    ("le", |a, b| a.le(b)),
    ("gt", |a, b| a.gt(b)),
    ("ge", |a, b| a.ge(b)),
];

/// Left and right operands that broadcast.
const BROADCAST: &[(&[usize], &[usize])] = &[
    (&[3, 17], &[3, 17]),
    (&[4, 64], &[4, 64]),
    (&[5, 12], &[12]),
    (&[5, 12], &[5, 1]),
    (&[5, 1], &[1, 7]),
    (&[], &[3, 5]),
    (&[2, 5, 1, 7], &[5, 3, 1]),
    (&[1], &[1]),
    (&[0, 3], &[3]),
];

pub fn cases(all: &mut Vec<Case>) {
    for &(name, f, lo, hi, kinks) in UNARY {
        for shape in [&[3, 17][..], &[4, 64], &[], &[0, 3]] {
            let x = Input::filled(shape, Fill::Range(lo, hi, kinks));
            all.push(Case::new(name, vec![x], move |x| f(&x[0])));
        }
    }
    for shape in [&[257, 131][..], &[128, 512], &[1, 1, 1], &[2, 1, 3, 1, 2]] {
        all.push(Case::new("tanh", vec![Input::new(shape)], |x| x[0].tanh()));
    }
    for (name, f) in [
        ("sign", Tensor::sign as fn(&Tensor) -> Tensor),
        ("floor", Tensor::floor),
    ] {
        let x = Input::range(&[3, 17], -3.0, 3.0);
        all.push(Case::new(name, vec![x], move |x| f(&x[0])).rough());
    }
    for &(name, f, lo, hi) in BINARY {
        for (a, b) in BROADCAST {
            let inputs = vec![Input::range(a, lo, hi), Input::range(b, lo, hi)];
            all.push(Case::new(name, inputs, move |x| f(&x[0], &x[1])));
        }
    }
    for (a, b) in BROADCAST {
        // Steps of the gradient check must not change which is larger.
        let apart = || {
            let left = Input::filled(a, Fill::Range(-2.0, 2.0, &[0.0]));
            vec![left, Input::range(b, -0.02, 0.02)]
        };
        all.push(Case::new("maximum", apart(), |x| x[0].maximum(&x[1])));
        all.push(Case::new("minimum", apart(), |x| x[0].minimum(&x[1])));
        let both = vec![Input::filled(a, Fill::Mask), Input::new(a), Input::new(b)];
        all.push(Case::new("where", both, |x| x[0].where_(&x[1], &x[2])));
        for &(name, f) in COMPARE {
            let inputs = vec![Input::new(a).fixed(), Input::new(b).fixed()];
            all.push(Case::new(name, inputs, move |x| f(&x[0], &x[1]).to_f32()).rough());
        }
    }
    integers(all);
}

/// Integers, truth values, conversions.
fn integers(all: &mut Vec<Case>) {
    let ints = |shape: &[usize]| Input::filled(shape, Fill::Below(9));
    for shape in [&[5, 13][..], &[4, 16]] {
        let two = || vec![ints(shape), ints(shape)];
        all.push(Case::new("add, i32", two(), |x| &x[0] + &x[1]).rough());
        all.push(Case::new("mul, i32", two(), |x| &x[0] * &x[1]).rough());
        all.push(Case::new("div, i32", two(), |x| &x[0] / &x[1]).rough());
        all.push(Case::new("maximum, i32", two(), |x| x[0].maximum(&x[1])).rough());
        all.push(Case::new("eq, i32", two(), |x| x[0].eq(&x[1]).to(DType::I32)).rough());
        all.push(
            Case::new("logical", two(), |x| {
                let (a, b) = (x[0].to(DType::Bool), x[1].to(DType::Bool));
                a.logical_and(&b.logical_not()).to_f32()
            })
            .rough(),
        );
        all.push(
            Case::new("logical_or, ne", two(), |x| {
                let (a, b) = (x[0].to(DType::Bool), x[1].to(DType::Bool));
                let unequal = x[0].ne(&x[1]);
                a.logical_or(&b).to_f32() + unequal.to_f32() * 2.0
            })
            .rough(),
        );
        let x = || vec![Input::range(shape, -3.0, 3.0).fixed()];
        all.push(
            Case::new("to, i32", x(), |x| x[0].to(DType::I32))
                .rough()
                .finite(),
        );
        all.push(Case::new("isnan", x(), |x| x[0].isnan().to_f32()).rough());
    }
}
