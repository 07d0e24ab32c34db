//! Held-out data that are a share of the training data.

use super::trainer::Source;
use crate::data::{
    DataLoader, DataLoaderOptions, Dataset, SplitOptions, class_counts, split_indices,
};
use crate::error::{Error, Result};

/// Held-out data for [`Trainer::fit`](super::Trainer::fit) that are a share of its training data, as Keras's
/// `validation_split`, but drawn at random: `fit(data, ValidationSplit::new(0.1))` trains on nine tenths. The same seed holds
/// out the same samples, also where a training goes on from a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidationSplit {
    share: f64,
    shuffle: bool,
    stratify: Option<bool>,
    seed: Option<u64>,
}

impl ValidationSplit {
    /// `share` of the samples, above 0 and below 1, rounded up.
    pub fn new(share: f64) -> Self {
        Self {
            share,
            shuffle: true,
            stratify: None,
            seed: None,
        }
    }

    /// Whether the samples are drawn at random, true by default; else they are the last ones, as in Keras.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Whether the held-out part has as much of each class as the whole. By default it has where the data set says
    /// classes ([`Dataset::labels`]), of which each has two samples or more and a place in both parts.
    pub fn stratify(mut self, stratify: bool) -> Self {
        self.stratify = Some(stratify);
        self
    }

    /// Seed of the draw; by default [`TrainingArguments::seed`](super::TrainingArguments::seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Seed of the draw, where `seed` is that of the arguments.
    pub(super) fn seed_or(self, seed: u64) -> u64 {
        self.seed.unwrap_or(seed)
    }

    /// The two parts of `loader`'s data set, with loaders like it: the first as it is, the second with `held_out`.
    pub(super) fn of(
        self,
        loader: &DataLoader,
        seed: u64,
        held_out: DataLoaderOptions,
    ) -> Result<(DataLoader, DataLoader)> {
        let (share, n) = (self.share, loader.dataset().len());
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::argument(format!(
                "ValidationSplit of {share}: takes a share above 0 and below 1"
            )));
        }
        if n < 2 {
            return Err(Error::argument(format!(
                "ValidationSplit of {share}: a training set of {n} samples has none to hold out"
            )));
        }
        let mut options = SplitOptions {
            test_size: share,
            shuffle: self.shuffle,
            stratify: false,
            seed: self.seed_or(seed),
        };
        let labels = match self.stratify {
            Some(false) => None,
            Some(true) => Some(loader.dataset().labels()?),
            None if !self.shuffle => None,
            None => loader.dataset().labels().ok(),
        };
        if let Some(labels) = &labels {
            options.stratify = self.stratify == Some(true) || are_strata(labels, share);
        }
        let (train, valid) = split_indices(n, labels.as_deref(), &options)
            .map_err(|e| Error::argument(format!("ValidationSplit of {share}: {e}")))?;
        let train = loader.part(train, loader.options().clone())?;
        Ok((train, loader.part(valid, held_out)?))
    }
}

/// Whether each class fits into both parts.
fn are_strata(labels: &[i32], share: f64) -> bool {
    let Ok(counts) = class_counts(labels) else {
        return false;
    };
    let classes = counts.iter().filter(|n| **n > 0).count();
    let held_out = share.min(1.0 - share) * labels.len() as f64;
    classes as f64 <= held_out.floor() && counts.iter().all(|n| *n != 1)
}

impl Source for ValidationSplit {
    fn loader(self, _: DataLoaderOptions) -> Result<Option<DataLoader>> {
        Err(Error::argument(
            "a ValidationSplit is a part of training data: it takes the place of the held-out data of Trainer::fit alone",
        ))
    }

    fn split(&self) -> Option<ValidationSplit> {
        Some(*self)
    }
}
