//! What outlives a run: counts, learning rates, values of states.

use super::Session;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::state::State;
use crate::tensor::{Part, Traced};
use std::collections::BTreeMap;

impl Session {
    /// Runs in which optimizers have made updates.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Updates of the optimizer whose first parameter group is `first_group`: see
    /// [`MinimizeOptions::first_group`](crate::optim::MinimizeOptions::first_group).
    pub fn updates_of(&self, first_group: usize) -> u64 {
        let mut parts = self.parts.iter();
        let part = parts.find(|(part, _)| part.groups.0 == first_group);
        part.map_or(0, |(_, n)| *n)
    }

    /// The optimizers of this session by their first parameter group, with the updates that they have made.
    pub(crate) fn update_counts(&self) -> Vec<(usize, u64)> {
        let count = |(part, n): &(Part, u64)| (part.groups.0, *n);
        self.parts.iter().map(count).collect()
    }

    /// Have an optimizer continue from this count of updates.
    pub(crate) fn set_updates_of(&mut self, first_group: usize, updates: u64) {
        let mut parts = self.parts.iter_mut();
        let part = parts.find(|(part, _)| part.groups.0 == first_group);
        if let Some((_, n)) = part {
            *n = updates;
        }
    }

    /// Take note of a function's optimizers. The learning rates of a function that is `new` hold where no other was
    /// compiled with them before.
    ///
    /// # Errors
    /// [`Error::Argument`] where parameter groups are those of an optimizer over other parameters.
    pub(super) fn take_optimizers(&mut self, traced: &Traced, new: bool) -> Result<()> {
        for part in &traced.parts {
            let (first, last) = part.groups;
            let shares = |(p, _): &&mut (Part, u64)| p.groups.0 <= last && first <= p.groups.1;
            match self.parts.iter_mut().find(shares) {
                None => {
                    let others: u64 = self.parts.iter().map(|(_, n)| n).sum();
                    let made = if first == 0 {
                        self.updates.saturating_sub(others)
                    } else {
                        0
                    };
                    self.parts.push((part.clone(), made));
                }
                Some((p, _)) if p.parameters == part.parameters && p.groups.0 == first => {
                    p.groups.1 = last.max(p.groups.1);
                }
                Some((p, _)) => {
                    let over = |p: &Part| match p.parameters.is_empty() {
                        true => "all parameters".to_owned(),
                        false => p.parameters.join(", "),
                    };
                    return Err(Error::argument(format!(
                        "an optimizer over {} has parameter groups {} to {}, and one over {} would have {first} to {last}: \
                         give this one another MinimizeOptions::first_group, {} say",
                        over(p),
                        p.groups.0,
                        p.groups.1,
                        over(part),
                        p.groups.1 + 1
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

    /// Runs of training functions so far: the counter behind random numbers.
    pub fn micro_step(&self) -> u32 {
        self.micro_step
    }

    /// Continue from these counts, as after a stop; the updates are those of the first optimizer.
    pub fn set_counts(&mut self, updates: u64, micro_step: u32) {
        self.updates = updates;
        self.micro_step = micro_step;
        self.parts
            .iter_mut()
            .for_each(|(part, n)| match part.groups.0 {
                0 => *n = updates,
                _ => *n = 0,
            });
    }

    /// Micro-steps whose gradients have been accumulated since the last update.
    pub fn accumulated(&self) -> u32 {
        self.accumulated
    }

    /// Continue with this many micro-steps accumulated, as after a stop.
    pub(crate) fn set_accumulated(&mut self, n: u32) {
        self.accumulated = n;
    }

    /// Forget the micro-steps that were accumulated: the next one begins an update.
    pub(crate) fn clear_accumulated(&mut self) {
        (self.accumulated, self.apply_next) = (0, false);
    }

    /// Have the next run of a function that accumulates gradients make the update, however few there are: for the end of
    /// an epoch.
    pub fn apply_next(&mut self) {
        self.apply_next = true;
    }

    /// The learning rate of the first parameter group.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate_of(0)
    }

    /// The learning rates that are set, by parameter group.
    pub(crate) fn learning_rates(&mut self) -> &mut BTreeMap<usize, f64> {
        &mut self.rates
    }

    /// The learning rate of a parameter group: 0 is that of the optimizer, others count from 1 in the order of
    /// [`MinimizeOptions::groups`](crate::optim::MinimizeOptions::groups); 0.0 before a function with it is compiled.
    pub fn learning_rate_of(&self, group: usize) -> f64 {
        self.rates.get(&group).copied().unwrap_or(0.0)
    }

    /// Set the learning rate of a parameter group, from the next run on.
    pub fn set_learning_rate_of(&mut self, group: usize, rate: f64) {
        self.rates.insert(group, rate);
    }

    /// The parameter groups that have learning rates of their own, with those rates.
    pub fn rates(&self) -> Vec<(usize, f64)> {
        self.rates.iter().map(|(g, r)| (*g, *r)).collect()
    }

    /// Set the learning rate of the first parameter group, from the next run on.
    pub fn set_learning_rate(&mut self, rate: f64) {
        self.rates.insert(0, rate);
    }

    /// The value of the state at `path`.
    ///
    /// # Errors
    /// No such state; the device's failures.
    pub fn get(&mut self, path: &str) -> Result<Array> {
        let state = self.find(path)?;
        Ok(self.get_all(&[state])?.swap_remove(0))
    }

    /// The values of states, in one read.
    ///
    /// # Errors
    /// The device's failures.
    pub fn get_all(&mut self, states: &[State]) -> Result<Vec<Array>> {
        if states.is_empty() {
            return Ok(Vec::new());
        }
        pollster::block_on(self.settle())?;
        self.sync()?;
        let ranges: Vec<_> = states.iter().map(|s| s.range).collect();
        let words = pollster::block_on(self.device.read_states(&ranges))?;
        Ok(words
            .into_iter()
            .zip(states)
            .map(|(w, s)| Array::from_words(s.shape.clone(), s.dtype, w))
            .collect())
    }

    /// Replace the value of the state at `path`.
    ///
    /// # Errors
    /// No such state; another shape or dtype.
    pub fn set(&mut self, path: &str, value: &Array) -> Result<()> {
        let state = self.find(path)?;
        if *value.shape() != state.shape || value.dtype() != state.dtype {
            let (is, came) = (
                TensorType::new(state.shape, state.dtype),
                TensorType::of(value),
            );
            return Err(Error::argument(format!("{path} is {is}, {came} came")));
        }
        self.sync()?;
        self.device.write_state(state.range, value.words())
    }

    fn find(&self, path: &str) -> Result<State> {
        self.params
            .get(path)
            .ok_or_else(|| Error::argument(format!("there is no parameter {path}")))
    }
}
