//! The operator of `examples/custom_op.rs`: what a user adds passes what the library's own pass.

#[path = "../../examples/custom_op.rs"]
pub mod custom_op;

use super::{Case, Input};
use custom_op::SoftAssignExt;

const SHAPES: &[[usize; 2]] = &[[5, 3], [1, 1], [0, 4], [3, 0], [65, 7], [130, 33], [700, 2]];

pub fn cases(all: &mut Vec<Case>) {
    for shape in SHAPES {
        let d = || vec![Input::range(shape, 0.1, 3.0)];
        all.push(Case::new("soft_assign", d(), |x| x[0].soft_assign()));
        // Between other operators, which become a part of its kernel.
        all.push(Case::new("soft_assign, fused", d(), |x| {
            let y = x[0].mul_scalar(1.5).soft_assign();
            y.log().mul(&y).neg()
        }));
    }
}

#[test]
fn the_example_learns() {
    let [before, after] = custom_op::train().unwrap();
    assert!(before < 0.9 && after > 0.95, "{before} to {after}");
}
