//! Reductions over every kind of dimension, short and long.

use super::{Case, Fill, Input};
use wgrad::{DType, Tensor};

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
    products(all);
    integers(all);
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

fn products(all: &mut Vec<Case>) {
    let shapes: &[(&[usize], &[isize], bool)] = &[
        (&[3, 7, 5], &[1], false),
        (&[3, 8, 5], &[-1, 0], true),
        (&[11], &[], false),
        (&[2, 33], &[1], true),
        (&[1, 1], &[0], false),
        (&[0, 4], &[0], false),
        (&[0, 4], &[1], false),
    ];
    for &(shape, dims, keep) in shapes {
        let x = || vec![Input::range(shape, 0.5, 1.5)];
        let tag = format!("prod, {dims:?}{}", if keep { " kept" } else { "" });
        all.push(Case::new(&tag, x(), move |x| x[0].prod(dims, keep)));
        if let [dim] = *dims {
            all.push(Case::new("cumprod", x(), move |x| x[0].cumprod(dim)));
        }
    }
    // Elements of 0: none, one and several in a line.
    let zeros = || vec![Input::new(&[6, 5]), Input::filled(&[6, 5], Fill::Mask)];
    all.push(Case::new("prod, zeros", zeros(), |x| {
        x[0].mul(&x[1]).prod(&[1], false)
    }));
    all.push(Case::new("cumprod, zeros", zeros(), |x| {
        x[0].mul(&x[1]).cumprod(1)
    }));
    let diagonals: &[(&[usize], isize, isize, isize)] = &[
        (&[4, 4], 0, 0, 1),
        (&[3, 5, 4], 1, 2, 0),
        (&[3, 5, 4], -2, 1, 2),
        (&[2, 3], 5, 0, 1),
        (&[1, 1], 0, -1, 0),
    ];
    for &(shape, offset, a, b) in diagonals {
        all.push(Case::new("diagonal", vec![Input::new(shape)], move |x| {
            x[0].diagonal(offset, a, b)
        }));
    }
}

/// Short rows, long ones, more than are combined at once, and those whose neighbours lie together.
fn integers(all: &mut Vec<Case>) {
    let shapes: &[(&[usize], &[isize])] = &[
        (&[3, 7, 5], &[]),
        (&[3, 7, 5], &[1]),
        (&[3, 7, 5], &[0, 2]),
        (&[33, 65], &[0]),
        (&[65, 129], &[1]),
        (&[2, 20_011], &[1]),
        (&[70_001], &[0]),
        (&[300, 130], &[0]),
        (&[1, 1], &[1]),
    ];
    for &(shape, dims) in shapes {
        let x = || vec![Input::filled(shape, Fill::Below(1000))];
        // Negative ones too, and as u32 large ones.
        let signed = |x: &Tensor| x.mul(7919).sub(3_000_000);
        let tag = |op: &str| format!("{op} of i32, {dims:?}");
        let case = |name: &str, f: fn(&Tensor, &[isize]) -> Tensor| {
            let whole = move |x: &[Tensor]| {
                vec![
                    f(&signed(&x[0]), dims),
                    f(&signed(&x[0]).to(DType::U32), dims),
                ]
            };
            Case::many(name, x(), move |_, x| whole(x)).rough()
        };
        all.push(case(&tag("sum"), |x, dims| x.sum(dims, false)));
        all.push(case(&tag("amax"), |x, dims| x.amax(dims, false)));
        all.push(case(&tag("amin"), |x, dims| x.amin(dims, true)));
        all.push(Case::new(&tag("truth"), x(), move |x| x[0].gt(600).sum(dims, false)).rough());
        all.push(Case::new(&tag("any"), x(), move |x| x[0].gt(998).amax(dims, false)).rough());
        all.push(
            Case::new(&tag("count_nonzero"), x(), move |x| {
                x[0].div(500).count_nonzero(dims, false)
            })
            .rough(),
        );
        if let [dim] = *dims {
            let arg = Case::many(&tag("argmax"), x(), move |_, x| {
                let x = signed(&x[0]);
                vec![
                    x.argmax(dim, false),
                    x.argmin(dim, true),
                    x.to(DType::U32).argmax(dim, true),
                ]
            });
            all.push(arg.rough());
        }
    }
    let x = vec![Input::filled(&[5, 9], Fill::Below(50))];
    all.push(
        Case::many("abs, neg, square, prod of i32", x, |_, x| {
            let x = x[0].sub(25);
            vec![
                x.abs(),
                x.neg(),
                x.square(),
                x.prod(&[1], false),
                x.cumprod(0),
                x.gt(0).prod(&[0], false),
            ]
        })
        .rough(),
    );
}
