// Scalar functions that WGSL lacks or leaves loose. F, I, U, B are scalars, or vectors of four.

// What no constant expression may hold: NaN and the infinities.
var<private> no_bits: u32;
fn from_bits(bits: u32) -> f32 { return bitcast<f32>(bits ^ no_bits); }

// By the bits, since compilers may assume that all numbers are finite: whether one is infinite or NaN.
fn endless(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u; }
fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }

fn max_f(a: F, b: F) -> F { return select(select(select(b, a, a > b), b, is_nan(b)), a, is_nan(a)); }
fn min_f(a: F, b: F) -> F { return select(select(select(b, a, a < b), b, is_nan(b)), a, is_nan(a)); }
fn max_i(a: I, b: I) -> I { return max(a, b); }
fn min_i(a: I, b: I) -> I { return min(a, b); }
fn max_u(a: U, b: U) -> U { return max(a, b); }
fn min_u(a: U, b: U) -> U { return min(a, b); }

// Without the checks that a compiler would add, integers are divided only by what they can be divided by.
fn div_f(a: F, b: F) -> F { return a / b; }
fn div_i(a: I, b: I) -> I {
    let undefined = (b == I(0)) | ((b == I(-1)) & (a == I(-2147483647 - 1)));
    return select(a / select(b, I(1), undefined), a, undefined);
}
fn div_u(a: U, b: U) -> U { return select(a / max(b, U(1u)), a, b == U(0u)); }

// Truth of a number: NaN is not zero.
fn truth_f(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) != U(0u); }
fn truth_i(x: I) -> B { return x != I(0); }
fn truth_u(x: U) -> B { return x != U(0u); }
fn truth_b(x: B) -> B { return x; }

fn sign_(x: F) -> F { return select(sign(x), x, is_nan(x)); }

fn clamp_(x: F, low: F, high: F) -> F {
    let raised = select(x, low, x < low);
    return select(select(raised, high, raised > high), x, is_nan(x));
}

// To integers, towards zero: the nearest where there is none, 0 of NaN. The largest f32 below 2^31 is 2147483520.
fn to_i_f(x: F) -> I {
    let held = I(clamp(x, F(-2147483648.0), F(2147483520.0)));
    return select(select(held, I(2147483647), x >= F(2147483648.0)), I(0), is_nan(x));
}
fn to_i_i(x: I) -> I { return x; }
fn to_i_u(x: U) -> I { return bitcast<I>(x); }
fn to_i_b(x: B) -> I { return select(I(0), I(1), x); }
fn to_u_f(x: F) -> U {
    let held = U(clamp(x, F(0.0), F(4294967040.0)));
    return select(select(held, U(0xffffffffu), x >= F(4294967296.0)), U(0u), is_nan(x));
}
fn to_u_i(x: I) -> U { return bitcast<U>(x); }
fn to_u_u(x: U) -> U { return x; }
fn to_u_b(x: B) -> U { return select(U(0u), U(1u), x); }

// What some devices make of NaN is infinite, and of a negative number its absolute value's logarithm.
fn exp_(x: F) -> F { return select(exp(x), x, is_nan(x)); }
fn log_(x: F) -> F {
    let above = select(log(x), F(from_bits(0xff800000u)), x == F(0.0));
    let known = select(above, F(from_bits(0x7fc00000u)), x < F(0.0));
    return select(known, x, is_nan(x) | (bitcast<U>(x) == U(0x7f800000u)));
}

// Near 0 the series of the hyperbolic arc tangent, of which log(1 + x) is twice that of x / (2 + x).
fn log1p_(x: F) -> F {
    let t = x / (F(2.0) + x);
    let s = t * t;
    let near = t * (F(2.0) + s * (F(0.6666667) + s * (F(0.4) + s * (F(0.2857143) + s * F(0.22222222)))));
    return select(log_(F(1.0) + x), near, abs(x) < F(0.35));
}

// Taylor's series below 0.5, where the difference from 1 would lose bits.
fn expm1_(x: F) -> F {
    let tail = F(0.008333334) + x * (F(0.0013888889) + x * (F(0.0001984127) + x * F(0.000024801588)));
    let near = x + x * x * (F(0.5) + x * (F(0.16666667) + x * (F(0.041666668) + x * tail)));
    return select(select(exp(x) - F(1.0), near, abs(x) < F(0.5)), x, is_nan(x));
}

