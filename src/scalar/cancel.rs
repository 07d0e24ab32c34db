//! Where a compiler of shaders, which may assume that all numbers are finite, would compute something else.
//!
//! WGSL lets it take `x * 0` and `x - x` for 0 and `x == x` for true, also where `x` is NaN or infinite. Printed expressions hide
//! from it what it would need to know.

use super::wgsl::plain;
use super::{Fun, Inst, MAX_ARGS, Reg};
use crate::dtype::DType;

/// Which values are a zero that something is multiplied by or that is divided: where compilers see that it is 0, they take the
/// result for 0.
pub(super) fn factors(insts: &[Inst]) -> Vec<bool> {
    let mut out = vec![false; insts.len()];
    for inst in insts {
        if let Inst::Call(Fun::Mul | Fun::Div, args) = inst {
            for &arg in &args[..2] {
                out[arg as usize] |= constant(insts, arg).is_some_and(|x| x == 0.0);
            }
        }
    }
    out
}

/// Whether one argument of `fun` would be cancelled against the other, or a factor taken out: `x - x`, `(x + 1) - x`,
/// `(x * y) / x`, `x * y + x * z`, `x == x`.
pub(super) fn cancels(insts: &[Inst], fun: Fun, args: [Reg; MAX_ARGS]) -> bool {
    let (a, b) = (args[0], args[1]);
    let shared = |chain: Chain| {
        let [(left, l), (right, r)] = [a, b].map(|root| ends(insts, root, chain));
        let inverts = l || r || matches!(fun, Fun::Sub | Fun::Div);
        inverts && left.iter().any(|end| right.contains(end))
    };
    match fun {
        Fun::Eq | Fun::Le => a == b,
        Fun::Add | Fun::Sub => shared(Chain::Sums) || common_factor(insts, a, b),
        Fun::Mul | Fun::Div => shared(Chain::Products),
        _ => false,
    }
}

/// Whether two different values are products that share a factor.
fn common_factor(insts: &[Inst], a: Reg, b: Reg) -> bool {
    match (&insts[a as usize], &insts[b as usize]) {
        (Inst::Call(Fun::Neg, args), _) => common_factor(insts, args[0], b),
        (_, Inst::Call(Fun::Neg, args)) => common_factor(insts, a, args[0]),
        (Inst::Call(Fun::Mul, left), Inst::Call(Fun::Mul, right)) => {
            let both = |f: &Reg| constant(insts, *f).is_none() && right[..2].contains(f);
            a != b && left[..2].iter().any(both)
        }
        _ => false,
    }
}

/// Sums and differences, or products and quotients.
#[derive(Clone, Copy)]
enum Chain {
    Sums,
    Products,
}

/// The values, but for constants, that the chain at `root` ends in, and whether something is subtracted or divided in it.
fn ends(insts: &[Inst], root: Reg, chain: Chain) -> (Vec<Reg>, bool) {
    let (mut ends, mut seen, mut inverts) = (Vec::new(), vec![root], false);
    let mut next = 0;
    while let Some(&reg) = seen.get(next) {
        next += 1;
        let (inside, inverse) = links(insts, reg, chain);
        inverts |= inverse;
        if inside.is_empty() && constant(insts, reg).is_none() {
            ends.push(reg);
        }
        for &reg in inside {
            if !seen.contains(&reg) {
                seen.push(reg);
            }
        }
    }
    (ends, inverts)
}

/// What a value is the sum or the product of, and whether with another sign or as a quotient; nothing where the chain ends.
fn links(insts: &[Inst], reg: Reg, chain: Chain) -> (&[Reg], bool) {
    let Inst::Call(fun, args) = &insts[reg as usize] else {
        return (&[], false);
    };
    // To a compiler, twice a number is a sum, and -1 times one a difference.
    let simple = |k: usize| constant(insts, args[k]).is_some_and(plain);
    match (fun, chain) {
        (Fun::Neg, _) => (&args[..1], true),
        (Fun::Add, Chain::Sums) | (Fun::Mul, Chain::Products) => (&args[..2], false),
        (Fun::Sub, Chain::Sums) | (Fun::Div, Chain::Products) => (&args[..2], true),
        (Fun::Mul | Fun::Div, Chain::Sums) if simple(1) => (&args[..1], true),
        (Fun::Mul, Chain::Sums) if simple(0) => (&args[1..2], true),
        _ => (&[], false),
    }
}

/// The `f32` constant that a value is.
fn constant(insts: &[Inst], reg: Reg) -> Option<f32> {
    match insts[reg as usize] {
        Inst::Const(bits, DType::F32) => Some(f32::from_bits(bits)),
        _ => None,
    }
}
