//! Batches in a seeded order, made ahead on another thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::Dataset;
use crate::array::Array;
use crate::error::{Error, Result};

/// How a [`DataLoader`] makes batches, named as the arguments of PyTorch's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLoaderOptions {
    /// Samples in a batch, 1 or more. Default 1.
    pub batch_size: usize,
    /// Whether each epoch has an order of its own. Default false: in the order of the data set.
    pub shuffle: bool,
    /// Whether a last batch that is smaller than the others is left out. Default false.
    pub drop_last: bool,
    /// Seed of the orders: the same seed and epoch give the same order everywhere. Default 0.
    pub seed: u64,
    /// Batches made ahead on a thread of their own while the caller works. Default 2; with 0 the caller's
    /// thread makes each when it is asked for.
    pub prefetch_factor: usize,
}

impl Default for DataLoaderOptions {
    fn default() -> Self {
        Self {
            batch_size: 1,
            shuffle: false,
            drop_last: false,
            seed: 0,
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
            return Err(Error::argument("a DataLoader with batch_size 0"));
        }
        if batch_size > n {
            return Err(Error::argument(format!(
                "a DataLoader with batch_size {batch_size} of {n} samples"
            )));
        }
        Ok(())
    }
}

/// Cuts a data set into batches, as `torch.utils.data.DataLoader`. Clones share the data set.
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    options: DataLoaderOptions,
}

impl DataLoader {
    /// Batches of `dataset`; one that is shared comes as an `Arc`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an empty data set, and for a batch size of 0 or above its length.
    pub fn new(dataset: impl Dataset + 'static, options: DataLoaderOptions) -> Result<Self> {
        options.check(dataset.len())?;
        Ok(Self {
            dataset: Arc::new(dataset),
            options,
        })
    }

    /// Number of batches in an epoch.
    pub fn len(&self) -> usize {
        let (n, batch_size) = (self.dataset.len(), self.options.batch_size);
        if self.options.drop_last {
            n / batch_size
        } else {
            n.div_ceil(batch_size)
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
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.options.shuffle {
            shuffle(&mut order, self.options.seed, epoch);
        }
        order
    }

    /// The batches of epoch `epoch`, the first of which are being made when this returns.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.epoch_from(epoch, 0)
    }

    /// The batches of epoch `epoch` from number `batch` on: what was left when a run stopped.
    pub fn epoch_from(&self, epoch: u64, batch: usize) -> Epoch {
        let work = Work {
            dataset: Arc::clone(&self.dataset),
            order: self.order(epoch).into(),
            batch_size: self.options.batch_size,
            next: batch,
            end: self.len(),
        };
        let ahead = work.start(self.options.prefetch_factor);
        Epoch { work, ahead }
    }
}

/// The batches of one epoch, made by [`DataLoader::epoch`]. An error of the data set, or a panic in it, arrives
/// as an `Err` in its place and is the last item. Dropping this ends the thread and waits for it.
pub struct Epoch {
    work: Work,
    ahead: Option<Ahead>,
}