// Sine and cosine, which WGSL lets be off by 2^-11: the rest past a multiple of half a pi, then Cephes's polynomials.
struct Turn { rest: F, quarter: I }
fn turn_of(x: F) -> Turn {
    let far = abs(x) > F(8192.0);
    // In three parts, of which the first has few bits: the products are exact.
    let k = round(clamp(x, F(-9000.0), F(9000.0)) * F(0.63661977));
    var rest = ((x - k * F(1.5703125)) - k * F(4.837512969970703e-4)) - k * F(7.549789954891882e-8);
    var quarter = I(k);
    if (any(far)) {
        let t = far_turn_of(abs(x));
        rest = select(rest, select(t.rest, -t.rest, x < F(0.0)), far);
        quarter = select(quarter, select(t.quarter, -t.quarter, x < F(0.0)), far);
    }
    return Turn(rest, quarter);
}

// Word i of 2 / pi as a binary fraction, behind 32 zeros.
fn two_over_pi(i: U) -> U {
    let a = select(select(U(0u), U(0xa2f9836eu), i == U(1u)), U(0x4e441529u), i == U(2u));
    let b = select(select(a, U(0xfc2757d1u), i == U(3u)), U(0xf534ddc0u), i == U(4u));
    let c = select(select(b, U(0xdb629599u), i == U(5u)), U(0x3c439041u), i == U(6u));
    return select(c, U(0xfe5163abu), i == U(7u));
}

// Payne and Hanek's reduction of x from 8192 on: the mantissa times those 96 bits of 2 / pi that decide x / (pi / 2) modulo
// 4, to 62 bits behind the point.
fn far_turn_of(x: F) -> Turn {
    let bits = bitcast<U>(x);
    let mantissa = (bits & U(0x7fffffu)) | U(0x800000u);
    let start = min(bits >> U(23u), U(254u)) - U(120u);
    let word = start >> U(5u);
    let shift = start & U(31u);
    let w0 = two_over_pi(word);
    let w1 = two_over_pi(word + U(1u));
    let w2 = two_over_pi(word + U(2u));
    let w3 = two_over_pi(word + U(3u));
    let back = U(31u) - shift;
    let b0 = (w0 << shift) | ((w1 >> U(1u)) >> back);
    let b1 = (w1 << shift) | ((w2 >> U(1u)) >> back);
    let b2 = (w2 << shift) | ((w3 >> U(1u)) >> back);
    let low = mantissa * b1 + mul_high(mantissa, b2);
    let carry = select(U(0u), U(1u), low < mul_high(mantissa, b2));
    let high = mantissa * b0 + mul_high(mantissa, b1) + carry;
    let quarter = (high + U(0x20000000u)) >> U(30u);
    let rest = high - (quarter << U(30u));
    // The distance from the nearest quarter, without its sign: a difference of floats would lose its last bits.
    let negative = (rest >> U(31u)) == U(1u);
    let rest_low = select(low, U(0u) - low, negative);
    let rest_high = select(rest, ~rest + select(U(0u), U(1u), low == U(0u)), negative);
    let distance = (F(rest_high) + F(rest_low) * F(2.3283064e-10)) * F(1.4629181e-9);
    return Turn(select(distance, -distance, negative), I(quarter));
}

// What sine and cosine are of NaN and of the infinities.
fn turned(y: F, x: F) -> F {
    return select(y, F(from_bits(0x7fc00000u)), (bitcast<U>(x) & U(0x7fffffffu)) >= U(0x7f800000u));
}
fn sine_of(r: F) -> F {
    let s = r * r;
    return r + r * s * (F(-0.16666655) + s * (F(0.008332161) - s * F(0.00019515296)));
}
fn cosine_of(r: F) -> F {
    let s = r * r;
    return F(1.0) - F(0.5) * s + s * s * (F(0.041666646) + s * (F(-0.0013887316) + s * F(0.000024433157)));
}
fn sin_(x: F) -> F {
    let t = turn_of(x);
    let y = select(sine_of(t.rest), cosine_of(t.rest), (t.quarter & I(1)) == I(1));
    return turned(select(y, -y, (t.quarter & I(2)) == I(2)), x);
}
fn cos_(x: F) -> F {
    let t = turn_of(x);
    let y = select(cosine_of(t.rest), sine_of(t.rest), (t.quarter & I(1)) == I(1));
    return turned(select(y, -y, ((t.quarter + I(1)) & I(2)) == I(2)), x);
}

