//! Runs that were submitted, and what becomes of those whose results nobody reads.

use super::Session;
use super::indices::Check;
use crate::array::Array;
use crate::device::Ticket;
use crate::error::Result;
use crate::graph::TensorType;
use std::sync::{Arc, Mutex, PoisonError};

/// The results of a run that has been submitted.
#[must_use = "read it with Session::read, or drop it with Session::discard"]
pub struct Pending {
    run: Option<Run>,
    types: Vec<TensorType>,
    dropped: Dropped,
}

/// What a session must know of a run to look at its results.
pub(super) struct Run {
    ticket: Ticket,
    /// How many results are the function's own.
    own: usize,
    checks: Arc<[Check]>,
}

/// The runs whose results were dropped.
pub(super) type Dropped = Arc<Mutex<Vec<Run>>>;

/// Dropped runs that may have indices out of range, before the next one waits for them.
const DROPPED: usize = 3;

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            dropped.push(run);
        }
    }
}

impl Session {
    pub(super) fn pending(
        &self,
        ticket: Ticket,
        types: Vec<TensorType>,
        checks: &Arc<[Check]>,
    ) -> Pending {
        let run = Run {
            ticket,
            own: types.len(),
            checks: checks.clone(),
        };
        Pending {
            run: Some(run),
            types,
            dropped: self.dropped.clone(),
        }
    }

    /// Wait for the results of a run.
    ///
    /// # Errors
    /// The device's failures; [`Error::Index`](crate::Error::Index) where the run computed an index that is out of range,
    /// or an earlier one did whose results were dropped.
    pub fn read(&mut self, pending: Pending) -> Result<Vec<Array>> {
        pollster::block_on(self.read_async(pending))
    }

    /// [`Session::read`] without blocking.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub async fn read_async(&mut self, mut pending: Pending) -> Result<Vec<Array>> {
        self.settle().await?;
        let types = std::mem::take(&mut pending.types);
        let words = match pending.run.take() {
            Some(run) => self.results(run).await?,
            None => Vec::new(),
        };
        let array = |(w, ty): (Vec<u32>, TensorType)| Array::from_words(ty.shape, ty.dtype, w);
        Ok(words.into_iter().zip(types).map(array).collect())
    }

    /// Drop the results of a run. An index that it computed and that is out of range is an error of the next
    /// [`Session::read`] all the same.
    pub fn discard(&mut self, pending: Pending) {
        drop(pending);
        self.forget_dropped();
    }

    /// Give back the memory of dropped results that nobody has to look at.
    fn forget_dropped(&mut self) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.retain(|run| {
            if run.checks.is_empty() {
                self.device.discard(run.ticket);
            }
            !run.checks.is_empty()
        });
    }

    /// Look at dropped results where there are several, so that they do not pile up.
    pub(super) fn settle_many(&mut self) -> Result<()> {
        self.forget_dropped();
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let many = dropped.len() >= DROPPED;
        drop(dropped);
        match many {
            true => pollster::block_on(self.settle()),
            false => Ok(()),
        }
    }

    /// Look at the results that were dropped: the first error in them.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.forget_dropped();
        let dropped = {
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *dropped)
        };
        let mut first = Ok(());
        for run in dropped {
            first = first.and(self.results(run).await.map(drop));
        }
        first
    }

    async fn results(&mut self, run: Run) -> Result<Vec<Vec<u32>>> {
        let words = self.device.read(run.ticket).await?;
        Check::all(&run.checks, run.own, &words)?;
        Ok(words)
    }
}
