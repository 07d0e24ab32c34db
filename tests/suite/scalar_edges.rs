//! Scalar functions at their edges: zeros, kinks and their neighbours, subnormals, extremes, infinities, NaN. Values and
//! gradients on both devices are PyTorch's in f64, from `tests/fixtures/scalar_edges.json`, which
//! `tests/interop/make_scalar_edges.py` writes.

use crate::common::{cpu, gpu};
use crate::run::Faults;
use serde_json::Value;
use wgrad::ops::reduction::Reduction::None as Each;
use wgrad::scalar::GeluApprox;
use wgrad::{Array, Params, Session, Tensor};

fn number(x: &Value) -> f64 {
    match x.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => x.as_f64().unwrap(),
    }
}

fn numbers(of: &Value) -> Vec<f64> {
    of.as_array().unwrap().iter().map(number).collect()
}

fn singles(of: &Value) -> Vec<f32> {
    numbers(of).iter().map(|x| *x as f32).collect()
}

/// A function of the fixture.
#[allow(clippy::eq_op, reason = "what is tested")]
fn apply(function: &str, args: &[f32], x: &Tensor) -> Tensor {
    match (function, args) {
        ("neg", _) => x.neg(),
        ("abs", _) => x.abs(),
        ("sign", _) => x.sign(),
        ("floor", _) => x.floor(),
        ("exp", _) => x.exp(),
        ("expm1", _) => x.expm1(),
        ("log", _) => x.log(),
        ("log1p", _) => x.log1p(),
        ("sqrt", _) => x.sqrt(),
        ("rsqrt", _) => x.rsqrt(),
        ("reciprocal", _) => x.reciprocal(),
        ("square", _) => x.square(),
        ("sin", _) => x.sin(),
        ("cos", _) => x.cos(),
        ("tanh", _) => x.tanh(),
        ("sigmoid", _) => x.sigmoid(),
        ("erf", _) => x.erf(),
        ("relu", _) => x.relu(),
        ("relu6", _) => x.relu6(),
        ("selu", _) => x.selu(),
        ("silu", _) => x.silu(),
        ("mish", _) => x.mish(),
        ("softsign", _) => x.softsign(),
        ("hardsigmoid", _) => x.hardsigmoid(),
        ("hardswish", _) => x.hardswish(),
        ("log_sigmoid", _) => x.log_sigmoid(),
        ("tanhshrink", _) => x.tanhshrink(),
        ("isnan", _) => x.isnan().to_f32(),
        ("leaky_relu", &[slope]) => x.leaky_relu(slope),
        ("elu", &[alpha]) => x.elu(alpha),
        ("celu", &[alpha]) => x.celu(alpha),
        ("gelu, none", _) => x.gelu(GeluApprox::None),
        ("gelu, tanh", _) => x.gelu(GeluApprox::Tanh),
        ("softplus", &[beta, threshold]) => x.softplus(beta, threshold),
        ("hardtanh", &[min, max]) => x.hardtanh(min, max),
        ("clamp", &[min, max]) => x.clamp(min, max),
        ("hardshrink", &[lambda]) => x.hardshrink(lambda),
        ("softshrink", &[lambda]) => x.softshrink(lambda),
        ("threshold", &[threshold, value]) => x.threshold(threshold, value),
        ("pow_scalar", &[exponent]) => x.pow_scalar(exponent),
        ("add_scalar", &[value]) => x.add_scalar(value),
        ("mul_scalar", &[value]) => x.mul_scalar(value),
        ("scalar_over", &[value]) => value / x,
        ("over_scalar", &[value]) => x / value,
        ("scalar_minus", &[value]) => value - x,
        ("x - x", _) => x - x,
        ("x / x", _) => x / x,
        ("x * x - x * x", _) => x * x - x * x,
        ("x + 1 - x", _) => x + 1.0 - x,
        ("norm", _) => x.unsqueeze(1).norm(&[1], false),
        ("std", _) => pair(x).std(&[1], 1, false),
        ("glu", _) => pair(x).glu(1).squeeze(1),
        other => panic!("{other:?}"),
    }
}

fn pair(x: &Tensor) -> Tensor {
    Tensor::stack(&[x, x], 1)
}

