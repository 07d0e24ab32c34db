//! The inner loop of convolutions on the CPU: a product of matrices one of which is read through offsets, so that no
//! window is ever copied out.

use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// `out[i][o] = sum over j of x[rows[i] + inner[j]] * panel[j][o]`, `o` running over the `width` of the panel.
///
/// Sums are taken in the order of `j`, whatever the processor's vectors.
pub(crate) struct Product<'a> {
    pub x: &'a [f32],
    pub rows: Offsets<'a>,
    pub inner: Offsets<'a>,
    /// One row of `width` for each of `inner`.
    pub panel: &'a [f32],
    /// One row of `width` for each of `rows`.
    pub out: &'a mut [f32],
    /// One of those that [`panels`] gives.
    pub width: usize,
    /// Whether what `out` holds stays and is added to.
    pub add: bool,
}

/// Offsets, and the largest of them and of those around them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offsets<'a> {
    at: &'a [usize],
    most: usize,
}

impl<'a> Offsets<'a> {
    pub fn new(at: &'a [usize]) -> Self {
        let most = at.iter().max().copied().unwrap_or(0);
        Self { at, most }
    }

    pub fn len(&self) -> usize {
        self.at.len()
    }

    pub fn part(&self, range: Range<usize>) -> Self {
        Self {
            at: &self.at[range],
            ..*self
        }
    }
}

/// How `n` columns are cut: first column and width of each panel; the last one may be wider than what is left.
pub(crate) fn panels(n: usize) -> Vec<(usize, usize)> {
    let lanes = Arch::new().dispatch(Lanes);
    let mut out = Vec::new();
    let mut at = 0;
    while at < n {
        let width = if n - at > lanes { 2 * lanes } else { lanes };
        out.push((at, width));
        at += width;
    }
    out
}

/// Columns of all panels for `n` columns.
pub(crate) fn padded(n: usize) -> usize {
    panels(n).last().map_or(0, |(at, width)| at + width)
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

impl Product<'_> {
    /// Compute it.
    pub fn run(self) {
        assert!(
            self.rows.most + self.inner.most < self.x.len()
                && self.panel.len() >= self.inner.len() * self.width
                && self.out.len() >= self.rows.len() * self.width
        );
        Arch::new().dispatch(self);
    }

    /// In tiles of `I` rows by `V` vectors.
    ///
    /// # Safety
    /// What [`Product::run`] asserts.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const I: usize, const V: usize>(self, simd: S) {
        let width = V * S::F32_LANES;
        let tiles = self.rows.at.chunks(I);
        for (rows, out) in tiles.zip(self.out.chunks_mut(I * width)) {
            // Pointers, not indices: the additions would compete with the products for the processor's ports.
            let at: [*const f32; I] = std::array::from_fn(|i| {
                let row = rows[i.min(rows.len() - 1)];
                self.x.as_ptr().wrapping_add(row)
            });
            let mut sums = [[simd.splat_f32s(0.0); V]; I];
            let mut m = self.panel.as_ptr().cast::<S::f32s>();
            for &b in self.inner.at {
                // SAFETY: `panel` holds `V` vectors for each of `inner`, of any alignment.
                let right: [S::f32s; V] =
                    std::array::from_fn(|v| unsafe { m.wrapping_add(v).read_unaligned() });
                m = m.wrapping_add(V);
                for i in 0..I {
                    // SAFETY: the largest sum of offsets lies in `x`.
                    let x = simd.splat_f32s(unsafe { at[i].wrapping_add(b).read_unaligned() });
                    for v in 0..V {
                        sums[i][v] = simd.mul_add_e_f32s(x, right[v], sums[i][v]);
                    }
                }
            }
            let mut to = out.as_mut_ptr().cast::<S::f32s>();
            for sums in sums.iter().take(rows.len()) {
                for sum in sums {
                    // SAFETY: `out` holds `V` vectors for each of `rows`, of any alignment.
                    unsafe {
                        let sum = if self.add {
                            simd.add_f32s(to.read_unaligned(), *sum)
                        } else {
                            *sum
                        };
                        to.write_unaligned(sum);
                    }
                    to = to.wrapping_add(1);
                }
            }
        }
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let wide = self.width > S::F32_LANES;
        // SAFETY: asserted by `run`, which alone dispatches this.
        unsafe {
            match (S::REGISTER_COUNT >= 32, wide) {
                (true, true) => self.tiles::<S, 8, 2>(simd),
                (true, false) => self.tiles::<S, 10, 1>(simd),
                (false, true) => self.tiles::<S, 6, 2>(simd),
                (false, false) => self.tiles::<S, 8, 1>(simd),
            }
        }
    }
}

/// Rows of `from` as columns of `to`, as many as both have; each with the length of its rows.
pub(crate) fn transpose((from, n): (&[f32], usize), (to, m): (&mut [f32], usize)) {
    let (rows, columns) = (from.len() / n, n.min(to.len().div_ceil(m)));
    let (whole_rows, whole_columns) = (rows / 4 * 4, columns / 4 * 4);
    for i in (0..whole_rows).step_by(4) {
        let four: [&[f32]; 4] = std::array::from_fn(|k| &from[(i + k) * n..][..n]);
        for j in (0..whole_columns).step_by(4) {
            let square: [[f32; 4]; 4] =
                std::array::from_fn(|k| std::array::from_fn(|l| four[k][j + l]));
            for l in 0..4 {
                let row = &mut to[(j + l) * m + i..][..4];
                (0..4).for_each(|k| row[k] = square[k][l]);
            }
        }
        for j in whole_columns..columns {
            let row = &mut to[j * m + i..][..4];
            (0..4).for_each(|k| row[k] = four[k][j]);
        }
    }
    for i in whole_rows..rows {
        let column = to[i..].iter_mut().step_by(m);
        column
            .zip(&from[i * n..][..columns])
            .for_each(|(t, f)| *t = *f);
    }
}
