//! Metrics of predicted numbers.

use super::check_lengths;
use crate::error::Result;

/// The mean of `|prediction - label|`: `mean_absolute_error`.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) for lists that differ in length or are empty.
pub fn mean_absolute_error(predictions: &[f32], labels: &[f32]) -> Result<f64> {
    check_lengths(predictions.len(), labels.len())?;
    let sum: f64 = differences(predictions, labels).map(f64::abs).sum();
    Ok(sum / labels.len() as f64)
}

/// The mean of `(prediction - label)^2`: `mean_squared_error`. Its root is in the unit of the labels.
///
/// # Errors
/// As [`mean_absolute_error`].
pub fn mean_squared_error(predictions: &[f32], labels: &[f32]) -> Result<f64> {
    check_lengths(predictions.len(), labels.len())?;
    let sum: f64 = differences(predictions, labels).map(|d| d * d).sum();
    Ok(sum / labels.len() as f64)
}

/// The share of the labels' variance that the predictions explain: `r2_score`. 1 is perfect, 0 no better than the mean;
/// for labels that are all equal, 1 where the predictions are too, else 0, as there.
///
/// # Errors
/// As [`mean_absolute_error`].
pub fn r2(predictions: &[f32], labels: &[f32]) -> Result<f64> {
    check_lengths(predictions.len(), labels.len())?;
    let mean = labels.iter().map(|&y| f64::from(y)).sum::<f64>() / labels.len() as f64;
    let total: f64 = labels.iter().map(|&y| (f64::from(y) - mean).powi(2)).sum();
    let rest: f64 = differences(predictions, labels).map(|d| d * d).sum();
    Ok(match (rest == 0.0, total == 0.0) {
        (true, true) => 1.0,
        (false, true) => 0.0,
        _ => 1.0 - rest / total,
    })
}

fn differences<'a>(
    predictions: &'a [f32],
    labels: &'a [f32],
) -> impl Iterator<Item = f64> + use<'a> {
    let pairs = predictions.iter().zip(labels);
    pairs.map(|(&p, &l)| f64::from(p) - f64::from(l))
}
