//! Data sets that lie on the device while a model trains on them: a step uploads the indices of its samples.

use super::trainer::Trainer;
use crate::array::Array;
use crate::data::{Chunk, DataLoader, Resident};
use crate::error::{Error, Result};
use crate::plan::human;
use crate::session::{Function, Session};
use crate::state::Held;
use crate::tensor::{Tensor, Trace};
use std::ops::Range;
use std::sync::Arc;

/// Most bytes of data that go to the device unasked.
const MOST: u64 = 512 << 20;

/// What a batch is taken from: indices, or the arrays themselves.
#[derive(Clone, Default)]
pub(super) struct Feed(Option<Arc<Columns>>);

/// The columns of a data set on the device: chunks, and where they lie.
struct Columns {
    resident: Resident,
    places: Vec<Vec<Arc<Placed>>>,
}

/// What lies on the device of chunks that store the same, in parts that a binding can cover.
struct Placed {
    /// Keeps what the key names alive.
    chunk: Chunk,
    parts: Vec<(Range<usize>, Held)>,
}

/// What lies on the device for a training.
#[derive(Default)]
pub(super) struct OnDevice(Vec<Arc<Placed>>);

impl Feed {
    /// Whether batches come as they are.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Which evaluation of [`Trainer::eval`] takes such batches.
    pub fn slot(&self, predicts: bool) -> usize {
        usize::from(predicts) + 2 * usize::from(self.0.is_some())
    }

    /// The arrays of a batch, from the arguments of a function.
    pub fn batch(&self, g: &Trace, arguments: &[Tensor]) -> Vec<Tensor> {
        let Some(of) = &self.0 else {
            return arguments.to_vec();
        };
        let columns = of.resident.columns().iter().zip(&of.places).enumerate();
        let taken = columns.map(|(at, (chunks, places))| {
            let rows = rows_of(g, chunks, places, &arguments[0]);
            g.stands_for(&rows, at);
            rows
        });
        taken.collect()
    }

    /// Check the integers of the data, which no run of `function` looks at.
    pub fn check(&self, function: &Function) -> Result<()> {
        let Some(of) = &self.0 else {
            return Ok(());
        };
        for range in function.column_ranges() {
            let bad = |(_, x): &(usize, i32)| !range.limit.admits(*x);
            if let Some((sample, x)) = of.resident.integers(range.input).find(bad) {
                return Err(Error::argument(format!(
                    "array {} of sample {sample} has {x}: expected {}",
                    range.input, range.limit
                )));
            }
        }
        Ok(())
    }
}

/// The rows `index` of what lies one below the other.
fn rows_of(g: &Trace, chunks: &[Chunk], places: &[Arc<Placed>], index: &Tensor) -> Tensor {
    let mut first = 0;
    let of = chunks.iter().zip(places).map(|(chunk, placed)| {
        let parts = placed.parts.iter();
        let parts = parts.map(|(rows, held)| (rows.start, g.held(held)));
        let stored = one_of(g, parts, first, index);
        let all = (first, chunk.decoded(g, stored));
        first += chunk.len();
        all
    });
    let of: Vec<(usize, Tensor)> = of.collect();
    joined(g, of, index)
}

/// The rows `index - first` of tensors that lie one below the other, each from its first row on.
fn one_of(
    g: &Trace,
    parts: impl Iterator<Item = (usize, Tensor)>,
    first: usize,
    index: &Tensor,
) -> Tensor {
    let taken = parts.map(|(start, rows)| {
        let start = first + start;
        let local = match start {
            0 => index.clone(),
            // What is another part's takes some row, which is not used.
            _ => index.sub(&g.constant(Array::scalar(start as i32))),
        };
        (start, rows.selected(&local, crate::error::Site::here()))
    });
    joined(g, taken.collect(), index)
}

/// The last of the tensors whose first row is not after the index, for each index.
fn joined(g: &Trace, of: Vec<(usize, Tensor)>, index: &Tensor) -> Tensor {
    let joined = of.into_iter().reduce(|(first, before), (start, rows)| {
        let mut shape = vec![1; rows.rank()];
        shape[0] = index.size(0);
        let here = index.ge(&g.constant(Array::scalar(start as i32)));
        let here = here.reshape_to(shape.into());
        (first, here.where_(&rows, &before))
    });
    joined.map_or_else(|| g.poison(), |(_, rows)| rows)
}

