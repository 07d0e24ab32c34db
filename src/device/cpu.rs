//! The CPU: the reference, and a device to train on.

use super::poison::{self, Watch};
use super::{Counters, Device, DeviceOptions, PlanId, Ticket};
use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::fused::Evaluator;
use crate::graph::StateRange;
use crate::op::CpuIo;
use crate::plan::{Memory, PageKind, Place, Plan, Region, Step};
use crate::state::{Segment, StateKind};
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The CPU device: every core, through rayon.
#[derive(Default)]
pub struct CpuDevice {
    caps: Option<Caps>,
    segments: Vec<(StateKind, Vec<u32>)>,
    pages: BTreeMap<PageKind, Vec<u32>>,
    plans: BTreeMap<PlanId, Loaded>,
    results: HashMap<Ticket, Vec<Vec<u32>>>,
    scratch: Vec<u32>,
    counters: Counters,
    runs: u64,
}

struct Loaded {
    plan: Arc<Plan>,
    upload: Vec<u32>,
    constants: Vec<u32>,
    /// Where memory is poisoned.
    watch: Option<Watch>,
}

impl CpuDevice {
    /// The device.
    pub fn new() -> Self {
        Self {
            caps: Some(Caps::cpu()),
            ..Self::default()
        }
    }

    /// The device as `options` want it.
    pub(crate) fn open(options: &DeviceOptions) -> Self {
        let guard = if options.poisoned { poison::GUARD } else { 0 };
        Self::with_caps(Caps {
            guard,
            ..Caps::cpu()
        })
    }

    /// One that runs plans made for a device with `caps`, to be compared with it.
    pub(crate) fn with_caps(caps: Caps) -> Self {
        Self {
            caps: Some(caps),
            ..Self::default()
        }
    }

    fn allocate(&mut self, words: usize) -> Vec<u32> {
        self.counters.allocations += 1;
        vec![0; words.max(1)]
    }

    /// Start a run without running its steps.
    pub(crate) fn begin(&mut self, id: PlanId, upload: &[u32]) -> Result<Arc<Plan>> {
        let loaded = self
            .plans
            .get_mut(&id)
            .ok_or_else(|| Error::Device("the plan is not loaded".into()))?;
        loaded.upload[..upload.len()].copy_from_slice(upload);
        self.counters.bytes_up += (upload.len() * DType::SIZE) as u64;
        if let Some(watch) = &loaded.watch {
            poison::fill(&mut loaded.upload, &watch.upload);
            for (at, page) in loaded.plan.pages.iter().enumerate() {
                if let Some(words) = self.pages.get_mut(&page.kind) {
                    let all = watch.poisoned(&loaded.plan, at, words.len());
                    poison::fill(words, &all);
                }
            }
            self.scratch.fill(poison::POISON);
        }
        Ok(loaded.plan.clone())
    }

    /// Run one step.
    pub(crate) fn step(&mut self, id: PlanId, step: &Step) -> Result<()> {
        let memory = self.addresses(id)?;
        let core_words = step.core_types.first().map_or(0, |t| t.numel());
        let core = match step.own_place() {
            Some(k) => memory.at(step.regions.outputs[k]),
            None if step.own_words() > 0 => self.scratch.as_mut_ptr(),
            None => std::ptr::null_mut(),
        };
        let results = step.epilogue.exprs.len();
        let mut outputs = vec![(&step.core_types[0], core)];
        let further = step.core_types[1..]
            .iter()
            .zip(&step.regions.outputs[results..]);
        outputs.extend(further.map(|(ty, r)| (ty, memory.at(*r))));
        let inputs = step
            .input_types
            .iter()
            .zip(&step.regions.inputs)
            .map(|(ty, r)| (ty, memory.at(*r).cast_const()))
            .collect();
        let operands = |regions: &[Region]| {
            regions
                .iter()
                .map(|r| memory.at(*r).cast_const())
                .collect::<Vec<_>>()
        };
        let prologue = step
            .prologue
            .as_ref()
            .map(|map| (map, operands(&step.regions.prologue)));
        self.counters.dispatches += 1;
        // SAFETY: the planner gives a step's outputs memory apart from its inputs', and all regions lie in their buffers.
        unsafe {
            step.op.cpu(&mut CpuIo::new(inputs, outputs, prologue))?;
            if !step.epilogue.is_identity() {
                let targets: Vec<*mut u32> = step.regions.outputs[..results]
                    .iter()
                    .map(|r| memory.at(*r))
                    .collect();
                let epilogue = Evaluator::new(&step.epilogue, &operands(&step.regions.epilogue));
                epilogue.apply(core_words, core, &targets);
            }
        }
        Ok(())
    }

    /// The words of a region.
    pub(crate) fn words(&mut self, id: PlanId, region: Region) -> Result<Vec<u32>> {
        let at = self.addresses(id)?.at(region);
        // SAFETY: regions lie in their buffers.
        Ok(unsafe { std::slice::from_raw_parts(at, region.len) }.to_vec())
    }

    /// End a run: keep its outputs.
    pub(crate) fn end(&mut self, id: PlanId, plan: &Plan) -> Result<Ticket> {
        if let Some(watch) = self.plans.get(&id).and_then(|p| p.watch.as_ref()) {
            for (at, page) in plan.pages.iter().enumerate() {
                let words = self.pages.get(&page.kind).map_or(&[][..], Vec::as_slice);
                watch.check(plan, at, words)?;
            }
        }
        let mut results = Vec::new();
        for (ty, region) in &plan.outputs {
            let mut words = self.words(id, *region)?;
            words.truncate(ty.numel());
            self.counters.bytes_down += (words.len() * DType::SIZE) as u64;
            results.push(words);
        }
        self.counters.submits += 1;
        self.runs += 1;
        let ticket = Ticket(self.runs);
        self.results.insert(ticket, results);
        Ok(ticket)
    }

