//! Splits into training and test parts, and labels.

use std::sync::Arc;

use super::random::shuffle;
use super::{Dataset, Subset};
use crate::array::Array;
use crate::error::{Error, Result};

/// How a data set is split, named as scikit-learn's arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitOptions {
    /// Share of the samples in the test part, above 0 and below 1, rounded up. Default 0.25. [`k_fold`] has no use
    /// for it.
    pub test_size: f64,
    /// Whether samples are shuffled before. Default true.
    pub shuffle: bool,
    /// Whether each part has as much of each class as the whole. Default false.
    pub stratify: bool,
    /// Seed of the shuffle. Default 0.
    pub seed: u64,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            test_size: 0.25,
            shuffle: true,
            stratify: false,
            seed: 0,
        }
    }
}

/// A training and a test part of `dataset`, as `sklearn.model_selection.train_test_split`.
///
/// # Errors
/// [`Error::Argument`] where a part would be empty, for another `test_size`, and to stratify: for labels that are not
/// classes, for a class of one sample, and for parts with fewer samples than there are classes.
pub fn train_test_split<D: Dataset>(
    dataset: D,
    options: &SplitOptions,
) -> Result<(Subset<D>, Subset<D>)> {
    let labels = options.stratify.then(|| dataset.labels()).transpose()?;
    let (train, test) = split_indices(dataset.len(), labels.as_deref(), options)?;
    let dataset = Arc::new(dataset);
    Ok((
        Subset::new(Arc::clone(&dataset), train)?,
        Subset::new(dataset, test)?,
    ))
}

/// The indices of a training and a test part of `n` samples. With `options.stratify`, `labels` are their classes.
///
/// # Errors
/// As [`train_test_split`].
pub fn split_indices(
    n: usize,
    labels: Option<&[i32]>,
    options: &SplitOptions,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let share = options.test_size;
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::argument(format!(
            "a test_size of {share}, allowed is above 0 and below 1"
        )));
    }
    // A product that is whole but for rounding counts as whole.
    let test = (share * n as f64 - 1e-9).ceil().max(0.0) as usize;
    if test == 0 || test >= n {
        return Err(Error::argument(format!(
            "a test_size of {share} of {n} samples leaves {} to train and {test} to test",
            n - test
        )));
    }
    if !options.stratify {
        let mut order = ordered(n, options);
        let (cut, from_end) = if options.shuffle {
            (test, false)
        } else {
            (n - test, true)
        };
        let rest = order.split_off(cut);
        return Ok(if from_end {
            (order, rest)
        } else {
            (rest, order)
        });
    }
    let classes = by_class(n, labels, options, 2)?;
    if test < classes.len() || n - test < classes.len() {
        return Err(Error::argument(format!(
            "{} classes do not fit into parts of {} and {test} samples",
            classes.len(),
            n - test
        )));
    }
    let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
    let shares = apportion(&sizes, test);
    let mut in_test = vec![false; n];
    for (class, share) in classes.iter().zip(shares) {
        class[..share].iter().for_each(|&i| in_test[i] = true);
    }
    Ok(ordered(n, options).into_iter().partition(|&i| !in_test[i]))
}

/// `k` pairs of a training and a test part: each sample is in the test part of one, as scikit-learn's `KFold`, or
/// `StratifiedKFold` with `options.stratify`.
///
/// # Errors
/// [`Error::Argument`] for `k` below 2 or above the number of samples; to stratify: for labels that are not classes, and
/// for a class of fewer than `k` samples.
pub fn k_fold<D: Dataset>(
    dataset: D,
    k: usize,
    options: &SplitOptions,
) -> Result<Vec<(Subset<D>, Subset<D>)>> {
    let n = dataset.len();
    if k < 2 || k > n {
        return Err(Error::argument(format!(
            "{k} folds of {n} samples, allowed are 2 to the number of samples"
        )));
    }
    let mut fold = vec![0; n];
    if options.stratify {
        let labels = dataset.labels()?;
        let classes = by_class(n, Some(&labels), options, k)?;
        // Each class goes on where the last one ended, so that folds differ by one sample at most.
        for (at, i) in classes.concat().into_iter().enumerate() {
            fold[i] = at % k;
        }
    } else {
        for (at, i) in ordered(n, options).into_iter().enumerate() {
            // The first n % k folds are one larger.
            let (size, larger) = (n / k, n % k);
            let border = larger * (size + 1);
            fold[i] = if at < border {
                at / (size + 1)
            } else {
                larger + (at - border) / size
            };
        }
    }
    let dataset = Arc::new(dataset);
    let pair = |f| {
        let (train, test) = (0..n).partition(|&i| fold[i] != f);
        Ok((
            Subset::new(Arc::clone(&dataset), train)?,
            Subset::new(Arc::clone(&dataset), test)?,
        ))
    };
    (0..k).map(pair).collect()
}