fn apply_two(function: &str, args: &[f32], a: &Tensor, b: &Tensor) -> Tensor {
    match (function, args) {
        ("add", _) => a + b,
        ("sub", _) => a - b,
        ("mul", _) => a * b,
        ("div", _) => a / b,
        ("pow", _) => a.pow(b),
        ("maximum", _) => a.maximum(b),
        ("minimum", _) => a.minimum(b),
        ("where", _) => a.gt(0.0).where_(a, &(a * b)),
        ("eq", _) => a.eq(b).to_f32(),
        ("ne", _) => a.ne(b).to_f32(),
        ("lt", _) => a.lt(b).to_f32(),
        ("le", _) => a.le(b).to_f32(),
        ("gt", _) => a.gt(b).to_f32(),
        ("ge", _) => a.ge(b).to_f32(),
        ("mse_loss", _) => a.mse_loss(b, Each),
        ("l1_loss", _) => a.l1_loss(b, Each),
        ("smooth_l1_loss", &[beta]) => a.smooth_l1_loss(b, beta, Each),
        ("huber_loss", &[delta]) => a.huber_loss(b, delta, Each),
        ("binary_cross_entropy_with_logits", _) => a.binary_cross_entropy_with_logits(b, Each),
        ("binary_cross_entropy", _) => a.binary_cross_entropy(b, Each),
        ("hinge_embedding_loss", &[margin]) => a.hinge_embedding_loss(b, margin, Each),
        ("soft_margin_loss", _) => a.soft_margin_loss(b, Each),
        ("kl_div", _) => a.kl_div(b, false, Each),
        ("kl_div, log", _) => a.kl_div(b, true, Each),
        other => panic!("{other:?}"),
    }
}

/// One function of the fixture: its operands at every point, PyTorch's values and gradients by each operand.
struct Case {
    function: String,
    args: Vec<f32>,
    inputs: Vec<Vec<f32>>,
    y: Vec<f64>,
    grads: Vec<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    let all: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/scalar_edges.json")).unwrap();
    let points = singles(&all[0]["points"]);
    let case = |c: &Value| {
        let inputs = if c["x"].is_null() {
            let (left, right) = (singles(&c["left"]), singles(&c["right"]));
            let each = left.iter().flat_map(|a| vec![*a; right.len()]);
            vec![each.collect(), right.repeat(left.len())]
        } else {
            vec![[&points[..], &singles(&c["x"])].concat()]
        };
        Case {
            function: c["function"].as_str().unwrap().to_owned(),
            args: singles(&c["args"]),
            inputs,
            y: numbers(&c["y"]),
            grads: c["grads"].as_array().unwrap().iter().map(numbers).collect(),
        }
    };
    all[1..].iter().map(case).collect()
}

/// Values, then gradients by each operand, with `more` repetitions of the last point.
fn results(session: &mut Session, case: &Case, more: usize) -> Vec<Vec<f32>> {
    let longer = |x: &Vec<f32>| {
        let last = std::iter::repeat_n(x[x.len() - 1], more);
        Array::vector(x.iter().copied().chain(last).collect::<Vec<f32>>())
    };
    let arrays: Vec<Array> = case.inputs.iter().map(longer).collect();
    let ones = Array::vector(vec![1.0f32; arrays[0].numel()]);
    let got = session.eval(|g| {
        let x: Vec<Tensor> = arrays.iter().map(|a| g.constant(a.clone())).collect();
        let y = match &x[..] {
            [x] => apply(&case.function, &case.args, x),
            x => apply_two(&case.function, &case.args, &x[0], &x[1]),
        };
        let by: Vec<&Tensor> = x.iter().take(case.grads.len()).collect();
        // The incoming gradient is a number that no compiler knows.
        let loss = (&y * g.constant(ones.clone())).sum(&[], false);
        let gradients = g.gradients(&loss, &by).into_iter().zip(&by);
        let gradients = gradients.map(|(grad, x)| grad.unwrap_or_else(|| x.isnan().to_f32() * 0.0));
        std::iter::once(y.clone())
            .chain(gradients.collect::<Vec<_>>())
            .collect()
    });
    got.unwrap().iter().map(Array::to_f32).collect()
}

/// Functions, or gradients of functions, that subtract numbers near 1 from 1, or near each other: 5e-7 is what roundings of
/// f32 leave, as in PyTorch's own f32.
const DIFFERENCES: &[&str] = &[
    "tanh",
    "sigmoid",
    "tanhshrink",
    "softsign",
    "gelu, none",
    "gelu, tanh",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy",
];

