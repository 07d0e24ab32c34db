//! How good predictions are, by scikit-learn's names and definitions.

use crate::array::Array;
use crate::error::{Error, Result};

mod classification;
mod ranking;
mod regression;
#[cfg(test)]
mod tests;

pub use classification::{Average, ConfusionMatrix, accuracy, f1, precision, recall};
pub use ranking::{perplexity, roc_auc, roc_auc_ovr, top_k_accuracy};
pub use regression::{mean_absolute_error, mean_squared_error, r2};

/// What a model said of a data set, and what was right: the argument of a [`ComputeMetrics`].
#[derive(Debug, Clone, PartialEq)]
pub struct EvalPrediction {
    /// What the model gave, `[n, ...]`: logits `[n, classes]`, or numbers.
    pub predictions: Array,
    /// What was right, `[n, ...]`: classes i32 `[n]`, or numbers.
    pub labels: Array,
}

/// Numbers by name, from all predictions and labels of an evaluation: the `compute_metrics` of Hugging Face's trainer.
///
/// ```
/// use wgrad::train::metrics::{self, Average, ComputeMetrics, EvalPrediction};
/// let compute: Box<ComputeMetrics> = Box::new(|eval: &EvalPrediction| {
///     let (predicted, labels) = (eval.classes()?, eval.labels.as_slice()?);
///     Ok(vec![
///         (String::from("accuracy"), metrics::accuracy(&predicted, labels)?),
///         (String::from("f1"), metrics::f1(&predicted, labels, Average::Macro)?),
///     ])
/// });
/// ```
pub type ComputeMetrics = dyn Fn(&EvalPrediction) -> Result<Vec<(String, f64)>> + Send + Sync;

impl EvalPrediction {
    /// The batches of an evaluation, each predictions and labels, as one.
    ///
    /// # Errors
    /// [`Error::Argument`] for no batches, ones that differ in dtype or in sizes but for the first, and ones without rows.
    pub fn of_batches(batches: &[(Array, Array)]) -> Result<Self> {
        let (predictions, labels): (Vec<&Array>, Vec<&Array>) =
            batches.iter().map(|(p, l)| (p, l)).unzip();
        Ok(Self {
            predictions: join(&predictions, "predictions")?,
            labels: join(&labels, "labels")?,
        })
    }

    /// The class of the highest of each row's logits, the first of several; NaN counts as the highest, as in PyTorch.
    ///
    /// # Errors
    /// [`Error::Argument`] where the predictions are not f32 `[n, classes]`.
    pub fn classes(&self) -> Result<Vec<i32>> {
        let (rows, classes) = scores(&self.predictions)?;
        let above = |a: f32, b: f32| a > b || (a.is_nan() && !b.is_nan());
        let best = |row: &[f32]| {
            (1..classes).fold(0, |best, c| if above(row[c], row[best]) { c } else { best }) as i32
        };
        Ok(rows.chunks_exact(classes).map(best).collect())
    }
}

/// Accuracy, and macro averages of precision, recall and F1, for logits and classes.
///
/// # Errors
/// Those of [`EvalPrediction::classes`] and [`accuracy`].
pub fn classification(eval: &EvalPrediction) -> Result<Vec<(String, f64)>> {
    let (predicted, labels) = (eval.classes()?, eval.labels.as_slice()?);
    let matrix = ConfusionMatrix::new(&predicted, labels, None)?;
    Ok(named(&[
        ("accuracy", matrix.accuracy()),
        ("precision", matrix.precision(Average::Macro)?),
        ("recall", matrix.recall(Average::Macro)?),
        ("f1", matrix.f1(Average::Macro)?),
    ]))
}

/// Mean absolute and squared error and R2, for numbers.
///
/// # Errors
/// Those of [`r2`].
pub fn regression(eval: &EvalPrediction) -> Result<Vec<(String, f64)>> {
    let (predicted, labels) = (eval.predictions.as_slice()?, eval.labels.as_slice()?);
    Ok(named(&[
        ("mae", mean_absolute_error(predicted, labels)?),
        ("mse", mean_squared_error(predicted, labels)?),
        ("r2", r2(predicted, labels)?),
    ]))
}

fn named(rows: &[(&str, f64)]) -> Vec<(String, f64)> {
    let owned = rows
        .iter()
        .map(|(name, value)| (String::from(*name), *value));
    owned.collect()
}

pub(super) fn join(arrays: &[&Array], what: &str) -> Result<Array> {
    let Some(first) = arrays.first() else {
        return Err(Error::argument(format!("{what} of no batches")));
    };
    let mut rows = 0;
    let mut words = Vec::new();
    for (i, array) in arrays.iter().enumerate() {
        let same = array.dtype() == first.dtype()
            && array.shape().rank() > 0
            && array.shape().get(1..) == first.shape().get(1..);
        if !same {
            return Err(Error::argument(format!(
                "{what} of batches 0 and {i} do not belong together: {} {} and {} {}",
                first.dtype(),
                first.shape(),
                array.dtype(),
                array.shape()
            )));
        }
        rows += array.shape()[0];
        words.extend_from_slice(array.words());
    }
    let shape = [&[rows], &first.shape()[1..]].concat();
    Ok(Array::from_words(shape, first.dtype(), words))
}

/// The elements of scores f32 `[n, classes]`, and the number of classes.
fn scores(scores: &Array) -> Result<(&[f32], usize)> {
    match **scores.shape() {
        [_, classes] if classes > 0 => Ok((scores.as_slice()?, classes)),
        _ => Err(Error::argument(format!(
            "scores of classes are [n, classes], not {}",
            scores.shape()
        ))),
    }
}

/// Refuses lists that differ in length, and empty ones.
fn check_lengths(predictions: usize, labels: usize) -> Result<()> {
    if predictions != labels {
        return Err(Error::argument(format!(
            "{predictions} predictions for {labels} labels"
        )));
    }
    if labels == 0 {
        return Err(Error::argument("a metric of no predictions"));
    }
    Ok(())
}

/// Refuses a label that is not below `classes`.
fn check_labels(labels: &[i32], classes: usize) -> Result<()> {
    let fits = |label: i32| usize::try_from(label).is_ok_and(|l| l < classes);
    match labels.iter().position(|&label| !fits(label)) {
        None => Ok(()),
        Some(i) => Err(Error::argument(format!(
            "label {i} is {}, but there are {classes} classes",
            labels[i]
        ))),
    }
}
