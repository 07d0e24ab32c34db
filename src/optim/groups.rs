//! Parameter groups and penalties by path, in one pass over all parameters.
//!
//! Parameters begin at multiples of a block of 64 elements. A small constant says of each block which class its parameter
//! is of: group, decay, penalties. An update reads it once for each block.

use super::{not_negative, shares, shown};
use crate::array::Array;
use crate::error::Site;
use crate::glob;
use crate::graph::{OfUpdate, Scalar, TensorType};
use crate::ops::map::{map, operand};
use crate::scalar::Expr;
use crate::shape::Shape;
use crate::state::{ALIGN, Count, State, span};
use crate::tensor::{Tensor, Trace};
use std::sync::Arc;

/// Parameters with a learning rate or a weight decay of their own, as one of the `param_groups` of PyTorch's optimizers.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamGroup {
    pattern: String,
    lr: Option<f64>,
    weight_decay: Option<f32>,
}

impl ParamGroup {
    /// The parameters that `pattern` stands for, from the root: `encoder`, `*.bias`, as [`glob::matches`] reads it.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            lr: None,
            weight_decay: None,
        }
    }

    /// With this learning rate in place of the optimizer's.
    pub fn lr(mut self, lr: f64) -> Self {
        self.lr = Some(lr);
        self
    }

    /// With this weight decay in place of the optimizer's.
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = Some(decay);
        self
    }
}

/// A penalty on the size of weights, as Keras's `L1`, `L2` and `L1L2` regularizers: `l1 Σ|w| + l2 Σw²`.
#[derive(Debug, Clone, PartialEq)]
pub struct Penalty {
    pattern: String,
    l1: f32,
    l2: f32,
}

impl Penalty {
    /// `l1 Σ|w|` of the parameters that `pattern` stands for, `*` being all.
    pub fn l1(pattern: impl Into<String>, l1: f32) -> Self {
        Self::elastic(pattern, l1, 0.0)
    }

    /// `l2 Σw²` of the parameters that `pattern` stands for.
    pub fn l2(pattern: impl Into<String>, l2: f32) -> Self {
        Self::elastic(pattern, 0.0, l2)
    }

    /// Both.
    pub fn elastic(pattern: impl Into<String>, l1: f32, l2: f32) -> Self {
        Self {
            pattern: pattern.into(),
            l1,
            l2,
        }
    }
}

/// What parameters of one class have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Class {
    group: usize,
    decay: f32,
    l1: f32,
    l2: f32,
    /// Equal for parameters whose slots have been updated as often.
    age: usize,
}

impl Class {
    /// The class with its group counted from another index than 0, of parameters of this age.
    pub fn of(self, first_group: usize, age: usize) -> Self {
        Self {
            group: first_group + self.group,
            age,
            ..self
        }
    }
}

/// The class of each of `states`, in their order. Groups: the first that fits; penalties: the sum of all that fit.
pub(super) fn classes(
    trace: &Trace,
    states: &[State],
    decay: f32,
    groups: &[ParamGroup],
    penalties: &[Penalty],
) -> Result<Vec<Class>, String> {
    for g in groups {
        let numbers = [
            ("learning rate", g.lr.unwrap_or(0.0)),
            ("weight decay", shown(g.weight_decay.unwrap_or(0.0))),
        ];
        not_negative(&numbers).map_err(|e| format!("the group '{}' {e}", g.pattern))?;
    }
    for p in penalties {
        let numbers = [("l1", shown(p.l1)), ("l2", shown(p.l2))];
        not_negative(&numbers).map_err(|e| format!("the penalty of '{}' {e}", p.pattern))?;
    }
    let patterns = groups.iter().map(|g| &g.pattern);
    let parameters = trace.params().root().list();
    for pattern in patterns.chain(penalties.iter().map(|p| &p.pattern)) {
        glob::check(pattern)?;
        if !parameters.iter().any(|s| glob::matches(pattern, &s.path)) {
            return Err(trace.params().matches_nothing(pattern));
        }
    }
    let class = |s: &State| {
        let found = groups
            .iter()
            .position(|g| glob::matches(&g.pattern, &s.path));
        let group = found.map(|k| &groups[k]);
        let own = |k: usize| groups[k].lr.map(|_| k + 1);
        let mut class = Class {
            group: found.and_then(own).unwrap_or(0),
            decay: group.and_then(|g| g.weight_decay).unwrap_or(decay),
            l1: 0.0,
            l2: 0.0,
            age: 0,
        };
        for p in penalties
            .iter()
            .filter(|p| glob::matches(&p.pattern, &s.path))
        {
            (class.l1, class.l2) = (class.l1 + p.l1, class.l2 + p.l2);
        }
        class
    };
    Ok(states.iter().map(class).collect())
}

