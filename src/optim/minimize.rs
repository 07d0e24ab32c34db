//! `minimize`: gradients, penalties, clipping, accumulation, the update, averages: all in the plan.

use super::groups::{self, Blocks, Class, Kept, ParamGroup, Penalty};
use super::{Optimizer, Slot, Update, not_negative, shown, slot};
use crate::error::{Error, Site};
use crate::glob;
use crate::graph::{OfUpdate, Scalar, StateRange, TensorType};
use crate::scalar::Expr;
use crate::state::{ALIGN, AVERAGE, COUNTED, GRADIENT, Param, SlotInit, State, StateKind, span};
use crate::tensor::{Tensor, Trace};
use std::sync::Arc;

/// What [`Trace::minimize_with`] does besides the optimizer's rule.
#[derive(Debug, Clone, PartialEq)]
pub struct MinimizeOptions {
    /// Patterns of the parameters that are changed, as [`crate::glob::matches`] reads them; empty, the default, for all.
    /// The others are in the loss as constants, as where PyTorch's optimizer is given a part of the parameters: two
    /// functions over two parts train a generator and a discriminator in turn.
    pub parameters: Vec<String>,
    /// Index of the first parameter group, 0 by default. An optimizer over a part of the parameters has learning rates and
    /// a count of updates of its own from an index of its own on: see [`Session::set_learning_rate_of`].
    ///
    /// [`Session::set_learning_rate_of`]: crate::Session::set_learning_rate_of
    pub first_group: usize,
    /// Parameters with learning rates and decays of their own; a parameter is of the first group that fits.
    pub groups: Vec<ParamGroup>,
    /// Penalties, whose gradients come before clipping; where several fit a parameter, they add up. They are no part of
    /// the loss that is passed in: [`Minimized::penalty`] is their value, in evaluations [`Trace::penalty`] is.
    ///
    /// The trainer adds them to `loss` and to `eval_loss`, as Keras does: both are then what is minimized, so that curves of
    /// the two differ by what the data do alone. In Hugging Face's trainer neither has a penalty, because weight decay, the
    /// only one there, is no part of a loss; it is none here either ([`Optimizer::weight_decay`]).
    pub penalties: Vec<Penalty>,
    /// Hold each element of the gradient between this and its negative, as `torch.nn.utils.clip_grad_value_`.
    pub clip_value: Option<f32>,
    /// Then scale the gradient down to this global norm where it is longer, as `torch.nn.utils.clip_grad_norm_`.
    pub clip_norm: Option<f32>,
    /// Runs whose gradients are averaged to one update; 1 by default. The others only accumulate. A run whose loss is a mean
    /// over more items (samples, tokens that are not ignored) counts for more, as `num_items_in_batch` of Hugging Face's
    /// trainer does it: the update is that of one batch of all. That holds for losses of this library and for
    /// [`Tensor::mean`]; for others [`Trace::minimize_counted`] says the number, without which runs count alike. Each
    /// optimizer over a part of the parameters counts runs of its own.
    pub micro_steps: usize,
    /// Keep a moving average of the weights, of which each update keeps this share, as
    /// `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn`: the first update copies the weights. A function
    /// compiled with [`Mode::EvalAverage`](crate::Mode::EvalAverage) uses it; the state `ema/PATH` is the average of
    /// `PATH`.
    pub ema: Option<f64>,
}

impl Default for MinimizeOptions {
    fn default() -> Self {
        Self {
            parameters: Vec::new(),
            first_group: 0,
            groups: Vec::new(),
            penalties: Vec::new(),
            clip_value: None,
            clip_norm: None,
            micro_steps: 1,
            ema: None,
        }
    }
}

impl MinimizeOptions {
    /// The parameters that `pattern` stands for and no others, with learning rates and a count of updates from index
    /// `first_group` on: `MinimizeOptions::part("generator", 1)`.
    pub fn part(pattern: impl Into<String>, first_group: usize) -> Self {
        Self {
            parameters: vec![pattern.into()],
            first_group,
            ..Self::default()
        }
    }

    /// The learning rates that the parameter groups start with, by index: the first is the optimizer's.
    pub fn rates(&self, optimizer: &dyn Optimizer) -> Vec<(usize, f64)> {
        let first = (0, optimizer.learning_rate());
        std::iter::once(first)
            .chain(groups::rates(&self.groups))
            .map(|(group, rate)| (self.first_group + group, rate))
            .collect()
    }
}

/// What [`Trace::minimize_with`] knows of a step; what a function does not return is not computed.
pub struct Minimized {
    /// The global norm of the gradient before it was scaled, `[]`: what `clip_grad_norm_` returns. 0 in runs that only
    /// accumulate.
    pub norm: Tensor,
    /// The sum of the penalties, `[]`.
    pub penalty: Tensor,
    /// The gradient of each trainable parameter as the optimizer gets it: accumulated, with its penalty, clipped. None in runs
    /// that only accumulate.
    pub gradients: Vec<(Arc<str>, Tensor)>,
}

