//! The time loops on the CPU. Each task takes some sequences through all steps; sequences have no part in each other's
//! results, so that neither has the number of tasks.
//!
//! What is computed of a step lies in planes, panel by panel: for each panel of units a row of its width for each
//! sequence.

use super::Steps;
use super::cell::{GATES, KEPT, Plane};
use crate::ops::conv::product::{Offsets, Product, padded, panels};
use pulp::Arch;
use rayon::prelude::*;

/// Rows and what is read and written for some sequences, in the forward direction.
struct Forward<'a> {
    pre: &'a [f32],
    lengths: &'a [i32],
    hidden: &'a mut [f32],
    kept: &'a mut [f32],
}

/// The same in the backward direction.
struct Backward<'a> {
    /// What was kept, or the hidden states of an RNN.
    kept: &'a [f32],
    lengths: &'a [i32],
    grad: &'a [f32],
    pre: &'a mut [f32],
    product: &'a mut [f32],
}

/// The weights as panels: `rows` of each panel are of the inner dimension, the columns those of each of `groups`.
struct Weights {
    panels: Vec<(usize, usize)>,
    inner: Vec<usize>,
    values: Vec<f32>,
}

impl Weights {
    fn new(
        units: usize,
        groups: usize,
        inner: usize,
        at: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let panels = panels(units);
        let mut values = Vec::with_capacity(groups * inner * padded(units));
        for group in 0..groups {
            for &(first, width) in &panels {
                for k in 0..inner {
                    let value = |u| if u < units { at(group, k, u) } else { 0.0 };
                    values.extend((first..first + width).map(value));
                }
            }
        }
        let inner = (0..inner).collect();
        Self {
            panels,
            inner,
            values,
        }
    }

    /// Add the product of `x`, whose rows begin at `rows`, and the columns of `group` to a plane.
    fn add(&self, group: usize, x: &[f32], rows: &[usize], plane: &mut [f32]) {
        let (n, inner) = (rows.len(), self.inner.len());
        let columns = plane.len() / n;
        let (rows, offsets) = (Offsets::new(rows), Offsets::new(&self.inner));
        for &(first, width) in &self.panels {
            Product {
                x,
                rows,
                inner: offsets,
                panel: &self.values[(group * columns + first) * inner..][..width * inner],
                out: &mut plane[first * n..][..width * n],
                width,
                add: true,
            }
            .run();
        }
    }

    /// For each piece of the units of row `r` of `n` in a plane: where it begins there, and its units.
    fn pieces(
        &self,
        units: usize,
        n: usize,
        r: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> {
        let piece = move |&(first, width): &(usize, usize)| {
            (first * n + r * width, first, width.min(units - first))
        };
        self.panels.iter().map(piece)
    }
}

/// Copy a piece of a row: those of whole panels without a call.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    fn fixed<const N: usize>(to: &mut [f32], from: &[f32]) {
        if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
            *to = *from;
        }
    }
    match to.len() {
        8 => fixed::<8>(to, from),
        16 => fixed::<16>(to, from),
        32 => fixed::<32>(to, from),
        _ => to.copy_from_slice(from),
    }
}

impl Steps {
    /// Sequences of a task.
    fn rows(&self) -> usize {
        let most = if self.hidden > 256 { 24 } else { 48 };
        self.n.div_ceil(rayon::current_num_threads()).clamp(1, most)
    }

    /// Position of step `s` in a sequence of `len` valid steps.
    fn position(&self, len: i32, s: usize) -> usize {
        let len = self.valid(len);
        if self.reverse && s < len {
            len - 1 - s
        } else {
            s
        }
    }

    /// The number of valid steps.
    fn valid(&self, len: i32) -> usize {
        usize::try_from(len).unwrap_or(0).min(self.steps)
    }

    /// The states `[states, rows, hidden]` of the sequences from `first` on.
    fn states(&self, all: &[f32], first: usize, rows: usize) -> Vec<f32> {
        let part = |s| &all[(s * self.n + first) * self.hidden..][..rows * self.hidden];
        (0..self.cell.states()).flat_map(part).copied().collect()
    }

    /// Put what each task gives where its sequences' states lie.
    fn collect(&self, parts: &[Vec<f32>], rows: usize, all: &mut [f32]) {
        for (task, part) in parts.iter().enumerate() {
            let len = part.len() / self.cell.states();
            for (s, part) in part.chunks(len).enumerate() {
                let at = (s * self.n + task * rows) * self.hidden;
                all[at..at + len].copy_from_slice(part);
            }
        }
    }

