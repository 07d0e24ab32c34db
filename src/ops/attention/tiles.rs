//! Attention on the CPU: tiles of scores, by matrix products on one thread.

use crate::DType;
use crate::ops::matmul::gemm;
use crate::ops::random::threshold;
use crate::rng::philox;
use std::ops::Range;

/// Queries of a tile.
pub(crate) const ROWS: usize = 64;
/// Keys of a tile.
pub(crate) const COLUMNS: usize = 256;

/// Rows of heads in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided {
    /// Position of the first element.
    pub offset: usize,
    /// Distances of samples, heads, rows.
    pub strides: [usize; 3],
}

impl Strided {
    /// Position of a row.
    pub fn at(&self, n: usize, h: usize, row: usize) -> usize {
        let [a, b, c] = self.strides;
        self.offset + n * a + h * b + row * c
    }
}

/// Sizes of an attention, and where queries, keys and values are.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    pub n: usize,
    pub h: usize,
    pub t: usize,
    pub s: usize,
    pub e: usize,
    pub ev: usize,
    pub places: [Strided; 3],
}

/// What tiles are computed from.
pub(crate) struct Tile<'a> {
    pub sizes: Sizes,
    /// Memory of queries, keys, values.
    pub data: [&'a [f32]; 3],
    pub scale: f32,
    pub causal: bool,
    /// Words, type, strides.
    pub mask: Option<(&'a [u32], DType, [usize; 4])>,
    /// Probability, stream, keys.
    pub dropout: Option<(f32, u32, [u32; 3])>,
}

impl Tile<'_> {
    /// Keys that some of `rows` sees, in blocks.
    pub fn blocks(&self, rows: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let end = match self.causal {
            true => rows.end.min(self.sizes.s),
            false => self.sizes.s,
        };
        (0..end)
            .step_by(COLUMNS)
            .map(move |c| c..(c + COLUMNS).min(end))
    }

    /// `out [rows, columns]`: what the softmax is taken of.
    pub fn scores(
        &self,
        (n, h): (usize, usize),
        rows: &Range<usize>,
        columns: &Range<usize>,
        out: &mut [f32],
    ) {
        let z = &self.sizes;
        let [q, k, _] = z.places;
        let width = columns.len();
        gemm(
            (rows.len(), z.e, width),
            (&self.data[0][q.at(n, h, rows.start)..], q.strides[2], 1),
            (&self.data[1][k.at(n, h, columns.start)..], 1, k.strides[2]),
            (out, width),
            false,
        );
        for (i, out) in rows.clone().zip(out.chunks_exact_mut(width)) {
            out.iter_mut().for_each(|x| *x *= self.scale);
            if let Some((words, dtype, m)) = &self.mask {
                let at = n * m[0] + h * m[1] + i * m[2];
                let word = |j: usize| words[at + j * m[3]];
                for (j, x) in columns.clone().zip(&mut *out) {
                    match dtype {
                        DType::F32 => *x += f32::from_bits(word(j)),
                        _ if word(j) == 0 => *x = f32::NEG_INFINITY,
                        _ => {}
                    }
                }
            }
            if self.causal {
                let seen = (i + 1).saturating_sub(columns.start).min(width);
                out[seen..].fill(f32::NEG_INFINITY);
            }
        }
    }

    /// `tile [rows, columns]` with what dropout leaves of it.
    pub fn drop_out(
        &self,
        (n, h): (usize, usize),
        rows: &Range<usize>,
        columns: &Range<usize>,
        tile: &mut [f32],
    ) {
        let Some((p, stream, [step, low, high])) = self.dropout else {
            return;
        };
        let z = &self.sizes;
        let (below, scale) = (threshold(p), 1.0 / (1.0 - p));
        for (i, row) in rows.clone().zip(tile.chunks_exact_mut(columns.len())) {
            let first = (((n * z.h + h) * z.t + i) * z.s + columns.start) as u32;
            let mut block = (0, [0; 4]);
            for (k, x) in row.iter_mut().enumerate() {
                let at = first.wrapping_add(k as u32);
                if k == 0 || at / 4 != block.0 {
                    block = (at / 4, philox([at / 4, stream, step, 0], [low, high]));
                }
                let kept = block.1[(at % 4) as usize] < below;
                *x = if kept { *x * scale } else { 0.0 };
            }
        }
    }

    /// The result for `rows` of a head, into `y [rows, h, ev]`, and the largest scores and inverse sums `[rows, h]`.
    pub fn forward(
        &self,
        head: (usize, usize),
        rows: Range<usize>,
        [y, largest_scores, inverse_sums]: [&mut [f32]; 3],
    ) {
        let z = &self.sizes;
        let (n, h) = head;
        let value = z.places[2];
        let count = rows.len();
        let mut scores = vec![0.0; count * COLUMNS.min(z.s)];
        let mut sum = vec![0.0f32; count * z.ev];
        let mut states = vec![(f32::NEG_INFINITY, 0.0f32); count];
        for columns in self.blocks(&rows) {
            let width = columns.len();
            let scores = &mut scores[..count * width];
            self.scores(head, &rows, &columns, scores);
            for (i, (row, state)) in scores.chunks_exact_mut(width).zip(&mut states).enumerate() {
                let largest = largest(row).max(state.0);
                if largest == f32::NEG_INFINITY && !row.iter().any(|x| x.is_nan()) {
                    row.fill(0.0);
                    continue;
                }
                if columns.start > 0 {
                    let shrink = exp(state.0 - largest);
                    state.1 *= shrink;
                    sum[i * z.ev..][..z.ev]
                        .iter_mut()
                        .for_each(|x| *x *= shrink);
                }
                state.0 = largest;
                state.1 += exponentials(row, largest);
            }
            self.drop_out(head, &rows, &columns, scores);
            if z.ev > 0 {
                gemm(
                    (count, width, z.ev),
                    (scores, width, 1),
                    (
                        &self.data[2][value.at(n, h, columns.start)..],
                        value.strides[2],
                        1,
                    ),
                    (&mut sum, z.ev),
                    true,
                );
            }
        }
        for (i, (most, total)) in states.into_iter().enumerate() {
            let none = most == f32::NEG_INFINITY && total == 0.0;
            let (most, inverse) = match none {
                true => (f32::INFINITY, 0.0),
                false => (most, 1.0 / total),
            };
            largest_scores[i * z.h + h] = most;
            inverse_sums[i * z.h + h] = inverse;
            let to = &mut y[(i * z.h + h) * z.ev..][..z.ev];
            if none {
                to.fill(0.0);
                continue;
            }
            let from = &sum[i * z.ev..];
            to.iter_mut().zip(from).for_each(|(y, x)| *y = x * inverse);
        }
    }

    /// Gradients of one head: those of queries `[t, e]`, keys `[s, e]`, values `[s, ev]` one after the other. `grad` is
    /// `[n, t, h, ev]`, `stats` `[3, n, t, h]`: largest scores, inverse sums, shifts.
    pub fn backward(&self, head: (usize, usize), grad: &[f32], stats: &[f32]) -> Vec<f32> {
        let z = &self.sizes;
        let (n, h) = head;
        let [query, key, value] = z.places;
        let mut all = vec![0.0f32; (z.t + z.s) * z.e + z.s * z.ev];
        let (dq, rest) = all.split_at_mut(z.t * z.e);
        let (dk, dv) = rest.split_at_mut(z.s * z.e);
        let most = ROWS.min(z.t) * COLUMNS.min(z.s);
        let (mut weights, mut changes) = (vec![0.0; most], vec![0.0; most]);
        for first in (0..z.t).step_by(ROWS) {
            let rows = first..(first + ROWS).min(z.t);
            let count = rows.len();
            let row = |i: usize| (n * z.t + i) * z.h + h;
            let stat = |which: usize, i: usize| stats[which * z.n * z.t * z.h + row(i)];
            for columns in self.blocks(&rows) {
                let width = columns.len();
                let (p, d) = (&mut weights[..count * width], &mut changes[..count * width]);
                self.scores(head, &rows, &columns, p);
                for (i, p) in rows.clone().zip(p.chunks_exact_mut(width)) {
                    exponentials(p, stat(0, i));
                    let inverse = stat(1, i);
                    p.iter_mut().for_each(|p| *p *= inverse);
                }
                if z.ev > 0 {
                    let dy = (&grad[row(first) * z.ev..], z.h * z.ev, 1);
                    let v = &self.data[2][value.at(n, h, columns.start)..];
                    let v = (v, 1, value.strides[2]);
                    gemm((count, z.ev, width), dy, v, (d, width), false);
                    self.drop_out(head, &rows, &columns, d);
                } else {
                    d.fill(0.0);
                }
                for ((i, p), d) in rows
                    .clone()
                    .zip(p.chunks_exact(width))
                    .zip(d.chunks_exact_mut(width))
                {
                    let shift = stat(2, i);
                    d.iter_mut()
                        .zip(p)
                        .for_each(|(d, p)| *d = p * (*d - shift) * self.scale);
                }
                let k = &self.data[1][key.at(n, h, columns.start)..];
                let (at_q, at_k) = (first * z.e, columns.start * z.e);
                gemm(
                    (count, width, z.e),
                    (d, width, 1),
                    (k, key.strides[2], 1),
                    (&mut dq[at_q..], z.e),
                    true,
                );
                let q = &self.data[0][query.at(n, h, first)..];
                let q = (q, query.strides[2], 1);
                let out = (&mut dk[at_k..], z.e);
                gemm((width, count, z.e), (d, 1, width), q, out, true);
                if z.ev > 0 {
                    self.drop_out(head, &rows, &columns, p);
                    let dy = (&grad[row(first) * z.ev..], z.h * z.ev, 1);
                    let out = (&mut dv[columns.start * z.ev..], z.ev);
                    gemm((width, count, z.ev), (p, 1, width), dy, out, true);
                }
            }
        }
        all
    }
}

