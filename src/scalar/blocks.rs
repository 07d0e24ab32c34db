//! How scalar functions run over blocks on the CPU.

use crate::dtype::DType;
use crate::rng::philox;
pub(super) use DType::{F32, I32};

/// What differs between the numeric types.
pub(super) trait Number: bytemuck::Pod {
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    fn add(self, b: Self) -> Self;
    fn sub(self, b: Self) -> Self;
    fn mul(self, b: Self) -> Self;
    fn div(self, b: Self) -> Self;
    fn max(self, b: Self) -> Self;
    fn min(self, b: Self) -> Self;
}

impl Number for f32 {
    fn neg(self) -> f32 {
        -self
    }
    fn abs(self) -> f32 {
        f32::abs(self)
    }
    fn add(self, b: f32) -> f32 {
        self + b
    }
    fn sub(self, b: f32) -> f32 {
        self - b
    }
    fn mul(self, b: f32) -> f32 {
        self * b
    }
    fn div(self, b: f32) -> f32 {
        self / b
    }
    fn max(self, b: f32) -> f32 {
        if self > b || self.is_nan() { self } else { b }
    }
    fn min(self, b: f32) -> f32 {
        if self < b || self.is_nan() { self } else { b }
    }
}

macro_rules! integer {
    ($t:ty, $abs:expr) => {
        impl Number for $t {
            fn neg(self) -> $t {
                self.wrapping_neg()
            }
            fn abs(self) -> $t {
                $abs(self)
            }
            fn add(self, b: $t) -> $t {
                self.wrapping_add(b)
            }
            fn sub(self, b: $t) -> $t {
                self.wrapping_sub(b)
            }
            fn mul(self, b: $t) -> $t {
                self.wrapping_mul(b)
            }
            fn div(self, b: $t) -> $t {
                if b == 0 { self } else { self.wrapping_div(b) }
            }
            fn max(self, b: $t) -> $t {
                Ord::max(self, b)
            }
            fn min(self, b: $t) -> $t {
                Ord::min(self, b)
            }
        }
    };
}
integer!(i32, i32::wrapping_abs);
integer!(u32, |x| x);

/// Each element of `args[0]` through `f`.
#[inline(always)]
pub(super) fn map1<A: bytemuck::Pod, R: bytemuck::Pod>(
    args: &[&[u32]],
    out: &mut [u32],
    f: impl Fn(A) -> R,
) {
    let (x, out) = (bytemuck::cast_slice(args[0]), bytemuck::cast_slice_mut(out));
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions.
        return unsafe { map1_avx2(x, out, f) };
    }
    map1_on(x, out, f);
}

#[inline(always)]
fn map1_on<A: Copy, R>(x: &[A], out: &mut [R], f: impl Fn(A) -> R) {
    out.iter_mut().zip(x).for_each(|(o, &x)| *o = f(x));
}

/// The same loop in wider registers. Nothing is contracted, so the results are the same.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn map1_avx2<A: Copy, R>(x: &[A], out: &mut [R], f: impl Fn(A) -> R) {
    map1_on(x, out, f);
}

/// Each pair of elements of `args[0]` and `args[1]` through `f`.
#[inline(always)]
pub(super) fn map2<A: bytemuck::Pod, R: bytemuck::Pod>(
    args: &[&[u32]],
    out: &mut [u32],
    f: impl Fn(A, A) -> R,
) {
    let (a, b) = (bytemuck::cast_slice(args[0]), bytemuck::cast_slice(args[1]));
    let out = bytemuck::cast_slice_mut(out);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions.
        return unsafe { map2_avx2(a, b, out, f) };
    }
    map2_on(a, b, out, f);
}

#[inline(always)]
fn map2_on<A: Copy, R>(a: &[A], b: &[A], out: &mut [R], f: impl Fn(A, A) -> R) {
    let pairs = a.iter().zip(b);
    out.iter_mut()
        .zip(pairs)
        .for_each(|(o, (&a, &b))| *o = f(a, b));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn map2_avx2<A: Copy, R>(a: &[A], b: &[A], out: &mut [R], f: impl Fn(A, A) -> R) {
    map2_on(a, b, out, f);
}

macro_rules! float1 {
    ($f:expr) => {
        |x, o, _| map1::<f32, f32>(x, o, $f)
    };
}
macro_rules! float2 {
    ($f:expr) => {
        |x, o, _| map2::<f32, f32>(x, o, $f)
    };
}
macro_rules! number1 {
    ($f:ident) => {
        |x, o, t| match t {
            F32 => map1(x, o, <f32 as Number>::$f),
            I32 => map1(x, o, <i32 as Number>::$f),
            _ => map1(x, o, <u32 as Number>::$f),
        }
    };
}
macro_rules! number2 {
    ($f:ident) => {
        |x, o, t| match t {
            F32 => map2(x, o, <f32 as Number>::$f),
            I32 => map2(x, o, <i32 as Number>::$f),
            _ => map2(x, o, <u32 as Number>::$f),
        }
    };
}
macro_rules! compare {
    ($op:tt) => {
        |x, o, t| match t {
            F32 => map2(x, o, |a: f32, b: f32| (a $op b) as u32),
            I32 => map2(x, o, |a: i32, b: i32| (a $op b) as u32),
            _ => map2(x, o, |a: u32, b: u32| (a $op b) as u32),
        }
    };
}
pub(super) use {compare, float1, float2, number1, number2};

pub(super) fn select(args: &[&[u32]], out: &mut [u32], _: DType) {
    for (i, o) in out.iter_mut().enumerate() {
        *o = if args[0][i] != 0 {
            args[1][i]
        } else {
            args[2][i]
        };
    }
}

/// `args[0]` held between `args[1]` and `args[2]`; comparisons let NaN pass.
pub(super) fn clamp(args: &[&[u32]], out: &mut [u32], _: DType) {
    let [x, low, high] = [0, 1, 2].map(|k| bytemuck::cast_slice::<u32, f32>(args[k]));
    let out = bytemuck::cast_slice_mut::<u32, f32>(out).iter_mut();
    for ((o, &x), (&low, &high)) in out.zip(x).zip(low.iter().zip(high)) {
        let raised = if x < low { low } else { x };
        *o = if raised > high { high } else { raised };
    }
}

/// Word `position` of the stream: four neighbours share one Philox block.
pub(super) fn random(args: &[&[u32]], out: &mut [u32], _: DType) {
    let mut block = (u32::MAX, [0; 4]);
    for (i, o) in out.iter_mut().enumerate() {
        let at = args[0][i];
        if block.0 != at / 4 || i == 0 {
            block = (
                at / 4,
                philox(
                    [at / 4, args[1][i], args[2][i], 0],
                    [args[3][i], args[4][i]],
                ),
            );
        }
        *o = block.1[(at % 4) as usize];
    }
}

/// Error function; Abramowitz and Stegun 7.1.26 past 0.5, its series below: absolute error under 2e-7.
pub(super) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let y = if a < 0.5 {
        let s = x as f64 * x as f64;
        return (x as f64
            * std::f64::consts::FRAC_2_SQRT_PI
            * (1.0 - s * (1.0 / 3.0 - s * (0.1 - s * (1.0 / 42.0 - s / 216.0)))))
            as f32;
    } else {
        let t = 1.0 / (1.0 + 0.327_591_1 * a as f64);
        let p = t
            * (0.254_829_592
                + t * (-0.284_496_736
                    + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
        1.0 - p * (-(a as f64) * a as f64).exp()
    };
    (y as f32).copysign(x)
}