/// Consecutive parameters that are updated as one tensor.
struct Run<'a> {
    states: &'a [State],
    blocks: Blocks<'a>,
    range: StateRange,
    param: Tensor,
    grad: Tensor,
}

impl Trace {
    /// Have a run take one step of `optimizer` down `loss`, for every trainable parameter; for a part of them there is
    /// [`MinimizeOptions::part`]. In a trace for evaluation this does nothing.
    ///
    /// A trainable parameter that the loss does not reach is an error of `compile`.
    #[track_caller]
    pub fn minimize(&self, loss: &Tensor, optimizer: &dyn Optimizer) {
        self.minimize_with(loss, optimizer, &MinimizeOptions::default());
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
        let options = MinimizeOptions {
            clip_norm: max_norm,
            ..Default::default()
        };
        self.minimize_with(loss, optimizer, &options).norm
    }

    /// As [`Trace::minimize`], with parameter groups, penalties, clipping, accumulation and averages.
    #[track_caller]
    pub fn minimize_with(
        &self,
        loss: &Tensor,
        optimizer: &dyn Optimizer,
        options: &MinimizeOptions,
    ) -> Minimized {
        let (site, items) = (Site::here(), self.items(loss).map(|(items, _)| items));
        let around = self.leave();
        let made = self.step(loss, items, optimizer, options, site);
        self.enter(around);
        made
    }

    /// As [`Trace::minimize_with`], for a loss that is the mean over `counted` items, `[]`: samples, or tokens that are not
    /// ignored. Where gradients are accumulated, runs are weighted by it; one that counted nothing adds nothing.
    #[track_caller]
    pub fn minimize_counted(
        &self,
        loss: &Tensor,
        counted: &Tensor,
        optimizer: &dyn Optimizer,
        options: &MinimizeOptions,
    ) -> Minimized {
        let site = Site::here();
        let number = counted.numel() == 1 && counted.dtype() != crate::DType::Bool;
        if !number && !counted.is_poisoned() {
            let came = counted.ty();
            let message = format!("takes how many items were counted as one number, {came} came");
            self.misuse("minimize", message, site);
        }
        let items = (number && !counted.is_poisoned())
            .then(|| counted.to_f32().reshape_to([].into()).detach());
        let around = self.leave();
        let made = self.step(loss, items, optimizer, options, site);
        self.enter(around);
        made
    }

    #[track_caller]
    fn step(
        &self,
        loss: &Tensor,
        items: Option<Tensor>,
        optimizer: &dyn Optimizer,
        options: &MinimizeOptions,
        site: Site,
    ) -> Minimized {
        let nothing = |norm: Tensor| Minimized {
            norm,
            penalty: self.scalar(0.0),
            gradients: Vec::new(),
        };
        let states = self.trained(&options.parameters);
        let classes = check(optimizer, options).and_then(|()| {
            let (decay, groups) = (optimizer.weight_decay(), &options.groups);
            self.all_match(&options.parameters)?;
            groups::classes(self, &states, decay, groups, &options.penalties)
        });
        let paths: Vec<Arc<str>> = states.iter().map(|s| s.path.clone()).collect();
        let ages = self.ages(&paths);
        let of = |(class, age): (Class, usize)| class.of(options.first_group, age);
        let classes = match classes {
            Ok(all) => all.into_iter().zip(ages).map(of).collect::<Vec<_>>(),
            Err(message) => return nothing(self.misuse("minimize", message, site)),
        };
        if self.own("minimize", &[loss], site).is_none() || !self.is_training() {
            return nothing(self.scalar(0.0));
        }
        let Some(mut runs) = self.runs(loss, &states, &classes) else {
            return nothing(self.poison());
        };
        if runs.iter().any(|r| self.assigns_into(r.range)) {
            let message = "comes after another one over the same parameters: add the losses, or name parts of the parameters \
                           (MinimizeOptions::parameters)";
            return nothing(self.misuse("minimize", message, site));
        }
        self.updates_part(crate::tensor::Part {
            groups: (
                options.first_group,
                options.first_group + options.groups.len(),
            ),
            parameters: options.parameters.clone(),
            micro_steps: options.micro_steps,
        });
        let penalties = runs.iter().filter_map(|r| r.blocks.penalty(&r.param));
        let penalty = penalties.reduce(|a, b| a.add(&b));
        let penalty = penalty.unwrap_or_else(|| self.scalar(0.0));
        if options.micro_steps > 1 {
            let kept = Kept {
                first_group: options.first_group,
                gradient: true,
            };
            let (counted, count) = self.items_so_far(items.as_ref(), options.first_group);
            let of = |r: &Run| self.accumulated(r, items.as_ref(), kept);
            let sums: Vec<(Slot, Tensor)> = runs.iter().map(of).collect();
            if self.accumulates(options.first_group) {
                for (slot, sum) in &sums {
                    self.assign(slot.range, sum);
                }
                self.assign(counted, &count);
                return Minimized {
                    norm: self.scalar(0.0),
                    penalty,
                    gradients: Vec::new(),
                };
            }
            for (run, (_, sum)) in runs.iter_mut().zip(sums) {
                run.grad = sum.div(&count);
            }
        }
        let norm = self.shape_gradients(&mut runs, options);
        let rates = options.rates(optimizer);
        rates
            .into_iter()
            .for_each(|(group, rate)| self.learning_rate(group, rate));
        let kept = Kept {
            first_group: options.first_group,
            gradient: false,
        };
        for run in &runs {
            let new = optimizer.update(&Update {
                trace: self,
                param: run.param.clone(),
                grad: run.grad.clone(),
                rate: run.blocks.rate(),
                decay: run.blocks.decay(),
                blocks: &run.blocks,
                states: run.states,
                kept,
            });
            self.assign(run.range, &new);
            if let Some(decay) = options.ema {
                self.average(run, &new, decay, kept);
            }
        }
        Minimized {
            norm,
            penalty,
            gradients: runs.iter().flat_map(gradients).collect(),
        }
    }

