//! Numbers in WGSL: each is one that every compiler takes, and takes for the same bits.
//!
//! A browser's (Tint) refuses a float beyond the largest f32, be it by a digit that rounding takes away, and one whose integer
//! does not fit its suffix; subnormal ones are flushed by some; a decimal may be read as an f64 first.

use crate::shaders::fits;
use wgrad::caps::Caps;
use wgrad::plan::Plan;
use wgrad::{Params, Tensor, TensorType, Trace};

/// What is wrong with the numbers of `text`.
pub fn check(text: &str) -> Result<(), String> {
    let lines = text.lines().map(|l| l.split("//").next().unwrap_or(l));
    for number in lines.flat_map(numbers) {
        one(number).map_err(|why| format!("{number}: {why}"))?;
    }
    Ok(())
}

/// The numbers of a line.
fn numbers(line: &str) -> Vec<&str> {
    let bytes = line.as_bytes();
    let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let from = at;
        while at < bytes.len() && (part(bytes[at]) || (at > from && exponent_sign(bytes, from, at)))
        {
            at += 1;
        }
        let point = bytes[from] == b'.' && bytes.get(from + 1).is_some_and(u8::is_ascii_digit);
        if bytes[from].is_ascii_digit() || point {
            found.push(&line[from..at]);
        }
        at = at.max(from + 1);
    }
    found
}

/// Whether at `at` is the sign of the exponent of the number that begins at `from`.
fn exponent_sign(bytes: &[u8], from: usize, at: usize) -> bool {
    let hex = bytes[from..at].starts_with(b"0x");
    let marks: &[u8] = if hex { b"pP" } else { b"eE" };
    bytes[from].is_ascii_digit() && b"+-".contains(&bytes[at]) && marks.contains(&bytes[at - 1])
}

fn one(number: &str) -> Result<(), String> {
    if let Some(hex) = number.strip_prefix("0x") {
        let (digits, largest) = match hex.strip_suffix('i') {
            Some(digits) => (digits, i64::from(i32::MAX)),
            None => (hex.trim_end_matches('u'), i64::from(u32::MAX)),
        };
        let value = i64::from_str_radix(digits, 16).map_err(|e| e.to_string())?;
        return (value <= largest)
            .then_some(())
            .ok_or("does not fit".to_owned());
    }
    let float = number.ends_with('f') || number.contains(['.', 'e', 'E']);
    if !float {
        let (digits, largest) = match number.strip_suffix('u') {
            Some(digits) => (digits, i64::from(u32::MAX)),
            None => (number.trim_end_matches('i'), i64::from(i32::MAX)),
        };
        let value: i64 = digits.parse().map_err(|_| "is no number".to_owned())?;
        return (value <= largest)
            .then_some(())
            .ok_or("does not fit".to_owned());
    }
    let digits = number.trim_end_matches('f');
    let exact: f64 = digits.parse().map_err(|_| "is no number".to_owned())?;
    let direct: f32 = digits.parse().map_err(|_| "is no number".to_owned())?;
    if exact.abs() > f64::from(f32::MAX) {
        return Err("is larger than the largest f32".to_owned());
    }
    if exact != 0.0 && !direct.is_normal() {
        return Err("is smaller than the smallest normal f32".to_owned());
    }
    if direct.to_bits() != (exact as f32).to_bits() {
        return Err("is another f32 when it is read as an f64 first".to_owned());
    }
    Ok(())
}

#[test]
fn the_check_itself() {
    let fine =
        "let a1 = x.y * 0.5f + 1e-3 - v2.x + 0x7fffffffu + 4294967295u - 2147483647i; // 1e99";
    assert_eq!(check(fine), Ok(()));
    assert_eq!(
        numbers("a[3u]+.5*1e-7f-b_2+p.map[0u].x"),
        ["3u", ".5", "1e-7f", "0u"]
    );
    for wrong in [
        "3.4028235e38",
        "1e39f",
        "1e-45f",
        "1e-39",
        "2147483648i",
        "2147483648",
        "4294967296u",
        "0x80000000i",
    ] {
        assert!(check(&format!("F(-{wrong})")).is_err(), "{wrong}");
    }
}

/// Constants that a user wrote, in each place that takes one.
#[test]
fn constants_of_users() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let constants = [
        0.0,
        -0.0,
        0.1,
        1.0,
        0.5,
        -2.0,
        1e-45,
        1e-39,
        3.402_823_3e38,
        f32::MAX,
        f32::MIN,
        inf,
        -inf,
        nan,
    ];
    let trace = Trace::new(&Params::new(0), true);
    let x = trace.input(TensorType::f32([9]));
    let n = trace.input(TensorType::i32([9]));
    let mut results: Vec<Tensor> = Vec::new();
    for c in constants {
        let all = [
            &x * c,
            c / &x,
            &x + c,
            c - &x,
            x.clamp(c.min(0.0), c.max(0.0)),
            x.threshold(c, c),
            x.maximum(c),
            x.pow_scalar(c),
            x.elu(c),
            x.celu(c),
            x.leaky_relu(c),
            x.softplus(c, c),
            x.hardshrink(c),
            x.softshrink(c),
            x.masked_fill(&x.gt(c), c),
            x.add_scalar(c).eq(c).to_f32(),
        ];
        let slopes = all
            .iter()
            .filter_map(|y| trace.gradients(&y.sum(&[], false), &[&x]).swap_remove(0));
        results.extend(slopes.collect::<Vec<_>>());
        results.extend(all);
    }
    for c in [0, -1, i32::MIN, i32::MIN + 1, i32::MAX] {
        results.extend([n.maximum(c), n.eq(c).to_f32(), n.add(c), n.div(c)]);
    }
    let plan = Plan::compile(trace.finish(&results).unwrap().graph, &Caps::default()).unwrap();
    let mut checked = 0;
    for d in plan.steps.iter().flat_map(|s| &s.kernels.dispatches) {
        fits(d, &Caps::default()).unwrap_or_else(|why| panic!("{}: {why}", d.shader));
        checked += 1;
    }
    assert!(checked > 1);
}
