//! Interpolation: a composition, dimension by dimension, of repeats, gathers and weighted sums.

use crate::array::Array;
use crate::error::Site;
use crate::ops::window::{LAYOUTS, Spatial};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// How values between elements are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InterpolateMode {
    /// The nearest element before.
    #[default]
    Nearest,
    /// On the line between two elements of `[n, c, l]`.
    Linear,
    /// Between four elements of `[n, c, h, w]`.
    Bilinear,
    /// Between eight elements of `[n, c, d, h, w]`.
    Trilinear,
}

/// What an interpolation takes, as the arguments of `torch.nn.functional.interpolate`. Lists hold one number a spatial
/// dimension, or one that serves all; one of `size` and `scale_factor` must be there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InterpolateOptions {
    /// Sizes of the result.
    pub size: Option<Vec<usize>>,
    /// Sizes of the result divided by those of the input; what is over is cut off.
    pub scale_factor: Option<Vec<f64>>,
    /// How; [`InterpolateMode::Nearest`] by default.
    pub mode: InterpolateMode,
    /// Whether the corner elements' centres lie on each other, rather than the corners; false by default.
    pub align_corners: bool,
}

impl InterpolateOptions {
    /// To `size`.
    pub fn size(size: impl Into<Spatial>) -> Self {
        Self {
            size: Some(size.into().0),
            ..Self::default()
        }
    }

    /// To `factor` times the size.
    pub fn scale(factor: f64) -> Self {
        Self {
            scale_factor: Some(vec![factor]),
            ..Self::default()
        }
    }

    /// In this way.
    pub fn mode(mut self, mode: InterpolateMode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether the corner elements' centres lie on each other.
    pub fn align_corners(mut self, align: bool) -> Self {
        self.align_corners = align;
        self
    }

    /// For each spatial dimension of `x` the size of the result, and how far neighbours lie apart in the input.
    fn steps(&self, x: &Shape) -> Result<Vec<(usize, f64)>, String> {
        let dims = x.rank().saturating_sub(2);
        let wanted = match self.mode {
            InterpolateMode::Nearest => dims,
            InterpolateMode::Linear => 1,
            InterpolateMode::Bilinear => 2,
            InterpolateMode::Trilinear => 3,
        };
        if !(1..=3).contains(&dims) || dims != wanted {
            let layout = LAYOUTS.get(wanted).filter(|_| (1..=3).contains(&wanted));
            let layout = layout
                .copied()
                .unwrap_or("[n, c, l], [n, c, h, w] or [n, c, d, h, w]");
            return Err(format!("{x}: {:?} takes an input {layout}", self.mode));
        }
        let fits = |n: usize| n == 1 || n == dims;
        let steps: Vec<(usize, f64)> = match (&self.size, &self.scale_factor) {
            (Some(size), None) if fits(size.len()) => (0..dims)
                .map(|d| (d, size[d % size.len()]))
                .map(|(d, n)| (n, x[d + 2] as f64 / n as f64))
                .collect(),
            (None, Some(factor)) if fits(factor.len()) => (0..dims)
                .map(|d| (d, factor[d % factor.len()]))
                .map(|(d, f)| ((x[d + 2] as f64 * f).floor() as usize, 1.0 / f))
                .collect(),
            _ => {
                return Err(format!(
                    "size {:?}, scale factor {:?}: takes one of them, of 1 number or {dims}",
                    self.size, self.scale_factor
                ));
            }
        };
        if let Some((n, _)) = steps.iter().find(|s| s.0 > i32::MAX as usize) {
            return Err(format!("{x}: a size of {n} is more than an i32 counts"));
        }
        if x[2..].contains(&0) || steps.iter().any(|s| s.0 == 0 || s.1 <= 0.0 || s.1.is_nan()) {
            let sizes: Vec<usize> = steps.iter().map(|s| s.0).collect();
            return Err(format!("{x} to {sizes:?}: sizes are at least 1"));
        }
        Ok(steps)
    }
}

impl Tensor {
    /// `self` `[n, c, sizes…]` (one to three of them) at other sizes: `torch.nn.functional.interpolate`.
    #[track_caller]
    pub fn interpolate(&self, options: &InterpolateOptions) -> Tensor {
        let site = Site::here();
        if self.is_poisoned() {
            return self.clone();
        }
        if !self.dtype().is_float() {
            let message = format!("takes f32, {} came: convert with to_f32()", self.ty());
            return self.trace().misuse("interpolate", message, site);
        }
        let steps = match options.steps(self.shape()) {
            Ok(steps) => steps,
            Err(message) => return self.trace().misuse("interpolate", message, site),
        };
        let nearest = options.mode == InterpolateMode::Nearest;
        let all = steps.into_iter().enumerate();
        let result = all.fold(self.clone(), |x, (d, (size, step))| {
            if nearest {
                x.nearest(d + 2, size, step)
            } else {
                x.linear(d + 2, size, step, options.align_corners)
            }
        });
        self.unless_same(result, site)
    }

    fn nearest(&self, dim: usize, size: usize, step: f64) -> Tensor {
        let n = self.shape()[dim];
        // In f32, as PyTorch: that decides where an element lies between two.
        let from = |o: usize| ((o as f32 * step as f32) as usize).min(n - 1);
        let index: Vec<usize> = (0..size).map(from).collect();
        let times = size / n;
        if times > 0 && size == n * times && (0..size).all(|o| index[o] == o / times) {
            return self.repeated(dim, times);
        }
        self.picked(dim, index)
    }

    fn linear(&self, dim: usize, size: usize, step: f64, align: bool) -> Tensor {
        let n = self.shape()[dim];
        let position = |o: usize| match (align, size) {
            (true, 1) => 0.0,
            (true, _) => o as f64 * (n - 1) as f64 / (size - 1) as f64,
            _ => ((o as f64 + 0.5) * step - 0.5).max(0.0),
        };
        let low = |o: usize| (position(o).floor() as usize).min(n - 1);
        let share = |o: usize| (position(o) - low(o) as f64) as f32;
        if size == n && (0..size).all(|o| low(o) == o && share(o) == 0.0) {
            return self.clone();
        }
        let mut along = vec![1; self.rank()];
        along[dim] = size;
        let column = |f: &dyn Fn(usize) -> f32| {
            let values: Vec<f32> = (0..size).map(f).collect();
            self.trace().constant(Array::of(along.clone(), values))
        };
        let below = self.picked(dim, (0..size).map(low).collect());
        let above = self.picked(dim, (0..size).map(|o| (low(o) + 1).min(n - 1)).collect());
        let below = below.mul(&column(&|o| 1.0 - share(o)));
        below.add(&above.mul(&column(&share)))
    }

    /// Each slice along `dim` this many times.
    fn repeated(&self, dim: usize, times: usize) -> Tensor {
        if times == 1 {
            return self.clone();
        }
        let shape = self.shape();
        let with = |n: usize| -> Shape {
            let (before, after) = shape.split_at(dim + 1);
            before
                .iter()
                .copied()
                .chain([n])
                .chain(after.iter().copied())
                .collect()
        };
        let size = |d: usize| if d == dim { shape[d] * times } else { shape[d] };
        let whole: Shape = (0..shape.rank()).map(size).collect();
        self.reshape_to(with(1))
            .expand(with(times))
            .reshape_to(whole)
    }

    fn picked(&self, dim: usize, index: Vec<usize>) -> Tensor {
        let index: Vec<i32> = index.into_iter().map(|i| i as i32).collect();
        self.index_select(dim as isize, &self.trace().constant(Array::vector(index)))
    }
}
