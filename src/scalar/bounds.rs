//! What the integers of an expression can be: interval arithmetic.

use super::{Expr, Fun, Inst};
use crate::dtype::DType;

/// The smallest and the largest value that integers or truth values can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest.
    pub low: i64,
    /// The largest.
    pub high: i64,
}

impl Bounds {
    /// All values of a dtype; `None` for floats.
    pub fn of(dtype: DType) -> Option<Self> {
        let (low, high) = match dtype {
            DType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            DType::U32 => (0, i64::from(u32::MAX)),
            DType::Bool => (0, 1),
            DType::F32 => return None,
        };
        Some(Self { low, high })
    }

    /// Those of the elements of a constant, by their bits; `None` for floats and where there are none.
    pub fn of_words(words: &[u32], dtype: DType) -> Option<Self> {
        let value = |w: &u32| match dtype {
            DType::I32 => i64::from(*w as i32),
            _ => i64::from(*w),
        };
        Self::of(dtype)?;
        let low = words.iter().map(value).min()?;
        let high = words.iter().map(value).max()?;
        Some(Self { low, high })
    }

    /// Those of values that are of one or of the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// Whether all are at least `low` and below `end`.
    pub fn within(self, low: i64, end: i64) -> bool {
        low <= self.low && self.high < end
    }

    /// Those of `low` and `high` and what lies between; all of `dtype` where one is none of its values, since it wraps around.
    fn between(low: i64, high: i64, dtype: DType) -> Option<Self> {
        let all = Self::of(dtype)?;
        let found = Self { low, high };
        Some(if found.within(all.low, all.high + 1) {
            found
        } else {
            all
        })
    }

    /// Those of `f` of two values, which is largest and smallest at ends.
    fn corners(a: Self, b: Self, dtype: DType, f: impl Fn(i64, i64) -> i64) -> Option<Self> {
        let all = [
            (a.low, b.low),
            (a.low, b.high),
            (a.high, b.low),
            (a.high, b.high),
        ];
        let all = all.map(|(a, b)| f(a, b));
        let (low, high) = (all.iter().min()?, all.iter().max()?);
        Self::between(*low, *high, dtype)
    }
}

impl Expr {
    /// What its value can be over `positions` positions, operand slot `k + 1` being what `inputs[k]` bounds; `None` for floats.
    pub fn bounds(&self, inputs: &[Option<Bounds>], positions: usize) -> Option<Bounds> {
        Bounds::of(self.dtype)?;
        let dtypes = super::types(&self.insts);
        let mut found: Vec<Option<Bounds>> = Vec::with_capacity(self.insts.len());
        for (inst, &dtype) in self.insts.iter().zip(&dtypes) {
            found.push(match *inst {
                Inst::Load(slot, _) => {
                    let operand = (slot as usize).checked_sub(1);
                    let known = operand.and_then(|k| inputs.get(k).copied().flatten());
                    known.or(Bounds::of(dtype))
                }
                Inst::Const(bits, _) => Bounds::of_words(&[bits], dtype),
                Inst::Index => Bounds::between(0, positions.max(1) as i64 - 1, dtype),
                Inst::Call(fun, regs) => {
                    let args: Vec<Option<Bounds>> = regs[..fun.arity()]
                        .iter()
                        .map(|&r| found[r as usize])
                        .collect();
                    call(fun, &args, dtype).or(Bounds::of(dtype))
                }
            });
        }
        found.pop().flatten()
    }
}

/// The bounds of a call whose result is a `dtype`; `None` where nothing is known.
fn call(fun: Fun, args: &[Option<Bounds>], dtype: DType) -> Option<Bounds> {
    let arg = |k: usize| args.get(k).copied().flatten();
    let (a, b) = (arg(0), arg(1));
    match fun {
        Fun::Neg => Bounds::between(-a?.high, -a?.low, dtype),
        Fun::Abs => {
            let (low, high) = (a?.low, a?.high);
            let least = if low <= 0 && high >= 0 {
                0
            } else {
                low.abs().min(high.abs())
            };
            Bounds::between(least, low.abs().max(high.abs()), dtype)
        }
        Fun::Add => Bounds::corners(a?, b?, dtype, |a, b| a + b),
        Fun::Sub => Bounds::corners(a?, b?, dtype, |a, b| a - b),
        Fun::Mul => Bounds::corners(a?, b?, dtype, i64::saturating_mul),
        Fun::Div if b?.low > 0 => Bounds::corners(a?, b?, dtype, |a, b| a / b),
        Fun::Max => Bounds::between(a?.low.max(b?.low), a?.high.max(b?.high), dtype),
        Fun::Min => Bounds::between(a?.low.min(b?.low), a?.high.min(b?.high), dtype),
        Fun::Select => Some(b?.or(arg(2)?)),
        Fun::ToI32 | Fun::ToU32 => Bounds::between(a?.low, a?.high, dtype),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i(value: i32) -> Expr {
        Expr::constant(value as u32, DType::I32)
    }

    /// The bounds of `f` of an `i32` operand from `low` to `high` hold each of its values, and no bound is beyond them.
    #[test]
    fn bounds_hold_what_comes_and_no_more() {
        let x = Expr::load(1, DType::I32);
        let all = [
            -&x,
            x.cast(DType::U32),
            Expr::call(Fun::Abs, &[&x]),
            &x + &i(7),
            &i(7) - &x,
            &x * &i(-3),
            &x / &i(4),
            Expr::call(Fun::Max, &[&x, &i(2)]),
            Expr::call(Fun::Min, &[&x, &i(2)]),
            x.less(&i(0)).select(&i(9), &i(-1)),
            x.less(&i(0)).cast(DType::I32),
        ];
        for e in &all {
            for (low, high) in [(-5i32, -2), (-5, 3), (0, 0), (1, 9)] {
                let of = |v: i32| {
                    let e = e.substitute(&mut |_, _| i(v));
                    let bits = e.as_constant().unwrap();
                    Bounds::of_words(&[bits], e.dtype()).unwrap().low
                };
                let bounds = Bounds {
                    low: low.into(),
                    high: high.into(),
                };
                let found = e.bounds(&[Some(bounds)], 1).unwrap();
                let values: Vec<i64> = (low..=high).map(of).collect();
                let (least, most) = (values.iter().min().unwrap(), values.iter().max().unwrap());
                assert!(
                    found.low <= *least && *most <= found.high,
                    "{e} of {bounds:?}: {found:?}"
                );
                let wraps = e.dtype() == DType::U32 && low < 0;
                let either = e
                    .insts()
                    .iter()
                    .any(|i| matches!(i, Inst::Call(Fun::Select | Fun::Lt, _)));
                if !wraps && !either {
                    assert_eq!(
                        (found.low, found.high),
                        (*least, *most),
                        "{e} of {bounds:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_wraps_around_can_be_anything() {
        let x = Expr::load(1, DType::I32);
        let all = Bounds::of(DType::I32);
        let most = Some(Bounds {
            low: 0,
            high: i64::from(i32::MAX),
        });
        assert_eq!((&x + &i(1)).bounds(&[most], 1), all);
        assert_eq!((-&x).bounds(&[all], 1), all);
        assert_eq!((&x * &x).bounds(&[all], 1), all);
        assert_eq!((&x / &x).bounds(&[most], 1), all);
        assert_eq!(Expr::arg(1).cast(DType::I32).bounds(&[None], 1), all);
        assert_eq!(Expr::arg(1).bounds(&[None], 1), None);
        assert_eq!(
            Expr::index().bounds(&[], 12),
            Some(Bounds { low: 0, high: 11 })
        );
    }
}
