//! Exponential functions without branches or calls, so that loops over them become vector instructions.
//!
//! Polynomials after Cephes (Moshier), errors under 2 units in the last place; NaN stays NaN.

/// `e^x`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Added and taken away, it rounds to an integer, which is left in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        p = p * r + c;
    }
    let p = (p * r) * r + r + 1.0;
    // In two factors: either alone may be too large or too small for a float.
    let half = power >> 1;
    let two_to = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    p * two_to(half) * two_to(power.wrapping_sub(half))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let s = x * x;
    let mut p = -5.704_988_7e-3;
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = p * s + c;
    }
    let near = p * s * x + x;
    let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    // Also of zeros, the sign is that of `x`.
    (if a < 0.625 { near } else { far }).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` in units in the last place, over floats from -100 to 100.
    fn worst(f: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let mut worst = 0.0f64;
        for k in -400_000..=400_000 {
            let x = (k as f32 * 2.5e-4) * (k as f32 / 4e5).abs();
            let want = exact(f64::from(x));
            let unit = f64::from((want as f32).abs().max(f32::MIN_POSITIVE)) * 2f64.powi(-23);
            worst = worst.max((f64::from(f(x)) - want).abs() / unit);
        }
        worst
    }

    #[test]
    fn errors_are_small() {
        let finite = |x: f32| if x > 88.0 { 1.0 } else { exp(x) };
        let exact = |x: f64| if x > 88.0 { 1.0 } else { x.exp() };
        assert!(worst(finite, exact) < 2.0, "exp {}", worst(finite, exact));
        let by = worst(tanh, f64::tanh);
        assert!(by < 2.0, "tanh {by}");
        let positive = |x: f32| sigmoid(x.max(-80.0));
        let by = worst(positive, |x| 1.0 / (1.0 + (-x.max(-80.0)).exp()));
        assert!(by < 3.0, "sigmoid {by}");
    }

    #[test]
    fn extremes() {
        let inf = f32::INFINITY;
        for f in [exp, sigmoid, tanh] {
            assert!(f(f32::NAN).is_nan());
        }
        assert_eq!(
            [exp(inf), exp(-inf), exp(0.0), exp(100.0)],
            [inf, 0.0, 1.0, inf]
        );
        assert!(exp(-100.0) > 0.0, "subnormal");
        assert_eq!([sigmoid(inf), sigmoid(-inf), sigmoid(0.0)], [1.0, 0.0, 0.5]);
        assert_eq!([tanh(inf), tanh(-inf), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert!(tanh(-0.0).is_sign_negative());
        assert_eq!(tanh(1e-20), 1e-20);
    }
}
