//! Scalar expressions: what elementwise operators and fused chains compute for one element.
//!
//! An [`Expr`] has three readings: printed as WGSL, evaluated on the CPU in blocks ([`eval`]), differentiated
//! ([`Expr::vjp`]). The functions it may call are the rows of one table, [`Fun`].

mod activation;
mod blocks;
mod bounds;
mod cancel;
pub(crate) mod elementary;
mod eval;
mod table;
mod wgsl;

pub use activation::GeluApprox;
pub use bounds::Bounds;
pub use eval::{BLOCK, Program, Registers};
pub use table::Fun;
pub use wgsl::print;

use crate::dtype::DType;
use std::fmt;

/// Index of an instruction of an expression.
pub type Reg = u16;

/// Most arguments that a function takes.
pub const MAX_ARGS: usize = 5;

/// One instruction: its value is named by its index.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inst {
    /// The element of operand `.0` that belongs to the current position.
    Load(u16, DType),
    /// A constant, by its bits.
    Const(u32, DType),
    /// The row-major index of the current position, `u32`.
    Index,
    /// A function of earlier values.
    Call(Fun, [Reg; MAX_ARGS]),
}

/// An expression over loaded elements: instructions in order, the last one is its value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Expr {
    insts: Vec<Inst>,
    dtype: DType,
}

impl Expr {
    /// The element of operand `slot`.
    pub fn load(slot: usize, dtype: DType) -> Self {
        Self {
            insts: vec![Inst::Load(slot as u16, dtype)],
            dtype,
        }
    }

    /// The `f32` element of operand `slot`.
    pub fn arg(slot: usize) -> Self {
        Self::load(slot, DType::F32)
    }

    /// An `f32` constant.
    pub fn lit(value: f32) -> Self {
        Self::constant(value.to_bits(), DType::F32)
    }

    /// A constant of any dtype, by its bits.
    pub fn constant(bits: u32, dtype: DType) -> Self {
        Self {
            insts: vec![Inst::Const(bits, dtype)],
            dtype,
        }
    }

    /// The row-major index of the current position, `u32`.
    pub fn index() -> Self {
        Self {
            insts: vec![Inst::Index],
            dtype: DType::U32,
        }
    }

    /// `fun(args…)`, with constants folded. The dtypes must be what [`Fun::result`] accepts.
    pub fn call(fun: Fun, args: &[&Expr]) -> Self {
        let dtypes: Vec<DType> = args.iter().map(|a| a.dtype).collect();
        let dtype = fun.result(&dtypes).unwrap_or(dtypes[0]);
        if let Some(folded) = fold(fun, args) {
            return folded;
        }
        let mut insts = Vec::new();
        let mut regs = [0; MAX_ARGS];
        for (reg, arg) in regs.iter_mut().zip(args) {
            *reg = arg.append_to(&mut insts);
        }
        insts.push(Inst::Call(fun, regs));
        Self { insts, dtype }
    }

    /// Its instructions, the last one being the value.
    pub fn insts(&self) -> &[Inst] {
        &self.insts
    }

    /// The type of its value.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The constant that it is, by its bits.
    pub fn as_constant(&self) -> Option<u32> {
        match self.insts[..] {
            [Inst::Const(bits, _)] => Some(bits),
            _ => None,
        }
    }

    /// Whether it depends on the position itself.
    pub fn uses_index(&self) -> bool {
        self.insts.contains(&Inst::Index)
    }

