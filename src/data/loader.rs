//! Batches in a seeded order, made ahead on other threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};

#[cfg(feature = "train")]
use super::Resident;
use super::{Dataset, RandomSampler, Sample, Sampler, SequentialSampler};
use crate::array::Array;
use crate::error::{Error, Result};

/// How a [`DataLoader`] makes batches, named as the arguments of PyTorch's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLoaderOptions {
    /// Samples in a batch, 1 or more; a data set of fewer is one smaller batch. Default 1.
    pub batch_size: usize,
    /// Whether each epoch has an order of its own. Default false: in the order of the data set.
    pub shuffle: bool,
    /// Whether a last batch that is smaller than the others is left out. Default false.
    pub drop_last: bool,
    /// Seed of the orders: the same seed and epoch give the same order everywhere. Default 0.
    pub seed: u64,
    /// Threads that make batches while the caller works; samples do not depend on their number. Default 1; with 0
    /// the caller's thread makes each batch when it is asked for.
    pub num_workers: usize,
    /// Batches that each thread makes ahead, 1 or more. Default 2.
    pub prefetch_factor: usize,
}

impl Default for DataLoaderOptions {
    fn default() -> Self {
        Self {
            batch_size: 1,
            shuffle: false,
            drop_last: false,
            seed: 0,
            num_workers: 1,
            prefetch_factor: 2,
        }
    }
}

impl DataLoaderOptions {
    /// Whether a data set of `n` samples can be cut so.
    pub(crate) fn check(&self, n: usize) -> Result<()> {
        let batch_size = self.batch_size;
        if n == 0 {
            return Err(Error::argument("a DataLoader of an empty data set"));
        }
        if batch_size == 0 {
            return Err(Error::argument(
                "a DataLoader with batch_size 0: takes 1 or more",
            ));
        }
        if self.prefetch_factor == 0 {
            return Err(Error::argument(
                "a DataLoader with prefetch_factor 0: num_workers 0 makes no batch ahead",
            ));
        }
        if batch_size > n && self.drop_last {
            return Err(Error::argument(format!(
                "a DataLoader with drop_last, and batch_size {batch_size} of {n} samples: no batch is left; take a batch_size of \
                 {n} or less, or leave drop_last (the trainer's dataloader_drop_last) at false"
            )));
        }
        Ok(())
    }
}

/// Makes one batch of samples.
type Collate = Arc<dyn Fn(Vec<Sample>) -> Result<Vec<Array>> + Send + Sync>;

/// Where a run is in its data: what to keep beside a checkpoint, and give to [`DataLoader::resume`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The next batch of it, from 0.
    pub batch: usize,
}

/// Cuts a data set into batches, as `torch.utils.data.DataLoader`. Clones share the data set.
///
/// ```
/// # fn main() -> wgrad::Result<()> {
/// use wgrad::Array;
/// use wgrad::data::{DataLoader, DataLoaderOptions, TensorDataset};
/// let x = Array::new([5, 2], vec![0.0f32; 10])?;
/// let data = TensorDataset::new(vec![x, Array::vector(vec![0, 1, 0, 1, 1])])?;
/// let options = DataLoaderOptions { batch_size: 2, shuffle: true, ..Default::default() };
/// let loader = DataLoader::new(data, options)?;
/// for batch in loader.epoch(0) {
///     let batch = batch?;
///     println!("x {}, y {}", batch[0].shape(), batch[1].shape());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    sampler: Arc<dyn Sampler>,
    collate: Option<Collate>,
    options: DataLoaderOptions,
    /// Samples of an epoch.
    samples: usize,
    /// Whether the order is a sampler's of the user.
    sampled: bool,
}

impl DataLoader {
    /// Batches of `dataset`; one that is shared comes as an `Arc`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an empty data set, for a batch size of 0, for one above its length with `drop_last`, which leaves
    /// no batch, and for a `prefetch_factor` of 0.
    pub fn new(dataset: impl Dataset + 'static, options: DataLoaderOptions) -> Result<Self> {
        let len = dataset.len();
        let sampler: Arc<dyn Sampler> = if options.shuffle {
            let seed = options.seed;
            Arc::new(RandomSampler { len, seed })
        } else {
            Arc::new(SequentialSampler(len))
        };
        options.check(len)?;
        Ok(Self {
            dataset: Arc::new(dataset),
            sampler,
            collate: None,
            options,
            samples: len,
            sampled: false,
        })
    }

