//! Orders in which texts of like length come together.

use crate::data::Sampler;
use crate::error::{Error, Result};
use crate::rng::Rng;

/// Batches in a part that is sorted by length.
const PART: usize = 50;

/// Orders that put texts of like length into the same batch, so that little is padded: as Hugging Face's
/// `group_by_length`, random in all else. The longest text is in the first batch of the first epoch's order, so that a
/// lack of memory shows at once.
#[derive(Debug, Clone)]
pub struct LengthSampler {
    lengths: Vec<usize>,
    batch_size: usize,
    seed: u64,
}

impl LengthSampler {
    /// Of texts with these lengths.
    ///
    /// # Errors
    /// [`Error::Argument`] where there are no texts, and for a batch size of 0.
    pub fn new(lengths: Vec<usize>, batch_size: usize, seed: u64) -> Result<Self> {
        if lengths.is_empty() || batch_size == 0 {
            return Err(Error::argument(format!(
                "batches of {batch_size} out of {} texts",
                lengths.len()
            )));
        }
        Ok(Self {
            lengths,
            batch_size,
            seed,
        })
    }
}

impl Sampler for LengthSampler {
    /// To be cut into batches of `batch_size`; the last one may be smaller.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut rng = Rng::new(self.seed, &format!("lengths of epoch {epoch}"));
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        shuffle(&mut order, &mut rng);
        for part in order.chunks_mut(PART * self.batch_size) {
            part.sort_by_key(|&i| std::cmp::Reverse(self.lengths[i]));
        }
        let whole = order.len() / self.batch_size * self.batch_size;
        let mut batches: Vec<Vec<usize>> = order[..whole]
            .chunks(self.batch_size)
            .map(<[usize]>::to_vec)
            .collect();
        shuffle(&mut batches, &mut rng);
        let longest = |b: &Vec<usize>| b.iter().map(|&i| self.lengths[i]).max();
        if epoch == 0 {
            let first =
                (0..batches.len()).max_by_key(|&b| (longest(&batches[b]), batches.len() - b));
            if let Some(first) = first {
                batches.swap(0, first);
            }
        }
        let mut all = batches.concat();
        all.extend_from_slice(&order[whole..]);
        all
    }
}

fn shuffle<T>(order: &mut [T], rng: &mut Rng) {
    for i in (1..order.len()).rev() {
        order.swap(i, rng.below(i as u32 + 1) as usize);
    }
}
