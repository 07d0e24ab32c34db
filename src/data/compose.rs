//! Data sets made of others.

use std::sync::{Arc, OnceLock};

use super::{Dataset, Resident, Sample, check_indices, random};
use crate::array::Array;
use crate::error::Result;
use crate::rng::Rng;

/// Some samples of another data set, made by [`Dataset::subset`]. Clones share both.
#[derive(Debug)]
pub struct Subset<D> {
    dataset: Arc<D>,
    indices: Arc<[usize]>,
}

impl<D> Clone for Subset<D> {
    fn clone(&self) -> Self {
        Self {
            dataset: Arc::clone(&self.dataset),
            indices: Arc::clone(&self.indices),
        }
    }
}

impl<D: Dataset> Subset<D> {
    pub(super) fn new(dataset: Arc<D>, indices: Vec<usize>) -> Result<Self> {
        check_indices(&indices, dataset.len())?;
        Ok(Self {
            dataset,
            indices: indices.into(),
        })
    }

    /// The data set that it is a part of.
    pub fn dataset(&self) -> &Arc<D> {
        &self.dataset
    }

    /// Which samples these are.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        check_indices(&[index], self.len())?;
        self.dataset.sample(self.indices[index], epoch)
    }

    fn batch(&self, indices: &[usize], epoch: u64) -> Result<Vec<Array>> {
        check_indices(indices, self.len())?;
        let indices: Vec<usize> = indices.iter().map(|&i| self.indices[i]).collect();
        self.dataset.batch(&indices, epoch)
    }

    fn labels(&self) -> Result<Vec<i32>> {
        let all = self.dataset.labels()?;
        Ok(self.indices.iter().map(|&i| all[i]).collect())
    }

    fn class_names(&self) -> &[String] {
        self.dataset.class_names()
    }

    fn resident(&self) -> Option<Resident> {
        Some(self.dataset.resident()?.select(&self.indices))
    }
}

/// Two data sets as one, made by [`Dataset::concat`].
#[derive(Debug, Clone)]
pub struct Concat<D, E> {
    first: D,
    second: E,
}

impl<D: Dataset, E: Dataset> Concat<D, E> {
    pub(super) fn new(first: D, second: E) -> Self {
        Self { first, second }
    }
}

impl<D: Dataset, E: Dataset> Dataset for Concat<D, E> {
    fn len(&self) -> usize {
        self.first.len() + self.second.len()
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        check_indices(&[index], self.len())?;
        match index.checked_sub(self.first.len()) {
            None => self.first.sample(index, epoch),
            Some(index) => self.second.sample(index, epoch),
        }
    }

    fn labels(&self) -> Result<Vec<i32>> {
        Ok([self.first.labels()?, self.second.labels()?].concat())
    }

    /// Those of both, where they are the same.
    fn class_names(&self) -> &[String] {
        let names = self.first.class_names();
        if names == self.second.class_names() {
            names
        } else {
            &[]
        }
    }

    fn resident(&self) -> Option<Resident> {
        self.first.resident()?.concat(self.second.resident()?)
    }
}

/// Another data set's samples, changed, made by [`Dataset::map`] and [`Dataset::map_seeded`].
#[derive(Clone)]
pub struct Map<D, F> {
    dataset: D,
    seed: u64,
    f: F,
}

impl<D, F> Map<D, F> {
    pub(super) fn new(dataset: D, seed: u64, f: F) -> Self {
        Self { dataset, seed, f }
    }
}

impl<D, F> Dataset for Map<D, F>
where
    D: Dataset,
    F: Fn(Sample, &mut Rng) -> Result<Sample> + Send + Sync,
{
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        let sample = self.dataset.sample(index, epoch)?;
        (self.f)(sample, &mut random::of_sample(self.seed, epoch, index))
    }
}

/// Another data set's samples, kept, made by [`Dataset::cached`]. Clones share them.
#[derive(Clone)]
pub struct Cached<D> {
    dataset: D,
    samples: Arc<[OnceLock<Sample>]>,
}

impl<D: Dataset> Cached<D> {
    pub(super) fn new(dataset: D) -> Self {
        let samples = (0..dataset.len()).map(|_| OnceLock::new()).collect();
        Self { dataset, samples }
    }
}