    /// This loader with the orders of `sampler`, which may visit samples several times or never.
    ///
    /// # Errors
    /// [`Error::Argument`] where `shuffle` is set as well, for orders with an index that the data set lacks, for empty ones, and
    /// with `drop_last` for ones shorter than a batch.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Result<Self> {
        if self.options.shuffle {
            return Err(Error::argument(
                "a DataLoader with a sampler and shuffle: the sampler alone makes the order",
            ));
        }
        let order = sampler.order(0);
        super::check_indices(&order, self.dataset.len())?;
        self.options.check(order.len())?;
        self.samples = order.len();
        self.sampler = Arc::new(sampler);
        self.sampled = true;
        Ok(self)
    }

    /// This loader with batches that `collate` makes of samples, for samples whose shapes differ. By default they are
    /// put one above the other ([`stack`](super::stack)).
    pub fn collate(
        mut self,
        collate: impl Fn(Vec<Sample>) -> Result<Vec<Array>> + Send + Sync + 'static,
    ) -> Self {
        self.collate = Some(Arc::new(collate));
        self
    }

    /// A loader like this one of the samples `indices` alone, cut as `options` say.
    #[cfg(feature = "train")]
    pub(crate) fn part(&self, indices: Vec<usize>, options: DataLoaderOptions) -> Result<Self> {
        if self.sampled {
            return Err(Error::argument(
                "a DataLoader with a sampler cannot be split: its orders are of the whole data set",
            ));
        }
        let part = Arc::clone(&self.dataset).subset(indices)?;
        let collate = self.collate.clone();
        Ok(Self {
            collate,
            ..Self::new(part, options)?
        })
    }

    /// The same batches as indices, i32 `[b]`, of the rows of a data set that lies in memory, with that; `None` where
    /// batches are made of more than its rows.
    #[cfg(feature = "train")]
    pub(crate) fn indices(&self) -> Option<(Self, Resident)> {
        if self.collate.is_some() {
            return None;
        }
        let resident = self.dataset.resident()?;
        let rows = resident.rows()?;
        let indices = Self {
            dataset: Arc::new(rows),
            options: DataLoaderOptions {
                num_workers: 0,
                ..self.options.clone()
            },
            ..self.clone()
        };
        Some((indices, resident))
    }

    /// Number of batches in an epoch.
    pub fn len(&self) -> usize {
        if self.options.drop_last {
            self.samples / self.options.batch_size
        } else {
            self.samples.div_ceil(self.options.batch_size)
        }
    }

    /// Whether an epoch has no batch: never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// How batches are made.
    pub fn options(&self) -> &DataLoaderOptions {
        &self.options
    }

    /// The samples of epoch `epoch` in their order.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        self.sampler.order(epoch)
    }

    /// The batches of epoch `epoch`, the first of which are being made when this returns.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.resume(Position { epoch, batch: 0 })
    }

    /// The first batch of epoch 0, made on the caller's thread: what a function is compiled for.
    ///
    /// # Errors
    /// Those of the data set and of the collate function.
    pub fn first(&self) -> Result<Vec<Array>> {
        let work = self.work(Position::default());
        super::check_indices(&work.order, self.dataset.len())?;
        work.make()
    }

    /// The batches of an epoch from a position on: the ones that a run that stopped there did not see.
    pub fn resume(&self, position: Position) -> Epoch {
        let work = self.work(position);
        let fault = super::check_indices(&work.order, self.dataset.len()).err();
        let ahead = match fault {
            None => work.start(&self.options),
            Some(_) => vec![],
        };
        Epoch { work, ahead, fault }
    }

    fn work(&self, position: Position) -> Work {
        let order = self.order(position.epoch);
        Work {
            dataset: Arc::clone(&self.dataset),
            collate: self.collate.clone(),
            epoch: position.epoch,
            end: self
                .len()
                .min(order.len().div_ceil(self.options.batch_size)),
            order: order.into(),
            batch_size: self.options.batch_size,
            next: position.batch,
        }
    }
}

