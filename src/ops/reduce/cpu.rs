//! Reductions on the CPU. Work is cut in parts of fixed length, so that threads do not change the result.

use super::{Combine, Reduce};
use crate::array::Element;
use crate::fused::{Evaluator, Map};
use crate::scalar::{BLOCK, Registers};
use rayon::prelude::*;

/// What is reduced: numbers of a dtype, and the wider ones in which long rows are combined.
pub(super) trait Number: Element + Send + Sync {
    type Wide: Copy + PartialOrd + Send + Sync;
    /// What combined with a number is that number: for a sum, the largest, the smallest.
    const INITIAL: [Self::Wide; 3];
    fn wide(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
    fn sum(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    /// The sum of two in their own width.
    fn add(self, other: Self) -> Self;
    /// The sum of `x`.
    fn sum_of(x: &[Self]) -> Self::Wide;
    /// Whether it stays whatever it is combined with.
    fn is_nan(wide: Self::Wide) -> bool;
}

impl Number for f32 {
    type Wide = f64;
    const INITIAL: [f64; 3] = [0.0, f64::NEG_INFINITY, f64::INFINITY];

    fn wide(self) -> f64 {
        self.into()
    }

    fn narrow(wide: f64) -> f32 {
        wide as f32
    }

    fn sum(a: f64, b: f64) -> f64 {
        a + b
    }

    fn add(self, other: f32) -> f32 {
        self + other
    }

    /// Eight running values, so that the sum of a long block loses little and is quick.
    fn sum_of(x: &[f32]) -> f64 {
        let mut lanes = [0.0f32; 8];
        let (head, tail) = x.split_at(x.len() / 8 * 8);
        for eight in head.chunks_exact(8) {
            lanes.iter_mut().zip(eight).for_each(|(l, v)| *l += v);
        }
        lanes.iter().chain(tail).map(|&v| f64::from(v)).sum()
    }

    fn is_nan(wide: f64) -> bool {
        wide.is_nan()
    }
}

macro_rules! integer {
    ($t:ty) => {
        impl Number for $t {
            type Wide = i64;
            const INITIAL: [i64; 3] = [0, <$t>::MIN as i64, <$t>::MAX as i64];

            fn wide(self) -> i64 {
                self.into()
            }

            fn narrow(wide: i64) -> $t {
                wide as $t
            }

            fn sum(a: i64, b: i64) -> i64 {
                a.wrapping_add(b)
            }

            fn add(self, other: $t) -> $t {
                self.wrapping_add(other)
            }

            fn sum_of(x: &[$t]) -> i64 {
                x.iter().fold(0, |sum, v| sum.wrapping_add(v.wide()))
            }

            fn is_nan(_: i64) -> bool {
                false
            }
        }
    };
}
integer!(i32);
integer!(u32);

impl Reduce {
    /// The operator on numbers of one dtype.
    pub(super) fn numbers<T: Number>(&self, map: &Map, operands: &[*const u32], out: &mut [T]) {
        let first = map.loads.first();
        let kept = first.map_or(0, |l| l.layout.shape.rank() - self.dims.len());
        let rows = out.len();
        let columns = first.map_or(0, |l| l.layout.shape[kept..].iter().product());
        if rows == 0 {
            return;
        }
        // Where neighbouring rows, not neighbouring columns, lie together: walk along rows, all columns in turn.
        let along = |from: usize, to: usize| {
            map.loads.iter().any(|l| {
                (from..to)
                    .rev()
                    .find(|&d| l.layout.shape[d] > 1)
                    .is_some_and(|d| l.layout.strides[d] == 1)
            })
        };
        if rows >= 16 && columns > 1 && !along(kept, kept + self.dims.len()) && along(0, kept) {
            self.by_columns(&map.swapped(kept), operands, out, columns);
        } else {
            self.by_rows(map, operands, out, columns);
        }
    }

    fn combined<T: Number>(&self, a: T::Wide, b: T::Wide) -> T::Wide {
        match self.combine {
            Combine::Sum => T::sum(a, b),
            Combine::Max if a > b || T::is_nan(a) => a,
            Combine::Min if a < b || T::is_nan(a) => a,
            _ => b,
        }
    }

    fn initial<T: Number>(&self) -> T::Wide {
        T::INITIAL[match self.combine {
            Combine::Sum => 0,
            Combine::Max => 1,
            Combine::Min => 2,
        }]
    }

    /// All of `x` combined.
    fn fold<T: Number>(&self, x: &[T]) -> T::Wide {
        match self.combine {
            Combine::Sum => T::sum_of(x),
            _ => x
                .iter()
                .fold(self.initial::<T>(), |a, v| self.combined::<T>(a, v.wide())),
        }
    }

    /// Row after row; rows that are long are cut in parts of fixed length.
    fn by_rows<T: Number>(
        &self,
        map: &Map,
        operands: &[*const u32],
        out: &mut [T],
        columns: usize,
    ) {
        const PART: usize = 64 * BLOCK;
        // SAFETY: the device's promise to `CpuIo`.
        let e = unsafe { Evaluator::new(map, operands) };
        let span = |regs: &mut Registers, from: usize, to: usize| {
            let blocks = (from..to).step_by(BLOCK);
            blocks.fold(self.initial::<T>(), |sum, at| {
                let x = e.values(regs, at, BLOCK.min(to - at));
                self.combined::<T>(sum, self.fold::<T>(x))
            })
        };
        if columns >= 2 * PART {
            for (row, out) in out.iter_mut().enumerate() {
                let part = |p: usize| {
                    span(
                        &mut e.registers(),
                        row * columns + p * PART,
                        row * columns + ((p + 1) * PART).min(columns),
                    )
                };
                let parts: Vec<T::Wide> = (0..columns.div_ceil(PART))
                    .into_par_iter()
                    .map(part)
                    .collect();
                let all = parts.into_iter();
                *out = T::narrow(all.fold(self.initial::<T>(), |a, b| self.combined::<T>(a, b)));
            }
            return;
        }
        let rows = (PART / columns.max(1)).max(1);
        out.par_chunks_mut(rows).enumerate().for_each_init(
            || e.registers(),
            |regs, (task, out)| {
                // Short rows share a block.
                let each = BLOCK.checked_div(columns).unwrap_or(1).max(1);
                for (k, out) in out.chunks_mut(each).enumerate() {
                    let at = (task * rows + k * each) * columns;
                    if out.len() == 1 || columns > BLOCK {
                        out.iter_mut()
                            .for_each(|o| *o = T::narrow(span(regs, at, at + columns)));
                    } else {
                        let x = e.values(regs, at, out.len() * columns);
                        out.iter_mut()
                            .zip(x.chunks(columns))
                            .for_each(|(o, x)| *o = T::narrow(self.fold::<T>(x)));
                    }
                }
            },
        );
    }

    /// `map` runs over (reduced, kept): add up its rows, in parts of fixed height.
    fn by_columns<T: Number>(
        &self,
        map: &Map,
        operands: &[*const u32],
        out: &mut [T],
        columns: usize,
    ) {
        let rows = out.len();
        // SAFETY: the device's promise to `CpuIo`.
        let e = unsafe { Evaluator::new(map, operands) };
        let height = columns.div_ceil(16).max(64);
        let part = |p: usize| {
            let mut sums = vec![T::narrow(self.initial::<T>()); rows];
            let mut regs = e.registers();
            for c in p * height..((p + 1) * height).min(columns) {
                for (at, sums) in (0..rows).step_by(BLOCK).zip(sums.chunks_mut(BLOCK)) {
                    let x: &[T] = e.values(&mut regs, c * rows + at, sums.len());
                    let pairs = sums.iter_mut().zip(x);
                    match self.combine {
                        Combine::Sum => pairs.for_each(|(s, v)| *s = s.add(*v)),
                        _ => pairs.for_each(|(s, v)| {
                            *s = T::narrow(self.combined::<T>(s.wide(), v.wide()))
                        }),
                    }
                }
            }
            sums
        };
        let parts: Vec<Vec<T>> = (0..columns.div_ceil(height))
            .into_par_iter()
            .map(part)
            .collect();
        for (r, out) in out.iter_mut().enumerate() {
            let all = parts.iter();
            *out = T::narrow(all.fold(self.initial::<T>(), |a, p| {
                self.combined::<T>(a, p[r].wide())
            }));
        }
    }
}