    fn addresses(&mut self, id: PlanId) -> Result<Addresses> {
        let loaded = self
            .plans
            .get_mut(&id)
            .ok_or_else(|| Error::Device("the plan is not loaded".into()))?;
        let mut page = |kind| {
            self.pages
                .get_mut(kind)
                .map_or(std::ptr::null_mut(), |p| p.as_mut_ptr())
        };
        Ok(Addresses {
            pages: loaded.plan.pages.iter().map(|p| page(&p.kind)).collect(),
            segments: self.segments.iter_mut().map(|s| s.1.as_mut_ptr()).collect(),
            upload: loaded.upload.as_mut_ptr(),
            constants: loaded.constants.as_mut_ptr(),
        })
    }
}

/// Where each buffer of a plan lies.
struct Addresses {
    pages: Vec<*mut u32>,
    segments: Vec<*mut u32>,
    upload: *mut u32,
    constants: *mut u32,
}

impl Addresses {
    fn at(&self, region: Region) -> *mut u32 {
        let base = match region.place {
            Place::Page(p) => self.pages[p],
            Place::Segment(s) => self.segments[s],
            Place::Upload => self.upload,
            Place::Constants => self.constants,
        };
        base.wrapping_add(region.offset)
    }
}

impl Device for CpuDevice {
    fn name(&self) -> String {
        format!("CPU ({} threads)", rayon::current_num_threads())
    }

    fn caps(&self) -> &Caps {
        static CPU: std::sync::LazyLock<Caps> = std::sync::LazyLock::new(Caps::cpu);
        self.caps.as_ref().unwrap_or(&CPU)
    }

    fn segment(&mut self, index: usize, segment: &Segment) -> Result<()> {
        let held = segment.held_len();
        while self.segments.len() <= index {
            let words = match held {
                0 => Vec::new(),
                _ => self.allocate(held),
            };
            self.segments.push((segment.kind, words));
        }
        let words = &mut self.segments[index].1;
        if segment.len == 0 {
            *words = vec![0; held];
        }
        if words.len() < segment.len {
            self.counters.allocations += 1;
            words.resize(segment.len, 0);
        }
        Ok(())
    }

    fn write_state(&mut self, range: StateRange, words: &[u32]) -> Result<()> {
        self.segments[range.segment].1[range.offset..range.offset + range.len]
            .copy_from_slice(words);
        Ok(())
    }

    fn read_states(&mut self, ranges: &[StateRange]) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        let words =
            |r: &StateRange| self.segments[r.segment].1[r.offset..r.offset + r.len].to_vec();
        let all = ranges.iter().map(words).collect();
        Box::pin(std::future::ready(Ok(all)))
    }

    fn load(&mut self, plan: Arc<Plan>) -> Result<PlanId> {
        for page in &plan.pages {
            let held = self.pages.get(&page.kind).map_or(0, Vec::len);
            if held < page.words {
                let words = self.allocate(page.words);
                self.pages.insert(page.kind.clone(), words);
            }
        }
        if self.scratch.len() < plan.own_words() {
            self.scratch = self.allocate(plan.own_words());
        }
        let mut constants = self.allocate(plan.constant_words);
        for (array, region) in &plan.constants {
            constants[region.offset..region.offset + array.numel()].copy_from_slice(array.words());
        }
        let upload = self.allocate(plan.upload_words);
        let watch = (self.caps().guard > 0).then(|| Watch::new(&plan));
        if let Some(watch) = &watch {
            poison::fill(&mut constants, &watch.constants);
        }
        self.counters.plans += 1;
        let id = PlanId(self.counters.plans as usize);
        self.plans.insert(
            id,
            Loaded {
                plan,
                upload,
                constants,
                watch,
            },
        );
        Ok(id)
    }

    fn unload(&mut self, plan: PlanId) {
        self.plans.remove(&plan);
    }

    fn submit(&mut self, id: PlanId, upload: &[u32]) -> Result<Ticket> {
        let plan = self.begin(id, upload)?;
        for step in &plan.steps {
            self.step(id, step)?;
        }
        self.end(id, &plan)
    }

    fn read(&mut self, ticket: Ticket) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        let words = self
            .results
            .remove(&ticket)
            .ok_or_else(|| Error::Device("the results of this run were read already".into()));
        Box::pin(std::future::ready(words))
    }

    fn discard(&mut self, ticket: Ticket) {
        self.results.remove(&ticket);
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn memory(&self) -> Memory {
        let bytes = |words: &Vec<u32>| (words.len() * DType::SIZE) as u64;
        let mut memory = Memory::default();
        for (kind, words) in &self.segments {
            match kind {
                StateKind::Parameter => memory.parameters += bytes(words),
                StateKind::Buffer => memory.buffers += bytes(words),
                StateKind::Optimizer => memory.optimizer += bytes(words),
                StateKind::Data => memory.data += bytes(words),
            }
        }
        for (kind, words) in &self.pages {
            match kind {
                PageKind::Activations(_) => memory.activations += bytes(words),
                PageKind::Gradients(..) => memory.gradients += bytes(words),
            }
        }
        memory.activations += bytes(&self.scratch);
        memory.host = self.plans.values().map(|p| p.plan.constant_bytes()).sum();
        memory.inputs = self
            .plans
            .values()
            .map(|p| bytes(&p.upload) + bytes(&p.constants))
            .sum();
        memory
    }
}
