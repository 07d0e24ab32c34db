//! What optimizers say of the runs of their function: rates, updates, micro-steps.

use super::{Part, Trace};
use crate::state::{Count, Counts, Level};
use std::sync::Arc;

impl Trace {
    /// Have the optimizers with these first parameter groups accumulate gradients and leave the update to a later run.
    pub(crate) fn accumulate_only(&self, first_groups: &[usize]) {
        self.0.borrow_mut().accumulates = first_groups.to_vec();
    }

    /// Whether the optimizer with this first parameter group accumulates gradients and leaves the update to a later run.
    pub(crate) fn accumulates(&self, first_group: usize) -> bool {
        self.0.borrow().accumulates.contains(&first_group)
    }

    /// Have what optimizers keep have been updated as often as `counts` say.
    pub(crate) fn set_counts(&self, counts: Counts) {
        self.0.borrow_mut().counts = counts;
    }

    /// For each of the parameters at `paths` a number, equal where all that is kept for them was updated as often.
    pub(crate) fn ages(&self, paths: &[Arc<str>]) -> Vec<usize> {
        self.0.borrow().counts.ages(paths)
    }

    /// Have a run count an update of `slots`, which have been updated as often as each other. Returns their level: the place
    /// of all that have this number.
    pub(crate) fn level(&self, mut slots: Vec<Count>) -> usize {
        let mut inner = self.0.borrow_mut();
        for slot in &mut slots {
            slot.number = inner.counts.number(&slot.path);
        }
        let alike = |a: &Count, b: &Count| {
            let gradients = (a.gradient, b.gradient, a.first_group == b.first_group);
            a.number == b.number && matches!(gradients, (false, false, _) | (true, true, true))
        };
        let known = inner.levels.iter().position(|level| {
            let both = level.members.first().zip(slots.first());
            both.is_some_and(|(a, b)| alike(a, b))
        });
        let at = known.unwrap_or(inner.levels.len());
        if known.is_none() {
            let members = Vec::new();
            inner.levels.push(Level { members });
        }
        for slot in slots {
            if inner.leveled.insert(slot.path.clone()) {
                inner.levels[at].members.push(slot);
            }
        }
        at
    }

    /// The learning rate that a parameter group starts with.
    pub(crate) fn learning_rate(&self, group: usize, rate: f64) {
        self.0.borrow_mut().rates.push((group, rate));
    }

    /// Have runs count an update of an optimizer.
    pub(crate) fn updates_part(&self, part: Part) {
        self.0.borrow_mut().parts.push(part);
    }
}