/// Samples of each class 0, 1, …
///
/// # Errors
/// [`Error::Argument`] for a label below 0, and where there are no labels.
pub fn class_counts(labels: &[i32]) -> Result<Vec<usize>> {
    let Some(most) = labels.iter().max() else {
        return Err(Error::argument("the classes of no labels"));
    };
    if let Some(i) = labels.iter().position(|&l| l < 0) {
        return Err(Error::argument(format!(
            "label {i} is {}, classes count from 0",
            labels[i]
        )));
    }
    if *most as usize >= MOST_CLASSES {
        return Err(Error::argument(format!(
            "a label of {most}: more than {MOST_CLASSES} classes"
        )));
    }
    let mut counts = vec![0; *most as usize + 1];
    labels.iter().for_each(|&l| counts[l as usize] += 1);
    Ok(counts)
}

/// Classes that a table of counts is made for.
const MOST_CLASSES: usize = 1 << 24;

/// Labels `[n]` as rows that are 1 at the class and 0 elsewhere, f32 `[n, num_classes]`: Keras's `to_categorical`.
/// Without `num_classes` there are as many as the highest label needs.
///
/// # Errors
/// [`Error::Argument`] for a label below 0 or not below `num_classes`, and for no labels without `num_classes`.
pub fn to_categorical(labels: &[i32], num_classes: Option<usize>) -> Result<Array> {
    let classes = match num_classes {
        Some(classes) => classes,
        None => class_counts(labels)?.len(),
    };
    let mut rows = vec![0.0f32; labels.len() * classes];
    for (i, &label) in labels.iter().enumerate() {
        let class = usize::try_from(label).ok().filter(|&c| c < classes);
        let Some(class) = class else {
            return Err(Error::argument(format!(
                "label {i} is {label}, but there are {classes} classes"
            )));
        };
        rows[i * classes + class] = 1.0;
    }
    Array::new([labels.len(), classes], rows)
}

fn ordered(n: usize, options: &SplitOptions) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    if options.shuffle {
        shuffle(&mut order, options.seed, 0);
    }
    order
}

/// The samples of each class that occurs, each at least `least` times.
fn by_class(
    n: usize,
    labels: Option<&[i32]>,
    options: &SplitOptions,
    least: usize,
) -> Result<Vec<Vec<usize>>> {
    let labels = labels.unwrap_or_default();
    if labels.len() != n {
        return Err(Error::argument(format!(
            "{} labels to stratify {n} samples",
            labels.len()
        )));
    }
    let mut classes = vec![Vec::new(); class_counts(labels)?.len()];
    let order = ordered(n, options);
    order
        .into_iter()
        .for_each(|i| classes[labels[i] as usize].push(i));
    for (class, samples) in classes.iter().enumerate() {
        if !samples.is_empty() && samples.len() < least {
            return Err(Error::argument(format!(
                "class {class} has {} samples, to stratify each needs {least}",
                samples.len()
            )));
        }
    }
    classes.retain(|c| !c.is_empty());
    Ok(classes)
}

