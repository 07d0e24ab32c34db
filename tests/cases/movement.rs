//! Views and copies: where elements lie changes, they do not.

use super::{Case, Input};
use wgrad::Tensor;

type Move = (&'static str, &'static [usize], fn(&Tensor) -> Tensor);

const MOVES: &[Move] = &[
    ("reshape", &[2, 6, 4], |x| x.reshape(&[4, -1])),
    ("reshape", &[0, 4], |x| x.reshape(&[2, 0])),
    ("flatten", &[3, 4, 5], |x| x.flatten(1)),
    ("permute", &[2, 3, 4, 5], |x| x.permute(&[2, 0, 3, 1])),
    ("permute, then reshape", &[3, 4, 5], |x| {
        x.permute(&[2, 0, 1]).reshape(&[-1])
    }),
    ("transpose", &[33, 65], |x| x.transpose(0, 1)),
    ("transpose", &[3, 1, 5], |x| x.transpose(1, -1)),
    ("expand", &[4, 1], |x| x.expand([3, 4, 5])),
    ("expand", &[1], |x| x.expand([0, 3])),
    ("unsqueeze", &[3, 4], |x| x.unsqueeze(1).unsqueeze(-1)),
    ("squeeze", &[3, 1, 4], |x| x.squeeze(1)),
    ("narrow", &[2, 3, 6], |x| x.narrow(2, 1, 3)),
    ("narrow, nothing", &[2, 3], |x| x.narrow(1, 1, 0)),
    ("narrow", &[5, 4], |x| x.narrow(0, 2, 3)),
    ("select", &[2, 3, 6], |x| x.select(1, 2)),
    ("select, from the end", &[2, 5], |x| x.select(-1, -2)),
    ("slice, step 2", &[3, 9], |x| x.slice(1, 1, 8, 2)),
    ("slice, step 3", &[3, 9], |x| x.slice(1, -7, -1, 3)),
    ("flip", &[2, 5, 3], |x| x.flip(&[1])),
    ("flip", &[4, 3], |x| x.flip(&[0, -1])),
    ("repeat", &[3, 4], |x| x.repeat(&[2, 1, 3])),
    ("repeat, nothing", &[3, 4], |x| x.repeat(&[2, 0])),
    ("repeat_interleave", &[3, 2, 5], |x| {
        x.repeat_interleave(4, -2)
    }),
    ("tril", &[2, 5, 7], |x| x.tril(1)),
    ("tril", &[4, 4], |x| x.tril(-9)),
    ("triu", &[9, 33], |x| x.triu(-2)),
    ("pad", &[2, 3, 4], |x| x.pad(&[1, 2, 0, 3], 0.5)),
    ("pad", &[4, 60], |x| x.pad(&[2, 2], 0.0)),
    ("pad", &[0, 3], |x| x.pad(&[0, 0, 1, 1], 2.0)),
    ("views of views", &[6, 8], |x| {
        x.slice(1, 0, 8, 2)
            .transpose(0, 1)
            .flip(&[0])
            .narrow(1, 1, 4)
            .exp()
    }),
];

/// What a run returns without having computed it.
const ALONE: &[Move] = &[
    ("permute alone", &[2, 3, 4, 5], |x| x.permute(&[2, 0, 3, 1])),
    ("expand alone", &[4, 1], |x| x.expand([3, 4, 5])),
    ("narrow alone", &[2, 3, 6], |x| x.narrow(2, 1, 3)),
    ("flip alone", &[2, 5, 3], |x| x.flip(&[1])),
    ("reshape alone", &[2, 6, 4], |x| x.reshape(&[4, -1])),
    ("the input itself", &[2, 3], |x| x.clone()),
];

pub fn cases(all: &mut Vec<Case>) {
    for &(name, shape, f) in MOVES {
        let x = vec![Input::new(shape)];
        // A copy follows: a view alone has no kernel.
        all.push(Case::new(name, x, move |x| f(&x[0]).mul_scalar(1.5)));
    }
    for &(name, shape, f) in ALONE {
        let x = vec![Input::new(shape)];
        all.push(Case::new(name, x, move |x| f(&x[0])));
    }
    for (shape, chunks, dim) in [(&[2, 9][..], 3, 1), (&[7, 3], 3, 0)] {
        let x = vec![Input::new(shape)];
        all.push(Case::many("chunk", x, move |_, x| x[0].chunk(chunks, dim)));
    }
    for (shape, sizes, dim) in [(&[2, 9][..], &[4, 0, 5][..], 1), (&[7, 3], &[1, 6], -2)] {
        let x = vec![Input::new(shape)];
        all.push(Case::many("split_with_sizes", x, move |_, x| {
            x[0].split_with_sizes(sizes, dim)
        }));
    }
    let three = vec![Input::new(&[3, 2]), Input::new(&[65]), Input::new(&[1])];
    all.push(Case::many("pack", three, |g, x| vec![g.pack(x, 64)]));
}
