//! Normalisation.

use super::{Case, Input};
use std::sync::Arc;
use wgrad::Tensor;
use wgrad::error::Site;
use wgrad::ops::norm_columns::NormColumns;

/// Shape of the input, number of its dimensions that are normalised.
const LAYERS: &[(&[usize], usize)] = &[
    (&[5, 13], 1),
    (&[1, 1], 1),
    (&[0, 4], 1),
    (&[9, 64], 1),
    (&[3, 4, 65], 1),
    (&[2, 3, 5, 7], 2),
    (&[130, 6], 1),
    (&[2, 1030], 1),
    (&[2, 90, 95], 2),
    (&[3, 8200], 1),
];

/// Shape of the input, groups of its channels.
const GROUPS: &[(&[usize], usize)] = &[
    (&[3, 6, 5, 4], 2),
    (&[2, 4, 7], 4),
    (&[5, 12], 3),
    (&[2, 2, 3, 4, 5], 1),
    (&[1, 6, 65, 43], 2),
    (&[0, 4, 3], 2),
    (&[2, 10, 33, 31], 1),
    (&[2, 4, 5000], 2),
    (&[2, 3, 91, 97], 3),
    (&[3, 9000], 1),
    (&[4, 1, 7], 1),
];

const BATCHES: &[&[usize]] = &[
    &[7, 3],
    &[2, 1],
    &[300, 70],
    &[1, 4, 4],
    &[3, 5, 7],
    &[4, 3, 9, 8],
    &[2, 2, 3, 4, 5],
    &[3, 2, 33, 65],
];

/// An input far from 0: its mean costs digits where sums of squares are taken of it.
fn far(shape: &[usize]) -> Input {
    Input::range(shape, 1.0, 5.0)
}

fn affine(shape: &[usize]) -> [Input; 2] {
    [
        Input::range(shape, 0.5, 1.5),
        Input::range(shape, -1.0, 1.0),
    ]
}

pub fn cases(all: &mut Vec<Case>) {
    let mut norms = Vec::new();
    rows(&mut norms);
    batches(&mut norms);
    twice(&mut norms);
    columns(&mut norms);
    let many = |c: &Case| c.inputs[0].shape.iter().product::<usize>() > 4000;
    all.extend(
        norms
            .into_iter()
            .map(|c| if many(&c) { c.many_elements() } else { c }),
    );
}

fn rows(all: &mut Vec<Case>) {
    for &(shape, dims) in LAYERS {
        let last = &shape[shape.len() - dims..];
        let [w, b] = affine(last);
        let inputs = vec![far(shape), w.clone(), b];
        let two = inputs[..2].to_vec();
        all.push(Case::new("layer_norm", inputs.clone(), |x| {
            x[0].layer_norm(x[1].shape(), Some(&x[1]), Some(&x[2]), 1e-5)
        }));
        all.push(Case::new("rms_norm", vec![far(shape), w], |x| {
            x[0].rms_norm(x[1].shape(), Some(&x[1]), 1e-5)
        }));
        all.push(Case::new("layer_norm, silu, residual", two, |x| {
            let y = x[0].layer_norm(x[1].shape(), Some(&x[1]), None, 0.1);
            y.silu().add(&x[0])
        }));
        let last = last.to_vec();
        all.push(Case::new("layer_norm, plain", vec![far(shape)], move |x| {
            x[0].layer_norm(&last, None, None, 1e-5)
        }));
    }
    for &(shape, groups) in GROUPS {
        let [w, b] = affine(&shape[1..2]);
        let inputs = vec![far(shape), w, b];
        let name = format!("group_norm, groups {groups}");
        all.push(Case::new(&name, inputs.clone(), move |x| {
            x[0].group_norm(groups, Some(&x[1]), Some(&x[2]), 1e-5)
        }));
        if shape.len() > 2 {
            all.push(Case::new("instance_norm", inputs, |x| {
                x[0].instance_norm(Some(&x[1]), Some(&x[2]), 1e-5)
            }));
        }
    }
}

fn batches(all: &mut Vec<Case>) {
    for shape in BATCHES {
        let [w, b] = affine(&shape[1..2]);
        let inputs = vec![far(shape), w.clone(), b.clone()];
        let train = |x: &[Tensor]| x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-2);
        all.push(Case::new("batch_norm", inputs.clone(), move |x| train(x).y));
        all.push(Case::many(
            "batch_norm, statistics",
            inputs.clone(),
            move |_, x| {
                let n = train(x);
                vec![n.y.tanh(), n.mean, n.var]
            },
        ));
        all.push(Case::new("batch_norm, plain", vec![far(shape)], |x| {
            x[0].batch_norm(None, None, 1e-2).y
        }));
        let [mean, var] = affine(&shape[1..2]).map(Input::fixed);
        let inputs = vec![far(shape), w, b, mean, var];
        all.push(Case::new("batch_norm, evaluation", inputs, |x| {
            x[0].batch_norm_by(&x[4], &x[3], Some(&x[1]), Some(&x[2]), 1e-5)
        }));
    }
}

/// The last pass over long rows: it takes any, and has a gradient of its own.
fn columns(all: &mut Vec<Case>) {
    for (shape, centred, weighted) in [
        ([3, 1, 7, 1], true, true),
        ([2, 3, 70, 1], true, true),
        ([300, 2, 5, 1], false, true),
        ([4, 1, 6, 1], true, false),
    ] {
        let [rows, groups, n, _] = shape;
        let statistics = Input::range(&[rows, groups, 1, 1], 0.5, 1.5);
        let weight: &[usize] = if weighted { &[1, groups, n, 1] } else { &[] };
        let inputs = vec![
            far(&shape),
            Input::new(&shape),
            Input::range(weight, 0.5, 1.5),
            statistics.clone(),
            statistics,
            Input::new(&[2, rows, groups, 1, 1]),
        ];
        let name = if centred {
            "norm_columns"
        } else {
            "norm_columns, from 0"
        };
        all.push(Case::many(name, inputs, move |g, x| {
            let op = Arc::new(NormColumns { centred });
            g.push(op, &x.iter().collect::<Vec<_>>(), Site::here())
        }));
    }
}

/// Gradients of gradients.
fn twice(all: &mut Vec<Case>) {
    type Norm = fn(&[Tensor]) -> Tensor;
    let rows: &[(&str, &[usize], &[usize], Norm)] = &[
        ("layer_norm", &[3, 7], &[7], |x| {
            x[0].layer_norm(&[7], Some(&x[1]), Some(&x[2]), 0.1)
        }),
        ("rms_norm", &[3, 7], &[7], |x| {
            x[0].rms_norm(&[7], Some(&x[1]), 0.1)
        }),
        ("batch_norm", &[5, 3], &[3], |x| {
            x[0].batch_norm(Some(&x[1]), Some(&x[2]), 0.1).y
        }),
    ];
    for &(name, shape, weights, norm) in rows {
        let [w, b] = affine(weights);
        let inputs = vec![Input::new(shape), w, b.fixed()];
        let name = format!("{name}, differentiated twice");
        all.push(Case::many(&name, inputs, move |g, x| {
            let loss = norm(x).sin().sum(&[], false);
            g.gradients(&loss, &[&x[0], &x[1]])
                .into_iter()
                .flatten()
                .collect()
        }));
    }
}