/// The penalties of `params`, whose classes are `of`, `[]`; `None` where there are none.
pub(super) fn penalty_of(params: &[Tensor], of: &[Class]) -> Option<Tensor> {
    let each = params.iter().zip(of).filter_map(|(param, class)| {
        let part = |share: f32, size: Tensor| {
            let there = share != 0.0;
            there.then(|| size.sum(&[], false).mul_scalar(share))
        };
        sum(part(class.l1, param.abs()), part(class.l2, param.square()))
    });
    each.reduce(|a, b| a.add(&b))
}

/// The learning rates that groups of their own start with, by index.
pub(super) fn rates(groups: &[ParamGroup]) -> impl Iterator<Item = (usize, f64)> + '_ {
    let own = |(k, g): (usize, &ParamGroup)| Some((k + 1, g.lr?));
    groups.iter().enumerate().filter_map(own)
}

/// What a slot is, to be counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// The first parameter group of the optimizer that keeps it.
    pub first_group: usize,
    /// Whether gradients are accumulated in it.
    pub gradient: bool,
}

/// The classes of a run of consecutive parameters.
pub(super) struct Blocks<'a> {
    trace: &'a Trace,
    /// The shape in which the run is seen: `[n]`, or `[blocks, 64]` where there are several classes.
    pub shape: Shape,
    classes: Vec<Class>,
    /// Paths of the parameters, with the class of each.
    members: Vec<(Arc<str>, Class)>,
    /// Index of each block's class, `[blocks, 64]`, where there are several.
    table: Option<Tensor>,
}

impl<'a> Blocks<'a> {
    /// Of `states`, whose classes are `of`.
    pub fn new(trace: &'a Trace, states: &[State], of: &[Class]) -> Self {
        let (n, base) = (span(states), states.first().map_or(0, |s| s.range.offset));
        let mut classes: Vec<Class> = Vec::new();
        let mut blocks = vec![0i32; n / ALIGN];
        for (s, class) in states.iter().zip(of) {
            let known = classes.iter().position(|c| c == class);
            let at = known.unwrap_or_else(|| {
                classes.push(*class);
                classes.len() - 1
            });
            let first = (s.range.offset - base) / ALIGN;
            let count = s.range.len.div_ceil(ALIGN);
            blocks[first..first + count].fill(at as i32);
        }
        let shape: Shape = match classes.len() {
            0 | 1 => [n].into(),
            _ => [n / ALIGN, ALIGN].into(),
        };
        let table = (classes.len() > 1).then(|| {
            let table = trace.constant(Array::vector(blocks));
            table.unsqueeze(-1).expand(shape.clone())
        });
        Self {
            trace,
            shape,
            classes,
            members: states
                .iter()
                .map(|s| s.path.clone())
                .zip(of.iter().copied())
                .collect(),
            table,
        }
    }

    /// The learning rate, `[]` or in the shape of the run.
    pub fn rate(&self) -> Tensor {
        let rate = |group| self.trace.run_scalar(Scalar::LearningRate(group));
        self.scalars("group_rate", |c| c.group, rate)
    }

    /// The function `of` of the number of each parameter's update of the slot `slot`, `[]` or in the shape of the run; `what`
    /// the slot is. A run counts the update.
    pub fn of_update(&self, of: OfUpdate, slot: &str, what: Kept) -> Tensor {
        let of_age = |age| {
            let level = self.level(slot, what, age);
            self.trace
                .run_scalar(Scalar::OfUpdate(OfUpdate { level, ..of }))
        };
        self.scalars("of_update", |c| c.age, of_age)
    }

