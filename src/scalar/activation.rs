//! Expressions composed of the table's functions: operators, comparisons, PyTorch's activations.

use super::{Expr, Fun};
use crate::dtype::DType;
use std::ops::{Add, Div, Mul, Neg, Sub};

macro_rules! operator {
    ($($trait:ident $method:ident $fun:ident;)*) => {$(
        impl $trait for &Expr {
            type Output = Expr;
            fn $method(self, b: &Expr) -> Expr {
                Expr::call(Fun::$fun, &[self, b])
            }
        }
    )*};
}
operator! { Add add Add; Sub sub Sub; Mul mul Mul; Div div Div; }

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        Expr::call(Fun::Neg, &[self])
    }
}

macro_rules! methods {
    ($($name:ident ($($arg:ident),*) $fun:ident;)*) => {
        /// The table's functions as methods.
        #[allow(missing_docs, reason = "each is the row of its name")]
        impl Expr {
            $(pub fn $name(&self $(, $arg: &Expr)*) -> Expr {
                Expr::call(Fun::$fun, &[self $(, $arg)*])
            })*
        }
    };
}
methods! {
    abs() Abs; sign() Sign; exp() Exp; expm1() Expm1; log() Log; log1p() Log1p; sqrt() Sqrt; rsqrt() Rsqrt; sin() Sin; cos() Cos;
    tanh() Tanh; sigmoid() Sigmoid; erf() Erf; floor() Floor; relu() Relu; pow(b) Pow; maximum(b) Max; minimum(b) Min;
    less(b) Lt; at_most(b) Le; equals(b) Eq; and(b) And; or(b) Or; not() Not; is_nan() IsNan; select(a, b) Select;
    to_f32() ToF32; to_i32() ToI32; to_u32() ToU32; to_bool() ToBool;
}

/// How [`Expr::gelu`] is computed, as PyTorch's `approximate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GeluApprox {
    /// With the error function.
    #[default]
    None,
    /// With the hyperbolic tangent.
    Tanh,
}

/// PyTorch's elementwise functions that are compositions; parameters as there.
impl Expr {
    /// `a > b`
    pub fn greater(&self, b: &Expr) -> Expr {
        b.less(self)
    }

    /// `a >= b`
    pub fn at_least(&self, b: &Expr) -> Expr {
        b.at_most(self)
    }

    /// The value converted to `dtype`.
    pub fn cast(&self, dtype: DType) -> Expr {
        match dtype {
            d if d == self.dtype() => self.clone(),
            DType::F32 => self.to_f32(),
            DType::I32 => self.to_i32(),
            DType::U32 => self.to_u32(),
            DType::Bool => self.to_bool(),
        }
    }

    /// `x * x`
    pub fn square(&self) -> Expr {
        self * self
    }

    /// `1 / x`
    pub fn reciprocal(&self) -> Expr {
        &Expr::lit(1.0) / self
    }

    /// `x ^ exponent` for a fixed exponent; small whole ones are products, of `1 / x` where they are negative, so that the
    /// gradient has its limits at 0 and at the infinities.
    pub fn pow_scalar(&self, exponent: f32) -> Expr {
        if exponent == 0.5 {
            self.sqrt()
        } else if exponent == -0.5 {
            self.rsqrt()
        } else if exponent.fract() == 0.0 && (1.0..=8.0).contains(&exponent.abs()) {
            let base = match exponent < 0.0 {
                true => self.reciprocal(),
                false => self.clone(),
            };
            (1..exponent.abs() as u32).fold(base.clone(), |p, _| &p * &base)
        } else {
            self.pow(&Expr::lit(exponent))
        }
    }

    /// `min(max(x, min), max)`; the gradient passes where `min < x < max`. An infinite bound is none.
    pub fn clamp(&self, min: f32, max: f32) -> Expr {
        Expr::call(Fun::Clamp, &[self, &Expr::lit(min), &Expr::lit(max)])
    }

    /// [`Expr::clamp`].
    pub fn hardtanh(&self, min: f32, max: f32) -> Expr {
        self.clamp(min, max)
    }

    /// `min(max(x, 0), 6)`
    pub fn relu6(&self) -> Expr {
        self.clamp(0.0, 6.0)
    }

    /// `relu6(x + 3) / 6`; held before the sum, which could round to a bound.
    pub fn hardsigmoid(&self) -> Expr {
        &(&self.clamp(-3.0, 3.0) + &Expr::lit(3.0)) * &Expr::lit(1.0 / 6.0)
    }

