//! Expressions printed as WGSL statements.
//!
//! The text is written in the aliases `F`, `I`, `U`, `B`: scalars, or vectors of four where a kernel handles four
//! neighbours at once. `shaders/lib/scalar.wgsl` has the functions that WGSL lacks.

use super::cancel::{cancels, factors};
use super::{Inst, Program, Reg};
use crate::dtype::DType;
use std::fmt::Write;

/// Statements that compute the program's values (`let v0 = …;`), and each result as an expression.
/// `load(slot)` is the WGSL text that gives an operand's element as it lies in memory, `word` that of a word of the uniform
/// block which holds what it is given: constants that sizes may have made are no part of the text, and kernels for other
/// sizes are the same.
pub fn print(
    program: &Program,
    load: &dyn Fn(usize) -> String,
    word: &mut dyn FnMut(u32) -> String,
) -> (String, Vec<String>) {
    let mut text = String::new();
    let insts: Vec<Inst> = program.insts().map(|(inst, _)| *inst).collect();
    let factors = factors(&insts);
    for (r, (inst, dtype)) in program.insts().enumerate() {
        let value = match *inst {
            Inst::Load(slot, DType::Bool) => format!("{} != U(0u)", load(slot as usize)),
            Inst::Load(slot, _) => load(slot as usize),
            Inst::Const(bits, DType::F32) if !plain(f32::from_bits(bits)) || factors[r] => {
                format!("F(bitcast<f32>({}))", word(bits))
            }
            Inst::Const(bits, dtype) => literal(bits, dtype),
            Inst::Index => "index".to_owned(),
            Inst::Call(fun, args) => {
                let of = program.dtype(args[fun.arity() - 1]);
                let mut call = fun
                    .wgsl()
                    .replace("$T", alias(of))
                    .replace("$t", &alias(of).to_lowercase());
                let hidden = program.dtype(args[0]) == DType::F32 && cancels(&insts, fun, args);
                for (k, arg) in args[..fun.arity()].iter().enumerate() {
                    let text = match hidden && k == 1 {
                        // The same bits, of which no compiler knows that they are.
                        true => format!("bitcast<F>(bitcast<U>(v{arg}) ^ U({}))", word(0)),
                        false => format!("v{arg}"),
                    };
                    call = call.replace(&format!("${k}"), &text);
                }
                call
            }
        };
        let _ = writeln!(text, "    let v{r}: {} = {value};", alias(dtype));
    }
    let store = |r: &Reg| match program.dtype(*r) {
        DType::Bool => format!("select(U(0u), U(1u), v{r})"),
        _ => format!("v{r}"),
    };
    (text, program.results().iter().map(store).collect())
}

/// The alias of a dtype in expressions.
fn alias(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F",
        DType::I32 => "I",
        DType::U32 => "U",
        DType::Bool => "B",
    }
}

/// Whether a constant is one that compilers simplify by. All others are words of the uniform block, so that their bits are
/// what they are whatever a compiler makes of a decimal number.
pub(super) fn plain(x: f32) -> bool {
    [0.0, 0.5, 1.0, 2.0].contains(&x.abs())
}

fn literal(bits: u32, dtype: DType) -> String {
    match dtype {
        DType::F32 => format!("F({:?}f)", f32::from_bits(bits)),
        DType::I32 if bits == 0x8000_0000 => "I(-2147483647i - 1i)".to_owned(),
        DType::I32 => format!("I({}i)", bits as i32),
        DType::U32 => format!("U({bits}u)"),
        DType::Bool => format!("B({})", bits != 0),
    }
}
