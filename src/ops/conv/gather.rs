//! A convolution, or the gradient of its input, as one thing: sums over what each output position sees of the input.

use super::Sizes;
use super::product::{Offsets, Product, padded, panels, transpose};
use crate::ops::window::coordinates;
use rayon::prelude::*;
use std::ops::Range;

/// `out[n, a, q] = sum over b, k of weight[a, b, k] in[n, b, c]` in each group, at the coordinates
/// `c = (q' step + p + k dilation + start) / phases`, where they are whole and inside. `p = q % phases` is the phase of an
/// output position and `q' = q / phases` its place in the phase; without phases, `q' = q`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gather {
    pub n: usize,
    pub groups: usize,
    /// Output channels of a group.
    pub a: usize,
    /// Input channels of a group.
    pub b: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    pub step: [usize; 3],
    pub dilation: [isize; 3],
    pub start: [isize; 3],
    pub phases: [usize; 3],
    /// Distances of groups, `a`, `b` in the weight.
    pub weight: [usize; 3],
}

/// A sample's planes in scratch memory, zeros around.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    input: [usize; 3],
    low: [usize; 3],
    size: [usize; 3],
    /// Distance of planes.
    pub plane: usize,
}

/// The positions of one phase and the taps that they see.
struct Phase {
    /// Weight index and offset within a plane, a tap.
    taps: Vec<(usize, usize)>,
    /// Offset within a plane and index in the output's plane, a position.
    positions: Vec<(usize, usize)>,
}

impl Field {
    /// A field that holds `input` and what lies up to `low` before and `high` behind it.
    pub fn new(input: [usize; 3], low: [usize; 3], high: [usize; 3]) -> Self {
        let size = [0, 1, 2].map(|d| input[d] + low[d] + high[d]);
        // No multiple of a power of two, whose multiples would fall on the same cache lines.
        let plane = size.iter().product::<usize>().next_multiple_of(16) | 16;
        Self {
            input,
            low,
            size,
            plane,
        }
    }

    /// The offset of coordinates counted from the first zero.
    pub fn offset(&self, c: [usize; 3]) -> usize {
        (c[0] * self.size[1] + c[1]) * self.size[2] + c[2]
    }

    /// Put planes of `x` in `field`, whose zeros must be there already.
    pub fn fill(&self, x: &[f32], field: &mut [f32]) {
        let width = self.input[2];
        let planes = x.chunks(self.input.iter().product::<usize>().max(1));
        for (x, plane) in planes.zip(field.chunks_mut(self.plane)) {
            for (row, x) in x.chunks(width).enumerate() {
                let [d, h] = [row / self.input[1], row % self.input[1]];
                let at = self.offset([d + self.low[0], h + self.low[1], self.low[2]]);
                plane[at..at + width].copy_from_slice(x);
            }
        }
    }
}

impl Gather {
    /// The convolution.
    pub fn forward(s: &Sizes) -> Self {
        let (w, taps) = (&s.window, s.window.taps());
        Self {
            n: s.n,
            groups: s.groups,
            a: s.cout,
            b: s.cin,
            input: w.input,
            output: w.output,
            kernel: w.kernel,
            step: w.stride,
            dilation: w.dilation.map(|d| d as isize),
            start: w.padding.map(|p| -(p as isize)),
            phases: [1; 3],
            weight: [s.cout * s.cin * taps, s.cin * taps, taps],
        }
    }

    /// The gradient of its input: positions with the same remainder by the stride, a phase, see the same taps.
    pub fn grad_input(s: &Sizes) -> Self {
        let (w, taps) = (&s.window, s.window.taps());
        Self {
            n: s.n,
            groups: s.groups,
            a: s.cin,
            b: s.cout,
            input: w.output,
            output: w.input,
            kernel: w.kernel,
            step: [1; 3],
            dilation: w.dilation.map(|d| -(d as isize)),
            start: w.padding.map(|p| p as isize),
            phases: w.stride,
            weight: [s.cout * s.cin * taps, taps, s.cin * taps],
        }
    }

    /// Positions of phase `p` along dimension `d`.
    fn cells(&self, d: usize, p: usize) -> usize {
        self.output[d].saturating_sub(p).div_ceil(self.phases[d])
    }

    /// Where tap `k` of phase `p` lies from the position's own place, along dimension `d`.
    fn shift(&self, d: usize, p: usize, k: usize) -> Option<isize> {
        let at = p as isize + k as isize * self.dilation[d] + self.start[d];
        let phases = self.phases[d] as isize;
        (at % phases == 0).then_some(at / phases)
    }

    /// A field around the input that holds all that is seen.
    fn field(&self) -> Field {
        let (mut low, mut high) = ([0; 3], [0; 3]);
        for d in 0..3 {
            for p in 0..self.phases[d].min(self.output[d]) {
                let last = ((self.cells(d, p) - 1) * self.step[d]) as isize;
                for shift in (0..self.kernel[d]).filter_map(|k| self.shift(d, p, k)) {
                    low[d] = low[d].max((-shift).max(0) as usize);
                    let over = last + shift + 1 - self.input[d] as isize;
                    high[d] = high[d].max(over.max(0) as usize);
                }
            }
        }
        Field::new(self.input, low, high)
    }

