//! One run of one expression.

use super::Session;
use crate::array::Array;
use crate::error::Result;
use crate::session::Mode;
use crate::state::Params;
use crate::tensor::{Tensor, Trace};

/// Run an expression once and return its values: for looking at one layer, gradients too.
///
/// ```
/// # fn main() -> wgrad::Result<()> {
/// let y = wgrad::eval(|g| {
///     let x = g.constant(wgrad::Array::vector(vec![1.0f32, 2.0, 3.0]));
///     vec![x.square().sum(&[], false)]
/// })?;
/// assert_eq!(y[0].item(), 14.0);
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`Session::compile`] and [`Session::run`].
pub fn eval(f: impl Fn(&Trace) -> Vec<Tensor> + Send) -> Result<Vec<Array>> {
    let mut session = Session::new(&Params::new(0))?;
    session.eval(f)
}

impl Session {
    /// Run an expression once, over the parameters of this session, without changing them.
    ///
    /// # Errors
    /// As [`Session::compile`] and [`Session::run`].
    pub fn eval(&mut self, f: impl Fn(&Trace) -> Vec<Tensor> + Send) -> Result<Vec<Array>> {
        let mut function = self.compile(Mode::Eval, &[], move |g, _| f(g))?;
        let results = self.run(&mut function, &[] as &[Array]);
        self.forget(function);
        results
    }
}
