//! What tells positions of a sequence apart.

use super::{Build, Dropout, Module, Scope, init};
use crate::array::Array;
use crate::error::Site;
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// Adds sines and cosines of the position to `x [n, t, d]`, then drops out: for even `k`, elements `k` and `k + 1` get
/// `sin` and `cos` of `position / 10000^(k / d)` (Vaswani et al., 2017; the `PositionalEncoding` of PyTorch's tutorials).
#[derive(Debug, Clone)]
pub struct SinusoidalPositions {
    dropout: Dropout,
    batch_first: bool,
    pub(crate) scope: Scope,
}

/// The description of [`SinusoidalPositions`].
#[derive(Debug, Clone)]
pub struct SinusoidalPositionsBuilder {
    dropout: f32,
    batch_first: bool,
}

impl SinusoidalPositions {
    /// Without dropout, for sequences of any length and width.
    pub fn new() -> SinusoidalPositionsBuilder {
        SinusoidalPositionsBuilder {
            dropout: 0.0,
            batch_first: true,
        }
    }
}

impl SinusoidalPositionsBuilder {
    /// The probability with which training drops an element; 0 by default.
    pub fn dropout(mut self, p: f32) -> Self {
        self.dropout = p;
        self
    }

    /// Whether `x` is `[n, t, d]`, the default, or `[t, n, d]`.
    pub fn batch_first(mut self, first: bool) -> Self {
        self.batch_first = first;
        self
    }

    /// The layer, which has no parameters.
    #[track_caller]
    pub fn build(self, params: &Params) -> SinusoidalPositions {
        let scope = Scope::new(params, "SinusoidalPositions");
        SinusoidalPositions {
            dropout: Dropout::new(self.dropout).build(&params.at("dropout")),
            batch_first: self.batch_first,
            scope,
        }
    }
}

impl Build for SinusoidalPositionsBuilder {
    type Layer = SinusoidalPositions;

    #[track_caller]
    fn build(self, params: &Params) -> SinusoidalPositions {
        SinusoidalPositionsBuilder::build(self, params)
    }
}

/// Position and width of `x`, or a misuse.
fn sizes(x: &Tensor, batch_first: bool, name: &str) -> Option<(usize, usize)> {
    if x.is_poisoned() {
        return None;
    }
    if x.rank() != 3 {
        let order = if batch_first {
            "[n, t, d]"
        } else {
            "[t, n, d]"
        };
        let message = format!("input {}: takes {order}", x.shape());
        x.trace().misuse(name, message, Site::here());
        return None;
    }
    Some((x.size(if batch_first { 1 } else { 0 }), x.size(2)))
}

impl Module for SinusoidalPositions {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let Some((t, d)) = sizes(x, self.batch_first, "SinusoidalPositions") else {
                return x.trace().poison();
            };
            let value = |at: usize| {
                let (position, k) = (at / d, at % d);
                let exponent = (k / 2 * 2) as f64 / d as f64;
                let angle = position as f64 / 10_000f64.powf(exponent);
                let y = if k % 2 == 0 { angle.sin() } else { angle.cos() };
                y as f32
            };
            let table = Array::of([t, d], (0..t * d).map(value).collect());
            let table = x.trace().constant(table);
            let table = if self.batch_first {
                table
            } else {
                table.unsqueeze(1)
            };
            self.dropout.forward(&x.add(&table))
        })
    }
}

/// Adds a learned vector for each position to `x [n, t, d]`, with `t` up to `max_len`: `weight [max_len, d]`, as an
/// embedding of the positions in PyTorch.
#[derive(Debug, Clone)]
pub struct LearnedPositions {
    /// `[max_len, d]`
    pub weight: Param,
    batch_first: bool,
    pub(crate) scope: Scope,
}

/// The description of [`LearnedPositions`].
#[derive(Debug, Clone)]
pub struct LearnedPositionsBuilder {
    max_len: usize,
    size: usize,
    batch_first: bool,
}

impl LearnedPositions {
    /// For sequences of up to `max_len` vectors of `size` elements.
    pub fn new(max_len: usize, size: usize) -> LearnedPositionsBuilder {
        LearnedPositionsBuilder {
            max_len,
            size,
            batch_first: true,
        }
    }
}

impl LearnedPositionsBuilder {
    /// Whether `x` is `[n, t, d]`, the default, or `[t, n, d]`.
    pub fn batch_first(mut self, first: bool) -> Self {
        self.batch_first = first;
        self
    }

    /// The layer, with `weight` drawn from the standard normal distribution. Sizes of 0 are an error that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> LearnedPositions {
        let (rows, size) = (self.max_len, self.size);
        let scope = Scope::new(params, "LearnedPositions").detail(format!("{rows}, {size}"));
        let zero = format!("{rows} positions of {size} elements: both must be 1 or more");
        scope.refuse(params, &[(rows == 0 || size == 0, zero)]);
        LearnedPositions {
            weight: params.drawn("weight", [rows, size], init::normal(0.0, 1.0)),
            batch_first: self.batch_first,
            scope,
        }
    }
}

impl Build for LearnedPositionsBuilder {
    type Layer = LearnedPositions;

    #[track_caller]
    fn build(self, params: &Params) -> LearnedPositions {
        LearnedPositionsBuilder::build(self, params)
    }
}

impl Module for LearnedPositions {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            let Some((t, _)) = sizes(x, self.batch_first, "LearnedPositions") else {
                return x.trace().poison();
            };
            let most = self.weight.shape[0];
            if t > most {
                let message = format!("input {}: takes up to {most} positions", x.shape());
                return x.trace().misuse("LearnedPositions", message, Site::here());
            }
            let rows = x.trace().param(&self.weight).narrow(0, 0, t);
            x.add(&if self.batch_first {
                rows
            } else {
                rows.unsqueeze(1)
            })
        })
    }
}
