//! Data sets that lie in memory as arrays.

use std::sync::Arc;

use super::{Dataset, Resident, Sample, check_indices, label_of};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// Arrays whose rows belong together, as `torch.utils.data.TensorDataset`. Clones share them.
#[derive(Debug, Clone)]
pub struct TensorDataset {
    arrays: Arc<[Array]>,
    len: usize,
}

impl TensorDataset {
    /// Sample `i` is row `i` of each of `arrays`, `[n, ...]` with the same `n`.
    ///
    /// # Errors
    /// [`Error::Argument`] where there are no arrays, one is a scalar, or their first dimensions differ.
    pub fn new(arrays: Vec<Array>) -> Result<Self> {
        let Some(first) = arrays.first() else {
            return Err(Error::argument("a TensorDataset of no arrays"));
        };
        let len = first.shape().first().copied();
        for (k, array) in arrays.iter().enumerate() {
            let rows = array.shape().first().copied();
            if rows.is_none() {
                return Err(Error::argument(format!(
                    "array {k} of a TensorDataset is a scalar: it has no rows"
                )));
            }
            if rows != len {
                return Err(Error::argument(format!(
                    "arrays 0 and {k} of a TensorDataset differ in the number of rows: {} and {}",
                    first.shape(),
                    array.shape()
                )));
            }
        }
        Ok(Self {
            arrays: arrays.into(),
            len: len.unwrap_or(0),
        })
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.len
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        let row = |array: &Array| {
            let sizes = array.shape()[1..].to_vec();
            Array::from_words(sizes, array.dtype(), array.words().to_vec())
        };
        Ok(self.batch(&[index], epoch)?.iter().map(row).collect())
    }

    fn batch(&self, indices: &[usize], _: u64) -> Result<Vec<Array>> {
        check_indices(indices, self.len)?;
        let gather = |array: &Array| {
            let sizes = &array.shape()[1..];
            let row: usize = sizes.iter().product();
            let mut words = Vec::with_capacity(indices.len() * row);
            for &i in indices {
                words.extend_from_slice(&array.words()[i * row..(i + 1) * row]);
            }
            let shape = [&[indices.len()], sizes].concat();
            Array::from_words(shape, array.dtype(), words)
        };
        Ok(self.arrays.iter().map(gather).collect())
    }

    fn labels(&self) -> Result<Vec<i32>> {
        let last = &self.arrays[self.arrays.len() - 1];
        if last.dtype() != DType::I32 || last.numel() != self.len {
            return Err(Error::argument(format!(
                "the labels of a TensorDataset are {} {}, not i32 [n]",
                last.dtype(),
                last.shape()
            )));
        }
        Ok(last.as_slice::<i32>()?.to_vec())
    }

    fn resident(&self) -> Option<Resident> {
        Some(Resident::of_arrays(&self.arrays))
    }
}

/// Samples in memory whose shapes may differ: texts as token ids, which a collate function pads. Clones share them.
#[derive(Debug, Clone)]
pub struct SampleDataset {
    samples: Arc<[Sample]>,
}

impl SampleDataset {
    /// The data set of `samples`.
    pub fn new(samples: impl Into<Vec<Sample>>) -> Self {
        Self {
            samples: samples.into().into(),
        }
    }
}

impl Dataset for SampleDataset {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn sample(&self, index: usize, _: u64) -> Result<Sample> {
        check_indices(&[index], self.len())?;
        Ok(self.samples[index].clone())
    }

    fn labels(&self) -> Result<Vec<i32>> {
        let labels = self.samples.iter().enumerate();
        labels.map(|(i, s)| label_of(i, s.last())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(arrays: Vec<Array>) -> String {
        TensorDataset::new(arrays).err().unwrap().to_string()
    }

    #[test]
    fn gathers_rows_of_every_dtype() {
        let x = Array::new([3, 2], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let y = Array::vector(vec![7i32, 8, 9]);
        let mask = Array::from_words([3, 1, 1], DType::Bool, vec![1, 0, 1]);
        let batch = TensorDataset::new(vec![x, y, mask])
            .unwrap()
            .batch(&[2, 0, 2, 1], 0)
            .unwrap();
        assert_eq!(
            batch[0],
            Array::new([4, 2], vec![4.0f32, 5.0, 0.0, 1.0, 4.0, 5.0, 2.0, 3.0]).unwrap()
        );
        assert_eq!(batch[1], Array::vector(vec![9i32, 7, 9, 8]));
        assert_eq!(
            batch[2],
            Array::from_words([4, 1, 1], DType::Bool, vec![1, 1, 1, 0])
        );
    }

    #[test]
    fn refuses_what_does_not_belong_together() {
        assert_eq!(error(vec![]), "a TensorDataset of no arrays");
        assert_eq!(
            error(vec![Array::zeros([3]), Array::scalar(1.0f32)]),
            "array 1 of a TensorDataset is a scalar: it has no rows"
        );
        assert_eq!(
            error(vec![
                Array::zeros([3, 2]),
                Array::zeros([3]),
                Array::zeros([4])
            ]),
            "arrays 0 and 2 of a TensorDataset differ in the number of rows: [3,2] and [4]"
        );
    }

    #[test]
    fn samples_have_no_dimension_for_the_batch() {
        let x = Array::new([2, 3], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let data = TensorDataset::new(vec![x, Array::vector(vec![7i32, 8])]).unwrap();
        assert_eq!(
            data.sample(1, 0).unwrap(),
            [Array::vector(vec![3.0f32, 4.0, 5.0]), Array::scalar(8i32)]
        );
        assert_eq!(data.labels().unwrap(), [7, 8]);
        let message = data.sample(2, 0).err().unwrap().to_string();
        assert_eq!(message, "no sample 2 in a data set of 2 samples");
    }

    #[test]
    fn samples_of_other_shapes_do_not_stack() {
        let text = |ids: &[i32], label: i32| vec![Array::vector(ids), Array::scalar(label)];
        let data = SampleDataset::new(vec![text(&[1, 2], 0), text(&[3], 1), text(&[4, 5], 1)]);
        assert_eq!(data.labels().unwrap(), [0, 1, 1]);
        let batch = data.batch(&[2, 0], 0).unwrap();
        assert_eq!(batch[0], Array::new([2, 2], vec![4i32, 5, 1, 2]).unwrap());
        assert_eq!(batch[1], Array::vector(vec![1i32, 0]));
        let message = |data: &SampleDataset| data.batch(&[0, 1], 0).err().unwrap().to_string();
        assert_eq!(
            message(&data),
            "samples 0 and 1 of a batch differ in array 0: i32 [2] and i32 [1] (a collate function can pad them)"
        );
        let uneven = SampleDataset::new(vec![text(&[1], 0), vec![Array::zeros([2])]]);
        assert_eq!(
            message(&uneven),
            "samples 0 and 1 of a batch have 2 and 1 arrays"
        );
        assert_eq!(
            uneven.labels().err().unwrap().to_string(),
            "the last array of sample 1 is f32 [2], not a label (one i32)"
        );
    }
}
