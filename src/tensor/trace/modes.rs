//! How layers behave: as in training or not, with averages of weights, leaving statistics alone.

use super::{Scopes, Trace};

impl Trace {
    /// Whether the current layer should behave as in training: in a function that trains, unless it, or the innermost layer
    /// around it that was built at a path, is in evaluation mode: [`Params::eval`](crate::Params::eval).
    pub fn is_training(&self) -> bool {
        let inner = self.0.borrow();
        let mut around = inner.scopes.iter().rev();
        let evaluates = around.find_map(|(path, _)| inner.params.evaluates(path));
        inner.training && evaluates != Some(true)
    }

    /// Have no layer be around what is traced from here on, until [`Trace::enter`] is given what this returns.
    pub(crate) fn leave(&self) -> Scopes {
        std::mem::take(&mut self.0.borrow_mut().scopes)
    }

    /// See [`Trace::leave`].
    pub(crate) fn enter(&self, scopes: Scopes) {
        self.0.borrow_mut().scopes = scopes;
    }

    /// Run `f`, in which layers behave as in training and leave their running statistics as they are: what normalises is
    /// the batch's. For a second pass over what has moved them already, in another function say: where a GAN's generator
    /// makes the same images for the discriminator's step and for its own.
    pub fn keep_statistics<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = std::mem::replace(&mut self.0.borrow_mut().keeps_statistics, true);
        let result = f();
        self.0.borrow_mut().keeps_statistics = before;
        result
    }

    /// Whether layers should leave their running statistics as they are: [`Trace::keep_statistics`].
    pub fn keeps_statistics(&self) -> bool {
        self.0.borrow().keeps_statistics
    }

    /// Have layers use the moving averages of their weights, where there are such.
    pub(crate) fn use_averages(&self) {
        self.0.borrow_mut().averages = true;
    }

    /// Whether layers use the moving averages of their weights.
    pub(crate) fn averages(&self) -> bool {
        self.0.borrow().averages
    }
}
