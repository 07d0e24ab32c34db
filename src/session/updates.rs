//! Optimizers: how often they have updated what, and the micro-steps since.

use super::{Function, Mode, Session};
use crate::error::{Error, Result};
use crate::glob;
use crate::state::{Count, GRADIENT, StateKind};
use crate::tensor::{Part, Traced};
use std::sync::Arc;

/// An optimizer of a session.
pub(super) struct Counted {
    pub part: Part,
    /// Its updates.
    pub updates: u64,
    /// Micro-steps since the last of them.
    pub accumulated: u32,
}

impl Session {
    /// Runs in which optimizers have made updates.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Updates of the optimizer whose first parameter group is `first_group`: see
    /// [`MinimizeOptions::first_group`](crate::optim::MinimizeOptions::first_group).
    pub fn updates_of(&self, first_group: usize) -> u64 {
        self.counted(first_group).map_or(0, |c| c.updates)
    }

    fn counted(&self, first_group: usize) -> Option<&Counted> {
        let mut all = self.optimizers.iter();
        all.find(|c| c.part.groups.0 == first_group)
    }

    /// The optimizers of this session by their first parameter group, with their updates and micro-steps.
    pub(crate) fn optimizer_counts(&self) -> Vec<(usize, u64, u32)> {
        let all = self.optimizers.iter();
        all.map(|c| (c.part.groups.0, c.updates, c.accumulated))
            .collect()
    }

    /// Have an optimizer continue from these updates and micro-steps.
    pub(crate) fn set_optimizer_counts(&mut self, first_group: usize, updates: u64, micro: u32) {
        let mut all = self.optimizers.iter_mut();
        if let Some(known) = all.find(|c| c.part.groups.0 == first_group) {
            (known.updates, known.accumulated) = (updates, micro);
        }
    }

    /// What is counted of each slot of each parameter.
    pub(crate) fn slot_counts(&self) -> &[Count] {
        self.counts.all()
    }

    /// Slots that optimizers keep of some of their parameters and not yet of these, which no run has trained: a count of 0
    /// for each.
    pub(crate) fn slots_to_come(&self) -> Vec<Count> {
        let mut kept: Vec<Count> = Vec::new();
        for count in self.counts.all() {
            let slot = count.path.split_once('/').map_or("", |(slot, _)| slot);
            let new = Count {
                path: slot.into(),
                number: 0,
                ..count.clone()
            };
            if !kept.contains(&new) {
                kept.push(new);
            }
        }
        let mut to_come = Vec::new();
        for s in self.params.all() {
            let keeper = self
                .keeper(&s.path)
                .filter(|_| s.kind == StateKind::Parameter);
            let first_group = keeper.map(|c| c.part.groups.0);
            for slot in kept.iter().filter(|k| Some(k.first_group) == first_group) {
                let path: Arc<str> = format!("{}/{}", slot.path, s.path).into();
                if !self.counts.holds(&path) {
                    let slot = slot.clone();
                    to_come.push(Count { path, ..slot });
                }
            }
        }
        to_come
    }

    /// Have each slot of each parameter continue from the number that `of` gives it.
    pub(crate) fn set_slot_counts(&mut self, of: impl Fn(&Count) -> u64) {
        for count in self.counts.all_mut() {
            count.number = of(count);
        }
    }

    /// The optimizer that is over a parameter.
    fn keeper(&self, parameter: &str) -> Option<&Counted> {
        let mut all = self.optimizers.iter();
        all.find(|c| is_over(&c.part, parameter))
    }

    /// Whether all parameters of the optimizer that is over a parameter are frozen, so that nobody knows which slots it has.
    pub(crate) fn is_idle(&self, parameter: &str) -> bool {
        let Some(keeper) = self.keeper(parameter) else {
            return false;
        };
        let states = self.params.all().into_iter();
        let mut own =
            states.filter(|s| s.kind == StateKind::Parameter && is_over(&keeper.part, &s.path));
        own.all(|s| !s.trainable)
    }

    /// Count updates of a slot whose parameter no function may update yet.
    pub(crate) fn count_slot(&mut self, path: &str) {
        if self.counts.holds(path) {
            return;
        }
        let (slot, parameter) = path.split_once('/').unwrap_or(("", path));
        let first_group = self.keeper(parameter).map_or(0, |c| c.part.groups.0);
        self.counts.place(Count {
            path: path.into(),
            number: 0,
            first_group,
            gradient: slot == GRADIENT,
        });
    }

    /// Take note of a function's optimizers. The learning rates of a function that is `new` hold where no other was
    /// compiled with them before.
    ///
    /// # Errors
    /// [`Error::Argument`] where parameter groups are those of an optimizer over other parameters.
    pub(super) fn take_optimizers(&mut self, traced: &Traced, new: bool) -> Result<()> {
        for part in &traced.parts {
            let (first, last) = part.groups;
            let shares = |c: &&mut Counted| c.part.groups.0 <= last && first <= c.part.groups.1;
            match self.optimizers.iter_mut().find(shares) {
                None => {
                    let others: u64 = self.optimizers.iter().map(|c| c.updates).sum();
                    let made = if first == 0 {
                        self.updates.saturating_sub(others)
                    } else {
                        0
                    };
                    self.optimizers.push(Counted {
                        part: part.clone(),
                        updates: made,
                        accumulated: 0,
                    });
                }
                Some(c) if c.part.parameters == part.parameters && c.part.groups.0 == first => {
                    c.part.groups.1 = last.max(c.part.groups.1);
                }
                Some(c) => {
                    let over = |p: &Part| match p.parameters.is_empty() {
                        true => "all parameters".to_owned(),
                        false => p.parameters.join(", "),
                    };
                    let groups = c.part.groups;
                    return Err(Error::argument(format!(
                        "an optimizer over {} has parameter groups {} to {}, and one over {} would have {first} to {last}: \
                         give this one another MinimizeOptions::first_group, {} say",
                        over(&c.part),
                        groups.0,
                        groups.1,
                        over(part),
                        groups.1 + 1
                    )));
                }
            }
        }
        for (group, rate) in &traced.learning_rates {
            match self.first_rates.get(group) {
                None => drop(self.rates.entry(*group).or_insert(*rate)),
                Some(before) if new && before != rate => drop(self.rates.insert(*group, *rate)),
                Some(_) => continue,
            }
            self.first_rates.insert(*group, *rate);
        }
        Ok(())
    }

