//! Shapes, and strided views of contiguous memory.

use std::fmt;
use std::ops::Deref;

/// The sizes of a tensor's dimensions, outermost first. `[]` is a scalar.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The most elements that a tensor may have, seen through views or not: more than any memory holds, and so few that no
    /// arithmetic on sizes wraps.
    pub const MOST: usize = 1 << 48;

    /// Number of elements; the largest `usize` where there are more.
    pub fn numel(&self) -> usize {
        self.0.iter().fold(1, |n, &d| n.saturating_mul(d))
    }

    /// Whether a tensor may have this shape: at most [`Shape::MOST`] elements, empty dimensions counted as 1.
    pub fn is_countable(&self) -> bool {
        let sizes = self.0.iter().map(|&d| d.max(1));
        sizes.fold(1usize, usize::saturating_mul) <= Self::MOST
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<isize> {
        let mut strides = vec![1; self.rank()];
        for d in (1..self.rank()).rev() {
            strides[d - 1] = strides[d] * self.0[d] as isize;
        }
        strides
    }

    /// The dimension that `dim` names; negative ones count from the end, as in PyTorch.
    pub fn dim(&self, dim: isize) -> Result<usize, String> {
        let rank = self.rank() as isize;
        let d = if dim < 0 { dim + rank } else { dim };
        if (0..rank).contains(&d) {
            Ok(d as usize)
        } else {
            Err(format!(
                "{self}: dimension {dim} is out of range, allowed are {} to {}",
                -rank,
                rank - 1
            ))
        }
    }

    /// The shape that both broadcast to, by PyTorch's rule, if there is one.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Shape, d: usize| {
            if d + s.rank() < rank {
                1
            } else {
                s[d + s.rank() - rank]
            }
        };
        (0..rank)
            .map(|d| match (at(self, d), at(other, d)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect()
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(v: Vec<usize>) -> Self {
        Self(v)
    }
}

impl From<&[usize]> for Shape {
    fn from(v: &[usize]) -> Self {
        Self(v.to_vec())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(v: [usize; N]) -> Self {
        Self(v.to_vec())
    }
}

impl From<&Shape> for Shape {
    fn from(v: &Shape) -> Self {
        v.clone()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, n) in self.0.iter().enumerate() {
            write!(f, "{}{n}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("]")
    }
}

/// A strided view: the element at coordinates `c` lies at `offset + sum(c[d] * strides[d])`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Sizes of the view.
    pub shape: Shape,
    /// Distance of neighbours along each dimension, in elements; 0 repeats, negative runs backwards.
    pub strides: Vec<isize>,
    /// Position of the first element.
    pub offset: usize,
}

impl Layout {
    /// Row-major from 0.
    pub fn contiguous(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self {
            strides: shape.strides(),
            shape,
            offset: 0,
        }
    }

    /// Whether the elements lie one after the other in row-major order (at any offset).
    pub fn is_contiguous(&self) -> bool {
        let dense = self.shape.strides();
        self.shape.numel() <= 1
            || (0..self.shape.rank()).all(|d| self.shape[d] == 1 || self.strides[d] == dense[d])
    }

    /// The view with its dimensions in the order `dims`.
    pub fn permute(&self, dims: &[usize]) -> Self {
        Self {
            shape: dims.iter().map(|&d| self.shape[d]).collect(),
            strides: dims.iter().map(|&d| self.strides[d]).collect(),
            offset: self.offset,
        }
    }

    /// The view broadcast to `shape` (which must be a broadcast of this one's).
    pub fn expand(&self, shape: &Shape) -> Self {
        let lead = shape.rank() - self.shape.rank();
        let strides = (0..shape.rank()).map(|d| {
            if d < lead || self.shape[d - lead] != shape[d] {
                0
            } else {
                self.strides[d - lead]
            }
        });
        Self {
            strides: strides.collect(),
            shape: shape.clone(),
            offset: self.offset,
        }
    }

    /// Every `step`-th element of dimension `dim` from `start`, `len` of them.
    pub fn slice(&self, dim: usize, start: usize, len: usize, step: usize) -> Self {
        let mut view = self.clone();
        view.offset = (view.offset as isize + start as isize * self.strides[dim]) as usize;
        view.strides[dim] *= step as isize;
        view.shape.0[dim] = len;
        view
    }

    /// The view with dimension `dim` running backwards.
    pub fn flip(&self, dim: usize) -> Self {
        let mut view = self.clone();
        if self.shape[dim] > 0 {
            view.offset = (view.offset as isize
                + (self.shape[dim] as isize - 1) * self.strides[dim])
                as usize;
        }
        view.strides[dim] = -self.strides[dim];
        view
    }

    /// The same elements in the same order under another shape, if strides can say so.
    pub fn reshape(&self, shape: &Shape) -> Option<Self> {
        if self.is_contiguous() {
            return Some(Self {
                offset: self.offset,
                ..Self::contiguous(shape.clone())
            });
        }
        let old = self.collapse();
        let (mut strides, mut d) = (vec![0; shape.rank()], old.len());
        let (mut left, mut stride) = (1, 0);
        for n in (0..shape.rank()).rev() {
            if shape[n] == 1 {
                continue;
            }
            if left == 1 {
                d = d.checked_sub(1)?;
                (left, stride) = old[d];
            }
            if left % shape[n] != 0 {
                return None;
            }
            strides[n] = stride;
            stride *= shape[n] as isize;
            left /= shape[n];
        }
        Some(Self {
            shape: shape.clone(),
            strides,
            offset: self.offset,
        })
    }

    /// The fewest (size, stride) pairs, outermost first, that walk the same elements in the same order.
    pub fn collapse(&self) -> Vec<(usize, isize)> {
        let mut out: Vec<(usize, isize)> = Vec::new();
        for (&n, &s) in self.shape.iter().zip(&self.strides) {
            if n == 1 {
                continue;
            }
            match out.last_mut() {
                Some(last) if last.1 == s * n as isize => *last = (last.0 * n, s),
                _ => out.push((n, s)),
            }
        }
        out
    }

    /// The lowest and the highest position of an element; none where there are no elements.
    pub fn span(&self) -> Option<(usize, usize)> {
        if self.shape.contains(&0) {
            return None;
        }
        let (mut low, mut high) = (self.offset as isize, self.offset as isize);
        for (&n, &s) in self.shape.iter().zip(&self.strides) {
            let reach = (n as isize - 1) * s;
            low += reach.min(0);
            high += reach.max(0);
        }
        Some((low as usize, high as usize))
    }

    /// Position of the element at the row-major index `i` of the view.
    pub fn position(&self, mut i: usize) -> usize {
        let mut at = self.offset as isize;
        for d in (0..self.shape.rank()).rev() {
            at += (i % self.shape[d]) as isize * self.strides[d];
            i /= self.shape[d];
        }
        at as usize
    }
}