impl Iterator for Epoch {
    type Item = Result<Vec<Array>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.work.next >= self.work.end {
            return None;
        }
        let batch = match &self.ahead {
            Some(ahead) => ahead
                .receive()
                .unwrap_or_else(|| Err(Error::argument("the thread of a DataLoader ended"))),
            None => self.work.make(),
        };
        self.work.next = if batch.is_ok() {
            self.work.next + 1
        } else {
            self.work.end
        };
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
        catch_unwind(AssertUnwindSafe(|| self.dataset.batch(indices))).unwrap_or_else(|payload| {
            Err(Error::argument(format!(
                "the data set panicked in batch {}: {}",
                self.next,
                text(&*payload)
            )))
        })
    }

    /// A thread that is at most `count` batches ahead; none for `count` 0, or where threads cannot be had.
    fn start(&self, count: usize) -> Option<Ahead> {
        // A thread that waits to send holds one batch besides those in the channel.
        let (sender, receiver) = sync_channel(count.checked_sub(1)?);
        let mut work = self.clone();
        let run = move || {
            while work.next < work.end {
                let batch = work.make();
                let last = batch.is_err();
                if sender.send(batch).is_err() || last {
                    return;
                }
                work.next += 1;
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

/// Fisher-Yates, from numbers that depend on `seed` and `epoch` alone.
fn shuffle(order: &mut [usize], seed: u64, epoch: u64) {
    let mut rng = SplitMix64(mix(mix(seed) ^ epoch));
    for i in (1..order.len()).rev() {
        order.swap(i, rng.below(i as u64 + 1) as usize);
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `0..n`: the high word of a product, drawn again where that would favour some (Lemire, "Fast
    /// random integer generation in an interval", 2019).
    fn below(&mut self, n: u64) -> u64 {
        loop {
            let product = u128::from(self.next()) * u128::from(n);
            if product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::data::TensorDataset;

    fn count(n: i32) -> TensorDataset {
        TensorDataset::new(vec![Array::vector((0..n).collect::<Vec<i32>>())]).unwrap()
    }

    fn loader(n: i32, options: DataLoaderOptions) -> DataLoader {
        DataLoader::new(count(n), options).unwrap()
    }

    /// The samples of each batch.
    fn samples(epoch: Epoch) -> Vec<Vec<i32>> {
        epoch
            .map(|batch| batch.unwrap()[0].as_slice::<i32>().unwrap().to_vec())
            .collect()
    }

    fn options(batch_size: usize) -> DataLoaderOptions {
        DataLoaderOptions {
            batch_size,
            ..DataLoaderOptions::default()
        }
    }

    #[test]
    fn the_last_batch_is_smaller_or_dropped() {
        let whole = loader(7, options(3));
        assert_eq!(whole.len(), 3);
        assert_eq!(
            samples(whole.epoch(0)),
            [vec![0, 1, 2], vec![3, 4, 5], vec![6]]
        );
        let dropped = loader(
            7,
            DataLoaderOptions {
                drop_last: true,
                ..options(3)
            },
        );
        assert_eq!(dropped.len(), 2);
        assert_eq!(samples(dropped.epoch(0)), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(loader(6, options(3)).len(), 2);
    }

    #[test]
    fn refuses_sizes_without_a_batch() {
        let error = |n, size| {
            DataLoader::new(count(n), options(size))
                .err()
                .unwrap()
                .to_string()
        };
        assert_eq!(error(0, 1), "a DataLoader of an empty data set");
        assert_eq!(error(3, 0), "a DataLoader with batch_size 0");
        assert_eq!(error(3, 4), "a DataLoader with batch_size 4 of 3 samples");
    }

    #[test]
    fn orders_depend_on_seed_and_epoch_alone() {
        let order = |seed, prefetch_factor, epoch| {
            let shuffled = DataLoaderOptions {
                shuffle: true,
                seed,
                prefetch_factor,
                ..options(8)
            };
            samples(loader(100, shuffled).epoch(epoch)).concat()
        };
        let first = order(1, 2, 0);
        assert_eq!(first, order(1, 0, 0));
        assert_ne!(first, order(1, 2, 1));
        assert_ne!(first, order(2, 2, 0));
        // `mix` of neither may cancel the other.
        assert_ne!(order(0, 2, 1), order(1, 2, 0));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<i32>>());
        let shuffled = DataLoaderOptions {
            shuffle: true,
            seed: 7,
            ..options(1)
        };
        assert_eq!(
            loader(10, shuffled).order(3),
            [1, 9, 4, 7, 5, 0, 6, 3, 8, 2]
        );
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut seen = [0; 24];
        for epoch in 0..24_000 {
            let mut order = [0, 1, 2, 3];
            shuffle(&mut order, 5, epoch);
            let rank = |i: usize| order[i + 1..].iter().filter(|&&x| x < order[i]).count();
            seen[rank(0) * 6 + rank(1) * 2 + rank(2)] += 1;
        }
        // A standard deviation is 31.
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
    }

    #[test]
    fn goes_on_from_a_batch() {
        let shuffled = loader(
            10,
            DataLoaderOptions {
                shuffle: true,
                ..options(3)
            },
        );
        let whole = samples(shuffled.epoch(4));
        assert_eq!(samples(shuffled.epoch_from(4, 2)), whole[2..]);
        assert!(samples(shuffled.epoch_from(4, 4)).is_empty());
        assert!(samples(shuffled.epoch_from(4, 99)).is_empty());
    }

    /// Counts its calls; fails or panics at a sample.
    struct Faulty {
        calls: Arc<AtomicUsize>,
        error_at: usize,
        panic_at: usize,
    }

    impl Dataset for Faulty {
        fn len(&self) -> usize {
            100
        }

        fn batch(&self, indices: &[usize]) -> Result<Vec<Array>> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if indices[0] == self.error_at {
                return Err(Error::argument("unreadable"));
            }
            if indices[0] == self.panic_at {
                panic!("sample {} is odd", indices[0]);
            }
            Ok(vec![])
        }
    }

    fn faulty(
        error_at: usize,
        panic_at: usize,
        prefetch_factor: usize,
    ) -> (DataLoader, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let data = Faulty {
            calls: Arc::clone(&calls),
            error_at,
            panic_at,
        };
        (
            DataLoader::new(
                data,
                DataLoaderOptions {
                    prefetch_factor,
                    ..options(1)
                },
            )
            .unwrap(),
            calls,
        )
    }

    #[test]
    fn errors_and_panics_arrive_in_their_place() {
        for prefetch_factor in [0, 1, 3] {
            for (error_at, panic_at, message) in [
                (2, 100, "unreadable"),
                (100, 2, "the data set panicked in batch 2: sample 2 is odd"),
            ] {
                let mut epoch = faulty(error_at, panic_at, prefetch_factor).0.epoch(0);
                assert!(epoch.next().unwrap().is_ok());
                assert!(epoch.next().unwrap().is_ok());
                assert_eq!(epoch.next().unwrap().err().unwrap().to_string(), message);
                assert!(epoch.next().is_none());
                assert!(epoch.next().is_none());
            }
        }
    }

    #[test]
    fn runs_ahead_by_the_prefetch_factor_and_stops_when_dropped() {
        for prefetch_factor in [1, 2, 5] {
            let (loader, calls) = faulty(100, 100, prefetch_factor);
            let mut epoch = loader.epoch(0);
            epoch.next().unwrap().unwrap();
            let start = Instant::now();
            while calls.load(Ordering::SeqCst) < 1 + prefetch_factor
                && start.elapsed() < Duration::from_secs(10)
            {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(calls.load(Ordering::SeqCst), 1 + prefetch_factor);
            drop(epoch);
            // The thread held one of these.
            assert_eq!(Arc::strong_count(loader.dataset()), 1);
        }
        let (loader, calls) = faulty(100, 100, 0);
        let mut epoch = loader.epoch(0);
        assert_eq!(calls.load(Ordering::SeqCst), 0);
        epoch.next().unwrap().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
