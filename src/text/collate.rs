//! Texts of different lengths as one batch.

use crate::array::Array;
use crate::data::Sample;
use crate::error::{Error, Result};

/// Pads ids to the longest of a batch, as Hugging Face's `DataCollatorWithPadding`.
///
/// Each length of a batch is a shape of its own, for which a function is compiled once ([`Function::compiled`] counts
/// them): with `pad_to_multiple_of` there are fewer.
///
/// [`Function::compiled`]: crate::session::Function::compiled
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DataCollatorWithPadding {
    /// The id that fills up; 0 by default. See [`Tokenizer::pad_id`](super::Tokenizer::pad_id).
    pub pad_id: i32,
    /// Pad on to a multiple of this; by default to the longest.
    pub pad_to_multiple_of: Option<usize>,
}

/// A batch of texts.
#[derive(Debug, Clone)]
pub struct TextBatch {
    /// Ids, i32 `[b, length]`.
    pub ids: Array,
    /// How many ids of each row are the text's, i32 `[b]`.
    pub lengths: Array,
    /// 1 where an id is the text's, 0 where it fills up, f32 `[b, length]`.
    pub mask: Array,
}

impl DataCollatorWithPadding {
    /// A batch of `texts`, in their order. It is at least one id (or one multiple) long, also where all texts are empty.
    ///
    /// # Errors
    /// [`Error::Argument`] where there are no texts, and for a `pad_to_multiple_of` of 0.
    pub fn pad<T: AsRef<[i32]>>(&self, texts: &[T]) -> Result<TextBatch> {
        let lengths: Vec<i32> = texts.iter().map(|t| t.as_ref().len() as i32).collect();
        let Some(&longest) = lengths.iter().max() else {
            return Err(Error::argument("a batch of no texts"));
        };
        let multiple = self.pad_to_multiple_of.unwrap_or(1);
        if multiple == 0 {
            return Err(Error::argument(
                "pad_to_multiple_of 0, allowed is 1 and more",
            ));
        }
        let length = (longest.max(1) as usize).next_multiple_of(multiple);
        let shape = [texts.len(), length];
        let mut ids = vec![self.pad_id; texts.len() * length];
        let mut mask = vec![0.0f32; ids.len()];
        for (row, text) in texts.iter().enumerate() {
            let text = text.as_ref();
            let at = row * length..row * length + text.len();
            ids[at.clone()].copy_from_slice(text);
            mask[at].fill(1.0);
        }
        Ok(TextBatch {
            ids: Array::of(shape, ids),
            lengths: Array::vector(lengths),
            mask: Array::of(shape, mask),
        })
    }

    /// Samples whose first array is the ids of a text, i32 `[length]`, as the batch `[ids, lengths, mask, ...]`; their
    /// other arrays, labels, are put one above the other. For [`DataLoader::collate`].
    ///
    /// [`DataLoader::collate`]: crate::data::DataLoader::collate
    ///
    /// # Errors
    /// [`Error::Argument`] where a sample has no such first array, or where the others differ in shape.
    pub fn collate(&self, samples: Vec<Sample>) -> Result<Vec<Array>> {
        let mut texts = Vec::new();
        for (i, sample) in samples.iter().enumerate() {
            let first = sample.first().filter(|a| a.shape().rank() == 1);
            let Some(Ok(ids)) = first.map(|a| a.as_slice::<i32>()) else {
                return Err(Error::argument(format!(
                    "array 0 of sample {i} is not the ids of a text, i32 [length]"
                )));
            };
            texts.push(ids);
        }
        let batch = self.pad(&texts)?;
        let mut all = vec![batch.ids, batch.lengths, batch.mask];
        for k in 1..samples[0].len() {
            let like = &samples[0][k];
            let mut words = Vec::new();
            for (i, sample) in samples.iter().enumerate() {
                let same = |a: &&Array| a.shape() == like.shape() && a.dtype() == like.dtype();
                let Some(array) = sample.get(k).filter(same) else {
                    return Err(Error::argument(format!(
                        "array {k} of sample {i} is not as sample 0's: {} {}",
                        like.dtype(),
                        like.shape()
                    )));
                };
                words.extend_from_slice(array.words());
            }
            let shape = [&[samples.len()], &like.shape()[..]].concat();
            all.push(Array::from_words(shape, like.dtype(), words));
        }
        Ok(all)
    }
}
