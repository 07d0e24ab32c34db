//! The table of scalar functions: name, WGSL text, value on the CPU, what each argument contributes to the gradient.

use super::Expr;
use super::blocks::*;
use super::elementary;
use crate::dtype::DType;
use DType::{Bool, U32};

/// How a row computes blocks on the CPU: argument words, result words, dtype of the arguments.
pub(super) type Cpu = fn(&[&[u32]], &mut [u32], DType);
type Vjp = fn(&Expr, &[&Expr], &Expr) -> Vec<Option<Expr>>;

/// What types a function takes and gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sig {
    /// `f32`s to `f32`.
    Float,
    /// Numbers of one type to that type.
    Number,
    /// Two values of one type to `bool`.
    Compare,
    /// `bool`s to `bool`.
    Logic,
    /// `bool`, and two values of one type, to that type.
    Select,
    /// Anything to the given type.
    Cast(DType),
    /// `u32`s to `u32`.
    Word,
}

struct Row {
    name: &'static str,
    arity: usize,
    sig: Sig,
    wgsl: &'static str,
    cpu: Cpu,
    vjp: Vjp,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $id:ident $name:literal $arity:literal $sig:expr, $wgsl:literal, $cpu:expr, $vjp:expr;)*) => {
        /// A scalar function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fun { $($(#[$doc])* $id,)* }

        impl Fun {
            /// Every function, in the order of the table.
            pub const ALL: &'static [Fun] = &[$(Fun::$id,)*];
        }

        static TABLE: &[Row] = &[$(Row { name: $name, arity: $arity, sig: $sig, wgsl: $wgsl, cpu: $cpu, vjp: $vjp },)*];
    };
}

