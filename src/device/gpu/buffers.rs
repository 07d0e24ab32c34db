//! Buffers, counted where they are created.

use super::Counters;
use crate::error::{Error, Result};
use crate::plan::{Memory, human};
use crate::state::StateKind;

/// What a storage buffer may be used for.
pub const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_DST)
    .union(wgpu::BufferUsages::COPY_SRC);

/// The kind under which a buffer is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Parameters.
    Parameters,
    /// What layers keep besides.
    Buffers,
    /// Optimizer slots.
    Optimizer,
    /// Data that the session holds.
    Data,
    /// Gradients.
    Gradients,
    /// Values of a run.
    Activations,
    /// Uploads, constants, results, parameters of kernels.
    Inputs,
}

impl Use {
    /// The kind of a state's segment.
    pub fn of_state(kind: StateKind) -> Self {
        match kind {
            StateKind::Parameter => Self::Parameters,
            StateKind::Buffer => Self::Buffers,
            StateKind::Optimizer => Self::Optimizer,
            StateKind::Data => Self::Data,
        }
    }
}

/// A buffer that may grow.
pub struct Held {
    /// What it is counted under.
    pub kind: Use,
    /// The buffer, once there is one.
    pub buffer: Option<wgpu::Buffer>,
}

/// The bytes held, by kind, and the limit.
pub struct Buffers {
    /// Bytes held.
    pub memory: Memory,
    /// Most bytes to hold.
    pub limit: u64,
}

impl Buffers {
    /// Create a buffer.
    pub fn create(
        &mut self,
        device: &wgpu::Device,
        kind: Use,
        size: u64,
        usage: wgpu::BufferUsages,
        counters: &mut Counters,
    ) -> Result<wgpu::Buffer> {
        if self.memory.total() + size > self.limit {
            let message = format!(
                "{} more would exceed the limit of {}:\n{}",
                human(size),
                human(self.limit),
                self.memory
            );
            return Err(Error::OutOfMemory(message));
        }
        let scopes = [
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Validation,
        ]
        .map(|f| device.push_error_scope(f));
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        });
        for scope in scopes.into_iter().rev() {
            if let Some(error) = pollster::block_on(scope.pop()) {
                return Err(Error::OutOfMemory(format!(
                    "a buffer of {}: {error}\n{}",
                    human(size),
                    self.memory
                )));
            }
        }
        *self.count(kind) += size;
        counters.allocations += 1;
        Ok(buffer)
    }

    /// Free a buffer once nothing uses it any more.
    pub fn release(&mut self, kind: Use, buffer: &wgpu::Buffer) {
        *self.count(kind) -= buffer.size();
    }

    fn count(&mut self, kind: Use) -> &mut u64 {
        match kind {
            Use::Parameters => &mut self.memory.parameters,
            Use::Buffers => &mut self.memory.buffers,
            Use::Optimizer => &mut self.memory.optimizer,
            Use::Data => &mut self.memory.data,
            Use::Gradients => &mut self.memory.gradients,
            Use::Activations => &mut self.memory.activations,
            Use::Inputs => &mut self.memory.inputs,
        }
    }
}
