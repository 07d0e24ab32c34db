//! Random numbers: the same on every device.

use super::{Case, Input};

pub fn cases(all: &mut Vec<Case>) {
    for shape in [&[5, 13][..], &[4, 64], &[1]] {
        let x = || vec![Input::new(shape)];
        all.push(Case::new("dropout", x(), |x| x[0].dropout(0.4)));
        all.push(Case::many("uniform", x(), |g, x| {
            vec![&g.uniform(x[0].shape().clone()) * &x[0]]
        }));
        all.push(Case::many("normal", x(), |g, x| {
            vec![&g.normal(x[0].shape().clone()) * &x[0]]
        }));
    }
    let x = vec![Input::new(&[3, 5, 2, 4])];
    all.push(Case::new("feature_dropout", x, |x| {
        x[0].feature_dropout(0.5)
    }));
}
