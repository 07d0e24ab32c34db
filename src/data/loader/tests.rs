use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::data::{SampleDataset, TensorDataset};

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
    assert_eq!(
        error(3, 0),
        "a DataLoader with batch_size 0: takes 1 or more"
    );
    let dropping = DataLoaderOptions {
        drop_last: true,
        ..options(4)
    };
    assert_eq!(
        DataLoader::new(count(3), dropping)
            .err()
            .unwrap()
            .to_string(),
        "a DataLoader with drop_last, and batch_size 4 of 3 samples: no batch is left; take a batch_size of 3 or less, or \
         leave drop_last (the trainer's dataloader_drop_last) at false"
    );
    let still = DataLoaderOptions {
        prefetch_factor: 0,
        ..options(1)
    };
    assert_eq!(
        DataLoader::new(count(3), still).err().unwrap().to_string(),
        "a DataLoader with prefetch_factor 0: num_workers 0 makes no batch ahead"
    );
}

#[test]
fn orders_depend_on_seed_and_epoch_alone() {
    let order = |seed, num_workers, epoch| {
        let shuffled = DataLoaderOptions {
            shuffle: true,
            seed,
            num_workers,
            ..options(8)
        };
        samples(loader(100, shuffled).epoch(epoch)).concat()
    };
    let first = order(1, 2, 0);
    assert_eq!(first, order(1, 0, 0));
    assert_eq!(first, order(1, 1, 0));
    assert_eq!(first, order(1, 5, 0));
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
fn goes_on_from_a_batch() {
    let shuffled = loader(
        10,
        DataLoaderOptions {
            shuffle: true,
            ..options(3)
        },
    );
    let whole = samples(shuffled.epoch(4));
    for num_workers in 0..4 {
        let mut loader = shuffled.clone();
        loader.options.num_workers = num_workers;
        let from = |batch| loader.resume(Position { epoch: 4, batch });
        for batch in 0..4 {
            assert_eq!(samples(from(batch)), whole[batch..]);
        }
        assert!(samples(from(99)).is_empty());
        let mut epoch = loader.epoch(4);
        epoch.next().unwrap().unwrap();
        let position = epoch.position();
        assert_eq!(position, Position { epoch: 4, batch: 1 });
        let json = serde_json::to_string(&position).unwrap();
        let position = serde_json::from_str(&json).unwrap();
        assert_eq!(samples(loader.resume(position)), whole[1..]);
    }
}

#[test]
fn a_sampler_makes_the_order() {
    let sampled = loader(5, options(2)).sampler(|epoch: u64| vec![epoch as usize, 4, 4]);
    let sampled = sampled.unwrap();
    assert_eq!(sampled.len(), 2);
    assert_eq!(samples(sampled.epoch(1)), [vec![1, 4], vec![4]]);
    // An order that is only wrong later on is an error there.
    let mut wrong = sampled.epoch(7);
    assert_eq!(
        wrong.next().unwrap().err().unwrap().to_string(),
        "no sample 7 in a data set of 5 samples"
    );
    assert!(wrong.next().is_none());
    let error = |options, order: &'static [usize]| {
        let loader = loader(5, options).sampler(|_: u64| order.to_vec());
        loader.err().unwrap().to_string()
    };
    let shuffled = DataLoaderOptions {
        shuffle: true,
        ..options(1)
    };
    assert_eq!(
        error(shuffled, &[0]),
        "a DataLoader with a sampler and shuffle: the sampler alone makes the order"
    );
    assert_eq!(
        error(options(1), &[5]),
        "no sample 5 in a data set of 5 samples"
    );
    let dropping = DataLoaderOptions {
        drop_last: true,
        ..options(2)
    };
    assert!(error(dropping, &[0]).starts_with(
        "a DataLoader with drop_last, and batch_size 2 of 1 samples: no batch is left"
    ));
    assert_eq!(error(options(2), &[]), "a DataLoader of an empty data set");
}

#[test]
fn a_collate_function_makes_the_batch() {
    let texts: Vec<Sample> = (1..=3).map(|n| vec![Array::full([n], n as i32)]).collect();
    let pad = |samples: Vec<Sample>| {
        let longest = samples.iter().map(|s| s[0].numel()).max().unwrap_or(0);
        let mut ids = Vec::new();
        for sample in &samples {
            ids.extend_from_slice(sample[0].as_slice::<i32>()?);
            ids.resize(ids.len().next_multiple_of(longest), 0);
        }
        Ok(vec![Array::new([samples.len(), longest], ids)?])
    };
    let loader = DataLoader::new(SampleDataset::new(texts), options(2))
        .unwrap()
        .collate(pad);
    assert_eq!(samples(loader.epoch(0)), [vec![1, 0, 2, 2], vec![3, 3, 3]]);
    let first = loader.first().unwrap().remove(0);
    assert_eq!(first, Array::new([2, 2], vec![1, 0, 2, 2]).unwrap());
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

    fn sample(&self, index: usize, _: u64) -> Result<Sample> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if index == self.error_at {
            return Err(Error::argument("unreadable"));
        }
        if index == self.panic_at {
            panic!("sample {index} is odd");
        }
        Ok(vec![])
    }
}

fn faulty(
    error_at: usize,
    panic_at: usize,
    num_workers: usize,
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
                num_workers,
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
    for num_workers in [0, 1, 2, 3] {
        for (error_at, panic_at, message) in [
            (2, 100, "unreadable"),
            (100, 2, "the data set panicked in batch 2: sample 2 is odd"),
        ] {
            let mut epoch = faulty(error_at, panic_at, num_workers, 2).0.epoch(0);
            assert!(epoch.next().unwrap().is_ok());
            assert!(epoch.next().unwrap().is_ok());
            assert_eq!(epoch.next().unwrap().err().unwrap().to_string(), message);
            assert!(epoch.next().is_none());
            assert!(epoch.next().is_none());
        }
    }
}

#[test]
fn threads_run_ahead_by_the_prefetch_factor_and_stop_when_dropped() {
    for (num_workers, prefetch_factor) in [(1, 1), (1, 5), (2, 2), (3, 1)] {
        let (loader, calls) = faulty(100, 100, num_workers, prefetch_factor);
        let mut epoch = loader.epoch(0);
        epoch.next().unwrap().unwrap();
        let ahead = 1 + num_workers * prefetch_factor;
        let start = Instant::now();
        while calls.load(Ordering::SeqCst) < ahead && start.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(calls.load(Ordering::SeqCst), ahead);
        drop(epoch);
        // The threads held one each.
        assert_eq!(Arc::strong_count(loader.dataset()), 1);
    }
    let (loader, calls) = faulty(100, 100, 0, 2);
    let mut epoch = loader.epoch(0);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    epoch.next().unwrap().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}
