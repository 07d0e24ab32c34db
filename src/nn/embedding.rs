//! Rows of a table, by index.

use super::{Build, Module, Scope, init};
use crate::rng::Rng;
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// Rows of `weight [rows, size]` by indices i32 `[...]`, to `[..., size]`, as `torch.nn.Embedding`.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// `[rows, size]`
    pub weight: Param,
    padding: Option<usize>,
    pub(crate) scope: Scope,
}

/// The description of an [`Embedding`].
#[derive(Debug, Clone)]
pub struct EmbeddingBuilder {
    rows: usize,
    size: usize,
    padding: Option<usize>,
}

impl Embedding {
    /// A table of `rows` vectors of `size` elements.
    pub fn new(rows: usize, size: usize) -> EmbeddingBuilder {
        EmbeddingBuilder {
            rows,
            size,
            padding: None,
        }
    }
}

impl EmbeddingBuilder {
    /// A row that begins as zeros and gets no gradient, as `padding_idx`; none by default.
    pub fn padding_idx(mut self, row: usize) -> Self {
        self.padding = Some(row);
        self
    }

    /// The layer, with `weight` drawn from the standard normal distribution. Sizes of 0 and a padding row beyond the
    /// table are errors that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Embedding {
        let (rows, size) = (self.rows, self.size);
        let idx = self.padding.map(|p| format!(", padding_idx={p}"));
        let scope = Scope::new(params, "Embedding")
            .detail(format!("{rows}, {size}{}", idx.unwrap_or_default()));
        let padding = self.padding.unwrap_or(0);
        scope.refuse(
            params,
            &[
                (
                    rows == 0 || size == 0,
                    format!("{rows} rows of {size} elements: both must be 1 or more"),
                ),
                (
                    padding >= rows,
                    format!("padding_idx {padding} of {rows} rows"),
                ),
            ],
        );
        let padding = self.padding;
        let draw = move |rng: &mut Rng, n: usize| {
            let mut values = init::normal(0.0, 1.0)(rng, n);
            let row = padding.and_then(|p| {
                let start = p.checked_mul(size)?;
                values.get_mut(start..start.checked_add(size)?)
            });
            if let Some(row) = row {
                row.fill(0.0);
            }
            values
        };
        Embedding {
            weight: params.drawn("weight", [rows, size], draw),
            padding: self.padding,
            scope,
        }
    }
}

impl Build for EmbeddingBuilder {
    type Layer = Embedding;

    #[track_caller]
    fn build(self, params: &Params) -> Embedding {
        EmbeddingBuilder::build(self, params)
    }
}

impl Module for Embedding {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope.run(x, || {
            x.embedding(&x.trace().param(&self.weight), self.padding)
        })
    }
}
