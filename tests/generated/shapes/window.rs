//! Convolutions, transposed ones, pooling.

use super::{Draw, Reference, size, sweep};
use crate::cases::{Case, Fill, Input};
use crate::draws::{between, chance};
use wgrad::Tensor;
use wgrad::ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
use wgrad::ops::pool::PoolOptions;
use wgrad::rng::Rng;

/// Products that a case may take.
const WORK: usize = 600_000;

/// How a window moves over three dimensions, missing ones standing in front.
#[derive(Debug, Clone)]
struct Walk {
    positions: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    padding: [usize; 3],
    elements: [usize; 3],
}

impl Walk {
    /// Call `f(position, element, tap)` for each tap that lies on an element.
    fn each(&self, f: &mut dyn FnMut(usize, usize, usize)) {
        let all = |n: [usize; 3]| n.iter().product::<usize>();
        for q in 0..all(self.positions) {
            let at = super::coordinates(q, &self.positions);
            for k in 0..all(self.kernel) {
                let tap = super::coordinates(k, &self.kernel);
                let element = |d: usize| {
                    let i = at[d] * self.stride[d] + tap[d] * self.dilation[d];
                    i.checked_sub(self.padding[d])
                        .filter(|i| *i < self.elements[d])
                };
                if let (Some(a), Some(b), Some(c)) = (element(0), element(1), element(2)) {
                    f(q, super::index(&[a, b, c], &self.elements), k);
                }
            }
        }
    }

    /// Positions of the whole window along each dimension, or none where it does not fit.
    fn fit(&mut self, dims: usize, ceil: bool) -> Option<()> {
        for d in 3 - dims..3 {
            // PyTorch's formula.
            let [n, k, s, p, l] = [
                self.elements[d],
                self.kernel[d],
                self.stride[d],
                self.padding[d],
                self.dilation[d],
            ]
            .map(|v| v as isize);
            let room = n + 2 * p - l * (k - 1) - 1 + if ceil { s - 1 } else { 0 };
            let mut out = room.div_euclid(s) + 1;
            if ceil && (out - 1) * s >= n + p {
                out -= 1;
            }
            self.positions[d] = usize::try_from(out).ok().filter(|n| *n > 0)?;
        }
        Some(())
    }

    /// What the mean of each window is divided by.
    fn counts(&self, padded: bool) -> Vec<usize> {
        let along = |d: usize, o: usize| {
            let (start, n, p) = (o * self.stride[d], self.elements[d], self.padding[d]);
            let end = start + self.kernel[d];
            match padded {
                true => end.min(n + 2 * p) - start,
                false => end.min(n + p) - start.max(p),
            }
        };
        let count = |q: usize| {
            let at = super::coordinates(q, &self.positions);
            (0..3).map(|d| along(d, at[d])).product()
        };
        (0..self.positions.iter().product()).map(count).collect()
    }

    /// Numbers for `dims` dimensions, the window being of at most `most` taps a side.
    fn draw(rng: &mut Rng, dims: usize, most: usize, padded: usize) -> Self {
        let mut w = Self {
            positions: [1; 3],
            kernel: [1; 3],
            stride: [1; 3],
            dilation: [1; 3],
            padding: [0; 3],
            elements: [1; 3],
        };
        for d in 3 - dims..3 {
            w.kernel[d] = between(rng, 1, most);
            w.stride[d] = between(rng, 1, 4);
            w.dilation[d] = if chance(rng, 30) {
                between(rng, 2, 3)
            } else {
                1
            };
            w.padding[d] = between(rng, 0, padded.min(4));
            w.elements[d] = match dims {
                1 if chance(rng, 10) => between(rng, 1, 3000),
                3 => between(rng, 1, 8),
                _ => between(rng, 1, 20),
            };
        }
        w
    }
}

/// The last `dims` of three.
fn last(dims: usize, of: [usize; 3]) -> Vec<usize> {
    of[3 - dims..].to_vec()
}

fn shape(n: usize, c: usize, dims: usize, spatial: [usize; 3]) -> Vec<usize> {
    [vec![n, c], last(dims, spatial)].concat()
}

fn samples(rng: &mut Rng) -> usize {
    if chance(rng, 4) {
        0
    } else {
        between(rng, 1, 5)
    }
}