type Other = (&'static str, &'static str, fn(&[f32]) -> bool, &'static str);

/// Where something else than PyTorch's number in f64 is right, and why.
const OTHERS: &[Other] = &[
    (
        "sign",
        "y",
        |x| x[0].is_nan(),
        "NaN stays NaN; PyTorch has 0",
    ),
    (
        "expm1",
        "d0",
        |x| x[0] < -20.0,
        "e^x; PyTorch adds 1 to the value, which is nearly -1",
    ),
    (
        "pow",
        "d0",
        |x| x[1].is_subnormal(),
        "the exponent less 1 rounds to -1",
    ),
    (
        "gelu, tanh",
        "d0",
        |x| x[0].is_infinite(),
        "the limit; PyTorch multiplies infinity and 0",
    ),
    (
        "pow_scalar",
        "d0",
        |x| x[0] == f32::NEG_INFINITY,
        "roots of the negative infinity are NaN or infinite; PyTorch's differ between value and gradient",
    ),
    (
        "x / x",
        "d0",
        |x| x[0].is_subnormal(),
        "1 / x is beyond an f32",
    ),
    (
        "x * x - x * x",
        "y",
        |x| x[0].abs() > 1.8e19,
        "the square is beyond an f32",
    ),
    (
        "x * x - x * x",
        "d0",
        |x| x[0].abs() > 1.8e38,
        "twice the number is beyond an f32",
    ),
    (
        "x + 1 - x",
        "y",
        |x| x[0].abs() > 1e7,
        "the sum rounds to x",
    ),
    (
        "norm",
        "y",
        |x| x[0].abs() > 1.8e19 || x[0].abs() < 2e-20,
        "the square is beyond an f32, or subnormal or 0",
    ),
    (
        "norm",
        "d0",
        |x| x[0].abs() > 1.8e19 || x[0].abs() < 2e-20,
        "the square is beyond an f32, or subnormal or 0",
    ),
    (
        "std",
        "y",
        |x| x[0].abs() == f32::MAX,
        "the sum is beyond an f32",
    ),
    (
        "std",
        "d0",
        |x| x[0].abs() == f32::MAX,
        "the sum is beyond an f32",
    ),
    (
        "l1_loss",
        "d0",
        |x| x[0] == x[1] && x[0].is_infinite(),
        "the difference is NaN; PyTorch takes its sign for 0",
    ),
    (
        "soft_margin_loss",
        "d0",
        |x| x[0] * x[1] < -700.0,
        "the slope; PyTorch divides infinities",
    ),
];

/// `None` where `got` is what it should be, else `want`.
fn differs(case: &Case, what: &str, x: &[f32], got: f32, want: f64, gpu: bool) -> Option<f64> {
    if gpu && x.iter().any(|x| x.is_subnormal()) {
        return None; // a GPU may take them for 0, or what they are for something below the smallest normal number
    }
    if x.iter().any(|x| x.is_nan()) && what != "y" && !want.is_nan() {
        return None; // PyTorch's loops over vectors and over single numbers give different gradients of NaN
    }
    let single = want as f32;
    if got == single || (got.is_nan() && single.is_nan()) {
        return None;
    }
    // A GPU's e^x and powers may be off by 3 + 2 |x| units, its logarithm by 2^-21 between 0.5 and 2.
    let relative = if gpu { 2.5e-5 } else { 4e-6 };
    let mut absolute = 0.0;
    if DIFFERENCES.contains(&&*case.function) {
        absolute += 5e-7;
    }
    if gpu && case.function == "log" {
        absolute += 2f64.powi(-21);
    }
    // What is below the smallest normal number may be 0, and is multiplied by x, or by the exponent, then.
    let exponent = case.args.iter().filter(|_| case.function == "pow_scalar");
    let finite = x.iter().chain(exponent).filter(|x| x.is_finite());
    let largest = finite.fold(1.0, |m, x| f64::from(x.abs()).max(m));
    absolute += 2.0 * f64::from(f32::MIN_POSITIVE) * largest;
    let near = (f64::from(got) - want).abs() <= relative * want.abs() + absolute;
    (!near).then_some(want)
}

#[test]
fn as_pytorch() {
    let all = cases();
    let (mut excused, faults) = (vec![0; OTHERS.len()], Faults::default());
    for pass in [cpu(), gpu()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        let on_gpu = pass.name != "cpu";
        for case in &all {
            let n = case.inputs[0].len();
            // One by one, and in vectors of four.
            let lengths: &[usize] = if on_gpu {
                &[n % 2 + 1, (4 - n % 4) % 4]
            } else {
                &[0]
            };
            for more in lengths {
                let got = results(&mut session, case, *more);
                let want = std::iter::once(&case.y).chain(&case.grads);
                for (k, (got, want)) in got.iter().zip(want).enumerate() {
                    let what = ["y", "d0", "d1"][k];
                    for (at, (got, want)) in got.iter().zip(want).enumerate() {
                        let x: Vec<f32> = case.inputs.iter().map(|x| x[at]).collect();
                        let Some(want) = differs(case, what, &x, *got, *want, on_gpu) else {
                            continue;
                        };
                        let other = OTHERS.iter().position(|(f, of, at, _)| {
                            *f == case.function && *of == what && at(&x)
                        });
                        match other {
                            Some(other) => excused[other] += 1,
                            None => faults.add(format!(
                                "{} {:?} on {}, {what} at {x:?}: got {got:e}, want {want:e}",
                                case.function, case.args, pass.name
                            )),
                        }
                    }
                }
            }
        }
    }
    faults.end();
    for (other, used) in OTHERS.iter().zip(excused) {
        assert!(used > 0, "{}, {}: not '{}'", other.0, other.1, other.3);
    }
}
