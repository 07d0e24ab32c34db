//! Metrics of scores rather than classes.

use super::{check_labels, check_lengths, scores};
use crate::array::Array;
use crate::error::{Error, Result};

/// Share of samples whose label is among the `k` highest of its scores f32 `[n, classes]`: `top_k_accuracy_score`. Of
/// equal scores the later class is the higher, as there.
///
/// # Errors
/// [`Error::Argument`] for other shapes, no samples, labels that are not below the number of classes, NaN among the
/// scores, and a `k` of 0.
pub fn top_k_accuracy(scores: &Array, labels: &[i32], k: usize) -> Result<f64> {
    let (rows, classes) = self::scores(scores)?;
    check_lengths(rows.len() / classes, labels.len())?;
    check_labels(labels, classes)?;
    check_scores(rows)?;
    if k == 0 {
        return Err(Error::argument("the accuracy of the top 0"));
    }
    let hit = |&(row, &label): &(&[f32], &i32)| {
        let label = label as usize;
        let above = |&(c, &x): &(usize, &f32)| x > row[label] || (x == row[label] && c > label);
        row.iter().enumerate().filter(above).count() < k
    };
    let hits = rows.chunks_exact(classes).zip(labels).filter(hit);
    Ok(hits.count() as f64 / labels.len() as f64)
}

/// How likely a sample of class 1 has a higher score than one of class 0: `roc_auc_score`, the area under the curve of
/// true against false positives. Equal scores count half.
///
/// # Errors
/// [`Error::Argument`] for lists that differ in length, NaN among the scores, labels other than 0 and 1, and where one of
/// the two never occurs.
pub fn roc_auc(scores: &[f32], labels: &[i32]) -> Result<f64> {
    check_lengths(scores.len(), labels.len())?;
    check_labels(labels, 2)?;
    check_scores(scores)?;
    area(scores, |i| labels[i] == 1).ok_or_else(|| {
        Error::argument(format!(
            "ROC AUC where every label is {}: it takes both classes",
            labels[0]
        ))
    })
}

/// The mean over the classes of [`roc_auc`] of that class against the others, for scores f32 `[n, classes]`:
/// `roc_auc_score(average="macro", multi_class="ovr")`.
///
/// # Errors
/// As [`roc_auc`]; [`Error::Argument`] where a class never occurs.
pub fn roc_auc_ovr(scores: &Array, labels: &[i32]) -> Result<f64> {
    let (rows, classes) = self::scores(scores)?;
    check_lengths(rows.len() / classes, labels.len())?;
    check_labels(labels, classes)?;
    check_scores(rows)?;
    let mut sum = 0.0;
    for class in 0..classes {
        let column: Vec<f32> = rows.iter().skip(class).step_by(classes).copied().collect();
        sum += area(&column, |i| labels[i] as usize == class).ok_or_else(|| {
            Error::argument(format!(
                "ROC AUC where class {class} of {classes} is that of no sample or of all"
            ))
        })?;
    }
    Ok(sum / classes as f64)
}

/// The area by ranks (Mann and Whitney, 1947); none where one side is empty.
fn area(scores: &[f32], positive: impl Fn(usize) -> bool) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut below, mut positives, mut wins) = (0u64, 0u64, 0.0);
    for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let up = tie.iter().filter(|&&i| positive(i)).count() as u64;
        let down = tie.len() as u64 - up;
        wins += up as f64 * (below as f64 + down as f64 / 2.0);
        below += down;
        positives += up;
    }
    let pairs = positives as f64 * below as f64;
    (pairs > 0.0).then(|| wins / pairs)
}

/// The exponential of the mean cross entropy of logits f32 `[n, classes]`; samples of label `ignore_index` (-100 in
/// PyTorch) do not count.
///
/// # Errors
/// [`Error::Argument`] for other shapes, labels that are not below the number of classes, and where no sample counts.
pub fn perplexity(logits: &Array, labels: &[i32], ignore_index: Option<i32>) -> Result<f64> {
    let (rows, classes) = scores(logits)?;
    check_lengths(rows.len() / classes, labels.len())?;
    let samples = rows.chunks_exact(classes).zip(labels.iter().copied());
    let (rows, labels): (Vec<&[f32]>, Vec<i32>) =
        samples.filter(|&(_, l)| Some(l) != ignore_index).unzip();
    check_labels(&labels, classes)?;
    if labels.is_empty() {
        return Err(Error::argument(
            "the perplexity of samples that are all ignored",
        ));
    }
    let loss = |(row, &label): (&&[f32], &i32)| {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let highest = f64::from(highest);
        let sum: f64 = row.iter().map(|&x| (f64::from(x) - highest).exp()).sum();
        sum.ln() + highest - f64::from(row[label as usize])
    };
    let sum: f64 = rows.iter().zip(&labels).map(loss).sum();
    Ok((sum / labels.len() as f64).exp())
}

fn check_scores(scores: &[f32]) -> Result<()> {
    match scores.iter().position(|x| x.is_nan()) {
        None => Ok(()),
        Some(i) => Err(Error::argument(format!("score {i} is NaN"))),
    }
}
