//! Optimizers: compositions over flat parameters, part of the plan.

mod adam;
mod sgd;

pub use adam::Adam;
pub use sgd::Sgd;

use crate::error::Error;
use crate::graph::{OfUpdate, Scalar, StateRange, TensorType};
use crate::state::{ALIGN, State, StateKind, span};
use crate::tensor::{Tensor, Trace};

/// A rule that turns gradients into updates.
pub trait Optimizer {
    /// The learning rate at the start.
    fn learning_rate(&self) -> f64;

    /// The new value of the parameter `u.param`, from the gradient `u.grad`; slots are assigned on the way.
    fn update(&self, u: &Update) -> Tensor;
}

/// A run of consecutive parameters that an optimizer updates as one flat tensor.
pub struct Update<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// Value of the parameters, `[n]`.
    pub param: Tensor,
    /// Their gradient, `[n]`.
    pub grad: Tensor,
    /// The learning rate, `[]`.
    pub rate: Tensor,
    states: &'a [State],
}

/// What an optimizer keeps for each parameter.
pub struct Slot {
    /// Its value before the update, `[n]`; zeros at first.
    pub value: Tensor,
    range: StateRange,
}

impl Update<'_> {
    /// The slot `name`.
    pub fn slot(&self, name: &str) -> Slot {
        let range = self.trace.params().slots(name, self.states);
        Slot {
            value: self.trace.state(range, TensorType::f32([range.len])),
            range,
        }
    }

    /// Have `slot` hold `value` from the next step on.
    pub fn keep(&self, slot: &Slot, value: &Tensor) {
        self.trace.assign(slot.range, value);
    }

    /// A scalar that the host computes for each update from its number, counted from 1: `value(number, args)`. `name`
    /// and `args` say which function it is.
    pub fn of_update(
        &self,
        name: &'static str,
        args: [f64; 2],
        value: fn(u64, [f64; 2]) -> f64,
    ) -> Tensor {
        self.trace
            .run_scalar(Scalar::OfUpdate(OfUpdate { name, args, value }))
    }
}

impl Trace {
    /// Have a run take one step of `optimizer` down `loss`, for every trainable parameter. In a trace for evaluation
    /// this does nothing.
    ///
    /// A trainable parameter that the loss does not reach is an error of `compile`.
    #[track_caller]
    pub fn minimize(&self, loss: &Tensor, optimizer: &dyn Optimizer) {
        self.minimize_clipped(loss, optimizer, None);
    }

    /// As [`Trace::minimize`], with the gradient scaled down to the global norm `max_norm` where it is longer, as
    /// `torch.nn.utils.clip_grad_norm_`. Returns the norm before, `[]`.
    #[track_caller]
    pub fn minimize_clipped(
        &self,
        loss: &Tensor,
        optimizer: &dyn Optimizer,
        max_norm: Option<f32>,
    ) -> Tensor {
        if !self.is_training() || loss.is_poisoned() {
            return self.scalar(0.0);
        }
        let states: Vec<State> = self
            .params()
            .all()
            .into_iter()
            .filter(|s| s.kind == StateKind::Parameter && s.trainable)
            .collect();
        let params: Vec<Tensor> = states
            .iter()
            .map(|s| self.state(s.range, TensorType::new(s.shape.clone(), s.dtype)))
            .collect();
        let found = self.gradients(loss, &params.iter().collect::<Vec<_>>());
        let unreached: Vec<String> = states
            .iter()
            .zip(&found)
            .filter(|(_, g)| g.is_none())
            .map(|(s, _)| s.path.to_string())
            .collect();
        if !unreached.is_empty() {
            self.fail(Error::Unreached {
                parameters: unreached,
            });
            return self.poison();
        }
        let grads: Vec<Tensor> = found.into_iter().flatten().collect();
        let runs = runs(&states);
        let flat: Vec<Tensor> = runs
            .iter()
            .map(|r| self.pack(&grads[r.clone()], ALIGN))
            .collect();
        let squares = flat
            .iter()
            .map(|g| g.square().sum(&[], false))
            .reduce(|a, b| a.add(&b));
        let norm = squares.map_or_else(|| self.scalar(0.0), |s| s.sqrt());
        let rate = self.run_scalar(Scalar::LearningRate(0));
        self.learning_rate(0, optimizer.learning_rate());
        for (run, grad) in runs.into_iter().zip(flat) {
            let grad = match max_norm {
                Some(max) => grad.mul(
                    &norm
                        .add_scalar(1e-6)
                        .reciprocal()
                        .mul_scalar(max)
                        .clamp(f32::NEG_INFINITY, 1.0),
                ),
                None => grad,
            };
            let states = &states[run];
            let range = StateRange {
                len: span(states),
                ..states[0].range
            };
            let param = self.state(range, TensorType::f32([range.len]));
            let new = optimizer.update(&Update {
                trace: self,
                param,
                grad,
                rate: rate.clone(),
                states,
            });
            self.assign(range, &new);
        }
        norm
    }
}

/// Ranges of states that lie one after the other in one segment.
fn runs(states: &[State]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, s) in states.iter().enumerate() {
        let follows = i > 0 && {
            let before = &states[i - 1].range;
            before.segment == s.range.segment
                && (before.offset + before.len).next_multiple_of(ALIGN) == s.range.offset
        };
        match runs.last_mut() {
            Some(run) if follows => run.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}
