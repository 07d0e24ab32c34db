//! A GPU, through wgpu: a plan is one bind group a launch, made once, and one submission a run.

mod buffers;
mod open;
mod pipelines;
mod ring;
mod run;

pub use open::adapters;

use super::{Counters, Device, DeviceOptions, PlanId, Ticket};
use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::StateRange;
use crate::plan::{Memory, PageKind, Plan};
use crate::state::Segment;
use buffers::{Buffers, Held, Use};
use futures::future::BoxFuture;
use pipelines::Pipelines;
use run::Loaded;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The GPU device.
pub struct GpuDevice {
    name: String,
    cache_key: Option<String>,
    caps: Caps,
    device: wgpu::Device,
    queue: wgpu::Queue,
    fault: Arc<Mutex<Option<Error>>>,
    buffers: Buffers,
    pipelines: Pipelines,
    segments: Vec<Held>,
    pages: BTreeMap<PageKind, Held>,
    /// Counts how often a page or segment moved: bind groups made before are stale.
    moved: u64,
    plans: BTreeMap<PlanId, Loaded>,
    results: HashMap<Ticket, Result<Vec<Vec<u32>>>>,
    counters: Counters,
    runs: u64,
    /// Bytes written to states that the host holds until the next submission.
    staged: u64,
}

/// [`super::TRANSFER`] in words.
const TRANSFER: usize = super::TRANSFER as usize / DType::SIZE;

impl GpuDevice {
    /// Open the adapter that the environment (`WGPU_BACKEND`, `WGPU_ADAPTER_NAME`, `WGPU_POWER_PREF`) asks for, else the
    /// best; a software adapter only where `software` allows it or the name asks for it.
    ///
    /// # Errors
    /// [`Error::Adapter`] where there is none, with what there is.
    pub fn open(options: &DeviceOptions, software: bool) -> Result<Self> {
        pollster::block_on(open::open(options, software))
    }

    /// The wgpu device, for tests that lose it.
    pub fn wgpu(&self) -> &wgpu::Device {
        &self.device
    }

    /// What the device reported since it was last asked.
    fn check(&self) -> Result<()> {
        match self.reported() {
            None => Ok(()),
            Some(lost @ Error::DeviceLost(_)) => Err(lost),
            // What a lost device refuses is told before its loss is.
            Some(error) => Err(self.loss().unwrap_or(error)),
        }
    }

    /// The loss of the device, if it is lost.
    fn loss(&self) -> Option<Error> {
        let _ = self.device.poll(wgpu::PollType::Poll);
        let lost = |e: &Error| matches!(e, Error::DeviceLost(_));
        self.reported().filter(lost)
    }

    /// What the device reported; a lost one stays lost.
    fn reported(&self) -> Option<Error> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match &*fault {
            Some(Error::DeviceLost(why)) => Some(Error::DeviceLost(why.clone())),
            _ => fault.take(),
        }
    }

    /// Have what was written to states arrive, and the host's copies of it go.
    fn flush(&mut self) -> Result<()> {
        self.staged = 0;
        self.queue.submit([]);
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|e| Error::Device(e.to_string()))?;
        self.check()
    }

    /// Have `held` be at least `words` long, keeping what it holds where `keep`; returns whether it is another buffer.
    fn grow(&mut self, held: &mut Held, words: usize, keep: bool) -> Result<bool> {
        let bytes = (words.max(1) * DType::SIZE) as u64;
        if held.buffer.as_ref().is_some_and(|b| b.size() >= bytes) {
            return Ok(false);
        }
        let new = self.buffers.create(
            &self.device,
            held.kind,
            bytes,
            buffers::STORAGE,
            &mut self.counters,
        )?;
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.clear_buffer(&new, 0, None);
        if let Some(old) = held.buffer.take() {
            if keep {
                encoder.copy_buffer_to_buffer(&old, 0, &new, 0, old.size());
            }
            self.buffers.release(held.kind, &old);
        }
        self.queue.submit([encoder.finish()]);
        held.buffer = Some(new);
        self.moved += 1;
        Ok(true)
    }
}