fn conv(rng: &mut Rng) -> Draw {
    loop {
        let dims = between(rng, 1, 3);
        let mut w = Walk::draw(rng, dims, [7, 5, 3][dims - 1], 4);
        if chance(rng, 3) {
            w.elements[2] = 0; // all of a window may lie on the padding
        }
        if w.fit(dims, false).is_none() {
            continue;
        }
        let n = samples(rng);
        let groups = if chance(rng, 30) {
            between(rng, 2, 5)
        } else {
            1
        };
        let (ci, co) = (
            size(rng, 600).div_ceil(groups),
            size(rng, 600).div_ceil(groups),
        );
        let positions: usize = w.positions.iter().product();
        let taps: usize = w.kernel.iter().product();
        if n.max(1) * groups * ci * co * positions * taps > WORK {
            continue;
        }
        let x = shape(n, groups * ci, dims, w.elements);
        let weight = shape(groups * co, ci, dims, w.kernel);
        let mut inputs = super::inputs(&[&x, &weight]);
        let bias = chance(rng, 30);
        if bias {
            inputs.push(Input::new(&[groups * co]));
        }
        let options = ConvOptions {
            stride: last(dims, w.stride),
            padding: Padding::Explicit(last(dims, w.padding)),
            dilation: last(dims, w.dilation),
            groups,
        };
        let case = Case::new(&format!("conv{dims}d, {options:?}"), inputs, move |x| {
            let (bias, options) = (x.get(2), options.clone());
            match dims {
                1 => x[0].conv1d(&x[1], bias, options),
                2 => x[0].conv2d(&x[1], bias, options),
                _ => x[0].conv3d(&x[1], bias, options),
            }
        });
        let elements: usize = w.elements.iter().product();
        let terms = move |term: super::Term| {
            for (s, o) in (0..n * groups * co).map(|i| (i / (groups * co), i % (groups * co))) {
                let y = (s * groups * co + o) * positions;
                if bias {
                    (0..positions).for_each(|q| term(y + q, 1.0, &[(2, o)]));
                }
                for c in 0..ci {
                    let plane = (s * groups * ci + o / co * ci + c) * elements;
                    let tap = (o * ci + c) * taps;
                    w.each(&mut |q, i, k| term(y + q, 1.0, &[(0, plane + i), (1, tap + k)]));
                }
            }
        };
        let reference = Some(Reference::Terms(Box::new(terms)));
        return Draw { case, reference };
    }
}

fn conv_transpose(rng: &mut Rng) -> Draw {
    loop {
        let dims = between(rng, 1, 3);
        let mut w = Walk::draw(rng, dims, [7, 5, 3][dims - 1], 2);
        // Positions are those of the input, elements those of the result.
        let more: [usize; 3] =
            std::array::from_fn(|d| rng.below(w.stride[d].max(w.dilation[d]) as u32) as usize);
        w.positions = w.elements;
        for d in 3 - dims..3 {
            let full = (w.positions[d] - 1) * w.stride[d] + w.dilation[d] * (w.kernel[d] - 1) + 1;
            w.elements[d] = (full + more[d]).saturating_sub(2 * w.padding[d]);
        }
        let n = samples(rng);
        let groups = if chance(rng, 30) {
            between(rng, 2, 5)
        } else {
            1
        };
        let (ci, co) = (
            size(rng, 600).div_ceil(groups),
            size(rng, 600).div_ceil(groups),
        );
        let [positions, taps, elements] =
            [w.positions, w.kernel, w.elements].map(|n| n.iter().product::<usize>());
        let work = n.max(1) * groups * ci * co * positions * taps;
        if elements == 0 || work > WORK || n * groups * co * elements > WORK {
            continue;
        }
        let x = shape(n, groups * ci, dims, w.positions);
        let weight = shape(groups * ci, co, dims, w.kernel);
        let options = ConvTransposeOptions {
            stride: last(dims, w.stride),
            padding: last(dims, w.padding),
            output_padding: last(dims, more),
            dilation: last(dims, w.dilation),
            groups,
        };
        let name = format!("conv_transpose{dims}d, {options:?}");
        let case = Case::new(&name, super::inputs(&[&x, &weight]), move |x| {
            let options = options.clone();
            match dims {
                1 => x[0].conv_transpose1d(&x[1], None, options),
                2 => x[0].conv_transpose2d(&x[1], None, options),
                _ => x[0].conv_transpose3d(&x[1], None, options),
            }
        });
        let terms = move |term: super::Term| {
            for (s, c) in (0..n * groups * ci).map(|i| (i / (groups * ci), i % (groups * ci))) {
                let plane = (s * groups * ci + c) * positions;
                for o in 0..co {
                    let y = (s * groups * co + c / ci * co + o) * elements;
                    let tap = (c * co + o) * taps;
                    w.each(&mut |q, i, k| term(y + i, 1.0, &[(0, plane + q), (1, tap + k)]));
                }
            }
        };
        let reference = Some(Reference::Terms(Box::new(terms)));
        return Draw { case, reference };
    }
}

