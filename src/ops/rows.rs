//! Rows: a tensor as `[outer, n, inner]`, for operators that go along one dimension of size `n`.

use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::Dispatch;
use crate::shape::Shape;
use rayon::prelude::*;

/// Row `r` starts at `r / inner * n * inner + r % inner`; its elements are `inner` apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

/// Rows of one task on the CPU.
const TASK: usize = 64;

impl Rows {
    /// The rows of a tensor of `shape` along `dim`.
    pub fn of(shape: &Shape, dim: usize) -> Self {
        Self {
            outer: shape[..dim].iter().product(),
            n: shape[dim],
            inner: shape[dim + 1..].iter().product(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.outer * self.inner
    }

    /// Position of the first element of row `r`.
    pub fn start(&self, r: usize) -> usize {
        r / self.inner * self.n * self.inner + r % self.inner
    }

    /// A launch of a shader that goes along rows `passes` times, each with one thread or one workgroup; its `Params` begin
    /// with `rows`, `n`, `inner`.
    ///
    /// # Errors
    /// A row that is too long for the device.
    pub fn launch(
        &self,
        stem: &'static str,
        source: &'static str,
        passes: usize,
        caps: &Caps,
    ) -> Result<Dispatch> {
        // Three passes over a row are too long for one thread of some software adapters.
        let team = self.n >= 32 && (!caps.software || 4 * self.n > caps.iterations);
        let threads = match (team, self.n) {
            (false, _) => caps.lanes(),
            (true, ..128) => 32,
            (true, ..512) => 64,
            (true, ..2048) => 128,
            _ => 256,
        };
        let threads = threads.min(caps.threads);
        let members = if team { threads as usize } else { 1 };
        caps.allow_turns(stem, passes * self.n.div_ceil(members))?;
        let mut d = Dispatch::new(stem, source).sizes([self.count(), self.n, self.inner]);
        let (groups, library) = if team {
            (
                self.count(),
                include_str!("../../shaders/lib/row_team.wgsl"),
            )
        } else {
            (
                self.count().div_ceil(threads as usize),
                include_str!("../../shaders/lib/row_single.wgsl"),
            )
        };
        d.generated.push_str(library);
        Ok(d.constant("THREADS", threads).grid(caps.grid(groups)))
    }

    /// Elements of a row along which a workgroup goes once.
    pub fn longest(caps: &Caps) -> usize {
        caps.threads.min(256) as usize * caps.iterations
    }

    /// For each row of `x` its largest element and the sum of `exp(element - largest)`.
    pub fn statistics(&self, x: &[f32]) -> Vec<(f32, f32)> {
        let mut out = vec![(0.0, 0.0); self.count()];
        out.par_chunks_mut(TASK)
            .enumerate()
            .for_each(|(task, out)| {
                if self.inner == 1 {
                    for (k, out) in out.iter_mut().enumerate() {
                        let at = (task * TASK + k) * self.n;
                        *out = statistics(&x[at..at + self.n]);
                    }
                } else {
                    self.strided(x, task * TASK, out);
                }
            });
        out
    }

    /// [`Rows::statistics`] of neighbouring rows from `first` on, their elements in memory order.
    fn strided(&self, x: &[f32], first: usize, out: &mut [(f32, f32)]) {
        let mut done = 0;
        while done < out.len() {
            let row = first + done;
            let run = (self.inner - row % self.inner).min(out.len() - done);
            let out = &mut out[done..done + run];
            let line = |k: usize| &x[self.start(row) + k * self.inner..][..run];
            let mut sums = [0.0f64; TASK];
            out.fill((f32::NEG_INFINITY, 0.0));
            for k in 0..self.n {
                let pairs = out.iter_mut().zip(line(k));
                pairs.for_each(|(o, &v)| o.0 = larger(o.0, v));
            }
            for k in 0..self.n {
                let triples = sums.iter_mut().zip(&*out).zip(line(k));
                triples.for_each(|((s, o), v)| *s += f64::from((v - o.0).exp()));
            }
            out.iter_mut().zip(sums).for_each(|(o, s)| o.1 = s as f32);
            done += run;
        }
    }
}

/// The largest of `x`, and the sum of `exp(element - largest)`.
fn statistics(x: &[f32]) -> (f32, f32) {
    let most = x.iter().fold(f32::NEG_INFINITY, |m, &v| larger(m, v));
    let sum: f64 = x.iter().map(|v| f64::from((v - most).exp())).sum();
    (most, sum as f32)
}

/// The larger; NaN where either is.
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}