/// The batches of one epoch, made by [`DataLoader::epoch`]. An error of the data set, or a panic in it, arrives
/// as an `Err` in its place and is the last item. Dropping this ends the threads and waits for them.
pub struct Epoch {
    work: Work,
    /// The threads: batch `b` comes from number `b % n`.
    ahead: Vec<Ahead>,
    /// What is wrong with the order.
    fault: Option<Error>,
}

impl Epoch {
    /// Where the data stand: the batch that comes next.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.work.epoch,
            batch: self.work.next,
        }
    }
}

impl Iterator for Epoch {
    type Item = Result<Vec<Array>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.work.next >= self.work.end {
            return None;
        }
        let batch = if let Some(fault) = self.fault.take() {
            Err(fault)
        } else if self.ahead.is_empty() {
            self.work.make()
        } else {
            self.ahead[self.work.next % self.ahead.len()]
                .receive()
                .unwrap_or_else(|| Err(Error::argument("the thread of a DataLoader ended")))
        };
        match batch {
            Ok(_) => self.work.next += 1,
            Err(_) => self.work.end = self.work.next,
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.work.end.saturating_sub(self.work.next);
        (left.min(1), Some(left))
    }
}

impl std::iter::FusedIterator for Epoch {}

/// The batches that are still to be made.
#[derive(Clone)]
struct Work {
    dataset: Arc<dyn Dataset>,
    collate: Option<Collate>,
    epoch: u64,
    order: Arc<[usize]>,
    batch_size: usize,
    next: usize,
    end: usize,
}

impl Work {
    /// Batch `next`.
    fn make(&self) -> Result<Vec<Array>> {
        let start = self.next * self.batch_size;
        let indices = &self.order[start..self.order.len().min(start + self.batch_size)];
        let make = || {
            let Some(collate) = &self.collate else {
                return self.dataset.batch(indices, self.epoch);
            };
            let samples = indices.iter().map(|&i| self.dataset.sample(i, self.epoch));
            collate(samples.collect::<Result<_>>()?)
        };
        catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|payload| {
            Err(Error::argument(format!(
                "the data set panicked in batch {}: {}",
                self.next,
                text(&*payload)
            )))
        })
    }

    /// The threads that `options` ask for; none where they cannot be had.
    fn start(&self, options: &DataLoaderOptions) -> Vec<Ahead> {
        let left = self.end.saturating_sub(self.next);
        let count = options.num_workers.min(left);
        let threads = (0..count).map(|w| {
            // Thread `b % count` makes batch `b`.
            let mut work = self.clone();
            work.next += (w + count - self.next % count) % count;
            work.run(count, options.prefetch_factor)
        });
        threads.collect::<Option<_>>().unwrap_or_default()
    }

    /// A thread that makes every batch in `step`, at most `prefetch` ahead.
    fn run(mut self, step: usize, prefetch: usize) -> Option<Ahead> {
        // A thread that waits to send holds one batch besides those in the channel.
        let (sender, receiver) = sync_channel(prefetch.checked_sub(1)?);
        let run = move || {
            while self.next < self.end {
                let batch = self.make();
                let last = batch.is_err();
                if sender.send(batch).is_err() || last {
                    return;
                }
                self.next += step;
            }
        };
        let thread = Builder::new()
            .name(String::from("wgrad-data"))
            .spawn(run)
            .ok()?;
        Some(Ahead {
            receiver: Some(receiver),
            thread: Some(thread),
        })
    }
}

/// A thread that makes batches. Both fields are `Some` until it is dropped.
struct Ahead {
    receiver: Option<Receiver<Result<Vec<Array>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    fn receive(&self) -> Option<Result<Vec<Array>>> {
        self.receiver.as_ref()?.recv().ok()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // The thread waits in `send` as long as there is a receiver.
        drop(self.receiver.take());
        if let Some(thread) = self.thread.take() {
            // `make` has caught what could panic.
            let _ = thread.join();
        }
    }
}

/// The message of a panic.
fn text(payload: &(dyn Any + Send)) -> &str {
    let string = payload.downcast_ref::<String>().map(String::as_str);
    string
        .or(payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests;
