//! `map`: every elementwise operator, an expression over broadcast inputs.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, Kind, OpDef};
use crate::ops::operand::{Operand, other_dtype};
use crate::scalar::{Expr, GeluApprox};
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};

/// See the module.
#[derive(Debug)]
pub struct Map {
    /// The name in messages, such as `relu`.
    pub name: &'static str,
    /// The expression; operand slot `k + 1` is input `k`.
    pub expr: Expr,
}

impl OpDef for Map {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Map(&self.expr)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let mut shape = inputs[0].shape.clone();
        for i in &inputs[1..] {
            let both = shape.broadcast(&i.shape);
            shape = both
                .ok_or_else(|| format!("{shape} and {}: the shapes do not broadcast", i.shape))?;
        }
        Ok(vec![TensorType::new(shape, self.expr.dtype())])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let n = g.inputs.len();
        let mut tensors: Vec<&Tensor> = g.inputs.iter().collect();
        let grad = g.grad(0);
        tensors.extend([&grad, &g.outputs[0]]);
        (0..n)
            .map(|k| {
                let expr = if g.wanted[k] {
                    self.expr.vjp(k + 1, n + 1)?
                } else {
                    return None;
                };
                let used = expr.loads();
                if used.is_empty() {
                    // A multiple of the incoming gradient that is a constant is 0: of a power of 0, for example.
                    let zero = g.trace.scalar(0.0);
                    return Some(zero.expand(g.inputs[k].shape().clone()));
                }
                let expr = expr.substitute(&mut |s, dtype| {
                    Expr::load(used.iter().position(|u| *u == s).unwrap_or(0) + 1, dtype)
                });
                let inputs: Vec<&Tensor> = used.iter().map(|s| tensors[s - 1]).collect();
                if used == [n + 1] && expr == Expr::load(1, grad.dtype()) {
                    return Some(grad.sum_to(g.inputs[k].shape()));
                }
                let d = g.trace.push1(
                    std::sync::Arc::new(Map {
                        name: self.name,
                        expr,
                    }),
                    &inputs,
                    g.site,
                );
                Some(d.sum_to(g.inputs[k].shape()))
            })
            .collect()
    }

    fn cpu(&self, _: &mut CpuIo) -> Result<()> {
        Ok(()) // the epilogue is all there is to compute
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let n = io.outputs[0].numel();
        // Software adapters pay for each workgroup: few of them, whose threads loop.
        let threads = 64.min(caps.threads);
        let most = if caps.software {
            n.div_ceil(threads as usize * caps.iterations).max(64)
        } else {
            usize::MAX
        };
        for width in [4, 1] {
            let groups = (n / width).div_ceil(threads as usize).min(most);
            let d = Dispatch::new("map", include_str!("../../shaders/map.wgsl"))
                .sizes([n / width])
                .constant("THREADS", threads)
                .grid(caps.grid(groups));
            if let Some(d) = io.with_epilogue(d, width) {
                return Ok(d.into());
            }
        }
        Err(Error::Device(format!("{}: no kernel", self.name)))
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Apply `expr` to `inputs` (operand slot `k + 1` being input `k`), broadcast.
pub(crate) fn map(name: &'static str, expr: Expr, inputs: &[&Tensor], site: Site) -> Tensor {
    inputs[0]
        .trace()
        .push1(std::sync::Arc::new(Map { name, expr }), inputs, site)
}

/// An input's element.
pub(crate) fn operand(t: &Tensor, k: usize) -> Expr {
    Expr::load(k + 1, t.dtype())
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*);)*) => {
        /// Elementwise functions, as in `torch` and `torch.nn.functional`.
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self $(, $arg: $ty)*) -> Tensor {
                self.float1(stringify!($name), |x| x.$name($($arg),*), Site::here())
            })*
        }
    };
}
unary! {
    /// -1, 0 or 1
    sign();
    /// `e^x`
    exp();
    /// `e^x - 1`, exact near 0: `torch.expm1`
    expm1();
    /// Natural logarithm.
    log();
    /// `log(1 + x)`
    log1p();
    /// Square root.
    sqrt();
    /// `1 / sqrt(x)`
    rsqrt();
    /// `1 / x`
    reciprocal();
    /// Sine, of radians.
    sin();
    /// Cosine, of radians.
    cos();
    /// Hyperbolic tangent.
    tanh();
    /// `1 / (1 + e^-x)`
    sigmoid();
    /// Error function.
    erf();
    /// Largest integer not above.
    floor();
    /// `max(x, 0)`
    relu();
    /// `min(max(x, 0), 6)`
    relu6();
    /// `scale * elu(x, alpha)` with the constants of Klambauer et al.
    selu();
    /// `x * sigmoid(x)`
    silu();
    /// `x * tanh(softplus(x))`
    mish();
    /// `x / (1 + |x|)`
    softsign();
    /// `relu6(x + 3) / 6`
    hardsigmoid();
    /// `x * hardsigmoid(x)`
    hardswish();
    /// `log(sigmoid(x))`
    log_sigmoid();
    /// `x - tanh(x)`
    tanhshrink();
    /// `x > 0 ? x : slope * x`
    leaky_relu(slope: f32);
    /// `x > 0 ? x : alpha * (e^x - 1)`
    elu(alpha: f32);
    /// `max(0, x) + min(0, alpha * (e^(x / alpha) - 1))`
    celu(alpha: f32);
    /// Gaussian error linear unit.
    gelu(approximate: GeluApprox);
    /// `log(1 + e^(beta x)) / beta`; `x` itself where `beta x > threshold`.
    softplus(beta: f32, threshold: f32);
    /// `x` held in `min..=max`; no gradient at the bounds.
    hardtanh(min: f32, max: f32);
    /// `x` held in `min..=max`; no gradient at the bounds, of which an infinite one is none: `torch.clamp`.
    clamp(min: f32, max: f32);
    /// `x` where `|x| > lambda`, else 0.
    hardshrink(lambda: f32);
    /// `x` moved by `lambda` towards 0.
    softshrink(lambda: f32);
    /// `x` where `x > threshold`, else `value`.
    threshold(threshold: f32, value: f32);
    /// `x ^ exponent`
    pow_scalar(exponent: f32);
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $method:ident;)*) => {
        /// Elementwise functions of two tensors, broadcast as in PyTorch, or of a tensor and a number.
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: impl Operand) -> Tensor {
                let other = other.beside(self);
                self.numbers(stringify!($name), &other, |a, b| a.$method(b), Site::here())
            })*
        }
    };
}
use std::ops::{Add as _, Div as _, Mul as _, Sub as _};
binary! {
    /// `a + b`
    add add;
    /// `a - b`
    sub sub;
    /// `a * b`
    mul mul;
    /// `a / b`
    div div;
    /// The larger; NaN where either is.
    maximum maximum;
    /// The smaller; NaN where either is.
    minimum minimum;
    /// `a ^ b`
    pow pow;
    /// `a == b`, bool
    eq equals;
    /// `a < b`, bool
    lt less;
    /// `a <= b`, bool
    le at_most;
    /// `a > b`, bool
    gt greater;
    /// `a >= b`, bool
    ge at_least;
}