fn pool(rng: &mut Rng) -> Draw {
    loop {
        let dims = between(rng, 1, 3);
        let mut w = Walk::draw(rng, dims, 6, 3);
        let (kind, ceil, padded) = (rng.below(3), chance(rng, 50), chance(rng, 50));
        for d in 3 - dims..3 {
            w.padding[d] = w.padding[d].min(w.kernel[d] / 2);
            w.dilation[d] = if kind == 2 { 1 } else { w.dilation[d] };
        }
        let own_stride = chance(rng, 50);
        if own_stride {
            w.stride = w.kernel;
        }
        if w.fit(dims, ceil).is_none() {
            continue;
        }
        let planes = samples(rng) * between(rng, 1, 5);
        let [positions, elements, taps] =
            [w.positions, w.elements, w.kernel].map(|n| n.iter().product::<usize>());
        if planes * positions * taps > WORK {
            continue;
        }
        let options = PoolOptions {
            stride: (!own_stride).then(|| last(dims, w.stride)),
            padding: last(dims, w.padding),
            dilation: last(dims, w.dilation),
            ceil_mode: ceil,
            count_include_pad: padded,
            ..PoolOptions::new(last(dims, w.kernel))
        };
        let name = format!(
            "{}_pool{dims}d, {options:?}",
            ["max", "min", "avg"][kind as usize]
        );
        let x = Input::filled(&shape(planes, 1, dims, w.elements), Fill::Distinct);
        let case = Case::new(&name, vec![x], move |x| {
            pooled(&x[0], kind, dims, options.clone())
        });
        let counts = w.counts(padded);
        let each = move |f: &mut dyn FnMut(usize, usize, usize)| {
            for plane in 0..planes {
                w.each(&mut |q, i, _| f(plane * positions + q, plane * elements + i, q));
            }
        };
        if kind < 2 {
            let pairs = move |f: &mut dyn FnMut(usize, usize)| each(&mut |y, i, _| f(y, i));
            let sign = if kind == 0 { 1.0 } else { -1.0 };
            let reference = Some(Reference::Most(sign, Box::new(pairs)));
            return Draw { case, reference };
        }
        let terms = move |term: super::Term| {
            each(&mut |y, i, q| term(y, 1.0 / counts[q] as f64, &[(0, i)]));
        };
        let reference = Some(Reference::Terms(Box::new(terms)));
        return Draw { case, reference };
    }
}

fn pooled(x: &Tensor, kind: u32, dims: usize, options: PoolOptions) -> Tensor {
    match (kind, dims) {
        (0, 1) => x.max_pool1d_with(options),
        (0, 2) => x.max_pool2d_with(options),
        (0, _) => x.max_pool3d_with(options),
        (1, 1) => x.min_pool1d_with(options),
        (1, 2) => x.min_pool2d_with(options),
        (1, _) => x.min_pool3d_with(options),
        (_, 1) => x.avg_pool1d_with(options),
        (_, 2) => x.avg_pool2d_with(options),
        _ => x.avg_pool3d_with(options),
    }
}

fn adaptive(rng: &mut Rng) -> Draw {
    let dims = between(rng, 1, 3);
    let (mut n, mut m) = ([1; 3], [1; 3]);
    for d in 3 - dims..3 {
        n[d] = match dims {
            1 if chance(rng, 5) => between(rng, 1, 60_000),
            1 if chance(rng, 20) => between(rng, 1, 3000),
            _ => between(rng, 1, 14),
        };
        m[d] = between(rng, 1, 12);
    }
    let planes = samples(rng) * between(rng, 1, 3);
    let max = chance(rng, 50);
    let name = format!("adaptive pool, max {max}, to {:?}", last(dims, m));
    let x = Input::filled(&shape(planes, 1, dims, n), Fill::Distinct);
    let case = Case::new(&name, vec![x], move |x| match (max, dims) {
        (true, 1) => x[0].adaptive_max_pool1d([m[2]]),
        (true, 2) => x[0].adaptive_max_pool2d([m[1], m[2]]),
        (true, _) => x[0].adaptive_max_pool3d(m),
        (false, 1) => x[0].adaptive_avg_pool1d([m[2]]),
        (false, 2) => x[0].adaptive_avg_pool2d([m[1], m[2]]),
        (false, _) => x[0].adaptive_avg_pool3d(m),
    });
    let each = move |f: &mut dyn FnMut(usize, usize, f64)| {
        let [elements, positions] = [n, m].map(|n| n.iter().product::<usize>());
        for (plane, q) in (0..planes * positions).map(|y| (y / positions, y % positions)) {
            let at = super::coordinates(q, &m);
            let range = |d: usize| at[d] * n[d] / m[d]..((at[d] + 1) * n[d]).div_ceil(m[d]);
            let count = (0..3).map(|d| range(d).len()).product::<usize>();
            for (a, b) in range(0).flat_map(|a| range(1).map(move |b| (a, b))) {
                for c in range(2) {
                    let i = plane * elements + super::index(&[a, b, c], &n);
                    f(plane * positions + q, i, 1.0 / count as f64);
                }
            }
        }
    };
    let reference = match max {
        true => Reference::Most(1.0, Box::new(move |f| each(&mut |y, i, _| f(y, i)))),
        false => {
            let terms = move |term: super::Term| each(&mut |y, i, s| term(y, s, &[(0, i)]));
            Reference::Terms(Box::new(terms))
        }
    };
    Draw {
        case,
        reference: Some(reference),
    }
}

#[test]
fn convolutions() {
    sweep("convolutions", 60, conv);
}

#[test]
fn transposed_convolutions() {
    sweep("transposed convolutions", 40, conv_transpose);
}

#[test]
fn pools() {
    sweep("pools", 50, pool);
}

#[test]
fn adaptive_pools() {
    sweep("adaptive pools", 30, adaptive);
}
