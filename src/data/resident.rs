//! Data sets that are arrays in memory, as a device can hold them.

use std::ops::Range;
use std::sync::Arc;

use super::{Dataset, ImageDataset, TensorDataset};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Result, Site};
use crate::graph::TensorType;
use crate::state::SEGMENT;
use crate::tensor::{Tensor, Trace};

/// A data set as rows of arrays in memory, what [`Dataset::resident`] gives: sample `i` is row `i` of each column.
#[derive(Debug, Clone)]
pub struct Resident {
    /// For each array of a batch, what lies one below the other.
    columns: Vec<Vec<Chunk>>,
    /// The rows that the samples are; all where there is none.
    rows: Option<Arc<[usize]>>,
}

/// Rows of a column that lie together.
#[derive(Debug, Clone)]
pub(crate) enum Chunk {
    /// Those of one of these arrays.
    Rows(Arc<[Array]>, usize),
    /// Labels.
    Labels(Arc<[i32]>),
    /// Images, whose bytes become numbers when they are taken.
    Pixels(Box<ImageDataset>),
}

/// Bytes of a word.
const BYTES: usize = DType::SIZE;

impl Resident {
    pub(super) fn of_arrays(arrays: &Arc<[Array]>) -> Self {
        let column = |at| vec![Chunk::Rows(Arc::clone(arrays), at)];
        Self {
            columns: (0..arrays.len()).map(column).collect(),
            rows: None,
        }
    }

    pub(super) fn of_images(images: &ImageDataset, labels: &Arc<[i32]>) -> Self {
        let columns = vec![
            vec![Chunk::Pixels(Box::new(images.clone()))],
            vec![Chunk::Labels(Arc::clone(labels))],
        ];
        Self {
            columns,
            rows: None,
        }
    }

    /// The samples `indices` of it.
    pub(super) fn select(self, indices: &[usize]) -> Self {
        let of = |&i: &usize| self.rows.as_ref().map_or(i, |rows| rows[i]);
        Self {
            rows: Some(indices.iter().map(of).collect()),
            columns: self.columns,
        }
    }

    /// Its samples, then those of `other`, where their arrays are of the same types.
    pub(super) fn concat(self, other: Self) -> Option<Self> {
        let types = |r: &Self| -> Vec<TensorType> {
            let first = r.columns.iter().map(|c| c[0].ty());
            first.collect()
        };
        if types(&self) != types(&other) {
            return None;
        }
        let below = self.height();
        let rows = match (&self.rows, &other.rows) {
            (None, None) => None,
            _ => {
                let second = other.all_rows().map(|row| row + below);
                Some(self.all_rows().chain(second).collect())
            }
        };
        let both = self.columns.into_iter().zip(other.columns);
        Some(Self {
            columns: both.map(|(a, b)| [a, b].concat()).collect(),
            rows,
        })
    }

    /// Rows of the columns.
    fn height(&self) -> usize {
        let first = self.columns.first().map_or(&[][..], Vec::as_slice);
        first.iter().map(Chunk::len).sum()
    }

    fn all_rows(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        match &self.rows {
            Some(rows) => Box::new(rows.iter().copied()),
            None => Box::new(0..self.height()),
        }
    }

    /// The row of each sample, i32, as a data set; `None` where an i32 cannot say it.
    pub(super) fn rows(&self) -> Option<TensorDataset> {
        i32::try_from(self.height()).ok()?;
        let rows: Vec<i32> = self.all_rows().map(|row| row as i32).collect();
        TensorDataset::new(vec![Array::vector(rows)]).ok()
    }

    /// For each array of a batch, what lies one below the other.
    pub(crate) fn columns(&self) -> &[Vec<Chunk>] {
        &self.columns
    }

    /// The integers of column `column` that samples have, each with the number of its sample; none where it holds others.
    pub(crate) fn integers(&self, column: usize) -> impl Iterator<Item = (usize, i32)> + '_ {
        let samples = self.all_rows().enumerate();
        samples.flat_map(move |(sample, row)| {
            let place = self.place(column, row);
            let of = place.map_or(&[][..], |(chunk, row)| chunk.integers(row));
            of.iter().map(move |x| (sample, *x))
        })
    }

    /// The chunk that holds a row, and which of its rows it is.
    fn place(&self, column: usize, mut row: usize) -> Option<(&Chunk, usize)> {
        for chunk in &self.columns[column] {
            match row.checked_sub(chunk.len()) {
                None => return Some((chunk, row)),
                Some(after) => row = after,
            }
        }
        None
    }
}

