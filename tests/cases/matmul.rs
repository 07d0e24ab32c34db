//! Products of matrices.

use super::{Case, Input};

/// Equations and shapes of the operands.
const SUMS: &[(&str, &[&[usize]])] = &[
    ("ij->ji", &[&[3, 5]]),
    ("ij,jk", &[&[3, 4], &[4, 5]]),
    ("ij,kj->ik", &[&[9, 8], &[16, 8]]),
    ("bhqd,bhkd->bhqk", &[&[2, 3, 5, 4], &[2, 3, 6, 4]]),
    ("bi,bj->bij", &[&[3, 4], &[3, 5]]),
    ("i,ij,jk->k", &[&[4], &[4, 3], &[3, 5]]),
    ("abc,cd->", &[&[2, 3, 4], &[4, 2]]),
    ("ii->i", &[&[5, 5]]),
    ("bii->bi", &[&[2, 3, 3]]),
    ("ii", &[&[4, 4]]),
    ("iji,jk->ik", &[&[3, 2, 3], &[2, 5]]),
    ("iii->", &[&[3, 3, 3]]),
    ("ij,ij->ij", &[&[3, 1], &[1, 5]]),
    ("bij,bjk->bik", &[&[1, 2, 3], &[4, 3, 1]]),
    ("i,i->", &[&[1], &[6]]),
];

/// Shapes of both operands.
const SHAPES: &[(&[usize], &[usize])] = &[
    (&[1, 1], &[1, 1]),
    (&[3, 5], &[5, 7]),
    (&[16, 16], &[16, 16]),
    (&[17, 33], &[33, 9]),
    (&[64, 64], &[64, 64]),
    (&[18, 36], &[36, 68]),
    (&[2, 5, 4], &[2, 4, 36]),
    (&[65, 31], &[31, 130]),
    (&[1, 100], &[100, 3]),
    (&[100, 1], &[1, 5]),
    (&[4, 0], &[0, 3]),
    (&[0, 4], &[4, 3]),
    (&[3, 17, 9], &[3, 9, 21]),
    (&[2, 3, 8, 5], &[2, 3, 5, 12]),
    (&[4, 7, 6], &[6, 10]),
    (&[7, 6], &[4, 6, 10]),
    (&[4, 1, 7, 6], &[3, 6, 10]),
    (&[6], &[6, 4]),
    (&[3, 6], &[6]),
];

pub fn cases(all: &mut Vec<Case>) {
    for (a, b) in SHAPES {
        let inputs = vec![Input::new(a), Input::new(b)];
        all.push(Case::new("matmul", inputs, |x| x[0].matmul(&x[1])));
    }
    // As many products as make adapters choose taller tiles.
    for (m, k, n) in [(100, 108, 100), (104, 96, 136), (328, 312, 336)] {
        let inputs = vec![Input::new(&[m, k]), Input::new(&[k, n])];
        let case = Case::new("matmul", inputs, |x| x[0].matmul(&x[1]).mul_scalar(0.1));
        all.push(case.rough());
    }
    for (a, b) in [
        (&[19, 33][..], &[27, 33][..]),
        (&[5, 4], &[3, 4]),
        (&[18, 36], &[68, 36]),
        (&[18, 24], &[72, 24]),
        (&[2, 5, 4], &[2, 3, 4]),
    ] {
        let inputs = vec![Input::new(a), Input::new(b)];
        all.push(Case::new("matmul, b transposed", inputs, |x| {
            x[0].matmul(&x[1].t())
        }));
    }
    for (a, b) in [
        (&[33, 19][..], &[33, 27][..]),
        (&[4, 5], &[4, 3]),
        (&[36, 20], &[36, 68]),
        (&[24, 40], &[24, 72]),
        (&[2, 4, 5], &[2, 4, 3]),
    ] {
        let inputs = vec![Input::new(a), Input::new(b)];
        all.push(Case::new("matmul, a transposed", inputs, |x| {
            x[0].t().matmul(&x[1])
        }));
    }
    for (rows, inner, columns) in [(9, 20, 31), (4, 64, 64)] {
        let inputs = vec![
            Input::new(&[rows, inner]),
            Input::new(&[columns, inner]),
            Input::new(&[columns]),
        ];
        all.push(Case::new("matmul + bias + tanh", inputs, |x| {
            (&x[0].matmul(&x[1].t()) + &x[2]).mul_scalar(0.1).tanh()
        }));
    }
    for &(equation, shapes) in SUMS {
        let inputs = shapes.iter().map(|s| Input::new(s)).collect();
        all.push(Case::new("einsum", inputs, move |x| {
            wgrad::Tensor::einsum(equation, &x.iter().collect::<Vec<_>>())
        }));
    }
}
