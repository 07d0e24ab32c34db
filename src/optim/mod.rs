//! Optimizers: compositions over flat parameters, part of the plan.
//!
//! | optimizer | as |
//! |---|---|
//! | [`Sgd`], [`SGD`] | `torch.optim.SGD` |
//! | [`Adam`], [`AdamW`] | `torch.optim.Adam`, `torch.optim.AdamW` |
//! | [`RmsProp`], [`RMSprop`] | `torch.optim.RMSprop` |
//! | [`Adagrad`], [`Adadelta`] | `torch.optim.Adagrad`, `torch.optim.Adadelta` |
//! | [`Adamax`], [`NAdam`], [`RAdam`] | `torch.optim.Adamax`, `torch.optim.NAdam`, `torch.optim.RAdam` |
//! | [`Lion`] | Chen et al., 2023 |
//!
//! PyTorch's `maximize` is `minimize` of the negated loss.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod groups;
mod lion;
mod minimize;
mod nadam;
mod plateau;
mod radam;
mod rmsprop;
mod schedule;
mod sgd;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use adamw::AdamW;
pub use groups::{ParamGroup, Penalty};
pub use lion::Lion;
pub use minimize::{MinimizeOptions, Minimized};
pub use nadam::NAdam;
pub use plateau::{Plateau, PlateauMode, Threshold};
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use schedule::{OneCycle, Schedule};
pub use sgd::Sgd;

use crate::graph::{OfUpdate, StateRange, TensorType};
use crate::shape::Shape;
use crate::state::{SlotInit, State};
use crate::tensor::{Tensor, Trace};
use groups::{Blocks, Kept};

/// Methods that set one option each, `Sgd::new(0.1).momentum(0.9)`.
macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $ty:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, $field: $ty) -> Self {
            self.$field = $field;
            self
        }
    )*};
}
use setters;

/// A rule that turns gradients into updates. A boxed one moves into [`Session::compile`](crate::Session::compile)'s closure.
pub trait Optimizer: Send + Sync {
    /// The learning rate at the start.
    fn learning_rate(&self) -> f64;

    /// The weight decay of parameters whose group has none of its own: what [`Update::decay`] is made of.
    fn weight_decay(&self) -> f32 {
        0.0
    }

    /// What is wrong with the rule's numbers, if anything is.
    ///
    /// # Errors
    /// What a number is and what it may be.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The new value of the parameter `u.param`, from the gradient `u.grad`; slots are assigned on the way.
    fn update(&self, u: &Update) -> Tensor;
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }

    fn weight_decay(&self) -> f32 {
        (**self).weight_decay()
    }

    fn check(&self) -> Result<(), String> {
        (**self).check()
    }

    fn update(&self, u: &Update) -> Tensor {
        (**self).update(u)
    }
}

/// [`Sgd`] under PyTorch's name.
pub type SGD = Sgd;

/// [`RmsProp`] under PyTorch's name.
pub type RMSprop = RmsProp;

/// A run of consecutive parameters that an optimizer updates as one tensor.
pub struct Update<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// Value of the parameters: `[n]`, or `[blocks, 64]` where they are of several groups.
    pub param: Tensor,
    /// Their gradient, in that shape.
    pub grad: Tensor,
    /// The learning rate, `[]` or in that shape.
    pub rate: Tensor,
    /// The weight decay, `[]` or in that shape; `None` where there is none.
    pub decay: Option<Tensor>,
    blocks: &'a Blocks<'a>,
    states: &'a [State],
    kept: Kept,
}

/// What an optimizer keeps for each parameter.
pub struct Slot {
    /// Its value before the update, in the shape of the parameters.
    pub value: Tensor,
    name: String,
    range: StateRange,
}

