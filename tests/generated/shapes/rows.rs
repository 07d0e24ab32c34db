//! What goes along rows: reductions, running sums, softmax and losses, norms, places of maxima.

use super::{Along, Draw, Pairs, Reference, coordinates, index, shape, sweep};
use crate::cases::{Case, Fill, Input};
use crate::draws::{between, chance, one_of};
use wgrad::Tensor;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::reduction::Reduction;
use wgrad::rng::Rng;

/// Elements of a case.
const MOST: usize = 60_000;

/// A shape and one of its dimensions; now and then a long one, first, last or in the middle.
fn along(rng: &mut Rng) -> (Vec<usize>, usize) {
    let rank = between(rng, 1, 4);
    let mut shape = shape(rng, rank, MOST);
    let dim = rng.below(rank as u32) as usize;
    if chance(rng, 15) {
        shape = vec![1; rank];
        shape[dim] = between(rng, 1000, MOST / 2);
        shape[(dim + 1) % rank] = if rank > 1 { 2 } else { shape[dim] };
    }
    (shape, dim)
}

fn reduction(rng: &mut Rng) -> Draw {
    let (shape, dim) = along(rng);
    let mut dims: Vec<usize> = (0..shape.len())
        .filter(|d| *d == dim || chance(rng, 40))
        .collect();
    if chance(rng, 10) {
        dims = (0..shape.len()).collect();
    }
    type Over = (&'static str, fn(&Tensor, &[isize], bool) -> Tensor);
    let kinds: [Over; 8] = [
        ("sum", |x, d, k| x.sum(d, k)),
        ("mean", |x, d, k| x.mean(d, k)),
        ("amax", |x, d, k| x.amax(d, k)),
        ("amin", |x, d, k| x.amin(d, k)),
        ("var", |x, d, k| x.var(d, 1, k)),
        ("std", |x, d, k| x.std(d, 0, k)),
        ("norm", |x, d, k| x.norm(d, k)),
        ("logsumexp", |x, d, k| x.logsumexp(d, k)),
    ];
    let (mut kind, keep) = (*one_of(rng, &kinds), chance(rng, 50));
    let count: usize = dims.iter().map(|&d| shape[d]).product();
    // Of nothing there is no largest, of one element no unbiased variance.
    if count == 0 || (count == 1 && kind.0 == "var") {
        kind = kinds[0];
    }
    let negative: Vec<isize> = (dims.iter())
        .map(|&d| d as isize - if keep { shape.len() as isize } else { 0 })
        .collect();
    let name = format!("{}, dims {dims:?}, keepdim {keep}", kind.0);
    let x = match kind.0 {
        // Of distances of nearly 0 little is left of a gradient.
        "std" | "norm" => Input::range(&shape, 0.5, 3.0),
        // Evenly spaced around 0 they add up to what rounding leaves.
        "sum" | "mean" => Input::range(&shape, -1.0, 2.0),
        _ => Input::filled(&shape, Fill::Distinct),
    };
    let case = Case::new(&name, vec![x], move |x| kind.1(&x[0], &negative, keep));
    let pairs = move |f: &mut dyn FnMut(usize, usize)| {
        let kept: Vec<usize> = (0..shape.len()).filter(|d| !dims.contains(d)).collect();
        let sizes: Vec<usize> = kept.iter().map(|&d| shape[d]).collect();
        for i in 0..shape.iter().product::<usize>() {
            let at = coordinates(i, &shape);
            let at: Vec<usize> = kept.iter().map(|&d| at[d]).collect();
            f(index(&at, &sizes), i);
        }
    };
    let sums = |scale: f64, pairs: Pairs| {
        Reference::Terms(Box::new(move |term| {
            pairs(&mut |y, i| term(y, scale, &[(0, i)]))
        }))
    };
    let reference = match kind.0 {
        "sum" => Some(sums(1.0, Box::new(pairs))),
        "mean" => Some(sums(1.0 / count as f64, Box::new(pairs))),
        "amax" => Some(Reference::Most(1.0, Box::new(pairs))),
        "amin" => Some(Reference::Most(-1.0, Box::new(pairs))),
        _ => None,
    };
    Draw { case, reference }
}

fn cumsum(rng: &mut Rng) -> Draw {
    let (shape, dim) = along(rng);
    let flip = chance(rng, 50);
    let name = format!("cumsum, dim {dim}, backwards {flip}");
    let case = Case::new(&name, vec![Input::new(&shape)], move |x| {
        let dims = [dim as isize];
        match flip {
            true => x[0].flip(&dims).cumsum(dims[0]).flip(&dims),
            false => x[0].cumsum(dims[0]),
        }
    });
    let (n, inner) = (shape[dim], shape[dim + 1..].iter().product::<usize>());
    if shape.iter().product::<usize>() * n > 3_000_000 {
        return case.into();
    }
    let terms = move |term: super::Term| {
        for i in 0..shape.iter().product::<usize>() {
            let (k, start) = (i / inner % n, i / (n * inner) * n * inner + i % inner);
            let before = if flip { k..n } else { 0..k + 1 };
            before.for_each(|j| term(i, 1.0, &[(0, start + j * inner)]));
        }
    };
    let reference = Some(Reference::Terms(Box::new(terms)));
    Draw { case, reference }
}

fn softmax(rng: &mut Rng) -> Draw {
    let (shape, dim) = along(rng);
    let kinds: [Along; 4] = [
        ("softmax", |x, d| x.softmax(d)),
        ("log_softmax", |x, d| x.log_softmax(d)),
        ("argmax", |x, d| x.argmax(d, true)),
        ("argmin", |x, d| x.argmin(d, false)),
    ];
    let of = if shape[dim] == 0 {
        &kinds[..2]
    } else {
        &kinds[..]
    };
    let kind = *one_of(rng, of);
    let x = Input::filled(&shape, Fill::Distinct);
    let name = format!("{}, dim {dim}", kind.0);
    Case::new(&name, vec![x], move |x| kind.1(&x[0], dim as isize)).into()
}

fn cross_entropy(rng: &mut Rng) -> Draw {
    let rank = between(rng, 1, 4);
    let mut shape = shape(rng, rank, MOST);
    let dim = usize::from(rank > 1);
    shape[dim] = shape[dim].max(2);
    let classes = shape[dim];
    let mut labels = shape.clone();
    labels.remove(dim);
    let options = CrossEntropyOptions {
        reduction: *one_of(rng, &[Reduction::Mean, Reduction::Sum, Reduction::None]),
        ignore_index: if chance(rng, 30) { 1 } else { -100 },
        label_smoothing: if chance(rng, 30) { 0.1 } else { 0.0 },
        weight: None,
    };
    let inputs = vec![
        Input::new(&shape),
        Input::filled(&labels, Fill::Below(classes as i32)),
        Input::range(&[classes], 0.5, 1.5).fixed(),
    ];
    let weighted = chance(rng, 30);
    let name = format!("cross_entropy, {options:?}, weighted {weighted}");
    let (reduction, ignore_index, label_smoothing) = (
        options.reduction,
        options.ignore_index,
        options.label_smoothing,
    );
    Case::new(&name, inputs, move |x| {
        let options = CrossEntropyOptions {
            reduction,
            ignore_index,
            label_smoothing,
            weight: weighted.then(|| x[2].clone()),
        };
        x[0].cross_entropy_with(&x[1], &options)
    })
    .into()
}

fn norm(rng: &mut Rng) -> Draw {
    let rank = between(rng, 2, 5);
    let mut shape = shape(rng, rank, MOST);
    if chance(rng, 15) {
        shape = vec![between(rng, 1, 3), between(rng, 1000, 12_000)];
    }
    shape.iter_mut().skip(1).for_each(|n| *n = (*n).max(1));
    let kind = rng.below(5);
    // Of one element, or of two that are alike, there is little to normalise.
    let per: usize = match kind {
        2 | 3 => shape[2..].iter().product(),
        4 => shape.iter().product::<usize>() / shape[1],
        _ => shape[1..].iter().product(),
    };
    if per < 3 {
        let last = shape.len() - 1;
        shape[if kind == 4 { 0 } else { last }] += 5;
        if matches!(kind, 2 | 3) && shape.len() == 2 {
            shape.push(4);
        }
    }
    let channels = shape[1];
    let affine = |n: &[usize]| vec![Input::new(n), Input::new(n)];
    let groups = (1..=channels)
        .rev()
        .find(|g| channels.is_multiple_of(*g) && *g <= 4)
        .unwrap_or(1);
    let (tail, eps) = (shape[1..].to_vec(), 1e-2);
    let mut inputs = vec![Input::new(&shape)];
    inputs.extend(affine(if kind < 2 { &tail } else { &shape[1..2] }));
    let name = [
        "layer_norm",
        "rms_norm",
        "group_norm",
        "instance_norm",
        "batch_norm",
    ];
    let case = Case::new(name[kind as usize], inputs, move |x| {
        let (w, b) = (Some(&x[1]), Some(&x[2]));
        match kind {
            0 => x[0].layer_norm(&tail, w, b, eps),
            1 => x[0].rms_norm(&tail, w, eps).add(&x[2].mul_scalar(0.0)),
            2 => x[0].group_norm(groups, w, b, eps),
            3 => x[0].instance_norm(w, b, eps),
            _ => x[0].batch_norm(w, b, eps).y,
        }
    });
    case.into()
}

#[test]
fn reductions() {
    sweep("reductions", 80, reduction);
}

#[test]
fn running_sums() {
    sweep("running sums", 40, cumsum);
}

#[test]
fn softmaxes() {
    sweep("softmaxes", 50, softmax);
}

#[test]
fn losses() {
    sweep("losses", 40, cross_entropy);
}

#[test]
fn norms() {
    sweep("norms", 40, norm);
}