functions! {
    // Numbers of any type.
    /// `-x`
    Neg "neg" 1 Sig::Number, "-$0", number1!(neg), |g, _, _| vec![Some(-g)];
    /// `|x|`
    Abs "abs" 1 Sig::Number, "abs($0)", number1!(abs), |g, x, _| vec![Some(g * &x[0].sign())];
    /// `a + b`
    Add "add" 2 Sig::Number, "$0 + $1", number2!(add), |g, _, _| vec![Some(g.clone()), Some(g.clone())];
    /// `a - b`
    Sub "sub" 2 Sig::Number, "$0 - $1", number2!(sub), |g, _, _| vec![Some(g.clone()), Some(-g)];
    /// `a * b`
    Mul "mul" 2 Sig::Number, "$0 * $1", number2!(mul), |g, x, _| vec![Some(g * x[1]), Some(g * x[0])];
    /// `a / b`; integers round towards zero, and give `a` where `b` is 0, as WGSL does
    Div "div" 2 Sig::Number, "div_$t($0, $1)", number2!(div), |g, x, y| vec![Some(g / x[1]), Some(&-&(g * y) / x[1])];
    /// The larger; NaN where either is, and then both get the gradient
    Max "maximum" 2 Sig::Number, "max_$t($0, $1)", number2!(max), |g, x, _| {
        let half = g * &Expr::lit(0.5);
        let take = |a: &Expr, b: &Expr| a.less(b).select(&Expr::lit(0.0), &a.equals(b).select(&half, g));
        vec![Some(take(x[0], x[1])), Some(take(x[1], x[0]))]
    };
    /// The smaller; NaN where either is, and then both get the gradient
    Min "minimum" 2 Sig::Number, "min_$t($0, $1)", number2!(min), |g, x, _| {
        let half = g * &Expr::lit(0.5);
        let take = |a: &Expr, b: &Expr| a.greater(b).select(&Expr::lit(0.0), &a.equals(b).select(&half, g));
        vec![Some(take(x[0], x[1])), Some(take(x[1], x[0]))]
    };

    // Floats.
    /// `max(x, 0)`, NaN stays NaN
    Relu "relu" 1 Sig::Float, "max_f($0, F(0.0))", float1!(|x| if x < 0.0 { 0.0 } else { x }),
        |g, _, y| vec![Some(y.at_most(&Expr::lit(0.0)).select(&Expr::lit(0.0), g))];
    /// `e^x`
    Exp "exp" 1 Sig::Float, "exp_($0)", float1!(f32::exp), |g, _, y| vec![Some(g * y)];
    /// `e^x - 1`, without the loss of `e^x` near 1
    Expm1 "expm1" 1 Sig::Float, "expm1_($0)", float1!(f32::exp_m1), |g, x, _| vec![Some(g * &x[0].exp())];
    /// Natural logarithm
    Log "log" 1 Sig::Float, "log_($0)", float1!(f32::ln), |g, x, _| vec![Some(g / x[0])];
    /// `log(1 + x)`
    Log1p "log1p" 1 Sig::Float, "log1p_($0)", float1!(f32::ln_1p), |g, x, _| vec![Some(g / &(x[0] + &Expr::lit(1.0)))];
    /// Square root
    Sqrt "sqrt" 1 Sig::Float, "sqrt($0)", float1!(f32::sqrt), |g, _, y| vec![Some(&(g * &Expr::lit(0.5)) / y)];
    /// `1 / sqrt(x)`
    Rsqrt "rsqrt" 1 Sig::Float, "inverseSqrt($0)", float1!(|x| 1.0 / x.sqrt()),
        |g, _, y| vec![Some(&(g * &Expr::lit(-0.5)) * &(&(y * y) * y))];
    /// Sine, of radians
    Sin "sin" 1 Sig::Float, "sin_($0)", float1!(f32::sin), |g, x, _| vec![Some(g * &x[0].cos())];
    /// Cosine, of radians
    Cos "cos" 1 Sig::Float, "cos_($0)", float1!(f32::cos), |g, x, _| vec![Some(-&(g * &x[0].sin()))];
    /// Hyperbolic tangent
    Tanh "tanh" 1 Sig::Float, "tanh_($0)", float1!(elementary::tanh), |g, _, y| vec![Some(g * &(&Expr::lit(1.0) - &(y * y)))];
    /// `1 / (1 + e^-x)`
    Sigmoid "sigmoid" 1 Sig::Float, "F(1.0) / (F(1.0) + exp_(-$0))", float1!(elementary::sigmoid),
        |g, _, y| vec![Some(g * &(y * &(&Expr::lit(1.0) - y)))];
    /// Error function
    Erf "erf" 1 Sig::Float, "erf_($0)", float1!(erf),
        |g, x, _| vec![Some(g * &(&Expr::lit(std::f32::consts::FRAC_2_SQRT_PI) * &(-&(x[0] * x[0])).exp()))];
    /// `min(max(x, low), high)`, NaN stays NaN; the gradient passes where `low < x < high`, and an infinite bound is none
    Clamp "clamp" 3 Sig::Float, "clamp_($0, $1, $2)", clamp, |g, x, _| {
        let zero = Expr::lit(0.0);
        let open = |bound: &Expr, end: f32| bound.as_constant() == Some(end.to_bits());
        let low = if open(x[1], f32::NEG_INFINITY) { None } else { Some(x[1].less(x[0])) };
        let high = if open(x[2], f32::INFINITY) { None } else { Some(x[0].less(x[2])) };
        let inside = match (low, high) {
            (Some(low), Some(high)) => low.and(&high),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return vec![Some(g.clone()), None, None],
        };
        vec![Some(inside.select(g, &zero)), None, None]
    };
    /// Largest integer not above
    Floor "floor" 1 Sig::Float, "floor($0)", float1!(f32::floor), |_, _, _| vec![None];
    /// -1, 0 or 1; NaN stays NaN
    Sign "sign" 1 Sig::Float, "sign_($0)", float1!(|x| if x == 0.0 || x.is_nan() { x } else { x.signum() }), |_, _, _| vec![None];
    /// `a^b`; negative bases take integer exponents
    Pow "pow" 2 Sig::Float, "pow_($0, $1)", float2!(f32::powf), |g, x, y| {
        let base = &(g * x[1]) * &Expr::call(Fun::Pow, &[x[0], &(x[1] - &Expr::lit(1.0))]);
        let zero = Expr::lit(0.0);
        let flat = x[0].equals(&zero).and(&zero.at_most(x[1]));
        let exponent = flat.select(&zero, &(&(g * y) * &x[0].log()));
        vec![Some(x[1].equals(&zero).select(&zero, &base)), Some(exponent)]
    };

    // Truth.
    /// `a < b`
    Lt "lt" 2 Sig::Compare, "$0 < $1", compare!(<), |_, _, _| vec![None, None];
    /// `a <= b`
    Le "le" 2 Sig::Compare, "$0 <= $1", compare!(<=), |_, _, _| vec![None, None];
    /// `a == b`
    Eq "eq" 2 Sig::Compare, "$0 == $1", compare!(==), |_, _, _| vec![None, None];
    /// `!a`
    Not "not" 1 Sig::Logic, "!$0", |x, o, _| map1(x, o, |a: u32| (a == 0) as u32), |_, _, _| vec![None];
    /// `a && b`
    And "and" 2 Sig::Logic, "$0 & $1", |x, o, _| map2(x, o, |a: u32, b: u32| a & b), |_, _, _| vec![None, None];
    /// `a || b`
    Or "or" 2 Sig::Logic, "$0 | $1", |x, o, _| map2(x, o, |a: u32, b: u32| a | b), |_, _, _| vec![None, None];
    /// Whether `x` is NaN
    IsNan "isnan" 1 Sig::Cast(Bool), "is_nan($0)", |x, o, _| map1(x, o, |a: f32| a.is_nan() as u32), |_, _, _| vec![None];
    /// `c ? a : b`
    Select "where" 3 Sig::Select, "select($2, $1, $0)", select, |g, x, _| {
        let zero = Expr::lit(0.0);
        vec![None, Some(x[0].select(g, &zero)), Some(x[0].select(&zero, g))]
    };

    // Between types.
    /// To `f32`
    ToF32 "f32" 1 Sig::Cast(F32), "F($0)", |x, o, t| match t {
        F32 => o.copy_from_slice(x[0]),
        I32 => map1(x, o, |a: i32| a as f32),
        _ => map1(x, o, |a: u32| a as f32),
    }, |g, x, _| vec![(x[0].dtype() == F32).then(|| g.clone())];
    /// To `i32`, towards zero; the nearest one where it does not fit, 0 of NaN
    ToI32 "i32" 1 Sig::Cast(I32), "to_i_$t($0)", |x, o, t| match t {
        F32 => map1(x, o, |a: f32| a as i32),
        _ => o.copy_from_slice(x[0]),
    }, |_, _, _| vec![None];
    /// To `u32`, towards zero; the nearest one where it does not fit, 0 of NaN
    ToU32 "u32" 1 Sig::Cast(U32), "to_u_$t($0)", |x, o, t| match t {
        F32 => map1(x, o, |a: f32| a as u32),
        _ => o.copy_from_slice(x[0]),
    }, |_, _, _| vec![None];
    /// Whether not zero
    ToBool "bool" 1 Sig::Cast(Bool), "truth_$t($0)", |x, o, t| match t {
        F32 => map1(x, o, |a: f32| (a != 0.0) as u32),
        _ => map1(x, o, |a: u32| (a != 0) as u32),
    }, |_, _, _| vec![None];
    /// Random words: position, stream, step, seed (low, high word)
    Random "random" 5 Sig::Word, "random_($0, $1, $2, $3, $4)", random, |_, _, _| vec![None; 5];
}

