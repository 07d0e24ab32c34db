//! Windows that move over spatial dimensions: the geometry that convolution and pooling share.

use crate::ops::conv::gather::Field;
use std::ops::Range;

/// How a window moves, one number a spatial dimension, of which there are 1 to 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// Distance of neighbouring positions of the window.
    pub stride: Vec<usize>,
    /// Elements added on either side.
    pub padding: Vec<usize>,
    /// Distance of neighbouring taps within the window.
    pub dilation: Vec<usize>,
}

/// The largest stride, padding and dilation: with them kernels find elements in 32 bits.
const MOST: usize = 1 << 28;

/// Names of layouts by their number of spatial dimensions, for messages.
pub(crate) const LAYOUTS: [&str; 4] = ["", "[n, c, l]", "[n, c, h, w]", "[n, c, d, h, w]"];

/// A number a spatial dimension: `3` serves all, `[3, 5]` gives each. What options take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spatial(pub(crate) Vec<usize>);

impl From<usize> for Spatial {
    fn from(size: usize) -> Self {
        Self(vec![size])
    }
}

impl<const D: usize> From<[usize; D]> for Spatial {
    fn from(sizes: [usize; D]) -> Self {
        Self(sizes.to_vec())
    }
}

impl From<Vec<usize>> for Spatial {
    fn from(sizes: Vec<usize>) -> Self {
        Self(sizes)
    }
}

impl From<&[usize]> for Spatial {
    fn from(sizes: &[usize]) -> Self {
        Self(sizes.to_vec())
    }
}

impl Steps {
    /// Positions along dimension `d` of a window of `kernel` taps over `input` elements; rounded up, a window may stick
    /// out behind by less than a step, but must start before the padding there. `None` where the window does not fit.
    pub fn positions(&self, d: usize, input: usize, kernel: usize, up: bool) -> Option<usize> {
        let (padded, stride) = (input + 2 * self.padding[d], self.stride[d]);
        let window = self.dilation[d].checked_mul(kernel - 1)?.checked_add(1)?;
        let n = match padded.checked_sub(window) {
            Some(room) if up => room.div_ceil(stride) + 1,
            Some(room) => room / stride + 1,
            None if up && window - padded < stride => 1,
            None => return None,
        };
        let outside = up && (n - 1) * stride >= input + self.padding[d];
        Some(n - usize::from(outside))
    }

    /// The number of spatial dimensions, or what is wrong with the numbers.
    pub fn check(&self) -> Result<usize, String> {
        let d = self.stride.len();
        if !(1..=3).contains(&d) || self.padding.len() != d || self.dilation.len() != d {
            return Err(format!(
                "{self}: takes one number for each of 1 to 3 spatial dimensions"
            ));
        }
        if self.stride.contains(&0) || self.dilation.contains(&0) {
            return Err(format!("{self}: strides and dilations are at least 1"));
        }
        let all = [&self.stride, &self.padding, &self.dilation];
        if all.into_iter().flatten().any(|&n| n > MOST) {
            return Err(format!("{self}: the numbers are at most {MOST}"));
        }
        Ok(d)
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            stride,
            padding,
            dilation,
        } = self;
        write!(
            f,
            "stride {stride:?}, padding {padding:?}, dilation {dilation:?}"
        )
    }
}

/// A window over three spatial dimensions, missing ones standing in front with size 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Elements.
    pub input: [usize; 3],
    /// Taps.
    pub kernel: [usize; 3],
    /// Positions.
    pub output: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    pub dilation: [usize; 3],
}

impl Window {
    pub fn new(steps: &Steps, input: &[usize], kernel: &[usize], output: &[usize]) -> Self {
        let three = |v: &[usize], fill: usize| {
            let mut out = [fill; 3];
            out[3 - v.len()..].copy_from_slice(v);
            out
        };
        Self {
            input: three(input, 1),
            kernel: three(kernel, 1),
            output: three(output, 1),
            stride: three(&steps.stride, 1),
            padding: three(&steps.padding, 0),
            dilation: three(&steps.dilation, 1),
        }
    }

    /// Elements of one plane of the input.
    pub fn elements(&self) -> usize {
        self.input.iter().product()
    }

    /// Taps of the window.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Positions of the window.
    pub fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Positions along dimension `d` where tap `k` lies on an element, not on the padding.
    pub fn inside(&self, d: usize, k: usize) -> Range<usize> {
        let tap = k * self.dilation[d];
        let low = self.padding[d].saturating_sub(tap).div_ceil(self.stride[d]);
        let high = match (self.input[d] + self.padding[d]).checked_sub(tap + 1) {
            Some(room) => (room / self.stride[d] + 1).min(self.output[d]),
            None => 0,
        };
        low.min(high)..high
    }

    /// The element that tap `k` lies on at position `o` along dimension `d`, which must be one of [`Window::inside`].
    pub fn element(&self, d: usize, k: usize, o: usize) -> usize {
        o * self.stride[d] + k * self.dilation[d] - self.padding[d]
    }

    /// Call `run(at, n, element)` for each run of positions `at..at + n` whose `k`-th tap lies on elements, `element` for
    /// the first and a stride on for each further one.
    #[inline(always)]
    pub fn runs(&self, k: usize, mut run: impl FnMut(usize, usize, usize)) {
        let tap = coordinates(k, self.kernel);
        let [depth, rows, columns] = [0, 1, 2].map(|d| self.inside(d, tap[d]));
        if columns.is_empty() {
            return;
        }
        let first = self.element(2, tap[2], columns.start);
        for d in depth {
            for r in rows.clone() {
                let row = self.element(0, tap[0], d) * self.input[1] + self.element(1, tap[1], r);
                let at = (d * self.output[1] + r) * self.output[2] + columns.start;
                run(at, columns.len(), row * self.input[2] + first);
            }
        }
    }

    /// The input with its padding, cut behind where no window reaches.
    pub fn field(&self) -> Field {
        let over = |d: usize| {
            let end =
                (self.output[d] - 1) * self.stride[d] + (self.kernel[d] - 1) * self.dilation[d] + 1;
            end.saturating_sub(self.input[d] + self.padding[d])
        };
        Field::new(self.input, self.padding, [0, 1, 2].map(over))
    }

    /// Coordinates of the `k`-th tap at the first position, counted from the first zero.
    pub fn offset(&self, k: usize) -> [usize; 3] {
        let tap = coordinates(k, self.kernel);
        [0, 1, 2].map(|d| tap[d] * self.dilation[d])
    }
}

/// The coordinates of the row-major index `i` in `shape`.
pub(crate) fn coordinates(i: usize, shape: [usize; 3]) -> [usize; 3] {
    [
        i / (shape[1] * shape[2]),
        i / shape[2] % shape[1],
        i % shape[2],
    ]
}
