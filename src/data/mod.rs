//! Data sets, batches of them made ahead of time, and the files they come from.
//!
//! A [`Dataset`] turns an index into a sample, a list of arrays: the inputs, then the label. A [`Sampler`] chooses
//! the order of an epoch, and a [`DataLoader`] cuts that order into batches, which threads of its own make while the
//! caller works. What is random in a sample or an order follows from a seed, the epoch and the index, so that it
//! is the same for any number of threads, and in a run that was resumed.
//!
//! Readers of files return [`Error::File`] (with the byte) or [`Error::Line`] for what they cannot read.
//!
//! [`Error::File`]: crate::Error::File
//! [`Error::Line`]: crate::Error::Line

use std::sync::Arc;

use crate::array::Array;
use crate::error::{Error, Result};
use crate::rng::Rng;

mod cifar;
mod compose;
pub mod conllu;
mod file;
#[cfg(feature = "image")]
mod folder;
mod grid;
pub mod idx;
mod images;
mod loader;
mod random;
#[cfg_attr(
    not(feature = "train"),
    allow(dead_code, reason = "the trainer is what puts data on the device")
)]
mod resident;
mod sampler;
mod split;
mod table;
mod tensors;
mod text;
mod transform;

pub use compose::{Cached, Concat, Map, Subset};
pub use grid::image_grid;
pub(crate) use grid::png;
pub use idx::Bytes;
pub use images::ImageDataset;
pub use loader::{DataLoader, DataLoaderOptions, Epoch, Position};
#[cfg(feature = "train")]
pub(crate) use resident::Chunk;
pub use resident::Resident;
pub use sampler::{RandomSampler, Sampler, SequentialSampler, WeightedRandomSampler};
pub use split::{
    SplitOptions, class_counts, k_fold, split_indices, to_categorical, train_test_split,
};
pub use table::{Column, CsvOptions, Encoder, Features, Fill, Kind, Table, Values};
pub use tensors::{SampleDataset, TensorDataset};
pub use text::Texts;

/// One sample: its inputs, then its label, none with a dimension for the batch.
pub type Sample = Vec<Array>;