    /// The sum of `penalties` over the trainable parameters, or over their moving averages where the function uses those,
    /// `[]`: what evaluations add to their loss for it to be the one that is minimized.
    #[track_caller]
    pub fn penalty(&self, penalties: &[Penalty]) -> Tensor {
        self.penalty_over(&[], penalties)
    }

    /// [`Trace::penalty`] of a part of the parameters: [`MinimizeOptions::parameters`].
    #[track_caller]
    pub(crate) fn penalty_over(&self, parameters: &[String], penalties: &[Penalty]) -> Tensor {
        let site = Site::here();
        let states = self.trained(parameters);
        let classes = match groups::classes(self, &states, 0.0, &[], penalties) {
            Ok(classes) => classes,
            Err(message) => return self.misuse("penalty", message, site),
        };
        let param = |s: &State| {
            self.param(&Param {
                path: s.path.clone(),
                shape: s.shape.clone(),
            })
        };
        let params: Vec<Tensor> = states.iter().map(param).collect();
        groups::penalty_of(&params, &classes).unwrap_or_else(|| self.scalar(0.0))
    }

    /// The trainable parameters in flat runs, with their gradients; `None` after an error.
    #[track_caller]
    fn runs<'a>(
        &'a self,
        loss: &Tensor,
        states: &'a [State],
        classes: &[Class],
    ) -> Option<Vec<Run<'a>>> {
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
            return None;
        }
        let grads: Vec<Tensor> = found.into_iter().flatten().collect();
        let run = |r: std::ops::Range<usize>| {
            let states = &states[r.clone()];
            let blocks = Blocks::new(self, states, &classes[r.clone()]);
            let range = StateRange {
                len: span(states),
                ..states[0].range
            };
            let flat = self.pack(&grads[r], ALIGN);
            Run {
                states,
                range,
                param: self.state(range, groups::ty(&blocks.shape)),
                grad: flat.reshape_to(blocks.shape.clone()),
                blocks,
            }
        };
        Some(consecutive(states).into_iter().map(run).collect())
    }

    /// The trainable parameters that `patterns` stand for, or all.
    fn trained(&self, patterns: &[String]) -> Vec<State> {
        let named = |path: &str| patterns.iter().any(|p| glob::matches(p, path));
        let meant = |path: &str| patterns.is_empty() || named(path);
        let mut states = self.params().all();
        states.retain(|s| s.kind == StateKind::Parameter && s.trainable && meant(&s.path));
        states
    }

    /// Check that each pattern stands for a parameter.
    fn all_match(&self, patterns: &[String]) -> Result<(), String> {
        let parameters = self.params().root().list();
        let known = |p: &str| parameters.iter().any(|s| glob::matches(p, &s.path));
        match patterns.iter().find(|p| !known(p)) {
            Some(pattern) => Err(self.params().matches_nothing(pattern)),
            None => Ok(()),
        }
    }

    /// Where an optimizer keeps how many items the losses of its micro-steps are means over, and that number with this
    /// run's `items`, which is 1 where nobody knows it.
    fn items_so_far(&self, items: Option<&Tensor>, first_group: usize) -> (StateRange, Tensor) {
        let range = self.params().slot_of_all(COUNTED, first_group);
        let before = self.state(range, TensorType::f32([]));
        let micro_steps = self.run_scalar(Scalar::Accumulated(first_group));
        let one = self.scalar(1.0);
        let items = items.unwrap_or(&one);
        // What was counted for the last update is left where it was: the first micro-step does not look at it.
        let f = |e: &[Expr]| &there(&e[0], &e[1]) + &e[2];
        let inputs = [&micro_steps, &before, items];
        let count = crate::ops::loss::pointwise("count", &inputs, f, Site::here());
        (range, count)
    }

    /// The gradients accumulated before, and with this run's, times the items that its loss is a mean over.
    fn accumulated(&self, run: &Run, items: Option<&Tensor>, kept: Kept) -> (Slot, Tensor) {
        let (shape, init) = (&run.blocks.shape, SlotInit::Fill(0.0));
        let slot = slot(self, GRADIENT, run.states, shape, init);
        // A parameter may have missed the first micro-steps: what is there is then the last update's.
        let held = OfUpdate::new("held", [0.0; 2], |n, _| n as f64 - 1.0);
        let held = run.blocks.of_update(held, GRADIENT, kept);
        let f = |e: &[Expr]| {
            let before = there(&e[0], &e[1]);
            match e.get(3) {
                Some(items) => &before + &there(items, &(items * &e[2])),
                None => &before + &e[2],
            }
        };
        let mut inputs = vec![&held, &slot.value, &run.grad];
        inputs.extend(items);
        let sum = crate::ops::loss::pointwise("accumulate", &inputs, f, Site::here());
        (slot, sum)
    }

    /// Penalties and clipping; returns the global norm.
    fn shape_gradients(&self, runs: &mut [Run], options: &MinimizeOptions) -> Tensor {
        for run in runs.iter_mut() {
            if let Some(penalty) = run.blocks.penalty_grad(&run.param) {
                run.grad = run.grad.add(&penalty);
            }
            if let Some(max) = options.clip_value {
                run.grad = run.grad.clamp(-max, max);
            }
        }
        let squares = runs.iter().map(|r| r.grad.square().sum(&[], false));
        let squares = squares.reduce(|a, b| a.add(&b));
        let norm = squares.map_or_else(|| self.scalar(0.0), |s| s.sqrt());
        if let Some(max) = options.clip_norm {
            let scale = norm.add_scalar(1e-6).reciprocal().mul_scalar(max);
            let scale = scale.clamp(f32::NEG_INFINITY, 1.0);
            for run in runs.iter_mut() {
                run.grad = run.grad.mul(&scale);
            }
        }
        norm
    }

    /// Move the average of a run's weights towards `new`.
    fn average(&self, run: &Run, new: &Tensor, decay: f64, kept: Kept) {
        let slot = slot(self, AVERAGE, run.states, &run.blocks.shape, SlotInit::Copy);
        let share = OfUpdate::new("ema.share", [decay, 0.0], |n, [decay, _]| match n {
            1 => 1.0,
            _ => 1.0 - decay,
        });
        let share = run.blocks.of_update(share, AVERAGE, kept);
        let moved = slot.value.add(&new.sub(&slot.value).mul(&share));
        self.assign(slot.range, &moved);
    }
}

