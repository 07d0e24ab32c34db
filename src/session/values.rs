//! What outlives a run: learning rates, values of states.

use super::Session;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::state::State;
use std::collections::BTreeMap;

impl Session {
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