// Cephes's polynomial up to 0.625: past it, the difference of what is nearly 1 loses nothing.
fn tanh_(x: F) -> F {
    let a = abs(x);
    let s = x * x;
    let series = x + x * s * (F(-0.33333282) + s * (F(0.13331442) + s * (F(-0.053739716) + s * (F(0.020639089) - s * F(0.0057049887)))));
    let far = (F(1.0) - F(2.0) / (exp(F(2.0) * min(a, F(15.0))) + F(1.0))) * sign(x);
    return select(select(far, series, a < F(0.625)), x, is_nan(x));
}

// Abramowitz and Stegun 7.1.26 past 0.5, the series below.
fn erf_(x: F) -> F {
    let a = abs(x);
    let s = x * x;
    let series = x * F(1.1283792) * (F(1.0) - s * (F(0.33333334) - s * (F(0.1) - s * (F(0.023809524) - s * F(0.0046296296)))));
    let t = F(1.0) / (F(1.0) + F(0.3275911) * a);
    let p = t * (F(0.2548296) + t * (F(-0.28449674) + t * (F(1.4214138) + t * (F(-1.453152) + t * F(1.0614054)))));
    let far = (F(1.0) - p * exp(-min(s, F(80.0)))) * sign(x);
    return select(select(far, series, a < F(0.5)), x, is_nan(x));
}

fn pow_(a: F, b: F) -> F {
    let known = select(pow(abs(a), b), F(1.0), abs(a) == F(1.0));
    let of_zero = select(F(0.0), F(from_bits(0x7f800000u)), b < F(0.0));
    let m = select(known, of_zero, a == F(0.0));
    let whole = floor(b) == b;
    let odd = floor(b * F(0.5)) * F(2.0) != b;
    let infinite = (bitcast<U>(a) & U(0x7fffffffu)) == U(0x7f800000u);
    let negative = select(select(F(from_bits(0x7fc00000u)), m, infinite), select(m, -m, odd), whole);
    let number = select(select(m, negative, a < F(0.0)), a + b, is_nan(a) | is_nan(b));
    return select(select(number, a, b == F(1.0)), F(1.0), (b == F(0.0)) | (a == F(1.0)));
}

// High and low word of a product of 32-bit words.
fn mul_high(a: U, b: U) -> U {
    let al = a & U(0xffffu); let ah = a >> U(16u);
    let bl = b & U(0xffffu); let bh = b >> U(16u);
    let low = al * bl;
    let mid = ah * bl + (low >> U(16u));
    let mid2 = al * bh + (mid & U(0xffffu));
    return ah * bh + (mid >> U(16u)) + (mid2 >> U(16u));
}

// Philox4x32-10, the twin of src/rng.rs: word position % 4 of block position / 4.
fn random_(position: U, stream: U, step: U, seed_low: U, seed_high: U) -> U {
    var c0 = position / U(4u); var c1 = stream; var c2 = step; var c3 = U(0u);
    var k0 = seed_low; var k1 = seed_high;
    for (var round = 0; round < 10; round++) {
        let ah = mul_high(c0, U(0xD2511F53u)); let al = c0 * U(0xD2511F53u);
        let bh = mul_high(c2, U(0xCD9E8D57u)); let bl = c2 * U(0xCD9E8D57u);
        c0 = bh ^ c1 ^ k0; c1 = bl; c2 = ah ^ c3 ^ k1; c3 = al;
        k0 += U(0x9E3779B9u); k1 += U(0xBB67AE85u);
    }
    let lane = position & U(3u);
    return select(select(select(c3, c2, lane == U(2u)), c1, lane == U(1u)), c0, lane == U(0u));
}

// a / n, for a below 2^31 and n from 1 to 2^29, without the division of integers that software adapters do lane by lane: an
// estimate that is off by less than 2^12 / n + 1, then one of what is left.
fn quotient(a: u32, n: u32) -> u32 {
    let inverse = 1.0 / f32(n);
    let estimate = u32(f32(a) * inverse);
    let left = i32(a - estimate * n);
    let more = i32(floor(f32(left) * inverse));
    let rest = left - more * i32(n);
    return estimate + u32(more + select(0, 1, rest >= i32(n)) - select(0, 1, rest < 0));
}
