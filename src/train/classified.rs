//! What a classifier says of held-out data: its confusion matrix and its mistakes.

use super::confusion::{confusion_matrix_png, confusion_matrix_svg};
use super::metrics::{ConfusionMatrix, EvalPrediction};
use super::mistakes::{Mistakes, are_probabilities};
use super::trainer::Trainer;
use crate::data::DataLoader;
use crate::dtype::DType;
use crate::error::Result;

/// Most classes of a picture of a confusion matrix.
const CLASSES: usize = 40;

/// What a classifier says of held-out data.
pub(super) struct Classified {
    /// `None` where a label stands for no class.
    matrix: Option<ConfusionMatrix>,
    /// Where the inputs are images.
    pub mistakes: Option<Mistakes>,
    pub names: Vec<String>,
    pub classes: usize,
}

impl Classified {
    /// The confusion matrix, as SVG and as a PNG file; `None` where there are too many classes.
    pub fn confusion(&self) -> Result<Option<(String, Vec<u8>)>> {
        let Some(matrix) = self.matrix.as_ref().filter(|_| self.classes <= CLASSES) else {
            return Ok(None);
        };
        let svg = confusion_matrix_svg(matrix, &self.names)?;
        Ok(Some((svg, confusion_matrix_png(matrix, &self.names)?)))
    }

    /// The pairs that are confused most often: what is right, what is predicted, how often.
    pub fn most_confused(&self, most: usize) -> Vec<(String, String, u64)> {
        let Some(matrix) = &self.matrix else {
            return Vec::new();
        };
        let name = |i: usize| self.names.get(i).cloned().unwrap_or_else(|| i.to_string());
        let n = self.classes;
        let pairs = (0..n * n).map(|k| (k / n, k % n)).filter(|(i, j)| i != j);
        let counted = pairs.map(|(i, j)| (i, j, matrix.count(i, j)));
        let mut counted: Vec<_> = counted.filter(|(_, _, count)| *count > 0).collect();
        counted.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        counted.truncate(most);
        let named = counted.into_iter().map(|(i, j, n)| (name(i), name(j), n));
        named.collect()
    }
}

impl Trainer<'_> {
    /// What the model says of held-out data; `None` for tasks that do not predict one of several classes for each sample.
    pub(super) fn classified(&mut self, valid: &DataLoader) -> Result<Option<Classified>> {
        let classes = match self.predicted(valid, 1)?.as_ref().and_then(classes_of) {
            Some(classes) => classes,
            None => return Ok(None),
        };
        let Some(all) = self.predicted(valid, usize::MAX)? else {
            return Ok(None);
        };
        let given = match &self.class_names[..] {
            [] => valid.dataset().class_names(),
            given => given,
        };
        let names = match given.len() == classes {
            true => given.to_vec(),
            false => Vec::new(),
        };
        let predicted = all.classes()?;
        let labels = all.labels.as_slice()?;
        let scores: &[f32] = all.predictions.as_slice()?;
        let probabilities = are_probabilities(scores, classes);
        let mut mistakes = Mistakes::new(&valid.first()?, &names, probabilities);
        if let Some(mistakes) = &mut mistakes {
            let mut rows = scores.chunks_exact(classes);
            let mut pairs = predicted.iter().zip(labels);
            for batch in valid.epoch(0) {
                mistakes.add(&batch?, &mut rows, &mut pairs)?;
            }
        }
        Ok(Some(Classified {
            matrix: ConfusionMatrix::new(&predicted, labels, Some(classes)).ok(),
            mistakes,
            names,
            classes,
        }))
    }
}

/// How many classes a task predicts one of: f32 `[n, classes]`, with labels i32 `[n]`.
fn classes_of(of: &EvalPrediction) -> Option<usize> {
    let (scores, labels) = (&of.predictions, &of.labels);
    let numbers = scores.dtype() == DType::F32 && labels.dtype() == DType::I32;
    match (&**scores.shape(), &**labels.shape()) {
        ([n, classes], [m]) if n == m && *classes > 1 && numbers => Some(*classes),
        _ => None,
    }
}