/// `value` where `number` is not 0, and 0 where it is, whatever the value.
fn there(number: &Expr, value: &Expr) -> Expr {
    let zero = Expr::lit(0.0);
    number.equals(&zero).select(&zero, value)
}

/// What is wrong with the optimizer or the options, if anything is.
fn check(optimizer: &dyn Optimizer, options: &MinimizeOptions) -> Result<(), String> {
    not_negative(&[
        ("learning rate", optimizer.learning_rate()),
        ("weight decay", shown(optimizer.weight_decay())),
    ])?;
    optimizer.check()?;
    for (name, clip) in [
        ("clip_value", options.clip_value),
        ("clip_norm", options.clip_norm),
    ] {
        if let Some(max) = clip.filter(|max| max.is_nan() || *max < 0.0) {
            return Err(format!("takes a {name} of 0 or more, {max} came"));
        }
    }
    if options.micro_steps == 0 {
        return Err("takes micro_steps of 1 or more, 0 came".to_owned());
    }
    options.ema.map_or(Ok(()), groups::check_average)
}

/// The gradient of each parameter of a run.
fn gradients(run: &Run) -> Vec<(Arc<str>, Tensor)> {
    let flat = run.grad.reshape_to([span(run.states)].into());
    let of = |s: &State| {
        let first = s.range.offset - run.range.offset;
        let own = flat.narrow(0, first, s.range.len);
        (s.path.clone(), own.reshape_to(s.shape.clone()))
    };
    run.states.iter().map(of).collect()
}

/// Ranges of states that lie one after the other in one segment.
fn consecutive(states: &[State]) -> Vec<std::ops::Range<usize>> {
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