impl<D: Dataset> Dataset for Cached<D> {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn sample(&self, index: usize, _: u64) -> Result<Sample> {
        check_indices(&[index], self.len())?;
        if let Some(sample) = self.samples[index].get() {
            return Ok(sample.clone());
        }
        // Two threads may both make it; one result is kept, and they are equal.
        let sample = self.dataset.sample(index, 0)?;
        Ok(self.samples[index].get_or_init(|| sample).clone())
    }

    fn class_names(&self) -> &[String] {
        self.dataset.class_names()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::data::TensorDataset;

    fn data(values: &[i32]) -> TensorDataset {
        TensorDataset::new(vec![Array::vector(values)]).unwrap()
    }

    fn values(data: &impl Dataset, epoch: u64) -> Vec<i32> {
        let all: Vec<usize> = (0..data.len()).collect();
        let batch = data.batch(&all, epoch).unwrap();
        batch[0].as_slice::<i32>().unwrap().to_vec()
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn a_subset_counts_from_its_start() {
        let data = data(&[0, 10, 20, 30, 40]);
        let part = data.clone().subset(1..4).unwrap();
        assert_eq!(values(&part, 0), [10, 20, 30]);
        assert_eq!(part.labels().unwrap(), [10, 20, 30]);
        let none = "no sample 3 in a data set of 3 samples";
        assert_eq!(message(part.batch(&[3], 0)), none);
        assert_eq!(message(part.sample(3, 0)), none);
        assert_eq!(values(&part.subset(1..2).unwrap(), 0), [20]);
        let list = data.clone().subset([4, 0, 4]).unwrap();
        assert_eq!(values(&list, 0), [40, 0, 40]);
        assert_eq!(list.indices(), [4, 0, 4]);
        assert_eq!(
            message(data.subset(2..6)),
            "no sample 5 in a data set of 5 samples"
        );
    }

    #[test]
    fn one_data_set_follows_the_other() {
        let both = data(&[1, 2]).concat(data(&[3])).concat(data(&[4, 5]));
        assert_eq!(values(&both, 0), [1, 2, 3, 4, 5]);
        assert_eq!(both.labels().unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(
            message(both.sample(5, 0)),
            "no sample 5 in a data set of 5 samples"
        );
    }

    /// A data set with names of classes.
    struct Named(Vec<String>);

    impl Named {
        fn new(names: &[&str]) -> Self {
            Self(names.iter().map(|n| String::from(*n)).collect())
        }
    }

    impl Dataset for Named {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn sample(&self, index: usize, _: u64) -> Result<Sample> {
            Ok(vec![Array::scalar(index as i32)])
        }

        fn class_names(&self) -> &[String] {
            &self.0
        }
    }

    #[test]
    fn names_of_classes_stay_unless_labels_may_change() {
        let names = || Named::new(&["cat", "dog"]);
        let part = Arc::new(names().subset(0..1).unwrap().cached());
        assert_eq!(part.class_names(), ["cat", "dog"]);
        assert_eq!(names().concat(names()).class_names(), ["cat", "dog"]);
        assert!(names().concat(Named::new(&["x"])).class_names().is_empty());
        assert!(names().map(Ok).class_names().is_empty());
    }

    #[test]
    fn maps_draw_by_epoch_and_index() {
        let doubled = data(&[1, 2, 3]).map(|s| Ok(vec![Array::scalar(s[0].item() as i32 * 2)]));
        assert_eq!(values(&doubled, 0), [2, 4, 6]);
        let random = |seed| {
            data(&[0; 20]).map_seeded(seed, |_, rng| {
                Ok(vec![Array::scalar(rng.below(1000) as i32)])
            })
        };
        let first = values(&random(1), 0);
        assert_eq!(first, values(&random(1), 0));
        assert_ne!(first, values(&random(1), 1));
        assert_ne!(first, values(&random(2), 0));
        assert_eq!(first[7], random(1).sample(7, 0).unwrap()[0].item() as i32);
        let failing = data(&[1]).map(|_| Err(crate::Error::argument("unreadable")));
        assert_eq!(message(failing.batch(&[0], 0)), "unreadable");
    }

    #[test]
    fn a_cache_asks_once() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let cached = data(&[5, 6])
            .map(move |s| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(s)
            })
            .cached();
        assert_eq!(values(&cached, 0), [5, 6]);
        assert_eq!(values(&cached, 3), [5, 6]);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert_eq!(
            message(cached.sample(2, 0)),
            "no sample 2 in a data set of 2 samples"
        );
    }
}
