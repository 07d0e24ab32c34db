//! Expressions evaluated on the CPU, a block of positions at a time.

use super::{Expr, Inst, Reg, types};
use crate::dtype::DType;

/// Positions of a block.
///
/// The registers of a chain of a dozen functions then fit the first-level cache.
pub const BLOCK: usize = 256;

/// Expressions that share their instructions, ready to run.
#[derive(Debug, Clone)]
pub struct Program {
    insts: Vec<Inst>,
    dtypes: Vec<DType>,
    results: Vec<Reg>,
    /// Whether loads that are themselves results must be copied: another result may take their operand's memory.
    copies: bool,
}

impl std::fmt::Debug for Inst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Inst::Load(s, d) => write!(f, "load {s} {d}"),
            Inst::Const(b, d) => write!(f, "const {b:#x} {d}"),
            Inst::Index => f.write_str("index"),
            Inst::Call(fun, regs) => write!(f, "{} {:?}", fun.name(), &regs[..fun.arity()]),
        }
    }
}

/// The memory that a running [`Program`] needs, from [`Program::registers`]; one a thread.
#[derive(Debug)]
pub struct Registers {
    words: Vec<u32>,
    at: Vec<*const u32>,
}

impl Program {
    /// The program that computes all of `exprs`.
    pub fn new(exprs: &[Expr]) -> Self {
        let mut insts = Vec::new();
        let results = exprs.iter().map(|e| e.append_to(&mut insts)).collect();
        Self {
            dtypes: types(&insts),
            insts,
            results,
            copies: exprs.len() > 1,
        }
    }

    /// Its instructions, with the dtype of each value.
    pub fn insts(&self) -> impl Iterator<Item = (&Inst, DType)> {
        self.insts.iter().zip(self.dtypes.iter().copied())
    }

    /// Where each expression's value is.
    pub fn results(&self) -> &[Reg] {
        &self.results
    }

    /// Dtype of the value of `reg`.
    pub fn dtype(&self, reg: Reg) -> DType {
        self.dtypes[reg as usize]
    }

    /// Memory to run it, with its constants in place.
    pub fn registers(&self) -> Registers {
        let mut words = vec![0; self.insts.len() * BLOCK];
        for (inst, words) in self.insts.iter().zip(words.chunks_mut(BLOCK)) {
            if let Inst::Const(bits, _) = inst {
                words.fill(*bits);
            }
        }
        Registers {
            words,
            at: Vec::with_capacity(self.insts.len()),
        }
    }

    /// Evaluate positions `start..start + len` (`len` at most [`BLOCK`]). `load(slot, out)` fills `out` with the
    /// operand's elements, or says where they already lie one after the other.
    ///
    /// # Safety
    /// `regs` must be this program's. Addresses that `load` returns must hold `len` readable words until the results have been taken.
    pub unsafe fn run(
        &self,
        regs: &mut Registers,
        start: usize,
        len: usize,
        load: &dyn Fn(usize, &mut [u32]) -> Option<*const u32>,
    ) {
        debug_assert!(len <= BLOCK && regs.words.len() == self.insts.len() * BLOCK);
        regs.at.clear();
        for (r, inst) in self.insts.iter().enumerate() {
            let out = &mut regs.words[r * BLOCK..r * BLOCK + len];
            let mut at = out.as_ptr();
            match *inst {
                Inst::Load(slot, _) => match load(slot as usize, out) {
                    // SAFETY: promised by the caller.
                    Some(there) if self.copies && self.results.contains(&(r as Reg)) => unsafe {
                        std::ptr::copy_nonoverlapping(there, out.as_mut_ptr(), len);
                    },
                    there => at = there.unwrap_or(at),
                },
                Inst::Const(..) => {}
                Inst::Index => out
                    .iter_mut()
                    .enumerate()
                    .for_each(|(k, o)| *o = (start + k) as u32),
                Inst::Call(fun, args) => {
                    // SAFETY: the addresses are other blocks of `words`, which is not resized here, or `load`'s.
                    let view =
                        |a: Reg| unsafe { std::slice::from_raw_parts(regs.at[a as usize], len) };
                    let views = args.map(|a| if (a as usize) < r { view(a) } else { &[] });
                    (fun.cpu())(
                        &views[..fun.arity()],
                        out,
                        self.dtypes[args[fun.arity() - 1] as usize],
                    );
                }
            }
            regs.at.push(at);
        }
    }
}

impl Registers {
    /// Address of the value of `reg` after [`Program::run`].
    pub fn value(&self, reg: Reg) -> *const u32 {
        self.at[reg as usize]
    }
}

/// The value of instructions without loads.
pub(super) fn constant(insts: &[Inst]) -> u32 {
    let program = Program {
        insts: insts.to_vec(),
        dtypes: types(insts),
        results: Vec::new(),
        copies: false,
    };
    let mut regs = program.registers();
    // SAFETY: there are no loads, and the value lies in `regs`.
    unsafe {
        program.run(&mut regs, 0, 1, &|_, _| None);
        *regs.value(insts.len() as Reg - 1)
    }
}
