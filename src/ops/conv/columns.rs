//! Convolution on the CPU as matrix products: what each tap of the window sees is a row, each position a column.

use crate::ops::window::Window;
use std::ops::Range;

/// Elements of the column matrix that a task holds: they should stay in a core's second-level cache.
const BLOCK: usize = 128 << 10;

/// Some of the columns: the positions `from..from + len` of each of `samples` samples from `sample` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    pub sample: usize,
    pub samples: usize,
    pub from: usize,
    pub len: usize,
}

impl Chunk {
    pub fn columns(&self) -> usize {
        self.samples * self.len
    }

    /// All columns of `n` samples with `positions` each, in chunks for a matrix of `rows` rows.
    pub fn all(n: usize, positions: usize, rows: usize) -> Vec<Self> {
        let width = (BLOCK / rows.max(1)).clamp(96, 4096);
        let mut out = Vec::new();
        if positions >= width {
            let pieces = positions.div_ceil(width);
            let len = positions.div_ceil(pieces).next_multiple_of(16);
            for sample in 0..n {
                for from in (0..positions).step_by(len) {
                    let len = len.min(positions - from);
                    out.push(Self {
                        sample,
                        samples: 1,
                        from,
                        len,
                    });
                }
            }
        } else {
            let together = width / positions.max(1);
            for sample in (0..n).step_by(together) {
                let samples = together.min(n - sample);
                out.push(Self {
                    sample,
                    samples,
                    from: 0,
                    len: positions,
                });
            }
        }
        out
    }
}

impl Window {
    /// Call `run(at, n, element)` for each run of positions `at..at + n` (counted from `positions.start`) whose `k`-th
    /// tap lies on elements, `element` for the first and a stride on for each further one.
    #[inline(always)]
    pub fn runs(
        &self,
        k: usize,
        positions: Range<usize>,
        mut run: impl FnMut(usize, usize, usize),
    ) {
        let tap = self.tap(k);
        let [depth, rows, columns] = [0, 1, 2].map(|d| self.inside(d, tap[d]));
        let width = self.output[2];
        for row in positions.start / width..positions.end.div_ceil(width) {
            let (d, r) = (row / self.output[1], row % self.output[1]);
            if !depth.contains(&d) || !rows.contains(&r) {
                continue;
            }
            let start = (row * width + columns.start).max(positions.start);
            let end = (row * width + columns.end).min(positions.end);
            if start < end {
                let element = (self.element(0, tap[0], d) * self.input[1]
                    + self.element(1, tap[1], r))
                    * self.input[2];
                let first = self.element(2, tap[2], start - row * width);
                run(start - positions.start, end - start, element + first);
            }
        }
    }

    /// What the `k`-th tap sees of the plane `x` at positions from `from` on; zero on the padding.
    pub fn gather(&self, x: &[f32], k: usize, from: usize, out: &mut [f32]) {
        if self.stride == [1; 3] && self.input[2] == self.output[2] && self.output[0] == 1 {
            return self.gather_shifted(x, k, from, out);
        }
        let (end, stride) = (from + out.len(), self.stride[2]);
        let mut done = 0;
        self.runs(k, from..end, |at, n, element| {
            out[done..at].fill(0.0);
            done = at + n;
            if stride == 1 {
                out[at..done].copy_from_slice(&x[element..element + n]);
            } else {
                let from = x[element..].iter().step_by(stride);
                out[at..done]
                    .iter_mut()
                    .zip(from)
                    .for_each(|(o, x)| *o = *x);
            }
        });
        out[done..].fill(0.0);
    }

    /// As [`Window::gather`] where rows of input and output are equally long: the whole plane shifted, then the columns
    /// that came from a neighbouring row cleared.
    fn gather_shifted(&self, x: &[f32], k: usize, from: usize, out: &mut [f32]) {
        let tap = self.tap(k);
        let [depth, rows, columns] = [0, 1, 2].map(|d| self.inside(d, tap[d]));
        let (width, end) = (self.output[2], from + out.len());
        let offset = |d: usize| (tap[d] * self.dilation[d]) as isize - self.padding[d] as isize;
        let (below, beside) = (offset(1) * width as isize, offset(2));
        let plane = self.input[1] * width;
        let shift = below + beside;
        let low = (rows.start * width).max(from).max((-shift).max(0) as usize);
        let high = (rows.end * width)
            .min(end)
            .min((plane as isize - shift).max(0) as usize);
        if low >= high || depth.is_empty() {
            return out.fill(0.0);
        }
        let x = &x[self.element(0, tap[0], 0) * plane..][..plane];
        out[..low - from].fill(0.0);
        let source = (low as isize + shift) as usize;
        out[low - from..high - from].copy_from_slice(&x[source..source + high - low]);
        out[high - from..].fill(0.0);
        for edge in [0..columns.start, columns.end..width] {
            if edge.is_empty() {
                continue;
            }
            for row in from / width..end.div_ceil(width) {
                let start = (row * width + edge.start).max(from);
                let end = (row * width + edge.end).min(end);
                for at in start..end {
                    out[at - from] = 0.0;
                }
            }
        }
    }

    /// The transpose of [`Window::gather`]: add what the `k`-th tap's gradient is at positions from `from` on to `x`.
    pub fn scatter(&self, g: &[f32], k: usize, from: usize, x: &mut [f32]) {
        self.runs(k, from..from + g.len(), |at, n, element| {
            let to = x[element..].iter_mut().step_by(self.stride[2]);
            to.zip(&g[at..at + n]).for_each(|(x, g)| *x += g);
        });
    }
}

/// Rows `rows` (channel by channel, tap by tap) of the columns of `chunk`, at distance `stride` in `out`; `x` starts
/// with the first channel of the first sample, samples lie `sample` elements apart.
pub(crate) fn gather_rows(
    w: &Window,
    (x, sample): (&[f32], usize),
    rows: Range<usize>,
    chunk: &Chunk,
    (out, stride): (&mut [f32], usize),
) {
    let (taps, elements) = (w.taps(), w.elements());
    for (row, out) in rows.zip(out.chunks_mut(stride)) {
        for s in 0..chunk.samples {
            let plane = &x[(chunk.sample + s) * sample + row / taps * elements..][..elements];
            let out = &mut out[s * chunk.len..(s + 1) * chunk.len];
            w.gather(plane, row % taps, chunk.from, out);
        }
    }
}