    /// The operands that it loads, ascending.
    pub fn loads(&self) -> Vec<usize> {
        let mut slots: Vec<usize> = self
            .insts
            .iter()
            .filter_map(|i| {
                if let Inst::Load(s, _) = i {
                    Some(*s as usize)
                } else {
                    None
                }
            })
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// The expression with each loaded operand replaced by `with(slot, dtype)`.
    pub fn substitute(&self, with: &mut dyn FnMut(usize, DType) -> Expr) -> Expr {
        let mut values: Vec<Expr> = Vec::with_capacity(self.insts.len());
        for inst in &self.insts {
            values.push(match *inst {
                Inst::Load(slot, dtype) => with(slot as usize, dtype),
                Inst::Const(bits, dtype) => Expr::constant(bits, dtype),
                Inst::Index => Expr::index(),
                Inst::Call(fun, regs) => {
                    let args: Vec<&Expr> = regs[..fun.arity()]
                        .iter()
                        .map(|&r| &values[r as usize])
                        .collect();
                    Expr::call(fun, &args)
                }
            });
        }
        values.swap_remove(self.insts.len() - 1)
    }

    /// What operand `slot` contributes to the gradient: an expression over the same operands, operand
    /// `operands` being the incoming gradient and `operands + 1` the expression's own value.
    /// `None` where the value does not depend on it differentiably.
    pub fn vjp(&self, slot: usize, operands: usize) -> Option<Expr> {
        let values: Vec<Expr> = (0..self.insts.len())
            .map(|r| self.value(r as Reg))
            .collect();
        let mut adjoints: Vec<Option<Expr>> = vec![None; self.insts.len()];
        let last = self.insts.len() - 1;
        adjoints[last] = Some(Expr::arg(operands));
        let mut total: Option<Expr> = None;
        let add = |sum: &mut Option<Expr>, term: Expr| {
            *sum = Some(match sum.take() {
                Some(s) => Expr::call(Fun::Add, &[&s, &term]),
                None => term,
            });
        };
        for r in (0..=last).rev() {
            let Some(g) = adjoints[r].take() else {
                continue;
            };
            match self.insts[r] {
                Inst::Load(s, dtype) if s as usize == slot && dtype.is_float() => {
                    add(&mut total, g)
                }
                Inst::Call(fun, regs) => {
                    let args: Vec<&Expr> = regs[..fun.arity()]
                        .iter()
                        .map(|&a| &values[a as usize])
                        .collect();
                    let y = if r == last {
                        Expr::arg(operands + 1)
                    } else {
                        values[r].clone()
                    };
                    for (&a, term) in regs.iter().zip(fun.vjp(&g, &args, &y)) {
                        if let Some(term) = term {
                            add(&mut adjoints[a as usize], term);
                        }
                    }
                }
                _ => {}
            }
        }
        total
    }

    /// The value of instruction `r` as an expression of its own.
    fn value(&self, r: Reg) -> Expr {
        let mut map: Vec<Option<Reg>> = vec![None; r as usize + 1];
        let mut insts = Vec::new();
        self.extract(r, &mut map, &mut insts);
        let dtype = self.dtype_of(r);
        Expr { insts, dtype }
    }

    fn extract(&self, r: Reg, map: &mut Vec<Option<Reg>>, out: &mut Vec<Inst>) -> Reg {
        if let Some(done) = map[r as usize] {
            return done;
        }
        let inst = match self.insts[r as usize] {
            Inst::Call(fun, mut regs) => {
                for reg in &mut regs[..fun.arity()] {
                    *reg = self.extract(*reg, map, out);
                }
                Inst::Call(fun, regs)
            }
            other => other,
        };
        out.push(inst);
        let at = out.len() as Reg - 1;
        map[r as usize] = Some(at);
        at
    }

    fn dtype_of(&self, r: Reg) -> DType {
        types(&self.insts)[r as usize]
    }

    /// Add its instructions to `insts`, sharing those that stand there already; returns where its value is.
    pub fn append_to(&self, insts: &mut Vec<Inst>) -> Reg {
        let mut map: Vec<Reg> = Vec::with_capacity(self.insts.len());
        for inst in &self.insts {
            let inst = match *inst {
                Inst::Call(fun, mut regs) => {
                    for reg in &mut regs[..fun.arity()] {
                        *reg = map[*reg as usize];
                    }
                    Inst::Call(fun, regs)
                }
                other => other,
            };
            let at = insts.iter().position(|i| *i == inst).unwrap_or_else(|| {
                insts.push(inst);
                insts.len() - 1
            });
            map.push(at as Reg);
        }
        map[map.len() - 1]
    }
}

/// The dtype of each instruction's value.
pub fn types(insts: &[Inst]) -> Vec<DType> {
    let mut out: Vec<DType> = Vec::with_capacity(insts.len());
    for inst in insts {
        out.push(match *inst {
            Inst::Load(_, dtype) | Inst::Const(_, dtype) => dtype,
            Inst::Index => DType::U32,
            Inst::Call(fun, regs) => {
                let args: Vec<DType> = regs[..fun.arity()]
                    .iter()
                    .map(|&r| out[r as usize])
                    .collect();
                fun.result(&args).unwrap_or(args[0])
            }
        });
    }
    out
}

/// Constants and identities. Nothing that NaN or infinity would make wrong.
fn fold(fun: Fun, args: &[&Expr]) -> Option<Expr> {
    let constants: Vec<Option<u32>> = args.iter().map(|a| a.as_constant()).collect();
    if constants.iter().all(Option::is_some) {
        let mut program = Vec::new();
        let mut regs = [0; MAX_ARGS];
        for (reg, arg) in regs.iter_mut().zip(args) {
            *reg = arg.append_to(&mut program);
        }
        program.push(Inst::Call(fun, regs));
        let dtype = types(&program)[program.len() - 1];
        return Some(Expr::constant(eval::constant(&program), dtype));
    }
    let is = |i: usize, v: f32| constants[i] == Some(v.to_bits()) && args[i].dtype == DType::F32;
    match fun {
        Fun::Mul if is(0, 1.0) => Some(args[1].clone()),
        Fun::Mul | Fun::Div if is(1, 1.0) => Some(args[0].clone()),
        Fun::Add if is(0, 0.0) => Some(args[1].clone()),
        Fun::Add | Fun::Sub if is(1, 0.0) => Some(args[0].clone()),
        Fun::Select if constants[0] == Some(1) => Some(args[1].clone()),
        Fun::Select if constants[0] == Some(0) => Some(args[2].clone()),
        Fun::Select if args[1] == args[2] => Some(args[1].clone()),
        Fun::Max | Fun::Min if args[0] == args[1] => Some(args[0].clone()),
        _ => None,
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn show(e: &Expr, r: Reg, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match e.insts[r as usize] {
                Inst::Load(s, DType::F32) => write!(f, "x{s}"),
                Inst::Load(s, dtype) => write!(f, "x{s}:{dtype}"),
                Inst::Const(bits, DType::F32) => write!(f, "{:?}", f32::from_bits(bits)),
                Inst::Const(bits, DType::I32) => write!(f, "{}", bits as i32),
                Inst::Const(bits, _) => write!(f, "{bits}u"),
                Inst::Index => f.write_str("i"),
                Inst::Call(fun, regs) => {
                    write!(f, "{}(", fun.name())?;
                    for (k, &reg) in regs[..fun.arity()].iter().enumerate() {
                        if k > 0 {
                            f.write_str(", ")?;
                        }
                        show(e, reg, f)?;
                    }
                    f.write_str(")")
                }
            }
        }
        show(self, self.insts.len() as Reg - 1, f)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
