//! Which parameters training changes.

use super::{Params, StateKind};
use crate::error::{Error, Result};
use crate::glob;

impl Params {
    /// Whether training changes the parameters and buffers (running statistics) below this handle's path.
    pub fn set_trainable(&self, trainable: bool) {
        let prefix = format!("{}.", self.prefix);
        self.mark(trainable, |path| {
            self.prefix.is_empty() || path.starts_with(&prefix) || *path == *self.prefix
        });
    }

    /// Keep training from changing the parameters that `pattern` stands for, as `requires_grad_(False)`, and return how
    /// many they are. They cost no gradient, no memory of the optimizer and no backward step that only they need. Paths
    /// are from the root: `encoder`, `*.bias`, `layers.{0,1}.*`, `re:layers\.[0-3]\.`, as [`crate::glob::matches`] reads them.
    ///
    /// It may be called between runs: training functions are compiled anew, what optimizers keep of the others is carried
    /// over, and that of frozen parameters waits for [`Params::thaw`].
    ///
    /// # Errors
    /// A pattern that stands for no parameter.
    pub fn freeze(&self, pattern: &str) -> Result<usize> {
        self.mark_matching(pattern, false)
    }

    /// Have training change the parameters that `pattern` stands for again: the opposite of [`Params::freeze`].
    ///
    /// # Errors
    /// A pattern that stands for no parameter.
    pub fn thaw(&self, pattern: &str) -> Result<usize> {
        self.mark_matching(pattern, true)
    }

    fn mark_matching(&self, pattern: &str, trainable: bool) -> Result<usize> {
        glob::check(pattern).map_err(Error::Argument)?;
        match self.mark(trainable, |path| glob::matches(pattern, path)) {
            0 => Err(Error::Argument(self.matches_nothing(pattern))),
            n => Ok(n),
        }
    }

    /// What to say of a pattern that stands for no parameter.
    pub(crate) fn matches_nothing(&self, pattern: &str) -> String {
        let store = self.lock();
        let parameters = store.states.iter();
        let mut paths = parameters.filter(|s| s.kind == StateKind::Parameter);
        let some: Vec<&str> = paths.by_ref().take(4).map(|s| s.path.as_ref()).collect();
        let more = if paths.next().is_some() { ", ..." } else { "" };
        format!(
            "the pattern '{pattern}' stands for no parameter: there are {}{more}",
            some.join(", ")
        )
    }

    /// Mark the parameters and buffers whose paths `are` those meant, and return how many are parameters.
    fn mark(&self, trainable: bool, are: impl Fn(&str) -> bool) -> usize {
        let mut store = self.lock();
        let (mut count, mut changed) = (0, false);
        let model = |k: StateKind| matches!(k, StateKind::Parameter | StateKind::Buffer);
        let meant = store.states.iter_mut();
        for s in meant.filter(|s| model(s.kind) && are(&s.path)) {
            count += usize::from(s.kind == StateKind::Parameter);
            changed |= s.trainable != trainable;
            s.trainable = trainable;
        }
        store.misplaced |= changed;
        count
    }
}
