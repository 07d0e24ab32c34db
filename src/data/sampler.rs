//! Orders in which an epoch visits the samples.

use super::random::{SplitMix64, shuffle};
use super::split::class_counts;
use crate::error::{Error, Result};

/// The order of an epoch, as `torch.utils.data.Sampler`.
pub trait Sampler: Send + Sync {
    /// The samples of epoch `epoch` in their order: the same number in every epoch, and the same
    /// ones whenever it is asked for the same epoch, so that a run can be resumed.
    fn order(&self, epoch: u64) -> Vec<usize>;
}

impl<F: Fn(u64) -> Vec<usize> + Send + Sync> Sampler for F {
    fn order(&self, epoch: u64) -> Vec<usize> {
        self(epoch)
    }
}

/// All samples in the order of the data set.
#[derive(Debug, Clone)]
pub struct SequentialSampler(
    /// Number of samples.
    pub usize,
);

impl Sampler for SequentialSampler {
    fn order(&self, _: u64) -> Vec<usize> {
        (0..self.0).collect()
    }
}

/// All samples once, each epoch in an order of its own.
#[derive(Debug, Clone)]
pub struct RandomSampler {
    /// Number of samples.
    pub len: usize,
    /// The same seed and epoch give the same order everywhere.
    pub seed: u64,
}

impl Sampler for RandomSampler {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len).collect();
        shuffle(&mut order, self.seed, epoch);
        order
    }
}

/// Samples drawn with replacement, each as often as its weight says: `torch.utils.data.WeightedRandomSampler`.
#[derive(Debug, Clone)]
pub struct WeightedRandomSampler {
    /// Sums of the weights so far.
    sums: Vec<f64>,
    num_samples: usize,
    seed: u64,
}

impl WeightedRandomSampler {
    /// `num_samples` draws an epoch; sample `i` comes with probability `weights[i]` over their sum.
    ///
    /// # Errors
    /// [`Error::Argument`] for weights that are negative or not finite, that are all 0, and for no draws.
    pub fn new(weights: &[f64], num_samples: usize, seed: u64) -> Result<Self> {
        if let Some(i) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
            return Err(Error::argument(format!(
                "weight {i} of a WeightedRandomSampler is {}, allowed are finite numbers from 0",
                weights[i]
            )));
        }
        if num_samples == 0 {
            return Err(Error::argument("a WeightedRandomSampler of 0 draws"));
        }
        let mut sum = 0.0;
        let sums = weights.iter().map(|w| {
            sum += w;
            sum
        });
        let sums: Vec<f64> = sums.collect();
        if sum == 0.0 || !sum.is_finite() {
            return Err(Error::argument(format!(
                "the weights of a WeightedRandomSampler sum to {sum}"
            )));
        }
        Ok(Self {
            sums,
            num_samples,
            seed,
        })
    }

    /// As many draws as there are labels, with each class as likely as any other.
    ///
    /// # Errors
    /// [`Error::Argument`] for labels below 0, and where there are none.
    pub fn balanced(labels: &[i32], seed: u64) -> Result<Self> {
        let counts = class_counts(labels)?;
        let weight = |&label: &i32| 1.0 / counts[label as usize] as f64;
        let weights: Vec<f64> = labels.iter().map(weight).collect();
        Self::new(&weights, labels.len(), seed)
    }
}

impl Sampler for WeightedRandomSampler {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut rng = SplitMix64::new(self.seed, epoch);
        let last = self.sums.len() - 1;
        let mut draw = || {
            let at = rng.uniform() * self.sums[last];
            // The first whose sum is above: one of weight 0 never is. Rounding may lift `at` to the sum itself.
            let i = self.sums.partition_point(|&sum| sum <= at);
            i.min(self.sums.partition_point(|&sum| sum < self.sums[last]))
        };
        (0..self.num_samples).map(|_| draw()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(weights: &[f64], n: usize) -> String {
        let sampler = WeightedRandomSampler::new(weights, n, 0);
        sampler.err().unwrap().to_string()
    }

    #[test]
    fn draws_follow_the_weights() {
        let sampler = WeightedRandomSampler::new(&[0.0, 1.0, 0.0, 3.0, 0.0], 8_000, 3).unwrap();
        let order = sampler.order(0);
        assert_eq!(order, sampler.order(0));
        assert_ne!(order, sampler.order(1));
        let count = |i| order.iter().filter(|&&x| x == i).count();
        assert_eq!(count(1) + count(3), 8_000);
        // A standard deviation is 39.
        assert!((1_850..2_150).contains(&count(1)), "{}", count(1));
    }

    #[test]
    fn balances_classes() {
        let labels: Vec<i32> = (0..1000).map(|i| i32::from(i % 10 == 0)).collect();
        let order = WeightedRandomSampler::balanced(&labels, 0)
            .unwrap()
            .order(5);
        assert_eq!(order.len(), 1000);
        let rare = order.iter().filter(|&&i| labels[i] == 1).count();
        // A standard deviation is 16.
        assert!((440..560).contains(&rare), "{rare}");
    }

    #[test]
    fn refuses_what_cannot_be_drawn() {
        assert_eq!(
            message(&[1.0, -1.0], 1),
            "weight 1 of a WeightedRandomSampler is -1, allowed are finite numbers from 0"
        );
        assert_eq!(
            message(&[f64::NAN], 1),
            "weight 0 of a WeightedRandomSampler is NaN, allowed are finite numbers from 0"
        );
        let sum = "the weights of a WeightedRandomSampler sum to ";
        assert_eq!(message(&[0.0, 0.0], 1), format!("{sum}0"));
        assert_eq!(message(&[], 1), format!("{sum}0"));
        assert_eq!(message(&[f64::MAX; 2], 1), format!("{sum}inf"));
        assert_eq!(message(&[1.0], 0), "a WeightedRandomSampler of 0 draws");
    }
}