impl Update<'_> {
    /// The slot `name`, zeros at first.
    pub fn slot(&self, name: &str) -> Slot {
        self.slot_of(name, SlotInit::Fill(0.0))
    }

    /// The slot `name`, every element `value` at first.
    pub fn slot_filled(&self, name: &str, value: f32) -> Slot {
        self.slot_of(name, SlotInit::Fill(value))
    }

    fn slot_of(&self, name: &str, init: SlotInit) -> Slot {
        self.blocks.count(name, self.kept);
        slot(self.trace, name, self.states, &self.blocks.shape, init)
    }

    /// Have `slot` hold `value` from the next step on.
    pub fn keep(&self, slot: &Slot, value: &Tensor) {
        self.trace.assign(slot.range, value);
    }

    /// The gradient with the weight decay's in it: L2 regularization.
    pub fn decayed_grad(&self) -> Tensor {
        match &self.decay {
            None => self.grad.clone(),
            Some(decay) => self.grad.add(&self.param.mul(decay)),
        }
    }

    /// The parameters made smaller by the weight decay, apart from the gradient: `param (1 - rate decay)`.
    pub fn decayed_param(&self) -> Tensor {
        match &self.decay {
            None => self.param.clone(),
            Some(decay) => self.param.sub(&self.param.mul(decay).mul(&self.rate)),
        }
    }

    /// What the host computes for each update from its number: `value(number, args)`, `[]`, or in the shape of the
    /// parameters where some have been updated more often than others. The number counts this optimizer's updates of a
    /// parameter, from 1, as `step` in the state of PyTorch's optimizers: it stands still while the parameter is frozen.
    /// `name` and `args` say which function it is.
    pub fn of_update(
        &self,
        name: &'static str,
        args: [f64; 2],
        value: fn(u64, [f64; 2]) -> f64,
    ) -> Tensor {
        let of = OfUpdate::new(name, args, value);
        self.blocks.of_update(of, UPDATE, self.kept)
    }

    /// As [`Update::of_update`], with the number of the update of `slot`: the first is the one before which it held what it
    /// starts with, whichever rule had the parameters before.
    pub fn of_slot(
        &self,
        slot: &Slot,
        name: &'static str,
        args: [f64; 2],
        value: fn(u64, [f64; 2]) -> f64,
    ) -> Tensor {
        let of = OfUpdate::new(name, args, value);
        self.blocks.of_update(of, &slot.name, self.kept)
    }
}

/// What an optimizer's updates of a parameter are counted under, where no slot is named.
const UPDATE: &str = "update";

/// The slot `name` of the parameters `of`, seen in `shape`.
fn slot(trace: &Trace, name: &str, of: &[State], shape: &Shape, init: SlotInit) -> Slot {
    let range = trace.params().slots(name, of, init);
    Slot {
        value: trace.state(range, TensorType::f32(shape.clone())),
        name: name.to_owned(),
        range,
    }
}

/// `from + weight (to - from)`, as `torch.lerp`.
fn lerp(from: &Tensor, to: &Tensor, weight: f64) -> Tensor {
    from.add(&to.sub(from).mul_scalar(weight as f32))
}

/// `share mean + (1 - share) value²`: a running mean of squares.
fn mean_square(mean: &Tensor, value: &Tensor, share: f64) -> Tensor {
    let new = value.square().mul_scalar((1.0 - share) as f32);
    mean.mul_scalar(share as f32).add(&new)
}

/// `1 / (1 - beta^n)`: the correction of the running mean in `slot`, which started at 0.
fn correction(u: &Update, slot: &Slot, beta: f64) -> Tensor {
    u.of_slot(slot, "correction", [beta, 0.0], |n, [b, _]| {
        1.0 / (1.0 - b.powf(n as f64))
    })
}

/// The square root of [`correction`].
fn root_correction(u: &Update, slot: &Slot, beta: f64) -> Tensor {
    u.of_slot(slot, "root_correction", [beta, 0.0], |n, [b, _]| {
        1.0 / (1.0 - b.powf(n as f64)).sqrt()
    })
}

/// `x` as it was written, without what `f64` adds to it: for messages.
fn shown(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::NAN)
}

/// Check that named numbers are 0 or more.
fn not_negative(numbers: &[(&str, f64)]) -> Result<(), String> {
    let bad = |(_, x): &&(&str, f64)| !(x.is_finite() && *x >= 0.0);
    numbers.iter().find(bad).map_or(Ok(()), |(name, x)| {
        Err(format!("takes a {name} of 0 or more, {x} came"))
    })
}

/// Check that named numbers are 0 or more and below 1.
fn shares(numbers: &[(&str, f64)]) -> Result<(), String> {
    let bad = |(_, x): &&(&str, f64)| !(0.0..1.0).contains(x);
    numbers.iter().find(bad).map_or(Ok(()), |(name, x)| {
        Err(format!("takes a {name} from 0 to 1, excluded, {x} came"))
    })
}