impl OnDevice {
    /// The columns of `resident`, of which those that are there already are used.
    fn place(&mut self, session: &mut Session, resident: Resident) -> Result<Feed> {
        let mut places = Vec::new();
        for chunks in resident.columns() {
            let placed = chunks.iter().map(|chunk| self.chunk(session, chunk));
            places.push(placed.collect::<Result<_>>()?);
        }
        Ok(Feed(Some(Arc::new(Columns { resident, places }))))
    }

    fn chunk(&mut self, session: &mut Session, chunk: &Chunk) -> Result<Arc<Placed>> {
        let key = chunk.key();
        if let Some(known) = self.0.iter().find(|p| p.chunk.key() == key) {
            return Ok(known.clone());
        }
        let mut placed = Placed {
            chunk: chunk.clone(),
            parts: Vec::new(),
        };
        let mut fault = None;
        for rows in chunk.parts().unwrap_or_default() {
            match chunk.stored(rows.clone()).and_then(|a| session.hold(&a)) {
                Ok(held) => placed.parts.push((rows, held)),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        // What was placed in part is released with the rest.
        let placed = Arc::new(placed);
        self.0.push(placed.clone());
        fault.map_or(Ok(placed), Err)
    }

    /// Give the memory back.
    pub fn release(&mut self, session: &mut Session) -> Result<()> {
        let all = std::mem::take(&mut self.0);
        let mut parts = all.iter().flat_map(|p| &p.parts);
        parts.try_for_each(|(_, held)| session.release(held))
    }
}

/// Bytes of what `all` hold, what they share counted once.
fn bytes(all: &[&Resident]) -> u64 {
    let mut keys = Vec::new();
    let mut bytes = 0;
    for chunk in all.iter().flat_map(|r| r.columns()).flatten() {
        let key = chunk.key();
        if !keys.contains(&key) {
            keys.push(key);
            bytes += chunk.bytes();
        }
    }
    bytes
}

impl Trainer<'_> {
    /// Put the data of a training on the device where they are to be there, and return loaders of indices in place of
    /// those, each with what they are indices of.
    pub(super) fn place_data(
        &mut self,
        train: &DataLoader,
        valid: Option<&DataLoader>,
    ) -> Result<[Option<(DataLoader, Feed)>; 2]> {
        let wanted = self.args.data_on_device;
        let caps = self.session.device().caps();
        let hardware = caps.kernels && !caps.software;
        if !wanted.unwrap_or(hardware) {
            return Ok([None, None]);
        }
        let placeable = |loader: &DataLoader| {
            loader.indices().filter(|(_, resident)| {
                let mut chunks = resident.columns().iter().flatten();
                chunks.all(|c| c.parts().is_some())
            })
        };
        let found = placeable(train);
        let Some((indices, resident)) = found else {
            return match wanted {
                Some(true) => Err(Error::argument(
                    "data_on_device: the training data are not arrays in memory, are changed at random, or have a collate \
                     function; leave it at None",
                )),
                _ => Ok([None, None]),
            };
        };
        let held_out = valid.and_then(placeable);
        let all: Vec<&Resident> = std::iter::once(&resident)
            .chain(held_out.as_ref().map(|h| &h.1))
            .collect();
        let (bytes, limit) = (bytes(&all), self.session.memory_limit());
        let most = limit.map_or(MOST, |limit| MOST.min(limit / 4));
        if wanted.is_none() && bytes > most {
            return Ok([None, None]);
        }
        let mut place = |(indices, resident): (DataLoader, Resident)| -> Result<_> {
            let feed = self.on_device.place(self.session, resident)?;
            Ok((indices, feed))
        };
        let placed = place((indices, resident)).and_then(|train| {
            let held_out = held_out.map(&mut place).transpose()?;
            Ok([Some(train), held_out])
        });
        match placed {
            Err(Error::OutOfMemory(why)) if wanted == Some(true) => {
                self.on_device.release(self.session)?;
                Err(Error::OutOfMemory(format!(
                    "data_on_device: {} of data: {why}",
                    human(bytes)
                )))
            }
            // Where they do not fit beside the model, they are uploaded.
            Err(Error::OutOfMemory(_)) => {
                self.on_device.release(self.session)?;
                Ok([None, None])
            }
            placed => placed,
        }
    }

    /// Forget the functions of a training whose data lay on the device, and give their memory back.
    pub(super) fn release_data(&mut self) -> Result<()> {
        let training = [&mut self.train, &mut self.observed];
        for compiled in self.eval.iter_mut().chain(training) {
            let fed = compiled.take_if(|c| !c.feed.is_none());
            fed.into_iter()
                .for_each(|c| self.session.forget(c.function));
        }
        self.on_device.release(self.session)
    }
}
