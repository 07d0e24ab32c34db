//! How often what optimizers keep has been updated: a number for each slot of each parameter.

use std::collections::HashMap;
use std::sync::Arc;

/// What is counted of one slot of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// `SLOT/PARAMETER`, as the path of the slot's state.
    pub path: Arc<str>,
    /// Its updates; of gradients that are accumulated, micro-steps since the last update.
    pub number: u64,
    /// The first parameter group of the optimizer that keeps it.
    pub first_group: usize,
    /// Whether gradients are accumulated in it.
    pub gradient: bool,
}

/// All that is counted, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    all: Vec<Count>,
    by_path: HashMap<Arc<str>, usize>,
}

/// Slots that have been updated as often as each other, and are in each run of the plan whose trace found them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    pub(crate) members: Vec<Count>,
}

impl Counts {
    /// Everything that is counted, in the order in which it came up.
    pub fn all(&self) -> &[Count] {
        &self.all
    }

    /// Everything that is counted, to be changed.
    pub fn all_mut(&mut self) -> &mut [Count] {
        &mut self.all
    }

    /// The place of `path` among all; what is not counted yet is from now on, from its number.
    pub fn place(&mut self, new: Count) -> usize {
        if let Some(&at) = self.by_path.get(&new.path) {
            let known = &mut self.all[at];
            (known.first_group, known.gradient) = (new.first_group, new.gradient);
            return at;
        }
        self.by_path.insert(new.path.clone(), self.all.len());
        self.all.push(new);
        self.all.len() - 1
    }

    /// Whether `path` is counted.
    pub fn holds(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// How often `path` was updated.
    pub fn number(&self, path: &str) -> u64 {
        self.by_path.get(path).map_or(0, |&at| self.all[at].number)
    }

    /// For each of the parameters at `paths` a number: equal where all that is kept for two of them has been updated as
    /// often.
    pub fn ages(&self, paths: &[Arc<str>]) -> Vec<usize> {
        let mut of: HashMap<&str, Vec<(&str, u64)>> = HashMap::new();
        for count in self.all.iter().filter(|c| c.number > 0) {
            if let Some((slot, parameter)) = count.path.split_once('/') {
                of.entry(parameter).or_default().push((slot, count.number));
            }
        }
        of.values_mut().for_each(|slots| slots.sort_unstable());
        let mut known: HashMap<&[(&str, u64)], usize> = HashMap::new();
        let age = |path: &Arc<str>| {
            let slots = of.get(path.as_ref()).map_or(&[][..], Vec::as_slice);
            let next = known.len();
            *known.entry(slots).or_insert(next)
        };
        paths.iter().map(age).collect()
    }
}