impl Chunk {
    /// Its rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Rows(arrays, at) => arrays[*at].shape()[0],
            Self::Labels(labels) => labels.len(),
            Self::Pixels(images) => images.len(),
        }
    }

    /// What tells it from other chunks, while they are there.
    pub fn key(&self) -> String {
        match self {
            Self::Rows(arrays, at) => format!("{:x} {at}", arrays.as_ptr().addr()),
            Self::Labels(labels) => format!("{:x}", labels.as_ptr().addr()),
            Self::Pixels(images) => images.key(),
        }
    }

    /// Type of a row in a batch.
    fn ty(&self) -> TensorType {
        match self {
            Self::Rows(arrays, at) => {
                let array = &arrays[*at];
                TensorType::new(array.shape()[1..].to_vec(), array.dtype())
            }
            Self::Labels(_) => TensorType::i32([]),
            Self::Pixels(images) => TensorType::f32(images.shape()),
        }
    }

    /// Words of a row on the device.
    fn words(&self) -> usize {
        match self {
            Self::Pixels(images) => images.shape().iter().product::<usize>().div_ceil(BYTES),
            _ => self.ty().numel(),
        }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        (self.len() * self.words() * BYTES) as u64
    }

    /// Its rows in parts that one binding can cover; `None` where a single row is larger, or empty.
    pub fn parts(&self) -> Option<Vec<Range<usize>>> {
        let most = SEGMENT.checked_div(self.words()).filter(|n| *n > 0)?;
        let part = |first: usize| first..self.len().min(first + most);
        Some((0..self.len()).step_by(most).map(part).collect())
    }

    /// What the device holds of `rows`.
    ///
    /// # Errors
    /// Those of the data set.
    pub fn stored(&self, rows: Range<usize>) -> Result<Array> {
        let (n, words) = (rows.len(), self.words());
        Ok(match self {
            Self::Rows(arrays, at) => {
                let array = &arrays[*at];
                let shape = [&[n], &array.shape()[1..]].concat();
                let of = &array.words()[rows.start * words..rows.end * words];
                Array::from_words(shape, array.dtype(), of.to_vec())
            }
            Self::Labels(labels) => Array::vector(&labels[rows]),
            Self::Pixels(images) => {
                let mut all = Vec::with_capacity(n * words);
                for row in rows {
                    let bytes = images.bytes(row, 0)?;
                    all.extend(bytes.chunks(BYTES).map(|four| {
                        let place = |(k, b): (usize, &u8)| u32::from(*b) << (8 * k);
                        four.iter().enumerate().map(place).sum::<u32>()
                    }));
                }
                Array::from_words([n, words], DType::U32, all)
            }
        })
    }

    /// The rows `stored` `[b, ...]`, as the device holds them, as a batch has them.
    pub fn decoded(&self, g: &Trace, stored: Tensor) -> Tensor {
        let Self::Pixels(images) = self else {
            return stored;
        };
        let (shape, site) = (images.shape(), Site::here());
        let ([channels, h, w], b) = (shape, stored.size(0));
        // Four bytes a word, the first one lowest.
        let units: Vec<u32> = (0..BYTES).map(|k| 1 << (8 * k)).collect();
        let (units, base) = (
            g.constant(Array::vector(units)),
            g.constant(Array::scalar(256u32)),
        );
        let high = stored.unsqueeze(-1).div(&units);
        let bytes = high.sub(&high.div(&base).mul(&base)).to(DType::I32);
        let bytes = bytes.reshape_to([b, self.words() * BYTES].into());
        let bytes = bytes.narrow(1, 0, channels * h * w);
        let bytes = bytes.reshape_to([b, channels, h * w].into());
        let starts: Vec<i32> = (0..channels).map(|c| 256 * c as i32).collect();
        let starts = g.constant(Array::of([channels, 1], starts));
        let at = bytes.add(&starts).reshape_to([b * channels * h * w].into());
        let table = g.constant(Array::vector(images.values().concat()));
        table
            .selected(&at, site)
            .reshape_to([b, channels, h, w].into())
    }

    /// The integers of a row; none where it has others.
    fn integers(&self, row: usize) -> &[i32] {
        match self {
            Self::Rows(arrays, at) => {
                let n = self.words();
                let all = arrays[*at].as_slice::<i32>();
                all.map_or(&[], |all| &all[row * n..(row + 1) * n])
            }
            Self::Labels(labels) => &labels[row..=row],
            Self::Pixels(_) => &[],
        }
    }
}
