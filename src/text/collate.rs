//! Texts of different lengths as one batch.

use super::Encoding;
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
    /// Of each id which text of a pair it is of, i32 `[b, length]`: 0 for single texts and where it fills up.
    pub token_type_ids: Array,
}

impl DataCollatorWithPadding {
    /// A batch of `texts`, in their order. It is at least one id (or one multiple) long, also where all texts are empty.
    ///
    /// # Errors
    /// [`Error::Argument`] where there are no texts, and for a `pad_to_multiple_of` of 0.
    pub fn pad<T: AsRef<[i32]>>(&self, texts: &[T]) -> Result<TextBatch> {
        self.padded(texts, |_| &[])
    }

    /// A batch of pairs of texts, as [`Tokenizer::encode_pairs`](super::Tokenizer::encode_pairs) gives them.
    ///
    /// # Errors
    /// As [`DataCollatorWithPadding::pad`].
    pub fn pad_pairs(&self, pairs: &[Encoding]) -> Result<TextBatch> {
        let ids: Vec<&[i32]> = pairs.iter().map(|e| e.ids.as_slice()).collect();
        self.padded(&ids, |row| &pairs[row].token_type_ids)
    }

    /// Texts with the token types of each row, which end where the row does or before.
    fn padded<'a, T: AsRef<[i32]>>(
        &self,
        texts: &[T],
        types: impl Fn(usize) -> &'a [i32],
    ) -> Result<TextBatch> {
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
        let mut token_types = vec![0; ids.len()];
        for (row, text) in texts.iter().enumerate() {
            let text = text.as_ref();
            let at = row * length..row * length + text.len();
            ids[at.clone()].copy_from_slice(text);
            mask[at.clone()].fill(1.0);
            let of = types(row);
            let n = of.len().min(text.len());
            token_types[at][..n].copy_from_slice(&of[..n]);
        }
        Ok(TextBatch {
            ids: Array::of(shape, ids),
            lengths: Array::vector(lengths),
            mask: Array::of(shape, mask),
            token_type_ids: Array::of(shape, token_types),
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
        let batch = self.pad(&numbers(&samples, 0, "the ids of a text")?)?;
        let all = vec![batch.ids, batch.lengths, batch.mask];
        stack_rest(all, &samples, 1)
    }

    /// Samples whose first two arrays are the ids and the token types of a pair of texts, both i32 `[length]`, as the batch
    /// `[ids, lengths, mask, token_type_ids, ...]`; else as [`DataCollatorWithPadding::collate`].
    ///
    /// # Errors
    /// [`Error::Argument`] where a sample has no such arrays, or where the others differ in shape.
    pub fn collate_pairs(&self, samples: Vec<Sample>) -> Result<Vec<Array>> {
        let ids = numbers(&samples, 0, "the ids of a pair of texts")?;
        let types = numbers(&samples, 1, "the token types of a pair of texts")?;
        if let Some(i) = (0..ids.len()).find(|&i| ids[i].len() != types[i].len()) {
            let (n, types) = (ids[i].len(), types[i].len());
            return Err(Error::argument(format!(
                "sample {i} has {n} ids and {types} token types: expected one of each"
            )));
        }
        let batch = self.padded(&ids, |row| types[row])?;
        let all = vec![batch.ids, batch.lengths, batch.mask, batch.token_type_ids];
        stack_rest(all, &samples, 2)
    }
}

/// Array `k` of each sample, i32 `[length]`.
fn numbers<'a>(samples: &'a [Sample], k: usize, what: &str) -> Result<Vec<&'a [i32]>> {
    let all = samples.iter().enumerate().map(|(i, sample)| {
        let array = sample.get(k).filter(|a| a.shape().rank() == 1);
        match array.map(|a| a.as_slice::<i32>()) {
            Some(Ok(numbers)) => Ok(numbers),
            _ => Err(Error::argument(format!(
                "array {k} of sample {i} is not {what}, i32 [length]"
            ))),
        }
    });
    all.collect()
}

/// The arrays of `samples` from number `from` on, those of one number one above the other, behind `all`.
fn stack_rest(mut all: Vec<Array>, samples: &[Sample], from: usize) -> Result<Vec<Array>> {
    for k in from..samples[0].len() {
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