    /// The places of what a traced function updates among all that is counted, by level.
    pub(super) fn levels(&mut self, traced: &Traced) -> Vec<Vec<usize>> {
        let mut places = Vec::new();
        for level in &traced.levels {
            let members = level.members.iter();
            places.push(members.map(|c| self.counts.place(c.clone())).collect());
        }
        places
    }

    /// Whether all of each level have been updated as often as each other still.
    pub(super) fn are_level(&self, levels: &[Vec<usize>]) -> bool {
        let all = self.counts.all();
        let number = |at: &usize| all.get(*at).map(|c| c.number);
        let level = |of: &Vec<usize>| of.iter().all(|at| number(at) == number(&of[0]));
        levels.iter().all(level)
    }

    /// How often what is of a level has been updated.
    pub(super) fn number_of(&self, level: Option<&Vec<usize>>) -> u64 {
        let first = level.and_then(|of| self.counts.all().get(*of.first()?));
        first.map_or(0, |c| c.number)
    }

    /// First parameter groups of the optimizers that only accumulate gradients in the next run of `f`.
    pub(super) fn accumulating(&self, f: &Function) -> Vec<usize> {
        if f.mode != Mode::Train || self.apply_next {
            return Vec::new();
        }
        let waits = |p: &&Part| self.accumulated_of(p.groups.0) as usize + 1 < p.micro_steps;
        f.parts.iter().filter(waits).map(|p| p.groups.0).collect()
    }

    /// Count a run of a function that trains, whose optimizers are `parts`, of which some only accumulate gradients.
    pub(super) fn count_run(
        &mut self,
        parts: &[Part],
        accumulate: &[usize],
        levels: &[Vec<usize>],
    ) {
        self.micro_step = self.micro_step.wrapping_add(1);
        self.apply_next = false;
        let whole = |p: &&Part| !accumulate.contains(&p.groups.0);
        self.updates += u64::from(parts.iter().any(|p| whole(&p)));
        for at in levels.iter().flatten() {
            if let Some(count) = self.counts.all_mut().get_mut(*at) {
                count.number += 1;
            }
        }
        for part in parts {
            let (first, updates) = (part.groups.0, whole(&part));
            let mut known = self.optimizers.iter_mut();
            let Some(known) = known.find(|c| c.part.groups.0 == first) else {
                continue;
            };
            known.updates += u64::from(updates);
            if part.micro_steps > 1 {
                known.accumulated = if updates { 0 } else { known.accumulated + 1 };
                if updates {
                    self.forget_gradients(Some(first));
                }
            }
        }
    }

    /// Have the accumulated gradients of an optimizer, or of all, be those of an earlier update, also where their parameters
    /// are frozen now.
    fn forget_gradients(&mut self, first_group: Option<usize>) {
        let of = |c: &&mut Count| c.gradient && first_group.is_none_or(|g| g == c.first_group);
        let counts = self.counts.all_mut().iter_mut();
        counts.filter(of).for_each(|c| c.number = 0);
    }

    /// Runs of training functions so far: the counter behind random numbers.
    pub fn micro_step(&self) -> u32 {
        self.micro_step
    }

    /// Continue from these counts, as after a stop; the updates are those of the first optimizer.
    pub fn set_counts(&mut self, updates: u64, micro_step: u32) {
        self.updates = updates;
        self.micro_step = micro_step;
        let first = |group: usize| if group == 0 { updates } else { 0 };
        for c in &mut self.optimizers {
            c.updates = first(c.part.groups.0);
        }
        self.set_slot_counts(|c| match c.gradient {
            true => c.number,
            false => first(c.first_group),
        });
    }

    /// Micro-steps whose gradients have been accumulated since the last update; of several optimizers the most.
    pub fn accumulated(&self) -> u32 {
        let all = self.optimizers.iter().map(|c| c.accumulated);
        all.max().unwrap_or(0)
    }

    /// Micro-steps whose gradients the optimizer whose first parameter group is `first_group` has accumulated since its last
    /// update.
    pub fn accumulated_of(&self, first_group: usize) -> u32 {
        self.counted(first_group).map_or(0, |c| c.accumulated)
    }

    /// Forget the micro-steps that were accumulated: the next one begins an update.
    pub(crate) fn clear_accumulated(&mut self) {
        self.optimizers.iter_mut().for_each(|c| c.accumulated = 0);
        self.forget_gradients(None);
        self.apply_next = false;
    }

    /// Have the next run of a function that accumulates gradients make the update, however few there are: for the end of
    /// an epoch.
    pub fn apply_next(&mut self) {
        self.apply_next = true;
    }
}

/// Whether a parameter is one of an optimizer's.
fn is_over(part: &Part, parameter: &str) -> bool {
    let mut patterns = part.parameters.iter();
    part.parameters.is_empty() || patterns.any(|p| glob::matches(p, parameter))
}
