//! Reductions over every kind of dimension, short and long.

use super::{Case, Fill, Input};

pub fn cases(all: &mut Vec<Case>) {
    let sums: &[(&[usize], &[isize], bool)] = &[
        (&[3, 7, 5], &[], false),
        (&[3, 7, 5], &[0], false),
        (&[3, 7, 5], &[1], true),
        (&[3, 7, 5], &[-1], false),
        (&[3, 7, 5], &[0, 2], false),
        (&[3, 7, 5], &[1, 2], true),
        (&[2, 64, 4], &[1], false),
        (&[33, 65], &[0], false),
        (&[65, 129], &[1], false),
        (&[2, 20_011], &[1], false),
        (&[300, 130], &[0], false),
        (&[1, 1], &[1], false),
        (&[5], &[0], false),
        (&[3, 0], &[1], false),
        (&[0, 3], &[1], false),
    ];
    for &(shape, dims, keep) in sums {
        let x = || vec![Input::new(shape)];
        let tag = |op: &str| format!("{op}, {dims:?}{}", if keep { " kept" } else { "" });
        all.push(Case::new(&tag("sum"), x(), move |x| x[0].sum(dims, keep)));
        if shape.contains(&0) {
            continue;
        }
        all.push(Case::new(&tag("mean"), x(), move |x| x[0].mean(dims, keep)));
        let distinct = || vec![Input::filled(shape, Fill::Distinct)];
        let max = Case::new(&tag("amax"), distinct(), move |x| x[0].amax(dims, keep));
        let min = Case::new(&tag("amin"), distinct(), move |x| x[0].amin(dims, keep));
        // Steps of the gradient check must not change the order.
        let fine = shape.iter().product::<usize>() > 150;
        all.extend([max, min].map(|c| if fine { c.rough() } else { c }));
    }
    // Chains before and after, which the planner fuses.
    for shape in [&[6, 33][..], &[3, 4096]] {
        let two = vec![Input::new(shape), Input::new(shape)];
        all.push(Case::new("sum of a chain", two, |x| {
            (&x[0] * &x[1])
                .tanh()
                .sum(&[1], false)
                .add_scalar(0.5)
                .square()
        }));
    }
}
