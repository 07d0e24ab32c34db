//! Metrics of predicted classes, all from the confusion matrix.

use std::fmt;

use super::{check_labels, check_lengths};
use crate::data::class_counts;
use crate::error::{Error, Result};

/// How values of single classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The value of class 1, of the two classes 0 and 1.
    Binary,
    /// The mean over the classes that occur.
    Macro,
    /// The value of all decisions together.
    Micro,
    /// The mean over the classes, each weighted by how often it is right.
    Weighted,
}

/// Share of predictions that are right: `accuracy_score`.
///
/// # Errors
/// [`Error::Argument`] for lists that differ in length or are empty.
pub fn accuracy(predicted: &[i32], labels: &[i32]) -> Result<f64> {
    check_lengths(predicted.len(), labels.len())?;
    let right = predicted.iter().zip(labels).filter(|(p, l)| p == l);
    Ok(right.count() as f64 / labels.len() as f64)
}

/// Share of the predictions of a class that are right: `precision_score`. 0 where a class is never predicted.
///
/// # Errors
/// As [`ConfusionMatrix::new`]; for [`Average::Binary`] other classes than 0 and 1.
pub fn precision(predicted: &[i32], labels: &[i32], average: Average) -> Result<f64> {
    ConfusionMatrix::new(predicted, labels, None)?.precision(average)
}

/// Share of the samples of a class that are found: `recall_score`. 0 where a class never is right.
///
/// # Errors
/// As [`precision`].
pub fn recall(predicted: &[i32], labels: &[i32], average: Average) -> Result<f64> {
    ConfusionMatrix::new(predicted, labels, None)?.recall(average)
}

/// The harmonic mean of precision and recall of a class: `f1_score`. 0 where both are.
///
/// # Errors
/// As [`precision`].
pub fn f1(predicted: &[i32], labels: &[i32], average: Average) -> Result<f64> {
    ConfusionMatrix::new(predicted, labels, None)?.f1(average)
}

/// How often each class was predicted for each: rows are what was right, columns what was predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

/// Most classes of a matrix.
const MOST_CLASSES: usize = 1 << 14;

impl ConfusionMatrix {
    /// The counts of `predicted` and `labels`; without `num_classes` there are as many as the highest of both needs.
    ///
    /// # Errors
    /// [`Error::Argument`] for lists that differ in length or are empty, and for classes below 0 or not below
    /// `num_classes` or 16,384.
    pub fn new(predicted: &[i32], labels: &[i32], num_classes: Option<usize>) -> Result<Self> {
        check_lengths(predicted.len(), labels.len())?;
        let needed = class_counts(predicted)?.len();
        let needed = needed.max(class_counts(labels)?.len());
        let classes = num_classes.unwrap_or(needed);
        if classes > MOST_CLASSES {
            return Err(Error::argument(format!(
                "a confusion matrix of {classes} classes, allowed are {MOST_CLASSES}"
            )));
        }
        check_labels(labels, classes)?;
        check_labels(predicted, classes)?;
        let mut counts = vec![0; classes * classes];
        for (&p, &l) in predicted.iter().zip(labels) {
            counts[l as usize * classes + p as usize] += 1;
        }
        Ok(Self { classes, counts })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often `predicted` was predicted where `label` was right; 0 for classes that there are not.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        if label >= self.classes || predicted >= self.classes {
            return 0;
        }
        self.counts[label * self.classes + predicted]
    }

    /// Share of predictions that are right.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|c| self.count(c, c)).sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// As [`precision`].
    ///
    /// # Errors
    /// [`Error::Argument`] for [`Average::Binary`] of more than two classes.
    pub fn precision(&self, average: Average) -> Result<f64> {
        self.average(average, |right, predicted, _| ratio(right, predicted))
    }

    /// As [`recall`].
    ///
    /// # Errors
    /// As [`ConfusionMatrix::precision`].
    pub fn recall(&self, average: Average) -> Result<f64> {
        self.average(average, |right, _, labelled| ratio(right, labelled))
    }

    /// As [`f1`].
    ///
    /// # Errors
    /// As [`ConfusionMatrix::precision`].
    pub fn f1(&self, average: Average) -> Result<f64> {
        self.average(average, |right, predicted, labelled| {
            ratio(2 * right, predicted + labelled)
        })
    }

    /// How often class `c` was right and predicted, predicted, right.
    fn sums(&self, c: usize) -> [u64; 3] {
        let all = 0..self.classes;
        [
            self.count(c, c),
            all.clone().map(|l| self.count(l, c)).sum(),
            all.map(|p| self.count(c, p)).sum(),
        ]
    }

    fn average(&self, average: Average, of: impl Fn(u64, u64, u64) -> f64) -> Result<f64> {
        let value = |[right, predicted, labelled]: [u64; 3]| of(right, predicted, labelled);
        let sums = (0..self.classes).map(|c| self.sums(c));
        // A class that neither occurs nor is predicted has no part in a mean.
        let seen: Vec<[u64; 3]> = sums.filter(|s| s[1] + s[2] > 0).collect();
        match average {
            Average::Binary if self.classes > 2 => Err(Error::argument(format!(
                "Average::Binary of {} classes, expected 0 and 1",
                self.classes
            ))),
            Average::Binary if self.classes < 2 => Ok(0.0),
            Average::Binary => Ok(value(self.sums(1))),
            Average::Macro => Ok(seen.iter().map(|s| value(*s)).sum::<f64>() / seen.len() as f64),
            Average::Micro => {
                let add = |a: [u64; 3], b: &[u64; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
                Ok(value(seen.iter().fold([0; 3], add)))
            }
            Average::Weighted => {
                let total: u64 = seen.iter().map(|s| s[2]).sum();
                let parts = seen.iter().map(|s| value(*s) * s[2] as f64);
                Ok(parts.sum::<f64>() / total as f64)
            }
        }
    }
}

impl fmt::Display for ConfusionMatrix {
    /// A table: a row for each class that was right, a column for each that was predicted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.counts.iter().max().copied().unwrap_or(0);
        let most = most.max(self.classes as u64 - 1);
        let width = most.to_string().len() + 1;
        let label = self.classes.to_string().len();
        write!(f, "{:label$}", "")?;
        (0..self.classes).try_for_each(|c| write!(f, "{c:width$}"))?;
        for (l, row) in self.counts.chunks_exact(self.classes).enumerate() {
            write!(f, "\n{l:label$}")?;
            row.iter().try_for_each(|n| write!(f, "{n:width$}"))?;
        }
        Ok(())
    }
}

/// 0 for nothing of nothing.
fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}