/// Samples that are reached by index, as PyTorch's map-style `torch.utils.data.Dataset`.
///
/// `epoch` counts passes over the data. Data sets that change their samples at random ([`Dataset::map_seeded`],
/// [`ImageDataset::random_crop`]) draw anew in each; the others pay no heed to it.
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sample `index` in epoch `epoch`.
    ///
    /// # Errors
    /// [`Error::Argument`] where the index is not below [`Dataset::len`]; what an implementation adds.
    fn sample(&self, index: usize, epoch: u64) -> Result<Sample>;

    /// The samples `indices` in that order, collated: each array `[b, ...]`, with `b` the number of indices.
    ///
    /// # Errors
    /// Those of [`Dataset::sample`]; [`Error::Argument`] where samples differ in shape.
    fn batch(&self, indices: &[usize], epoch: u64) -> Result<Vec<Array>> {
        let samples: Result<Vec<Sample>> = indices.iter().map(|&i| self.sample(i, epoch)).collect();
        stack(&samples?)
    }

    /// The class of each sample: its last array, an i32 of one element.
    ///
    /// # Errors
    /// Those of [`Dataset::sample`]; [`Error::Argument`] where a label is not one i32.
    fn labels(&self) -> Result<Vec<i32>> {
        let label = |i| {
            let sample = self.sample(i, 0)?;
            label_of(i, sample.last())
        };
        (0..self.len()).map(label).collect()
    }

    /// Names of the classes in the order of their labels, for pictures; none by default, nor behind maps, which may change
    /// labels.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// The samples as rows of arrays in memory, where they are that and the same in every epoch: such a data set can lie
    /// on the device while a model trains on it, see
    /// [`TrainingArguments::data_on_device`](crate::train::TrainingArguments::data_on_device). None by default;
    /// [`TensorDataset`], [`ImageDataset`] without random changes, subsets (with all of what they are subsets of) and
    /// concatenations of these have one. A data set of one's own returns that of a [`TensorDataset`] with the same samples.
    fn resident(&self) -> Option<Resident> {
        None
    }

    /// The samples `indices` alone, in that order, as `torch.utils.data.Subset`: a range, or a list.
    ///
    /// # Errors
    /// [`Error::Argument`] where an index is not below [`Dataset::len`].
    fn subset(self, indices: impl IntoIterator<Item = usize>) -> Result<Subset<Self>>
    where
        Self: Sized,
    {
        Subset::new(Arc::new(self), indices.into_iter().collect())
    }

    /// The samples of this data set, then those of `other`, as `torch.utils.data.ConcatDataset`.
    fn concat<E: Dataset>(self, other: E) -> Concat<Self, E>
    where
        Self: Sized,
    {
        Concat::new(self, other)
    }

    /// Each sample as `f` changes it, when it is asked for.
    fn map<F: Fn(Sample) -> Result<Sample> + Send + Sync>(
        self,
        f: F,
    ) -> Map<Self, impl Fn(Sample, &mut Rng) -> Result<Sample> + Send + Sync>
    where
        Self: Sized,
    {
        Map::new(self, 0, move |sample, _: &mut Rng| f(sample))
    }

    /// As [`Dataset::map`], with random numbers that follow from `seed`, the epoch and the sample's index.
    fn map_seeded<F: Fn(Sample, &mut Rng) -> Result<Sample> + Send + Sync>(
        self,
        seed: u64,
        f: F,
    ) -> Map<Self, F>
    where
        Self: Sized,
    {
        Map::new(self, seed, f)
    }

    /// Each sample as epoch 0 has it, kept in memory once it was asked for: behind slow maps, before random ones.
    fn cached(self) -> Cached<Self>
    where
        Self: Sized,
    {
        Cached::new(self)
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        (**self).sample(index, epoch)
    }

    fn batch(&self, indices: &[usize], epoch: u64) -> Result<Vec<Array>> {
        (**self).batch(indices, epoch)
    }

    fn labels(&self) -> Result<Vec<i32>> {
        (**self).labels()
    }

    fn class_names(&self) -> &[String] {
        (**self).class_names()
    }

    fn resident(&self) -> Option<Resident> {
        (**self).resident()
    }
}

/// Samples of the same shapes, each array `[...]`, as one batch, each `[b, ...]`: PyTorch's `default_collate`.
///
/// # Errors
/// [`Error::Argument`] where samples differ in the number of arrays, their shapes or dtypes.
pub fn stack(samples: &[Sample]) -> Result<Vec<Array>> {
    let Some(first) = samples.first() else {
        return Ok(vec![]);
    };
    for (i, sample) in samples.iter().enumerate() {
        if sample.len() != first.len() {
            let (a, b) = (first.len(), sample.len());
            return Err(Error::argument(format!(
                "samples 0 and {i} of a batch have {a} and {b} arrays"
            )));
        }
        for (k, (a, b)) in first.iter().zip(sample).enumerate() {
            if a.shape() != b.shape() || a.dtype() != b.dtype() {
                return Err(Error::argument(format!(
                    "samples 0 and {i} of a batch differ in array {k}: {} {} and {} {} (a collate function can pad them)",
                    a.dtype(),
                    a.shape(),
                    b.dtype(),
                    b.shape()
                )));
            }
        }
    }
    let column = |k: usize| {
        let words: Vec<&[u32]> = samples.iter().map(|s| s[k].words()).collect();
        let shape = [&[samples.len()], &first[k].shape()[..]].concat();
        Array::from_words(shape, first[k].dtype(), words.concat())
    };
    Ok((0..first.len()).map(column).collect())
}

fn label_of(index: usize, array: Option<&Array>) -> Result<i32> {
    let label = array.and_then(|a| a.as_slice::<i32>().ok());
    match label {
        Some([label]) => Ok(*label),
        _ => Err(Error::argument(format!(
            "the last array of sample {index} is {}, not a label (one i32)",
            array.map_or(String::from("missing"), |a| format!(
                "{} {}",
                a.dtype(),
                a.shape()
            ))
        ))),
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