impl Tensor {
    fn float1(&self, name: &'static str, f: impl FnOnce(&Expr) -> Expr, site: Site) -> Tensor {
        if self.dtype() != DType::F32 && !self.is_poisoned() {
            return self.trace().misuse(
                name,
                format!("takes f32, {} came: convert with to_f32()", self.ty()),
                site,
            );
        }
        map(name, f(&operand(self, 0)), &[self], site)
    }

    fn number1(&self, name: &'static str, f: impl FnOnce(&Expr) -> Expr, site: Site) -> Tensor {
        if self.dtype() == DType::Bool {
            let message = format!(
                "takes numbers, {} came: convert with to_f32() or to(DType::I32)",
                self.ty()
            );
            return self.trace().misuse(name, message, site);
        }
        map(name, f(&operand(self, 0)), &[self], site)
    }

    fn numbers(
        &self,
        name: &'static str,
        other: &Tensor,
        f: impl FnOnce(&Expr, &Expr) -> Expr,
        site: Site,
    ) -> Tensor {
        let fits = self.dtype() == other.dtype()
            && (self.dtype() != DType::Bool || matches!(name, "eq" | "ne"))
            && (name != "pow" || self.dtype().is_float());
        if !fits && !self.is_poisoned() && !other.is_poisoned() {
            let hint = other_dtype(self.dtype(), other.dtype());
            let message = format!(
                "{} and {}: the dtypes do not fit: {hint}",
                self.ty(),
                other.ty()
            );
            return self.trace().misuse(name, message, site);
        }
        map(
            name,
            f(&operand(self, 0), &operand(other, 1)),
            &[self, other],
            site,
        )
    }

    /// `a != b`, bool
    #[track_caller]
    pub fn ne(&self, other: impl Operand) -> Tensor {
        let other = other.beside(self);
        self.numbers("ne", &other, |a, b| a.equals(b).not(), Site::here())
    }

    /// `-x`, of integers too.
    #[track_caller]
    pub fn neg(&self) -> Tensor {
        self.number1("neg", |x| -x, Site::here())
    }

    /// `|x|`, of integers too.
    #[track_caller]
    pub fn abs(&self) -> Tensor {
        self.number1("abs", Expr::abs, Site::here())
    }

