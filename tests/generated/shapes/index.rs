//! Indices and movement: gathers, sums at indices, tables, pads, pieces put together, other sizes.

use super::{Draw, shape, size, sweep};
use crate::cases::{Case, Fill, Input};
use crate::draws::{between, chance, one_of};
use wgrad::Tensor;
use wgrad::ops::interpolate::{InterpolateMode, InterpolateOptions};
use wgrad::rng::Rng;

/// Elements of a case.
const MOST: usize = 20_000;

fn indexed(rng: &mut Rng) -> Draw {
    let rank = between(rng, 1, 4);
    let x = shape(rng, rank, MOST);
    let dim = rng.below(rank as u32) as usize;
    if x[dim] == 0 {
        return indexed(rng);
    }
    let others = x.iter().product::<usize>() / x[dim];
    let most = (4 * MOST / others.max(1)).clamp(1, 3000);
    let m = if chance(rng, 5) { 0 } else { size(rng, most) };
    let below = Fill::Below(x[dim] as i32);
    let mut wide = x.clone();
    wide[dim] = m;
    let d = dim as isize;
    let kind = rng.below(5);
    let slices = Input::filled(&[m], below);
    let case = match kind {
        0 => Case::new(
            &format!("index_select {dim}"),
            vec![Input::new(&x), slices],
            move |t| t[0].index_select(d, &t[1]),
        ),
        1 => Case::new(
            &format!("index_add {dim}"),
            vec![Input::new(&x), slices, Input::new(&wide)],
            move |t| t[0].index_add(d, &t[1], &t[2]),
        ),
        2 => {
            // Other dimensions of the indices may be smaller.
            let mut at = wide.clone();
            for (k, n) in at.iter_mut().enumerate() {
                if k != dim && chance(rng, 20) {
                    *n = between(rng, 0, *n);
                }
            }
            let inputs = vec![Input::new(&x), Input::filled(&at, below)];
            Case::new(&format!("gather {dim}"), inputs, move |t| {
                t[0].gather(d, &t[1])
            })
        }
        3 => Case::new(
            &format!("scatter_add {dim}"),
            vec![
                Input::new(&x),
                Input::filled(&wide, below),
                Input::new(&wide),
            ],
            move |t| t[0].scatter_add(d, &t[1], &t[2]),
        ),
        _ => {
            let (rows, width) = (size(rng, 3000), size(rng, 40));
            let rank = between(rng, 0, 3);
            let ids = shape(rng, rank, 2000);
            let padding = chance(rng, 30).then(|| rng.below(rows as u32) as usize);
            let inputs = vec![
                Input::new(&[rows, width]),
                Input::filled(&ids, Fill::Below(rows as i32)),
            ];
            Case::new(
                &format!("embedding, padding {padding:?}"),
                inputs,
                move |t| t[1].embedding(&t[0], padding),
            )
        }
    };
    case.into()
}

/// A view of a view, and what must hold it: something of each kind of consumer.
fn moved(rng: &mut Rng) -> Draw {
    let rank = between(rng, 1, 4);
    let x = shape(rng, rank, 4000);
    let mut steps: Vec<(u32, usize, usize, usize)> = Vec::new();
    for _ in 0..between(rng, 1, 4) {
        steps.push((
            rng.below(8),
            rng.word() as usize,
            rng.word() as usize,
            rng.word() as usize,
        ));
    }
    let end = rng.below(5);
    let name = format!("moved {steps:?}, then {end}");
    let case = Case::new(&name, vec![Input::new(&x)], move |x| {
        let mut y = x[0].clone();
        for &(kind, a, b, c) in &steps {
            let rank = y.rank().max(1);
            let (d, e) = (a % rank, b % rank);
            let n = y.shape()[d];
            y = match kind {
                0 => y.transpose(d as isize, e as isize),
                1 => {
                    let start = b % (n + 1);
                    y.narrow(d as isize, start, c % (n - start + 1))
                }
                2 => y.slice(d as isize, (b % (n + 1)) as isize, n as isize, 1 + c % 3),
                3 => y.flip(&[d as isize]),
                4 => y.reshape(&[-1, 1]).reshape(
                    &y.shape()
                        .iter()
                        .rev()
                        .map(|&n| n as isize)
                        .collect::<Vec<_>>(),
                ),
                5 if y.numel() < 2000 => y
                    .unsqueeze(d as isize)
                    .repeat_interleave(1 + c % 3, d as isize),
                6 if y.numel() < 2000 => y.repeat(&vec![1 + c % 2; rank]),
                7 => {
                    let pads: Vec<usize> = (0..2 * rank).map(|k| (b >> k) % 3).collect();
                    if y.numel() < 2000 {
                        y.pad(&pads, 0.5)
                    } else {
                        y
                    }
                }
                _ => y.mul_scalar(0.5),
            };
        }
        match end {
            0 => y.add_scalar(1.0),
            1 => y.cumsum(-1),
            2 => y.sum(&[0], false),
            3 => Tensor::cat(&[&y, &y.flip(&[0])], 0),
            _ => y.flatten(0).reshape(&[1, -1]).matmul(&y.flatten(0)),
        }
    });
    case.into()
}

fn cat(rng: &mut Rng) -> Draw {
    let rank = between(rng, 1, 4);
    let of = shape(rng, rank, 3000);
    let dim = rng.below(rank as u32) as usize;
    let parts = between(rng, 1, 17);
    let part = |rng: &mut Rng| {
        let mut shape = of.clone();
        shape[dim] = if chance(rng, 10) { 0 } else { size(rng, 24) };
        Input::new(&shape)
    };
    let inputs: Vec<Input> = (0..parts).map(|_| part(rng)).collect();
    let stack = chance(rng, 20);
    let name = format!("cat {dim}, stack {stack}");
    let case = Case::new(&name, inputs, move |x| {
        let d = dim as isize;
        match stack {
            true => Tensor::stack(&[&x[0], &x[0].neg(), &x[0]], d),
            false => Tensor::cat(&x.iter().collect::<Vec<_>>(), d),
        }
    });
    case.into()
}

fn interpolate(rng: &mut Rng) -> Draw {
    let dims = between(rng, 1, 3);
    let planes = [between(rng, 0, 3), between(rng, 1, 3)];
    let spatial: Vec<usize> = (0..dims).map(|_| between(rng, 1, 9)).collect();
    let linear = [
        InterpolateMode::Linear,
        InterpolateMode::Bilinear,
        InterpolateMode::Trilinear,
    ][dims - 1];
    let to: Vec<usize> = (0..dims).map(|_| between(rng, 1, 14)).collect();
    let factor = *one_of(rng, &[0.5, 1.0, 1.5, 2.0, 2.3, 3.0]);
    let fits = spatial.iter().all(|&n| n as f64 * factor >= 1.0);
    let options = match fits && chance(rng, 50) {
        true => InterpolateOptions::scale(factor),
        false => InterpolateOptions::size(to),
    };
    let options = match chance(rng, 60) {
        true => options.mode(linear).align_corners(chance(rng, 50)),
        false => options,
    };
    let name = format!("interpolate {options:?}");
    let x = [&planes[..], &spatial].concat();
    Case::new(&name, vec![Input::new(&x)], move |x| {
        x[0].interpolate(&options)
    })
    .into()
}

#[test]
fn indices() {
    sweep("indices", 80, indexed);
}

#[test]
fn movement() {
    sweep("movement", 80, moved);
}

#[test]
fn pieces() {
    sweep("pieces", 40, cat);
}

#[test]
fn other_sizes() {
    sweep("other sizes", 40, interpolate);
}