    /// `x * hardsigmoid(x)`
    pub fn hardswish(&self) -> Expr {
        self * &self.hardsigmoid()
    }

    /// `x > 0 ? x : slope * x`
    pub fn leaky_relu(&self, slope: f32) -> Expr {
        self.greater(&Expr::lit(0.0))
            .select(self, &(self * &Expr::lit(slope)))
    }

    /// `x <= 0 ? alpha * (e^(x / scale) - 1) : x`, where the exponential of what is above 0, which may be infinite, has no
    /// part in the gradient.
    fn exponential_unit(&self, alpha: f32, scale: f32) -> Expr {
        let zero = Expr::lit(0.0);
        let negative = self.at_most(&zero);
        let scaled = &negative.select(self, &zero) * &Expr::lit(1.0 / scale);
        negative.select(&(&scaled.expm1() * &Expr::lit(alpha)), self)
    }

    /// `x > 0 ? x : alpha * (e^x - 1)`
    pub fn elu(&self, alpha: f32) -> Expr {
        self.exponential_unit(alpha, 1.0)
    }

    /// `max(0, x) + min(0, alpha * (e^(x / alpha) - 1))`
    pub fn celu(&self, alpha: f32) -> Expr {
        self.exponential_unit(alpha, alpha)
    }

    /// Self-normalising unit (Klambauer et al., 2017).
    pub fn selu(&self) -> Expr {
        &self.elu(1.673_263_2) * &Expr::lit(1.050_701)
    }

    /// `x * sigmoid(x)`
    pub fn silu(&self) -> Expr {
        self * &self.sigmoid()
    }

    /// `log(1 + e^x)` without overflow. At 0 the maximum gives half of the gradient and `|x|` none: together they are right.
    fn soft(&self) -> Expr {
        &self.maximum(&Expr::lit(0.0)) + &(-&self.abs()).exp().log1p()
    }

    /// `log(1 + e^(beta x)) / beta`, `x` itself where `beta x > threshold`
    pub fn softplus(&self, beta: f32, threshold: f32) -> Expr {
        let scaled = self * &Expr::lit(beta);
        scaled
            .greater(&Expr::lit(threshold))
            .select(self, &(&scaled.soft() * &Expr::lit(1.0 / beta)))
    }

    /// `log(sigmoid(x))`
    pub fn log_sigmoid(&self) -> Expr {
        -&(-self).soft()
    }

    /// `x * tanh(softplus(x))`
    pub fn mish(&self) -> Expr {
        self * &self.soft().tanh()
    }

    /// `x / (1 + |x|)`
    pub fn softsign(&self) -> Expr {
        self / &(&self.abs() + &Expr::lit(1.0))
    }

    /// `x - tanh(x)`
    pub fn tanhshrink(&self) -> Expr {
        self - &self.tanh()
    }

    /// `x` where `|x| > lambda`, else 0
    pub fn hardshrink(&self, lambda: f32) -> Expr {
        self.abs()
            .at_most(&Expr::lit(lambda))
            .select(&Expr::lit(0.0), self)
    }

    /// `x` moved by `lambda` towards 0, 0 where that would cross it
    pub fn softshrink(&self, lambda: f32) -> Expr {
        let l = Expr::lit(lambda);
        let below = self
            .less(&-&l)
            .select(&(self + &l), &self.is_nan().select(self, &Expr::lit(0.0)));
        self.greater(&l).select(&(self - &l), &below)
    }

    /// `x > threshold ? x : value`
    pub fn threshold(&self, threshold: f32, value: f32) -> Expr {
        self.at_most(&Expr::lit(threshold))
            .select(&Expr::lit(value), self)
    }

    /// Gaussian error linear unit (Hendrycks and Gimpel, 2016).
    pub fn gelu(&self, approximate: GeluApprox) -> Expr {
        let half = self * &Expr::lit(0.5);
        let bell = match approximate {
            GeluApprox::None => (self * &Expr::lit(std::f32::consts::FRAC_1_SQRT_2)).erf(),
            GeluApprox::Tanh => {
                // Past 16 the tangent is 1, and the cube would come to be infinite.
                let x = self.clamp(-16.0, 16.0);
                let cube = &x.pow_scalar(3.0) * &Expr::lit(0.044_715);
                (&(&x + &cube) * &Expr::lit(0.797_884_6)).tanh()
            }
        };
        &half * &(&bell + &Expr::lit(1.0))
    }
}
