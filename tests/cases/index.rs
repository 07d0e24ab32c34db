//! Gathering, scattering, joining; what looks at one line of elements at a time.

use super::{Case, Fill, Input};
use wgrad::Tensor;

fn below(shape: &[usize], end: i32) -> Input {
    Input::filled(shape, Fill::Below(end))
}

pub fn cases(all: &mut Vec<Case>) {
    let gathers: &[(&[usize], &[usize], isize)] = &[
        (&[4, 7], &[4, 3], 1),
        (&[9, 5], &[20, 5], 0),
        (&[3, 65, 4], &[3, 130, 4], 1),
        (&[1, 1], &[1, 1], 0),
        (&[3, 4], &[3, 0], 1),
    ];
    for &(x, index, dim) in gathers {
        let end = x[dim as usize] as i32;
        let inputs = vec![Input::new(x), below(index, end)];
        all.push(Case::new("gather", inputs, move |x| {
            x[0].gather(dim, &x[1])
        }));
    }
    let selects: &[(&[usize], usize, isize)] =
        &[(&[5, 6], 4, 0), (&[3, 17, 4], 33, 1), (&[4, 3], 0, 0)];
    for &(x, count, dim) in selects {
        let end = x[dim as usize] as i32;
        let inputs = vec![Input::new(x), below(&[count], end)];
        all.push(Case::new("index_select", inputs, move |x| {
            x[0].index_select(dim, &x[1])
        }));
    }
    let tables: &[(&[usize], &[usize], Option<usize>)] = &[
        (&[50, 8], &[4, 9], None),
        (&[50, 8], &[4, 9], Some(3)),
        (&[3, 33], &[130], None),
        (&[1, 1], &[1], None),
        (&[500, 64], &[8, 24], None),
    ];
    for &(table, ids, padding) in tables {
        let inputs = vec![below(ids, table[0] as i32), Input::new(table)];
        let case = |name| Case::new(name, inputs, move |x| x[0].embedding(&x[1], padding));
        // The gradient of the padding's row is left out.
        all.push(match padding {
            Some(_) => case("embedding, padding").rough(),
            None => case("embedding"),
        });
    }
    joins(all);
    lines(all);
}

fn joins(all: &mut Vec<Case>) {
    let joins: &[(&[&[usize]], isize)] = &[
        (&[&[2, 3, 4], &[2, 5, 4], &[2, 1, 4]], 1),
        (&[&[3, 4], &[0, 4], &[2, 4]], 0),
        (&[&[5, 64], &[5, 3]], -1),
        (&[&[7]], 0),
    ];
    for &(shapes, dim) in joins {
        let inputs = shapes.iter().map(|s| Input::new(s)).collect();
        all.push(Case::new("cat", inputs, move |x| {
            Tensor::cat(&x.iter().collect::<Vec<_>>(), dim)
        }));
    }
    // More inputs than a kernel may bind.
    let many = (1..12).map(|n| Input::new(&[2, n])).collect();
    all.push(Case::new("cat", many, |x| {
        Tensor::cat(&x.iter().collect::<Vec<_>>(), 1)
    }));
    for (shape, dim) in [(&[2, 3][..], 1), (&[2, 3], -1), (&[], 0)] {
        let inputs = vec![Input::new(shape), Input::new(shape)];
        all.push(Case::new("stack", inputs, move |x| {
            Tensor::stack(&[&x[0], &x[1]], dim)
        }));
    }
}

/// Along one dimension.
fn lines(all: &mut Vec<Case>) {
    let shapes: &[(&[usize], isize)] = &[
        (&[3, 7, 5], 0),
        (&[3, 7, 5], 1),
        (&[3, 7, 5], 2),
        (&[2, 130], 1),
        (&[7, 3001], -1),
        (&[257, 10], 1),
        (&[4, 1], 1),
        (&[0, 4], 1),
    ];
    for &(shape, dim) in shapes {
        let x = || vec![Input::new(shape)];
        // In long rows a step of the gradient check is lost in the rounding of the row's sum.
        let smooth = |c: Case| if shape.contains(&3001) { c.rough() } else { c };
        all.push(smooth(Case::new("softmax", x(), move |x| {
            x[0].softmax(dim)
        })));
        all.push(smooth(Case::new("log_softmax", x(), move |x| {
            x[0].log_softmax(dim)
        })));
        all.push(Case::new("cumsum", x(), move |x| x[0].cumsum(dim)));
        let distinct = || vec![Input::filled(shape, Fill::Distinct).fixed()];
        all.push(Case::new("argmax", distinct(), move |x| x[0].argmax(dim, false)).rough());
        all.push(Case::new("argmin", distinct(), move |x| x[0].argmin(dim, true)).rough());
        if !shape.contains(&0) {
            all.push(smooth(Case::new("logsumexp", x(), move |x| {
                x[0].logsumexp(&[dim], false)
            })));
        }
    }
    for (shape, dims) in [
        (&[3, 7, 5][..], &[1][..]),
        (&[3, 7, 5], &[0, 2]),
        (&[2, 300], &[-1]),
    ] {
        let x = || vec![Input::new(shape)];
        all.push(Case::new("var", x(), move |x| x[0].var(dims, 1, false)));
        all.push(Case::new("std", x(), move |x| x[0].std(dims, 0, true)));
        all.push(Case::new("norm", x(), move |x| x[0].norm(dims, false)));
    }
    all.push(Case::new("glu", vec![Input::new(&[3, 10, 4])], |x| {
        x[0].glu(1)
    }));
    all.push(Case::new("one_hot", vec![below(&[3, 5], 7)], |x| x[0].one_hot(7)).rough());
    let two = vec![Input::new(&[3, 7]), Input::new(&[3, 7])];
    all.push(Case::new("cosine_similarity", two, |x| {
        x[0].cosine_similarity(&x[1], 1, 1e-8)
    }));
}