/// `total` shared out in proportion to `sizes`, by largest remainders.
fn apportion(sizes: &[usize], total: usize) -> Vec<usize> {
    let n: usize = sizes.iter().sum();
    let exact = |size: usize| size as u128 * total as u128;
    let mut shares: Vec<usize> = sizes
        .iter()
        .map(|&s| (exact(s) / n as u128) as usize)
        .collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&c| std::cmp::Reverse(exact(sizes[c]) % n as u128));
    let left = total - shares.iter().sum::<usize>();
    order[..left].iter().for_each(|&c| shares[c] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TensorDataset;

    fn data(labels: &[i32]) -> TensorDataset {
        TensorDataset::new(vec![Array::vector(labels)]).unwrap()
    }

    fn options(test_size: f64, stratify: bool) -> SplitOptions {
        SplitOptions {
            test_size,
            stratify,
            ..SplitOptions::default()
        }
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().unwrap().to_string()
    }

    fn sorted(parts: [&[usize]; 2]) -> Vec<usize> {
        let mut all = parts.concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn parts_are_disjoint_and_seeded() {
        let (train, test) = split_indices(10, None, &options(0.25, false)).unwrap();
        assert_eq!((train.len(), test.len()), (7, 3));
        assert_eq!(sorted([&train, &test]), (0..10).collect::<Vec<_>>());
        let again = split_indices(10, None, &options(0.25, false)).unwrap();
        assert_eq!(again, (train, test.clone()));
        let seeded = SplitOptions {
            seed: 1,
            ..options(0.25, false)
        };
        assert_ne!(split_indices(10, None, &seeded).unwrap().1, test);
        let plain = SplitOptions {
            shuffle: false,
            ..options(0.3, false)
        };
        let (train, test) = split_indices(10, None, &plain).unwrap();
        assert_eq!((train.len(), &test[..]), (7, &[7, 8, 9][..]));
        let (train, test) = train_test_split(data(&[5, 6, 7, 8]), &plain).unwrap();
        assert_eq!(train.labels().unwrap(), [5, 6]);
        assert_eq!(test.labels().unwrap(), [7, 8]);
    }

    #[test]
    fn strata_keep_their_shares() {
        let labels: Vec<i32> = (0..100)
            .map(|i| if i < 70 { 0 } else { 2 + i32::from(i >= 95) })
            .collect();
        let (train, test) = train_test_split(data(&labels), &options(0.2, true)).unwrap();
        assert_eq!(
            class_counts(&train.labels().unwrap()).unwrap(),
            [56, 0, 20, 4]
        );
        assert_eq!(
            class_counts(&test.labels().unwrap()).unwrap(),
            [14, 0, 5, 1]
        );
        assert_eq!(
            sorted([train.indices(), test.indices()]),
            (0..100).collect::<Vec<_>>()
        );
        // The order is shuffled, not class after class.
        assert!(
            !test
                .labels()
                .unwrap()
                .is_sorted_by_key(|l| std::cmp::Reverse(*l))
        );
        assert!(!test.labels().unwrap().is_sorted());
    }

    #[test]
    fn every_sample_is_tested_once() {
        let labels: Vec<i32> = (0..23).map(|i| i % 3).collect();
        for stratify in [false, true] {
            let folds = k_fold(data(&labels), 5, &options(0.1, stratify)).unwrap();
            let mut tested = Vec::new();
            for (train, test) in &folds {
                assert_eq!(
                    sorted([train.indices(), test.indices()]),
                    (0..23).collect::<Vec<_>>()
                );
                assert!(test.len() == 4 || test.len() == 5);
                tested.extend_from_slice(test.indices());
                if stratify {
                    let counts = class_counts(&test.labels().unwrap()).unwrap();
                    assert!(counts.iter().all(|c| (1..=2).contains(c)), "{counts:?}");
                }
            }
            tested.sort_unstable();
            assert_eq!(tested, (0..23).collect::<Vec<_>>());
        }
        let plain = SplitOptions {
            shuffle: false,
            ..SplitOptions::default()
        };
        let folds = k_fold(data(&[0; 5]), 3, &plain).unwrap();
        let tests: Vec<&[usize]> = folds.iter().map(|(_, test)| test.indices()).collect();
        assert_eq!(tests, [&[0, 1][..], &[2, 3], &[4]]);
    }

    #[test]
    fn refuses_what_cannot_be_split() {
        assert_eq!(
            message(split_indices(10, None, &options(1.0, false))),
            "a test_size of 1, allowed is above 0 and below 1"
        );
        assert_eq!(
            message(split_indices(1, None, &options(0.5, false))),
            "a test_size of 0.5 of 1 samples leaves 0 to train and 1 to test"
        );
        assert_eq!(
            message(split_indices(0, None, &options(0.5, false))),
            "a test_size of 0.5 of 0 samples leaves 0 to train and 0 to test"
        );
        assert_eq!(
            message(split_indices(4, None, &options(0.5, true))),
            "0 labels to stratify 4 samples"
        );
        assert_eq!(
            message(train_test_split(data(&[0, 0, 1]), &options(0.5, true))),
            "class 1 has 1 samples, to stratify each needs 2"
        );
        assert_eq!(
            message(train_test_split(
                data(&[0, 0, 1, 1, 2, 2]),
                &options(0.3, true)
            )),
            "3 classes do not fit into parts of 4 and 2 samples"
        );
        assert_eq!(
            message(k_fold(data(&[0, 1]), 3, &options(0.5, false))),
            "3 folds of 2 samples, allowed are 2 to the number of samples"
        );
        assert_eq!(
            message(k_fold(data(&[0, 0, 1, 1]), 3, &options(0.5, true))),
            "class 0 has 2 samples, to stratify each needs 3"
        );
        let floats = TensorDataset::new(vec![Array::zeros([4])]).unwrap();
        assert_eq!(
            message(train_test_split(floats, &options(0.5, true))),
            "the labels of a TensorDataset are f32 [4], not i32 [n]"
        );
    }

    #[test]
    fn labels_become_counts_and_rows() {
        assert_eq!(class_counts(&[2, 0, 2]).unwrap(), [1, 0, 2]);
        assert_eq!(message(class_counts(&[])), "the classes of no labels");
        assert_eq!(
            message(class_counts(&[0, -1])),
            "label 1 is -1, classes count from 0"
        );
        assert_eq!(
            message(class_counts(&[i32::MAX])),
            "a label of 2147483647: more than 16777216 classes"
        );
        let rows = to_categorical(&[2, 0], None).unwrap();
        assert_eq!(
            rows,
            Array::new([2, 3], vec![0.0f32, 0.0, 1.0, 1.0, 0.0, 0.0]).unwrap()
        );
        assert_eq!(**to_categorical(&[1], Some(4)).unwrap().shape(), [1, 4]);
        assert_eq!(**to_categorical(&[], Some(4)).unwrap().shape(), [0, 4]);
        assert_eq!(
            message(to_categorical(&[0, 3], Some(3))),
            "label 1 is 3, but there are 3 classes"
        );
    }
}