/// The largest of `x` that is a number.
fn largest(x: &[f32]) -> f32 {
    let more = |a: f32, b: f32| if b > a { b } else { a };
    let (head, tail) = x.split_at(x.len() / 8 * 8);
    let mut lanes = [f32::NEG_INFINITY; 8];
    for eight in head.chunks_exact(8) {
        lanes
            .iter_mut()
            .zip(eight)
            .for_each(|(a, &b)| *a = more(*a, b));
    }
    lanes
        .iter()
        .chain(tail)
        .fold(f32::NEG_INFINITY, |a, &b| more(a, b))
}

/// `x` becomes `exp(x - shift)`; returns the sum.
fn exponentials(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0f32; 8];
    let mut chunks = x.chunks_exact_mut(8);
    for eight in &mut chunks {
        for (sum, x) in lanes.iter_mut().zip(eight) {
            *x = exp(*x - shift);
            *sum += *x;
        }
    }
    let tail = chunks.into_remainder();
    tail.iter_mut().for_each(|x| *x = exp(*x - shift));
    lanes.iter().chain(&*tail).sum()
}

/// `e^x` without branches, so that it runs in lanes; an error of two units in the last place, 0 below -87.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
    let held = if x < -87.0 { -87.0 } else { x };
    let held = if held > 88.0 { 88.0 } else { held };
    let whole = held * std::f32::consts::LOG2_E + ROUND;
    let n = whole - ROUND;
    let r = (held - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    let power = (whole.to_bits().wrapping_sub(ROUND.to_bits()) as i32).wrapping_add(127) << 23;
    let y = y * f32::from_bits(power as u32);
    let y = if x > 88.0 { f32::INFINITY } else { y };
    if x < -87.0 { 0.0 } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_near() {
        for k in -8700..8800 {
            let x = k as f32 / 100.0 + 0.001;
            let want = f64::from(x).exp();
            let error = (f64::from(exp(x)) - want).abs() / want;
            assert!(error < 3e-7 || x < -87.0, "{x}: {error}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }
}
