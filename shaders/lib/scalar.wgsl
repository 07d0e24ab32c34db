// Scalar functions that WGSL lacks or leaves loose. F, I, U, B are scalars, or vectors of four.

// What no constant expression may hold: NaN and the infinities.
var<private> no_bits: u32;
fn from_bits(bits: u32) -> f32 { return bitcast<f32>(bits ^ no_bits); }

// By the bits, since compilers may assume that there are no NaNs.
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

fn log1p_(x: F) -> F {
    let series = x * (F(1.0) - x * (F(0.5) - x * (F(0.33333334) - x * F(0.25))));
    return select(log(F(1.0) + x), series, abs(x) < F(0.01));
}

// Sine and cosine, which WGSL lets be off by 2^-11: the rest past a multiple of half a pi, in three parts, then Cephes's
// polynomials. Far out, where an f32 has no such rest, the device's own.
struct Turn { rest: F, quarter: I }
fn turn_of(x: F) -> Turn {
    let k = round(clamp(x, F(-9000.0), F(9000.0)) * F(0.63661977));
    return Turn(((x - k * F(1.5703125)) - k * F(4.837512969970703e-4)) - k * F(7.549789954891882e-8), I(k));
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
    let near = select(y, -y, (t.quarter & I(2)) == I(2));
    return select(select(near, sin(x), abs(x) > F(8192.0)), x, is_nan(x));
}
fn cos_(x: F) -> F {
    let t = turn_of(x);
    let y = select(cosine_of(t.rest), sine_of(t.rest), (t.quarter & I(1)) == I(1));
    let near = select(y, -y, ((t.quarter + I(1)) & I(2)) == I(2));
    return select(select(near, cos(x), abs(x) > F(8192.0)), x, is_nan(x));
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
    let m = select(pow(abs(a), b), F(from_bits(0x7f800000u)), (a == F(0.0)) & (b < F(0.0)));
    let whole = floor(b) == b;
    let odd = floor(b * F(0.5)) * F(2.0) != b;
    let endless = abs(a) > F(3.4028235e38);
    let negative = select(select(F(from_bits(0x7fc00000u)), m, endless), select(m, -m, odd), whole);
    let number = select(select(m, negative, a < F(0.0)), a + b, is_nan(a) | is_nan(b));
    return select(number, F(1.0), (b == F(0.0)) | (a == F(1.0)));
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