impl Device for GpuDevice {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn segment(&mut self, index: usize, segment: &Segment) -> Result<()> {
        while self.segments.len() <= index {
            self.segments.push(Held {
                kind: Use::of_state(segment.kind),
                buffer: None,
            });
        }
        let mut held = std::mem::replace(
            &mut self.segments[index],
            Held {
                kind: Use::Inputs,
                buffer: None,
            },
        );
        if let Some(old) = held.buffer.take_if(|_| segment.len == 0) {
            self.buffers.release(held.kind, &old);
        }
        let grown = match segment.held_len() {
            0 => Ok(false),
            len => self.grow(&mut held, len, true),
        };
        self.segments[index] = held;
        grown.map(drop)
    }

    fn write_state(&mut self, range: StateRange, words: &[u32]) -> Result<()> {
        self.check()?;
        let Some(buffer) = self.segments[range.segment].buffer.clone() else {
            return Ok(());
        };
        for (k, words) in words.chunks(TRANSFER).enumerate() {
            let at = range.offset + k * TRANSFER;
            let bytes = (words.len() * DType::SIZE) as u64;
            self.queue.write_buffer(
                &buffer,
                (at * DType::SIZE) as u64,
                bytemuck::cast_slice(words),
            );
            self.counters.bytes_up += bytes;
            self.staged += bytes;
            if self.staged >= (TRANSFER * DType::SIZE) as u64 {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn read_states(&mut self, ranges: &[StateRange]) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        let ranges = ranges.to_vec();
        Box::pin(async move {
            let of = |r: &StateRange| (self.segments[r.segment].buffer.clone(), r.offset, r.len);
            let places = ranges.iter().map(of).collect::<Vec<_>>();
            self.read_buffers(&places).await
        })
    }

    fn load(&mut self, plan: Arc<Plan>) -> Result<PlanId> {
        self.check()?;
        for page in &plan.pages {
            let kind = match page.kind {
                PageKind::Activations(_) => Use::Activations,
                PageKind::Gradients(..) => Use::Gradients,
            };
            let mut held = self
                .pages
                .remove(&page.kind)
                .unwrap_or(Held { kind, buffer: None });
            let grown = self.grow(&mut held, page.words, false);
            self.pages.insert(page.kind.clone(), held);
            grown?;
        }
        let loaded = self.prepare(plan)?;
        self.counters.plans += 1;
        let id = PlanId(self.counters.plans as usize);
        self.plans.insert(id, loaded);
        Ok(id)
    }

    fn unload(&mut self, plan: PlanId) {
        self.collect_all(plan);
        if let Some(loaded) = self.plans.remove(&plan) {
            loaded
                .buffers()
                .for_each(|b| self.buffers.release(Use::Inputs, b));
        }
    }

    fn submit(&mut self, plan: PlanId, upload: &[u32]) -> Result<Ticket> {
        self.check()?;
        self.runs += 1;
        let ticket = Ticket(self.runs);
        self.encode(plan, upload, ticket)?;
        self.check()?;
        Ok(ticket)
    }

    fn read(&mut self, ticket: Ticket) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        Box::pin(async move {
            if let Some(words) = self.results.remove(&ticket) {
                return words;
            }
            self.collect(ticket).await
        })
    }

    fn discard(&mut self, ticket: Ticket) {
        self.results.remove(&ticket);
        self.plans.values_mut().for_each(|p| p.discard(ticket));
    }

    fn pipeline_cache_key(&self) -> Option<String> {
        self.cache_key.clone()
    }

    fn set_pipeline_cache(&mut self, data: Option<Vec<u8>>) {
        self.pipelines.start_cache(&self.device, data.as_deref());
    }

    fn pipeline_cache(&self) -> Option<Vec<u8>> {
        self.pipelines.cache_data()
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn memory(&self) -> Memory {
        let plans = self.plans.values();
        Memory {
            host: plans.map(|p| p.plan.constant_bytes()).sum(),
            ..self.buffers.memory
        }
    }
}
