//! Data sets that lie in memory as arrays.

use super::{Dataset, check_indices};
use crate::array::Array;
use crate::error::{Error, Result};

/// Arrays whose rows belong together, as `torch.utils.data.TensorDataset`.
#[derive(Debug, Clone)]
pub struct TensorDataset {
    arrays: Vec<Array>,
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
            arrays,
            len: len.unwrap_or(0),
        })
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.len
    }

    fn batch(&self, indices: &[usize]) -> Result<Vec<Array>> {
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
        let mask = Array::from_words([3, 1, 1], crate::DType::Bool, vec![1, 0, 1]);
        let batch = TensorDataset::new(vec![x, y, mask])
            .unwrap()
            .batch(&[2, 0, 2, 1])
            .unwrap();
        assert_eq!(
            batch[0],
            Array::new([4, 2], vec![4.0f32, 5.0, 0.0, 1.0, 4.0, 5.0, 2.0, 3.0]).unwrap()
        );
        assert_eq!(batch[1], Array::vector(vec![9i32, 7, 9, 8]));
        assert_eq!(
            batch[2],
            Array::from_words([4, 1, 1], crate::DType::Bool, vec![1, 1, 1, 0])
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
    fn a_subset_counts_from_its_start() {
        let data = TensorDataset::new(vec![Array::vector(vec![0i32, 10, 20, 30, 40])]).unwrap();
        let part = data.clone().subset(1..4).unwrap();
        assert_eq!(part.len(), 3);
        assert_eq!(
            part.batch(&[2, 0]).unwrap(),
            [Array::vector(vec![30i32, 10])]
        );
        assert_eq!(
            part.batch(&[3]).err().unwrap().to_string(),
            "no sample 3 in a data set of 3 samples"
        );
        let part = part.subset(1..2).unwrap();
        assert_eq!(part.batch(&[0]).unwrap(), [Array::vector(vec![20i32])]);
        let message = data.subset(2..6).err().unwrap().to_string();
        assert_eq!(message, "no subset 2..6 of a data set of 5 samples");
    }
}
