//! States on their way to the device, and the memory that device and host take.

use super::{Function, Session};
use crate::DType;
use crate::error::{Error, Result};
use crate::graph::StateRange;
use crate::plan::{Memory, human};
use crate::state::{self, State, StateKind};

impl Session {
    /// Put states that are new on the device.
    pub(super) fn sync(&mut self) -> Result<()> {
        state::check(&self.params)?;
        let states = self.params.all();
        let new = states.get(self.written..).unwrap_or_default();
        // Data are written where they are held.
        let new = || new.iter().filter(|s| s.kind != StateKind::Data);
        self.allow(new())?;
        for (index, segment) in self.params.segments().iter().enumerate() {
            self.device.segment(index, segment)?;
        }
        for s in new().filter(|s| s.range.len > 0) {
            let source = s.starts_as.as_ref().filter(|_| !s.init.is_carried());
            match source.and_then(|path| states.iter().find(|s| s.path == *path)) {
                Some(source) => {
                    let copy = pollster::block_on(self.device.read_states(&[source.range]))?;
                    self.device.write_state(s.range, &copy[0])?;
                }
                None => s.init.write(|before, words| {
                    let part = StateRange {
                        offset: s.range.offset + before,
                        len: words.len(),
                        ..s.range
                    };
                    self.device.write_state(part, words)
                })?,
            }
        }
        self.written = states.len();
        self.params.hold(self.written);
        Ok(())
    }

    /// Refuse states that the device cannot hold, before anything is allocated for them.
    fn allow<'a>(&self, new: impl Iterator<Item = &'a State>) -> Result<()> {
        let caps = self.device.caps();
        let mut any = false;
        for s in new {
            any = true;
            let bytes = (s.range.len * DType::SIZE) as u64;
            if bytes > caps.buffer_bytes {
                return Err(Error::Limit(format!(
                    "{} {}: {}, the largest buffer of {} has {} (max_buffer_size): the CPU has no such limit \
                     (WGRAD_DEVICE=cpu), or make it of several parameters",
                    s.path,
                    s.shape,
                    human(bytes),
                    caps.owner,
                    human(caps.buffer_bytes)
                )));
            }
        }
        let memory = self.with_host(Memory::of_segments(&self.params.segments()), 0);
        match self.memory_limit {
            Some(limit) if any && memory.total() > limit => Err(Error::OutOfMemory(format!(
                "the states of the model need more than the limit of {}:\n{memory}",
                human(limit)
            ))),
            _ => Ok(()),
        }
    }

    /// The memory that the device holds, and what the host keeps besides.
    pub fn memory(&self) -> Memory {
        self.with_host(self.device.memory(), self.upload.len())
    }

    /// The memory that `f` needs for the shapes of its last run, predicted from its plan: what the device holds, what the
    /// host keeps, and the peak while states get their first values or a file's.
    pub fn predicted_memory(&self, f: &Function) -> Memory {
        f.plan().map_or_else(Memory::default, |p| {
            let memory = p.memory(&self.params.segments(), self.device.caps());
            self.with_host(memory, p.upload_words)
        })
    }

    /// `memory` with what the host takes for this session's states and for an upload of `words`.
    pub(super) fn with_host(&self, memory: Memory, words: usize) -> Memory {
        let states = self.params.all();
        let bytes = |words: usize| (words * DType::SIZE) as u64;
        let largest = states.iter().map(|s| bytes(s.range.len)).max();
        let all: u64 = states.iter().map(|s| bytes(s.range.len)).sum();
        // A GPU's queue holds copies of what is on its way.
        let staged = match self.device.caps().kernels {
            true => all.min(2 * crate::device::TRANSFER),
            false => 0,
        };
        Memory {
            host: memory.host + self.params.kept_bytes() + bytes(words),
            loading: largest.unwrap_or(0) + staged,
            ..memory
        }
    }
}
