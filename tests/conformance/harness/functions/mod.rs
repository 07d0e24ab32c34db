//! Functions, from their names in `torch` and `torch.nn.functional`.

mod attention;
mod index;
mod loss;
mod movement;
mod pointwise;
mod reduce;
mod window;

use super::{Build, Case};
use wgrad::Tensor;

/// The function of `case`, if there is one.
pub fn find(case: &Case) -> Option<Build> {
    [
        pointwise::find,
        movement::find,
        reduce::find,
        window::find,
        index::find,
        loss::find,
        attention::find,
    ]
    .iter()
    .find_map(|family| family(case))
}

/// A function of one result.
fn function(f: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static) -> Option<Build> {
    Some(Box::new(move |_, x| vec![f(x)]))
}

/// A function of one tensor.
fn unary(f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Option<Build> {
    function(move |x| f(&x[0]))
}

/// A function of two tensors.
fn binary(f: impl Fn(&Tensor, &Tensor) -> Tensor + Send + Sync + 'static) -> Option<Build> {
    function(move |x| f(&x[0], &x[1]))
}