    fn phases(&self, field: &Field) -> Vec<Phase> {
        let phase = |p: usize| {
            let p = coordinates(p, self.phases);
            let shifted = |(index, k): (usize, [usize; 3])| {
                let mut at = [0; 3];
                for d in 0..3 {
                    at[d] = (self.shift(d, p[d], k[d])? + field.low[d] as isize) as usize;
                }
                Some((index, field.offset(at)))
            };
            let taps = 0..self.kernel.iter().product::<usize>();
            let taps = taps
                .map(|k| (k, coordinates(k, self.kernel)))
                .filter_map(shifted)
                .collect();
            let cells = [0, 1, 2].map(|d| self.cells(d, p[d]));
            let position = |q: usize| {
                let q = coordinates(q, cells);
                let to = [0, 1, 2].map(|d| q[d] * self.phases[d] + p[d]);
                let from = [0, 1, 2].map(|d| q[d] * self.step[d]);
                (
                    field.offset(from),
                    (to[0] * self.output[1] + to[1]) * self.output[2] + to[2],
                )
            };
            Phase {
                taps,
                positions: (0..cells.iter().product()).map(position).collect(),
            }
        };
        (0..self.phases.iter().product()).map(phase).collect()
    }

    /// Compute it on the CPU, `out` being wholly written.
    pub fn cpu(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let Self {
            n, groups, a, b, ..
        } = *self;
        let [elements, positions] = [self.input, self.output].map(|s| s.iter().product::<usize>());
        if out.is_empty() {
            return;
        }
        let field = self.field();
        let phases = self.phases(&field);
        let panels = panels(a);
        let packed: Vec<Vec<f32>> = (0..phases.len() * groups)
            .into_par_iter()
            .map(|at| {
                self.pack(
                    &phases[at / groups],
                    &weight[at % groups * self.weight[0]..],
                )
            })
            .collect();
        // Several small samples a task, several tasks a large one: by the sizes alone.
        let together = (64 / positions).clamp(1, n);
        let shares = (16 / (n.div_ceil(together) * groups)).clamp(1, panels.len());
        let sample = b * field.plane;
        let offsets = |phase: &Phase| {
            let rows = |s: usize| phase.positions.iter().map(move |q| s * sample + q.0);
            let inner = |c: usize| phase.taps.iter().map(move |t| c * field.plane + t.1);
            let all: (Vec<usize>, Vec<usize>) = (
                (0..together).flat_map(rows).collect(),
                (0..b).flat_map(inner).collect(),
            );
            all
        };
        let offsets: Vec<_> = phases.iter().map(offsets).collect();
        let out = Shared(out.as_mut_ptr());
        let task = |(x_field, part): &mut (Vec<f32>, Vec<f32>), task: usize| {
            let (share, group) = (task % shares, task / shares % groups);
            let from = task / (shares * groups) * together;
            let samples = from..n.min(from + together);
            x_field.resize(together * sample, 0.0);
            for (s, to) in samples.clone().zip(x_field.chunks_mut(sample)) {
                field.fill(
                    &x[(s * groups + group) * b * elements..][..b * elements],
                    to,
                );
            }
            for (p, (phase, (rows, inner))) in phases.iter().zip(&offsets).enumerate() {
                let (rows, inner) = (Offsets::new(rows), Offsets::new(inner));
                let (packed, count) = (&packed[p * groups + group], phase.positions.len());
                for (first, width) in panels.iter().skip(share).step_by(shares).copied() {
                    part.resize(BLOCK * width, 0.0);
                    for (at, s, q) in blocks(samples.clone(), count) {
                        Product {
                            x: x_field,
                            rows: rows.part(at..at + q.len()),
                            inner,
                            panel: &packed[first * inner.len()..],
                            out: part,
                            width,
                            add: false,
                        }
                        .run();
                        let part = &part[..q.len() * width];
                        let plane = ((s * groups + group) * a + first) * positions;
                        // SAFETY: these channels of this sample are this task's alone.
                        let out = unsafe { out.range(plane, width.min(a - first) * positions) };
                        if count == positions {
                            transpose((part, width), (&mut out[q.start..], positions));
                            continue;
                        }
                        for (o, out) in out.chunks_mut(positions).enumerate() {
                            let column = part[o..].iter().step_by(width);
                            let to = &phase.positions[q.clone()];
                            to.iter().zip(column).for_each(|(q, v)| out[q.1] = *v);
                        }
                    }
                }
            }
        };
        (0..n.div_ceil(together) * groups * shares)
            .into_par_iter()
            .for_each_init(Default::default, task);
    }

    /// The weight of one group for a phase, panel by panel: `[b, tap, a]`.
    fn pack(&self, phase: &Phase, weight: &[f32]) -> Vec<f32> {
        let inner = self.b * phase.taps.len();
        let mut out = vec![0.0; inner * padded(self.a)];
        for (first, width) in panels(self.a) {
            let panel = &mut out[first * inner..][..inner * width];
            for (j, row) in panel.chunks_mut(width).enumerate() {
                let (c, tap) = (j / phase.taps.len(), phase.taps[j % phase.taps.len()].0);
                let from = c * self.weight[2] + tap;
                for (o, to) in (first..self.a).zip(row) {
                    *to = weight[o * self.weight[1] + from];
                }
            }
        }
        out
    }
}

/// Positions that are computed at once: their results should stay in a core's first cache.
const BLOCK: usize = 64;

/// Parts of at most [`BLOCK`] of the `count` positions of each sample: how many came before, the sample, the positions.
fn blocks(
    samples: Range<usize>,
    count: usize,
) -> impl Iterator<Item = (usize, usize, Range<usize>)> {
    samples.enumerate().flat_map(move |(at, s)| {
        let blocks = (0..count).step_by(BLOCK);
        blocks.map(move |q| (at * count + q, s, q..count.min(q + BLOCK)))
    })
}

/// An output that tasks write disjoint ranges of.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: whoever takes a range vouches that no other task takes one that overlaps.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// The range must lie in the output and overlap no other that is in use.
    unsafe fn range<'a>(&self, at: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: promised by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }
}