impl Fun {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// How many arguments it takes.
    pub fn arity(self) -> usize {
        self.row().arity
    }

    /// Its WGSL text: `$0`… are the arguments, `$t` the argument type's letter, `$T` the type's alias.
    pub(super) fn wgsl(self) -> &'static str {
        self.row().wgsl
    }

    pub(super) fn cpu(self) -> Cpu {
        self.row().cpu
    }

    /// What each argument contributes to the gradient, from the incoming gradient `g`, the arguments and the value `y`.
    pub(super) fn vjp(self, g: &Expr, args: &[&Expr], y: &Expr) -> Vec<Option<Expr>> {
        (self.row().vjp)(g, args, y)
    }

    /// The type of its value, or what it takes.
    pub fn result(self, args: &[DType]) -> Result<DType, &'static str> {
        let one = args.iter().all(|a| *a == args[0]);
        match self.row().sig {
            Sig::Float if args.iter().all(|a| *a == F32) => Ok(F32),
            Sig::Float => Err("f32"),
            Sig::Number if one && args[0] != Bool => Ok(args[0]),
            Sig::Number => Err("numbers of one type"),
            Sig::Compare if one => Ok(Bool),
            Sig::Compare => Err("two values of one type"),
            Sig::Logic if args.iter().all(|a| *a == Bool) => Ok(Bool),
            Sig::Logic => Err("bool"),
            Sig::Select if args[0] == Bool && args[1] == args[2] => Ok(args[1]),
            Sig::Select => Err("a bool and two values of one type"),
            Sig::Cast(to) => Ok(to),
            Sig::Word if args.iter().all(|a| *a == U32) => Ok(U32),
            Sig::Word => Err("u32"),
        }
    }
}