    /// The hidden states, what is kept, and the last states.
    pub(super) fn forward(
        &self,
        [pre, weight, bias, start]: [&[f32]; 4],
        lengths: &[i32],
        [hidden, last, kept]: [&mut [f32]; 3],
    ) {
        let (h, gates) = (self.hidden, self.cell.gates());
        if self.n * h == 0 {
            return;
        }
        let w = Weights::new(h, gates, h, |g, k, u| weight[(g * h + u) * h + k]);
        let rows = self.rows();
        let size = |of: usize| (rows * self.steps * h * of).max(1);
        let tasks = lengths.par_chunks(rows).zip(pre.par_chunks(size(gates)));
        let tasks = tasks.zip(hidden.par_chunks_mut(size(1)));
        let task = |(at, ((lengths, pre), hidden), kept): (usize, ((_, _), _), _)| {
            let io = Forward {
                pre,
                lengths,
                hidden,
                kept,
            };
            self.forward_rows(&w, bias, &self.states(start, at * rows, lengths.len()), io)
        };
        let parts: Vec<Vec<f32>> = if self.cell.kept() == 0 {
            let tasks = tasks.enumerate();
            tasks.map(|(at, t)| task((at, t, &mut []))).collect()
        } else {
            let tasks = tasks.zip(kept.par_chunks_mut(size(self.cell.kept())));
            let tasks = tasks.enumerate();
            tasks.map(|(at, (t, kept))| task((at, t, kept))).collect()
        };
        self.collect(&parts, rows, last);
    }

    fn forward_rows(&self, w: &Weights, bias: &[f32], start: &[f32], io: Forward) -> Vec<f32> {
        let (h, n, cell) = (self.hidden, io.lengths.len(), self.cell);
        let (gates, kept, size) = (cell.gates(), cell.kept(), padded(h) * n);
        let second = cell.states() == 2;
        let plane = || vec![0.0; size];
        let mut z: [Plane; GATES] = std::array::from_fn(|_| plane());
        let (mut x, mut state, mut c, mut old) = (plane(), plane(), plane(), plane());
        let mut rows = start[..n * h].to_vec();
        let mut last = start.to_vec();
        for r in 0..n {
            for (p, u, len) in w.pieces(h, n, r) {
                copy(&mut state[p..p + len], &start[r * h + u..][..len]);
                if second {
                    copy(&mut c[p..p + len], &start[(n + r) * h + u..][..len]);
                }
            }
        }
        let offsets: Vec<usize> = (0..n).map(|r| r * h).collect();
        for s in 0..self.steps {
            for r in 0..n {
                let at = r * self.steps + self.position(io.lengths[r], s);
                for (p, u, len) in w.pieces(h, n, r) {
                    for g in 0..gates {
                        let from = &io.pre[(at * gates + g) * h + u..][..len];
                        let to = &mut z[g][p..p + len];
                        match bias.get(g * h + u..g * h + u + len) {
                            Some(bias) if g == 2 => {
                                to.copy_from_slice(bias);
                                x[p..p + len].copy_from_slice(from);
                            }
                            Some(bias) => {
                                let both = from.iter().zip(bias);
                                to.iter_mut().zip(both).for_each(|(z, (x, b))| *z = x + b);
                            }
                            None => copy(to, from),
                        }
                    }
                }
            }
            for g in 0..gates {
                w.add(g, &rows, &offsets, &mut z[g]);
            }
            old.copy_from_slice(&state);
            Arch::new().dispatch(|| cell.forward(&mut z, &x, &mut state, &mut c));
            let of_state = if second { &c } else { &old };
            for r in 0..n {
                let valid = self.valid(io.lengths[r]);
                let at = r * self.steps + self.position(io.lengths[r], s);
                let (hidden, kept_) = (
                    &mut io.hidden[at * h..][..h],
                    &mut io.kept[at * kept * h..][..kept * h],
                );
                if s >= valid {
                    hidden.fill(0.0);
                    kept_.fill(0.0);
                    continue;
                }
                for (p, u, len) in w.pieces(h, n, r) {
                    let from = &state[p..p + len];
                    copy(&mut hidden[u..u + len], from);
                    copy(&mut rows[r * h + u..][..len], from);
                    for (k, to) in kept_.chunks_mut(h).enumerate() {
                        let from = z.get(k).unwrap_or(of_state);
                        copy(&mut to[u..u + len], &from[p..p + len]);
                    }
                    if s + 1 == valid {
                        last[r * h + u..][..len].copy_from_slice(from);
                        if second {
                            last[(n + r) * h + u..][..len].copy_from_slice(&c[p..p + len]);
                        }
                    }
                }
            }
        }
        last
    }

