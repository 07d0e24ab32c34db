//! Data that stay on the device: runs take rows of them, and upload the indices alone.

use super::Session;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::plan::human;
use crate::state::Held;

impl Session {
    /// Hold `array` on the device: data that are small enough to stay there, of which functions take rows by index
    /// ([`Trace::held`](crate::Trace::held)), so that a run uploads the indices in place of a batch. Held data are no part
    /// of the model: they are in no checkpoint. [`Session::release`] gives the memory back.
    ///
    /// ```
    /// # fn main() -> wgrad::Result<()> {
    /// use wgrad::{Array, Mode, Params, Session, TensorType};
    /// let mut session = Session::new(&Params::new(0))?;
    /// let rows = session.hold(&Array::new([3, 2], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0])?)?;
    /// let mut sums = session.compile(Mode::Eval, &[TensorType::i32([2])], |g, x| {
    ///     vec![g.held(&rows).index_select(0, &x[0]).sum(&[1], false)]
    /// })?;
    /// let batch = session.run(&mut sums, &[&Array::vector(vec![2, 0])])?;
    /// assert_eq!(batch[0].to_f32(), [9.0, 1.0]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// An array of no elements; memory, where a limit is set or the device has no room; [`Error::Limit`] for an array that no
    /// buffer of the device holds: it can be held in parts.
    pub fn hold(&mut self, array: &Array) -> Result<Held> {
        let bytes = (array.numel() * DType::SIZE) as u64;
        let memory = self.memory();
        if let Some(limit) = self.memory_limit.filter(|l| memory.total() + bytes > *l) {
            return Err(Error::OutOfMemory(format!(
                "{} of data to hold exceed the limit of {}:\n{memory}",
                human(bytes),
                human(limit)
            )));
        }
        let caps = self.device.caps();
        if bytes > caps.buffer_bytes {
            return Err(Error::Limit(format!(
                "hold: an array {} {} of {}, the largest buffer of {} has {} (max_buffer_size): hold it in parts",
                array.dtype(),
                array.shape(),
                human(bytes),
                caps.owner,
                human(caps.buffer_bytes)
            )));
        }
        self.sync()?;
        let held = self.params.hold_data(array)?;
        let segments = self.params.segments();
        let at = held.range.segment;
        let written = self
            .device
            .segment(at, &segments[at])
            .and_then(|()| self.device.write_state(held.range, array.words()));
        if let Err(error) = written {
            self.params.release_data(&held);
            return Err(error);
        }
        self.written = self.params.all().len();
        self.params.hold(self.written);
        Ok(held)
    }

    /// Give the memory of a held array back. Functions that take rows of it cannot run any more.
    ///
    /// # Errors
    /// An array that this session does not hold; the device's failures.
    pub fn release(&mut self, held: &Held) -> Result<()> {
        self.sync()?;
        if !self.params.release_data(held) {
            return Err(Error::argument(format!(
                "release: {} {} is not held by this session",
                held.path,
                held.ty()
            )));
        }
        self.written = self.params.all().len();
        self.released += 1;
        let segments = self.params.segments();
        let at = held.range.segment;
        self.device.segment(at, &segments[at])
    }
}
