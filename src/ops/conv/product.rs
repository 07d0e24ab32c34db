//! The inner loop of convolutions on the CPU: a product of matrices one of which is read through offsets, so that no
//! window is ever copied out.

use pulp::{Arch, Simd, WithSimd};

/// `out[i][o] += sum over j of x[rows[i] + inner[j]] * panel[j][o]`, `o` running over the `width` of the panel.
///
/// Sums are taken in the order of `j`, whatever the processor's vectors.
pub(crate) struct Product<'a> {
    pub x: &'a [f32],
    pub rows: &'a [usize],
    pub inner: &'a [usize],
    /// One row of `width` for each of `inner`.
    pub panel: &'a [f32],
    /// One row of `width` for each of `rows`.
    pub out: &'a mut [f32],
    /// One of those that [`panels`] gives.
    pub width: usize,
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
        let most = |v: &[usize]| v.iter().max().copied();
        let (Some(row), Some(inner)) = (most(self.rows), most(self.inner)) else {
            return;
        };
        assert!(
            row + inner < self.x.len()
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
        for (rows, out) in self.rows.chunks(I).zip(self.out.chunks_mut(I * width)) {
            let at: [usize; I] = std::array::from_fn(|i| rows[i.min(rows.len() - 1)]);
            let mut sums = [[simd.splat_f32s(0.0); V]; I];
            let mut m = self.panel.as_ptr().cast::<S::f32s>();
            for &b in self.inner {
                // SAFETY: `panel` holds `V` vectors for each of `inner`, of any alignment.
                let right: [S::f32s; V] =
                    std::array::from_fn(|v| unsafe { m.add(v).read_unaligned() });
                m = m.wrapping_add(V);
                for i in 0..I {
                    // SAFETY: the largest sum of offsets lies in `x`.
                    let x = simd.splat_f32s(unsafe { *self.x.get_unchecked(at[i] + b) });
                    for v in 0..V {
                        sums[i][v] = simd.mul_add_e_f32s(x, right[v], sums[i][v]);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(rows.len()) {
                for (v, sum) in sums.iter().enumerate() {
                    let to = out[i * width + v * S::F32_LANES..]
                        .as_mut_ptr()
                        .cast::<S::f32s>();
                    // SAFETY: `out` holds `width` elements for each of `rows`.
                    unsafe { to.write_unaligned(simd.add_f32s(to.read_unaligned(), *sum)) };
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
                (true, false) => self.tiles::<S, 12, 1>(simd),
                (false, true) => self.tiles::<S, 6, 2>(simd),
                (false, false) => self.tiles::<S, 8, 1>(simd),
            }
        }
    }
}
