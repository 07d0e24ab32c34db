//! Data sets, and batches of them made ahead of time.
//!
//! A [`Dataset`] turns indices into arrays; a [`DataLoader`] chooses the indices of each batch and makes the
//! next batches on another thread while the caller works.

use std::ops::Range;
use std::sync::Arc;

use crate::array::Array;
use crate::error::{Error, Result};

pub mod idx;
mod images;
mod loader;
mod tensors;

pub use idx::Bytes;
pub use images::ImageDataset;
pub use loader::{DataLoader, DataLoaderOptions, Epoch};
pub use tensors::TensorDataset;

/// Samples that are reached by index, as PyTorch's map-style `torch.utils.data.Dataset`.
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples `indices` in that order, collated: each array `[b, ...]`, with `b` the number of indices.
    ///
    /// # Errors
    /// [`Error::Argument`] where an index is not below [`Dataset::len`]; what an implementation adds.
    fn batch(&self, indices: &[usize]) -> Result<Vec<Array>>;

    /// The samples `range` alone, as `torch.utils.data.Subset`.
    ///
    /// # Errors
    /// [`Error::Argument`] where the range runs backwards or past the end.
    fn subset(self, range: Range<usize>) -> Result<Subset<Self>>
    where
        Self: Sized,
    {
        if range.start > range.end || range.end > self.len() {
            return Err(Error::argument(format!(
                "no subset {range:?} of a data set of {} samples",
                self.len()
            )));
        }
        Ok(Subset {
            dataset: self,
            range,
        })
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn batch(&self, indices: &[usize]) -> Result<Vec<Array>> {
        (**self).batch(indices)
    }
}

/// A range of another data set, made by [`Dataset::subset`].
#[derive(Debug, Clone)]
pub struct Subset<D> {
    dataset: D,
    range: Range<usize>,
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn batch(&self, indices: &[usize]) -> Result<Vec<Array>> {
        check_indices(indices, self.len())?;
        let indices: Vec<usize> = indices.iter().map(|&i| self.range.start + i).collect();
        self.dataset.batch(&indices)
    }
}

/// Refuses indices that are not below `len`.
fn check_indices(indices: &[usize], len: usize) -> Result<()> {
    match indices.iter().find(|&&i| i >= len) {
        Some(i) => Err(Error::argument(format!(
            "no sample {i} in a data set of {len} samples"
        ))),
        None => Ok(()),
    }
}
