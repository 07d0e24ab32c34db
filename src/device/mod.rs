//! Devices run plans: the CPU, a GPU, or both compared step by step.

mod choose;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "gpu")]
mod lockstep;
mod poison;

pub use choose::{DeviceKind, DeviceOptions, choose};
pub use cpu::CpuDevice;
#[cfg(feature = "gpu")]
pub use gpu::{GpuDevice, adapters};
#[cfg(feature = "gpu")]
pub use lockstep::Lockstep;

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::StateRange;
use crate::plan::{Memory, Plan};
use crate::state::Segment;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Bytes that a GPU's queue or a block for results holds at most while states are written or read.
pub(crate) const TRANSFER: u64 = 32 << 20;

/// A plan that a device has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanId(pub usize);

/// A run that was submitted, whose results have not been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What a device has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Buffers created.
    pub allocations: u64,
    /// Command submissions (runs, on the CPU).
    pub submits: u64,
    /// Kernel launches (steps, on the CPU).
    pub dispatches: u64,
    /// Bytes from the host to the device.
    pub bytes_up: u64,
    /// Bytes from the device to the host.
    pub bytes_down: u64,
    /// Plans loaded.
    pub plans: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
}

/// What runs plans. No method blocks for the device's work but the futures that it returns.
pub trait Device: Send {
    /// One line: which device this is.
    fn name(&self) -> String;

    /// What it can do.
    fn caps(&self) -> &Caps;

    /// Have segment `index` hold `segment`: what it held stays, what is new is zero; one of no elements gives its memory
    /// back.
    fn segment(&mut self, index: usize, segment: &Segment) -> Result<()>;

    /// Replace the words of a state.
    fn write_state(&mut self, range: StateRange, words: &[u32]) -> Result<()>;

    /// The words of states, after all that was submitted.
    fn read_states(&mut self, ranges: &[StateRange]) -> BoxFuture<'_, Result<Vec<Vec<u32>>>>;

    /// Make a plan ready to run: memory, pipelines.
    fn load(&mut self, plan: Arc<Plan>) -> Result<PlanId>;

    /// Forget a plan.
    fn unload(&mut self, plan: PlanId);

    /// Run a plan on `upload` (as [`Plan::inputs`] and [`Plan::scalars`] lay it out).
    fn submit(&mut self, plan: PlanId, upload: &[u32]) -> Result<Ticket>;

    /// The outputs of a run, in words, once it has ended. Each run's can be read once, also after later runs.
    fn read(&mut self, ticket: Ticket) -> BoxFuture<'_, Result<Vec<Vec<u32>>>>;

    /// Drop the outputs of a run.
    fn discard(&mut self, ticket: Ticket);

    /// The name under which compiled pipelines may be kept for later sessions, where the backend can.
    fn pipeline_cache_key(&self) -> Option<String> {
        None
    }

    /// Start from compiled pipelines that an earlier session kept; what does not fit the driver is ignored.
    fn set_pipeline_cache(&mut self, data: Option<Vec<u8>>) {
        let _ = data;
    }

    /// The compiled pipelines, to be kept.
    fn pipeline_cache(&self) -> Option<Vec<u8>> {
        None
    }

    /// What it has done so far.
    fn counters(&self) -> Counters;

    /// The memory that it holds, counted where it is allocated.
    fn memory(&self) -> Memory;
}