    /// Have a run count an update of the slot `slot` of each parameter.
    pub fn count(&self, slot: &str, what: Kept) {
        let mut ages: Vec<usize> = self.classes.iter().map(|c| c.age).collect();
        ages.sort_unstable();
        ages.dedup();
        for age in ages {
            self.level(slot, what, age);
        }
    }

    fn level(&self, slot: &str, what: Kept, age: usize) -> usize {
        let of_age = self.members.iter().filter(|(_, class)| class.age == age);
        let count = |(path, _): &(Arc<str>, Class)| Count {
            path: format!("{slot}/{path}").into(),
            number: 0,
            first_group: what.first_group,
            gradient: what.gradient,
        };
        self.trace.level(of_age.map(count).collect())
    }

    /// The scalar that `value` makes of what `key` says of each class, `[]` or in the shape of the run.
    fn scalars(
        &self,
        op: &'static str,
        key: impl Fn(&Class) -> usize,
        value: impl Fn(usize) -> Tensor,
    ) -> Tensor {
        let mut keys: Vec<usize> = self.classes.iter().map(&key).collect();
        keys.sort_unstable();
        keys.dedup();
        let values: Vec<Tensor> = keys.iter().map(|k| value(*k)).collect();
        let (Some(table), [_, _, ..]) = (&self.table, &values[..]) else {
            let none = || self.trace.scalar(0.0);
            return values.into_iter().next().unwrap_or_else(none);
        };
        let inputs: Vec<&Tensor> = std::iter::once(table).chain(&values).collect();
        let of = |c: &Class| {
            let at = keys.iter().position(|k| *k == key(c)).unwrap_or(0);
            operand(inputs[at + 1], at + 1)
        };
        map(op, self.choose(of), &inputs, Site::here())
    }

    /// The weight decay, if there is one.
    pub fn decay(&self) -> Option<Tensor> {
        self.number(|c| c.decay)
    }

    /// The gradient of the penalties at `param`, if there are any: `l1 sign(w) + 2 l2 w`.
    pub fn penalty_grad(&self, param: &Tensor) -> Option<Tensor> {
        let l1 = self.number(|c| c.l1).map(|l1| param.sign().mul(&l1));
        let l2 = self.number(|c| 2.0 * c.l2).map(|l2| param.mul(&l2));
        sum(l1, l2)
    }

    /// The penalties of `param`, `[]`, if there are any.
    pub fn penalty(&self, param: &Tensor) -> Option<Tensor> {
        let l1 = self.number(|c| c.l1).map(|l1| param.abs().mul(&l1));
        let l2 = self.number(|c| c.l2).map(|l2| param.square().mul(&l2));
        Some(sum(l1, l2)?.sum(&[], false))
    }

    /// A number of each class; `None` where it is 0 for all.
    fn number(&self, of: impl Fn(&Class) -> f32) -> Option<Tensor> {
        let first = self.classes.first().map_or(0.0, &of);
        let one = self.classes.iter().all(|c| of(c) == first);
        match &self.table {
            _ if one && first == 0.0 => None,
            Some(table) if !one => {
                let expr = self.choose(|c| Expr::lit(of(c)));
                Some(map("group_value", expr, &[table], Site::here()))
            }
            _ => Some(self.trace.scalar(first)),
        }
    }

    /// The expression of the class that operand 1, the table, names.
    fn choose(&self, of: impl Fn(&Class) -> Expr) -> Expr {
        let mut values = self.classes.iter().map(of).enumerate();
        let first = values.next().map_or_else(|| Expr::lit(0.0), |v| v.1);
        values.fold(first, |other, (at, value)| {
            let is = Expr::load(1, crate::DType::I32)
                .equals(&Expr::constant(at as u32, crate::DType::I32));
            is.select(&value, &other)
        })
    }
}

fn sum(a: Option<Tensor>, b: Option<Tensor>) -> Option<Tensor> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.add(&b)),
        (a, b) => a.or(b),
    }
}

/// Check the share that a moving average keeps.
pub(super) fn check_average(decay: f64) -> Result<(), String> {
    shares(&[("decay of the average", decay)])
}

/// The type of a run.
pub(super) fn ty(shape: &Shape) -> TensorType {
    TensorType::f32(shape.clone())
}
