//! Maps evaluated on the CPU.

use super::Map;
use crate::array::Element;
use crate::scalar::{BLOCK, Program, Registers};
use crate::shape::Layout;
use rayon::prelude::*;

/// Blocks that one task handles: enough work to be worth a task.
const TASK: usize = 32;

/// A map with the memory of its operands.
pub struct Evaluator {
    program: Program,
    loads: Vec<Operand>,
}

struct Operand {
    base: *const u32,
    offset: usize,
    dims: Vec<(usize, isize)>,
}

// SAFETY: operands are only read, and whoever makes an evaluator vouches for them (see `new`).
unsafe impl Sync for Evaluator {}

/// A pointer that tasks may share: each writes its own range.
#[derive(Clone, Copy)]
struct Target(*mut u32);
// SAFETY: see above; `Evaluator::apply` hands disjoint ranges to its tasks.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The word `start`, of memory that there is.
    fn at(self, start: usize) -> *mut u32 {
        if self.0.is_null() {
            self.0
        } else {
            self.0.wrapping_add(start)
        }
    }
}

impl Evaluator {
    /// `map` over operands at `operands`.
    ///
    /// # Safety
    /// Every position of every load must lie in its operand's memory, which must stay valid while the evaluator is
    /// used and must not be written meanwhile, but by [`Evaluator::apply`] at positions that it has read.
    pub unsafe fn new(map: &Map, operands: &[*const u32]) -> Self {
        let operand = |layout: &Layout, base| Operand {
            base,
            offset: layout.offset,
            dims: layout.collapse(),
        };
        Self {
            program: Program::new(&map.exprs),
            loads: map
                .loads
                .iter()
                .map(|l| operand(&l.layout, operands[l.operand]))
                .collect(),
        }
    }

    /// Memory for [`Evaluator::block`], one a thread.
    pub fn registers(&self) -> Registers {
        self.program.registers()
    }

    /// Evaluate positions `start..start + len`, `len` at most [`BLOCK`]; `core` is where the operator's own result for
    /// `start` lies. The value of expression `k` is then at `regs.value(self.result(k))`.
    pub fn block(&self, regs: &mut Registers, start: usize, len: usize, core: *const u32) {
        // SAFETY: promised to `new`.
        unsafe {
            self.program
                .run(regs, start, len, &|slot, out| match slot.checked_sub(1) {
                    None => Some(core),
                    Some(k) => self.loads[k].load(start, len, out),
                });
        }
    }

    /// The values of the first expression at positions `start..start + len`, for a map without a core. `T` must have the
    /// size of the expression's dtype.
    pub fn values<'r, T: Element>(
        &'r self,
        regs: &'r mut Registers,
        start: usize,
        len: usize,
    ) -> &'r [T] {
        self.block(regs, start, len, std::ptr::null());
        // SAFETY: `block` left `len` words there, in `regs` or in an operand.
        bytemuck::cast_slice(unsafe {
            std::slice::from_raw_parts(regs.value(self.program.results()[0]), len)
        })
    }

    /// Copy the value of expression `k` to `to`.
    ///
    /// # Safety
    /// [`Evaluator::block`] must have run for `len` positions, and `to` be writable for as many.
    pub unsafe fn store(&self, regs: &Registers, k: usize, len: usize, to: *mut u32) {
        // SAFETY: promised by the caller; source and target may be the same.
        unsafe { std::ptr::copy(regs.value(self.program.results()[k]), to, len) }
    }

    /// Evaluate all of `0..n` in parallel, writing expression `k` to `outputs[k]`; `core` may be one of them.
    ///
    /// # Safety
    /// Outputs must be writable for `n` words. One that is also an operand must be loaded at the positions that are
    /// written, in order.
    pub unsafe fn apply(&self, n: usize, core: *const u32, outputs: &[*mut u32]) {
        let outputs: Vec<Target> = outputs.iter().map(|&o| Target(o)).collect();
        let core = Target(core.cast_mut());
        let span = BLOCK * TASK;
        (0..n.div_ceil(span)).into_par_iter().for_each_init(
            || self.registers(),
            |regs, task| {
                for start in (task * span..n.min((task + 1) * span)).step_by(BLOCK) {
                    let len = BLOCK.min(n - start);
                    self.block(regs, start, len, core.at(start));
                    for (k, out) in outputs.iter().enumerate() {
                        // SAFETY: promised by the caller; tasks write different ranges.
                        unsafe { self.store(regs, k, len, out.at(start)) }
                    }
                }
            },
        );
    }
}

impl Operand {
    /// Fill `out` with the elements of positions `start..start + len`, or say where they lie together.
    fn load(&self, start: usize, len: usize, out: &mut [u32]) -> Option<*const u32> {
        let at = |position: isize| self.base.wrapping_offset(self.offset as isize + position);
        match self.dims[..] {
            // SAFETY (all reads here): positions lie in the operand, promised to `Evaluator::new`.
            [] => out.fill(unsafe { *at(0) }),
            [(_, 1)] => return Some(at(start as isize)),
            _ => {
                let (inner, stride) = self.dims[self.dims.len() - 1];
                let (mut done, mut i) = (0, start);
                while done < len {
                    let mut rest = i / inner;
                    let column = i % inner;
                    let mut row = 0;
                    for &(n, s) in self.dims[..self.dims.len() - 1].iter().rev() {
                        row += (rest % n) as isize * s;
                        rest /= n;
                    }
                    let run = (inner - column).min(len - done);
                    let from = at(row + column as isize * stride);
                    let out = &mut out[done..done + run];
                    match stride {
                        0 => out.fill(unsafe { *from }),
                        1 => out.copy_from_slice(unsafe { std::slice::from_raw_parts(from, run) }),
                        _ => out.iter_mut().enumerate().for_each(|(k, o)| {
                            *o = unsafe { *from.wrapping_offset(k as isize * stride) }
                        }),
                    }
                    done += run;
                    i += run;
                }
            }
        }
        None
    }
}