    /// `x * x`, of integers too.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        self.number1("square", Expr::square, Site::here())
    }

    /// `x + value`
    #[track_caller]
    pub fn add_scalar(&self, value: f32) -> Tensor {
        self.float1("add_scalar", |x| x + &Expr::lit(value), Site::here())
    }

    /// `x * value`
    #[track_caller]
    pub fn mul_scalar(&self, value: f32) -> Tensor {
        self.float1("mul_scalar", |x| x * &Expr::lit(value), Site::here())
    }

    /// `self ? a : b`, where `self` is bool, or any number (not zero is true).
    #[track_caller]
    pub fn where_(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let site = Site::here();
        if a.dtype() != b.dtype() && !a.is_poisoned() && !b.is_poisoned() {
            return self.trace().misuse(
                "where",
                format!(
                    "{} and {}: the dtypes differ: {}",
                    a.ty(),
                    b.ty(),
                    other_dtype(a.dtype(), b.dtype())
                ),
                site,
            );
        }
        let expr = operand(self, 0)
            .cast(DType::Bool)
            .select(&operand(a, 1), &operand(b, 2));
        map("where", expr, &[self, a, b], site)
    }

    /// `value` where `mask` (broadcast) is true or not 0, elsewhere the element itself: `torch.masked_fill`.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: f32) -> Tensor {
        mask.where_(&self.trace().scalar(value), self)
    }

    /// `a && b` of truth values.
    #[track_caller]
    pub fn logical_and(&self, other: &Tensor) -> Tensor {
        let expr = operand(self, 0)
            .cast(DType::Bool)
            .and(&operand(other, 1).cast(DType::Bool));
        map("logical_and", expr, &[self, other], Site::here())
    }

    /// `a || b` of truth values.
    #[track_caller]
    pub fn logical_or(&self, other: &Tensor) -> Tensor {
        let expr = operand(self, 0)
            .cast(DType::Bool)
            .or(&operand(other, 1).cast(DType::Bool));
        map("logical_or", expr, &[self, other], Site::here())
    }

    /// `!x` of truth values.
    #[track_caller]
    pub fn logical_not(&self) -> Tensor {
        map(
            "logical_not",
            operand(self, 0).cast(DType::Bool).not(),
            &[self],
            Site::here(),
        )
    }

    /// Whether each element is NaN, bool.
    #[track_caller]
    pub fn isnan(&self) -> Tensor {
        self.float1("isnan", Expr::is_nan, Site::here())
    }

    /// The elements converted to `dtype`; floats to integers towards zero, to the nearest one where they do not fit, NaN to 0.
    #[track_caller]
    pub fn to(&self, dtype: DType) -> Tensor {
        let site = Site::here();
        if dtype == self.dtype() {
            return self.again(site);
        }
        map("to", operand(self, 0).cast(dtype), &[self], site)
    }

    /// [`Tensor::to`] `f32`.
    #[track_caller]
    pub fn to_f32(&self) -> Tensor {
        self.to(DType::F32)
    }

    /// The sum of `self` over what broadcasting to its shape from `shape` repeated.
    pub(crate) fn sum_to(&self, shape: &Shape) -> Tensor {
        if self.shape() == shape || self.is_poisoned() {
            return self.clone();
        }
        let lead = self.rank() - shape.rank();
        let repeated = |d: &usize| *d < lead || (shape[d - lead] == 1 && self.shape()[*d] != 1);
        let dims: Vec<isize> = (0..self.rank())
            .filter(repeated)
            .map(|d| d as isize)
            .collect();
        self.sum(&dims, false).reshape_to(shape.clone())
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident;)*) => {$(
        operator!(@tensors $trait $method: &Tensor, &Tensor; &Tensor, Tensor; Tensor, &Tensor; Tensor, Tensor;);
        operator!(@numbers $trait $method: &Tensor; Tensor;);
    )*};
    (@tensors $trait:ident $method:ident: $($a:ty, $b:ty;)*) => {$(
        impl std::ops::$trait<$b> for $a {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: $b) -> Tensor {
                let (a, b): (&Tensor, &Tensor) = (&self, &other);
                Tensor::$method(a, b)
            }
        }
    )*};
    (@numbers $trait:ident $method:ident: $($a:ty;)*) => {$(
        impl std::ops::$trait<f32> for $a {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, value: f32) -> Tensor {
                let (x, site): (&Tensor, Site) = (&self, Site::here());
                x.float1(stringify!($method), |x| std::ops::$trait::$method(x, &Expr::lit(value)), site)
            }
        }
        impl std::ops::$trait<$a> for f32 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: $a) -> Tensor {
                let (x, site): (&Tensor, Site) = (&other, Site::here());
                x.float1(stringify!($method), |x| std::ops::$trait::$method(&Expr::lit(self), x), site)
            }
        }
    )*};
}
operator! { Add add; Sub sub; Mul mul; Div div; }

impl std::ops::Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}

impl std::ops::Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}