    /// The gradients of what comes from the input, of the initial states and, for a GRU, of what comes from the state.
    pub(crate) fn backward(
        &self,
        [weight, kept, start, grad, grad_last]: [&[f32]; 5],
        lengths: &[i32],
        [pre, first, product]: [&mut [f32]; 3],
    ) {
        let (h, gates) = (self.hidden, self.cell.gates());
        if self.n * h == 0 {
            return;
        }
        let w = Weights::new(h, 1, gates * h, |_, k, u| weight[k * h + u]);
        let rows = self.rows();
        let size = |of: usize| (rows * self.steps * h * of).max(1);
        let tasks = lengths.par_chunks(rows).zip(grad.par_chunks(size(1)));
        let tasks = tasks.zip(kept.par_chunks(size(self.cell.kept().max(1))));
        let tasks = tasks.zip(pre.par_chunks_mut(size(gates)));
        let task = |(at, (((lengths, grad), kept), pre), product): (usize, (((_, _), _), _), _)| {
            let io = Backward {
                kept,
                lengths,
                grad,
                pre,
                product,
            };
            let states = |all| self.states(all, at * rows, lengths.len());
            self.backward_rows(&w, &states(start), &states(grad_last), io)
        };
        let parts: Vec<Vec<f32>> = if self.cell.has_bias() {
            let tasks = tasks.zip(product.par_chunks_mut(size(gates))).enumerate();
            tasks
                .map(|(at, (t, product))| task((at, t, product)))
                .collect()
        } else {
            let tasks = tasks.enumerate();
            tasks.map(|(at, t)| task((at, t, &mut []))).collect()
        };
        self.collect(&parts, rows, first);
    }

    fn backward_rows(&self, w: &Weights, start: &[f32], last: &[f32], io: Backward) -> Vec<f32> {
        let (h, n, cell) = (self.hidden, io.lengths.len(), self.cell);
        let (gates, kept, size) = (cell.gates(), cell.kept().max(1), padded(h) * n);
        let second = cell.states() == 2;
        let plane = || vec![0.0; size];
        let mut k: [Plane; KEPT] = std::array::from_fn(|_| plane());
        let (mut c, mut dh, mut dc, mut dz) = (plane(), plane(), plane(), plane());
        let mut rows = vec![0.0; n * gates * h];
        let offsets: Vec<usize> = (0..n).map(|r| r * gates * h).collect();
        for s in (0..self.steps).rev() {
            for r in 0..n {
                let (len, valid) = (io.lengths[r], self.valid(io.lengths[r]));
                let at = r * self.steps + self.position(len, s);
                if s >= valid {
                    continue;
                }
                for (p, u, len) in w.pieces(h, n, r) {
                    if s + 1 == valid {
                        copy(&mut dh[p..p + len], &last[r * h + u..][..len]);
                        if second {
                            copy(&mut dc[p..p + len], &last[(n + r) * h + u..][..len]);
                        }
                    }
                    let grad = &io.grad[at * h + u..][..len];
                    let sum = dh[p..p + len].iter_mut().zip(grad);
                    sum.for_each(|(d, g)| *d += g);
                    for (i, to) in k.iter_mut().enumerate().take(kept) {
                        let from = &io.kept[(at * kept + i) * h + u..];
                        copy(&mut to[p..p + len], &from[..len]);
                    }
                }
                if second {
                    let before = match s {
                        0 => &start[(n + r) * h..][..h],
                        _ => {
                            let at = r * self.steps + self.position(len, s - 1);
                            &io.kept[(at * kept + kept - 1) * h..][..h]
                        }
                    };
                    for (p, u, len) in w.pieces(h, n, r) {
                        copy(&mut c[p..p + len], &before[u..u + len]);
                    }
                }
            }
            Arch::new().dispatch(|| cell.backward(&mut k, &c, &mut dh, &mut dc, &mut dz));
            for r in 0..n {
                let at = r * self.steps + self.position(io.lengths[r], s);
                let to = at * gates * h..(at + 1) * gates * h;
                let row = &mut rows[r * gates * h..][..gates * h];
                let valid = s < self.valid(io.lengths[r]);
                if valid {
                    for (p, u, len) in w.pieces(h, n, r) {
                        for g in 0..gates {
                            copy(&mut row[g * h + u..][..len], &k[g][p..p + len]);
                        }
                    }
                } else {
                    row.fill(0.0);
                }
                io.pre[to.clone()].copy_from_slice(row);
                if cell.has_bias() {
                    if valid {
                        for (p, u, len) in w.pieces(h, n, r) {
                            row[2 * h + u..][..len].copy_from_slice(&dz[p..p + len]);
                        }
                    }
                    io.product[to].copy_from_slice(row);
                }
            }
            w.add(0, &rows, &offsets, &mut dh);
        }
        let mut first = last.to_vec();
        for r in (0..n).filter(|&r| self.valid(io.lengths[r]) > 0) {
            for (p, u, len) in w.pieces(h, n, r) {
                first[r * h + u..][..len].copy_from_slice(&dh[p..p + len]);
                if second {
                    first[(n + r) * h + u..][..len].copy_from_slice(&dc[p..p + len]);
                }
            }
        }
        first
    }
}
