//! Plans on the device: prepared once, encoded for each run.

use super::buffers::{self, Use};
use super::ring::Slot;
use super::{GpuDevice, PlanId, TRANSFER, Ticket};
use crate::DType;
use crate::device::poison::{self, POISON, Watch};
use crate::error::{Error, Result};
use crate::kernel::Dispatch;
use crate::plan::{PageKind, Place, Plan, RING, Region, Step, uniform_bytes};
use std::borrow::Cow;
use std::sync::Arc;

/// A plan with its buffers, pipelines and bind groups.
pub struct Loaded {
    /// The plan.
    pub plan: Arc<Plan>,
    upload: wgpu::Buffer,
    constants: wgpu::Buffer,
    uniforms: wgpu::Buffer,
    staging: Vec<Slot>,
    reading: Vec<Slot>,
    launches: Vec<Launch>,
    /// [`GpuDevice::moved`] when the bind groups were made.
    bound: u64,
    runs: usize,
    /// Where memory is poisoned.
    watch: Option<Watch>,
}

struct Launch {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Loaded {
    /// Its buffers.
    pub fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let ring = self.staging.iter().chain(&self.reading).map(|s| &s.buffer);
        [&self.upload, &self.constants, &self.uniforms]
            .into_iter()
            .chain(ring)
    }

    /// Forget the results of a run.
    pub fn discard(&mut self, ticket: Ticket) {
        for slot in self.reading.iter_mut().filter(|s| s.ticket == Some(ticket)) {
            slot.ticket = None;
            slot.mapping = None;
            slot.buffer.unmap();
        }
    }
}

fn bytes(words: usize) -> u64 {
    (words * DType::SIZE) as u64
}

impl GpuDevice {
    /// Buffers and pipelines for a plan.
    pub(super) fn prepare(&mut self, plan: Arc<Plan>) -> Result<Loaded> {
        let mut create = |size: u64, usage| {
            self.buffers
                .create(&self.device, Use::Inputs, size, usage, &mut self.counters)
        };
        let upload = create(bytes(plan.upload_words.max(1)), buffers::STORAGE)?;
        let constants = create(bytes(plan.constant_words.max(1)), buffers::STORAGE)?;
        let uniforms = create(
            plan.uniform_bytes(),
            wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        )?;
        let (mut staging, mut reading) = (Vec::new(), Vec::new());
        for _ in 0..RING {
            let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
            staging.push(Slot::new(create(bytes(plan.upload_words.max(1)), usage)?));
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            reading.push(Slot::new(create(bytes(plan.read_words()), usage)?));
        }
        staging.iter_mut().for_each(|s| s.map(wgpu::MapMode::Write));
        let watch = (self.caps.guard > 0).then(|| Watch::new(&plan));
        for gap in watch.iter().flat_map(|watch| &watch.constants) {
            let words = vec![POISON; gap.len()];
            self.queue
                .write_buffer(&constants, bytes(gap.start), bytemuck::cast_slice(&words));
        }
        for (array, region) in &plan.constants {
            self.queue.write_buffer(
                &constants,
                bytes(region.offset),
                bytemuck::cast_slice(array.words()),
            );
        }
        let dispatches: Vec<&Dispatch> = plan
            .steps
            .iter()
            .flat_map(|s| &s.kernels.dispatches)
            .collect();
        self.counters.pipelines += self.pipelines.prepare(&self.device, &dispatches)?;
        let mut at = 0;
        for d in dispatches {
            self.queue
                .write_buffer(&uniforms, at, bytemuck::cast_slice(&d.words));
            at += uniform_bytes(d.words.len());
        }
        let mut loaded = Loaded {
            plan,
            upload,
            constants,
            uniforms,
            staging,
            reading,
            launches: Vec::new(),
            bound: 0,
            runs: 0,
            watch,
        };
        self.bind(&mut loaded)?;
        Ok(loaded)
    }

    /// Make the bind groups.
    fn bind(&mut self, loaded: &mut Loaded) -> Result<()> {
        loaded.launches.clear();
        let plan = loaded.plan.clone();
        let mut at = 0;
        for step in &plan.steps {
            for d in &step.kernels.dispatches {
                let launch = self.launch(loaded, step, d, at)?;
                loaded.launches.push(launch);
                at += uniform_bytes(d.words.len());
            }
        }
        loaded.bound = self.moved;
        Ok(())
    }

    fn launch(
        &mut self,
        loaded: &Loaded,
        step: &Step,
        d: &Dispatch,
        uniform: u64,
    ) -> Result<Launch> {
        let size = |n: u64| std::num::NonZeroU64::new(n);
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &loaded.uniforms,
                offset: uniform,
                size: size(bytes(d.words.len().max(1))),
            }),
        }];
        let layout = self.pipelines.layout(&self.device, d).clone();
        for (binding, b) in (1..).zip(&d.bindings) {
            let region = step.regions.bound(b);
            let buffer = self.buffer(loaded, region)?;
            let resource = wgpu::BufferBinding {
                buffer,
                offset: bytes(region.offset),
                size: size(bytes(region.len + self.beside(&loaded.plan, region))),
            };
            entries.push(wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(resource),
            });
        }
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(d.shader),
            layout: &layout,
            entries: &entries,
        });
        Ok(Launch {
            pipeline: self.pipelines.get(d)?.clone(),
            group,
            grid: d.grid,
        })
    }

    /// Words beside a region that a kernel may see: those that are watched, where others would be hidden by the binding's end.
    fn beside(&self, plan: &Plan, region: Region) -> usize {
        let packed = |p: usize| matches!(plan.pages[p].kind, PageKind::Gradients(..));
        match region.place {
            Place::Segment(_) => 0,
            // gradients lie as the states do, whose words between them are zero
            Place::Page(p) if packed(p) => 0,
            _ => self.caps.guard,
        }
    }

    /// The buffer that a region lies in.
    fn buffer<'a>(&'a self, loaded: &'a Loaded, region: Region) -> Result<&'a wgpu::Buffer> {
        let held = match region.place {
            Place::Upload => Some(&loaded.upload),
            Place::Constants => Some(&loaded.constants),
            Place::Segment(s) => self.segments.get(s).and_then(|s| s.buffer.as_ref()),
            Place::Page(p) => self
                .pages
                .get(&loaded.plan.pages[p].kind)
                .and_then(|p| p.buffer.as_ref()),
        };
        held.ok_or_else(|| Error::Device(format!("{region} has no buffer")))
    }

    /// Encode and submit one run.
    pub(super) fn encode(&mut self, id: PlanId, upload: &[u32], ticket: Ticket) -> Result<()> {
        let mut loaded = self
            .plans
            .remove(&id)
            .ok_or_else(|| Error::Device("the plan is not loaded".into()))?;
        let upload = self.poison(&loaded, upload);
        let done = self.encode_loaded(&mut loaded, &upload, ticket);
        self.plans.insert(id, loaded);
        done.and_then(|()| self.check_guards(id))
    }

    /// Where memory is poisoned: fill the pages before a run, and the words between arguments.
    fn poison<'a>(&self, loaded: &Loaded, upload: &'a [u32]) -> Cow<'a, [u32]> {
        let mut upload = Cow::from(upload);
        let Some(watch) = &loaded.watch else {
            return upload;
        };
        if !upload.is_empty() {
            poison::fill(upload.to_mut(), &watch.upload);
        }
        for (at, page) in loaded.plan.pages.iter().enumerate() {
            let buffer = self.pages.get(&page.kind).and_then(|p| p.buffer.as_ref());
            let Some(buffer) = buffer else {
                continue;
            };
            let words = buffer.size() as usize / DType::SIZE;
            for range in watch.poisoned(&loaded.plan, at, words) {
                let words = vec![POISON; range.len()];
                self.queue
                    .write_buffer(buffer, bytes(range.start), bytemuck::cast_slice(&words));
            }
        }
        upload
    }

    /// Where memory is poisoned: refuse a run that wrote beside its regions.
    pub(crate) fn check_guards(&mut self, id: PlanId) -> Result<()> {
        let Some(loaded) = self.plans.get(&id).filter(|p| p.watch.is_some()) else {
            return Ok(());
        };
        let plan = loaded.plan.clone();
        for (at, page) in plan.pages.iter().enumerate() {
            let buffer = self.pages.get(&page.kind).and_then(|p| p.buffer.clone());
            let words = buffer
                .as_ref()
                .map_or(0, |b| b.size() as usize / DType::SIZE);
            let held = pollster::block_on(self.read_buffers(&[(buffer, 0, words)]))?;
            let watch = self.plans.get(&id).and_then(|p| p.watch.as_ref());
            watch.map_or(Ok(()), |watch| watch.check(&plan, at, &held[0]))?;
        }
        Ok(())
    }

    fn encode_loaded(&mut self, loaded: &mut Loaded, upload: &[u32], ticket: Ticket) -> Result<()> {
        if loaded.bound != self.moved {
            self.bind(loaded)?;
        }
        let turn = loaded.runs % RING;
        loaded.runs += 1;
        // Results that nobody has read yet make room.
        if let Some(old) = loaded.reading[turn].ticket {
            let words = pollster::block_on(self.take(&loaded.plan, &mut loaded.reading[turn]));
            self.results.insert(old, words);
        }
        let mut encoder = self.device.create_command_encoder(&Default::default());
        if !upload.is_empty() {
            let slot = &mut loaded.staging[turn];
            pollster::block_on(slot.mapped(&self.device)).map_err(|e| self.failure(e))?;
            let mut view = slot
                .buffer
                .get_mapped_range_mut(..bytes(upload.len()))
                .map_err(|e| self.failure(e))?;
            view.copy_from_slice(bytemuck::cast_slice(upload));
            drop(view);
            slot.buffer.unmap();
            encoder.copy_buffer_to_buffer(&slot.buffer, 0, &loaded.upload, 0, bytes(upload.len()));
            self.counters.bytes_up += bytes(upload.len());
        }
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for launch in &loaded.launches {
            pass.set_pipeline(&launch.pipeline);
            pass.set_bind_group(0, &launch.group, &[]);
            pass.dispatch_workgroups(launch.grid[0], launch.grid[1], launch.grid[2]);
        }
        drop(pass);
        self.counters.dispatches += loaded.launches.len() as u64;
        let mut at = 0;
        for (ty, region) in &loaded.plan.outputs {
            let words = ty.numel();
            if words > 0 {
                encoder.copy_buffer_to_buffer(
                    self.buffer(loaded, *region)?,
                    bytes(region.offset),
                    &loaded.reading[turn].buffer,
                    bytes(at),
                    bytes(words),
                );
                self.counters.bytes_down += bytes(words);
            }
            at += words.max(1).next_multiple_of(2);
        }
        self.queue.submit([encoder.finish()]);
        self.counters.submits += 1;
        if !upload.is_empty() {
            loaded.staging[turn].map(wgpu::MapMode::Write);
        }
        if !loaded.plan.outputs.is_empty() {
            loaded.reading[turn].map(wgpu::MapMode::Read);
        }
        loaded.reading[turn].ticket = Some(ticket);
        // Advance callbacks without waiting.
        self.device
            .poll(wgpu::PollType::Poll)
            .map(drop)
            .map_err(|e| self.failure(e))
    }

    /// The error behind a failed call: the device's own, if it reported one.
    fn failure(&self, error: impl std::fmt::Display) -> Error {
        let reported = self.check().err().or_else(|| self.loss());
        reported.unwrap_or_else(|| Error::Device(error.to_string()))
    }

    /// Wait for a slot's results and take them.
    async fn take(&self, plan: &Plan, slot: &mut Slot) -> Result<Vec<Vec<u32>>> {
        slot.ticket = None;
        slot.mapped(&self.device)
            .await
            .map_err(|e| self.failure(e))?;
        self.check()?;
        let mut words = Vec::new();
        if !plan.outputs.is_empty() {
            let view = slot
                .buffer
                .get_mapped_range(..)
                .map_err(|e| self.failure(e))?;
            let all: &[u32] = bytemuck::cast_slice(&view);
            let mut at = 0;
            for (ty, _) in &plan.outputs {
                words.push(all[at..at + ty.numel()].to_vec());
                at += ty.numel().max(1).next_multiple_of(2);
            }
            drop(view);
            slot.buffer.unmap();
        }
        Ok(words)
    }

    /// Wait for the results of a run.
    pub(super) async fn collect(&mut self, ticket: Ticket) -> Result<Vec<Vec<u32>>> {
        let mut plans = std::mem::take(&mut self.plans);
        let mut found = Err(Error::Device(
            "the results of this run were read already".into(),
        ));
        for loaded in plans.values_mut() {
            if let Some(slot) = loaded.reading.iter_mut().find(|s| s.ticket == Some(ticket)) {
                found = self.take(&loaded.plan, slot).await;
            }
        }
        self.plans = plans;
        found
    }

    /// Keep the unread results of a plan that is to be forgotten.
    pub(super) fn collect_all(&mut self, id: PlanId) {
        let Some(mut loaded) = self.plans.remove(&id) else {
            return;
        };
        for slot in &mut loaded.reading {
            if let Some(ticket) = slot.ticket {
                let words = pollster::block_on(self.take(&loaded.plan, slot));
                self.results.insert(ticket, words);
            }
        }
        self.plans.insert(id, loaded);
    }

    /// Read ranges (buffer, first word, words) of buffers that are not part of a run, a limited number of words at a time.
    pub(super) async fn read_buffers(
        &mut self,
        places: &[(Option<wgpu::Buffer>, usize, usize)],
    ) -> Result<Vec<Vec<u32>>> {
        self.check()?;
        let mut words: Vec<Vec<u32>> = places.iter().map(|p| Vec::with_capacity(p.2)).collect();
        let total: usize = places.iter().map(|p| p.2).sum();
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut slot = Slot::new(self.buffers.create(
            &self.device,
            Use::Inputs,
            bytes(total.clamp(1, TRANSFER)),
            usage,
            &mut self.counters,
        )?);
        let mut next = 0;
        while next < places.len() {
            // What fits, as (place, words).
            let mut taken: Vec<(usize, usize)> = Vec::new();
            let mut encoder = self.device.create_command_encoder(&Default::default());
            let mut at = 0;
            while next < places.len() && (at < TRANSFER || places[next].2 == 0) {
                let (buffer, offset, len) = &places[next];
                let done = words[next].len();
                let now = (len - done).min(TRANSFER - at);
                if let (Some(buffer), true) = (buffer, now > 0) {
                    encoder.copy_buffer_to_buffer(
                        buffer,
                        bytes(offset + done),
                        &slot.buffer,
                        bytes(at),
                        bytes(now),
                    );
                }
                taken.push((next, now));
                at += now;
                next += usize::from(done + now == *len);
            }
            self.queue.submit([encoder.finish()]);
            slot.map(wgpu::MapMode::Read);
            slot.mapped(&self.device)
                .await
                .map_err(|e| self.failure(e))?;
            self.check()?;
            let view = slot
                .buffer
                .get_mapped_range(..)
                .map_err(|e| self.failure(e))?;
            let mut from = 0;
            let all: &[u32] = bytemuck::cast_slice(&view);
            for (place, len) in taken {
                words[place].extend_from_slice(&all[from..from + len]);
                from += len;
            }
            drop(view);
            slot.buffer.unmap();
        }
        self.buffers.release(Use::Inputs, &slot.buffer);
        self.counters.bytes_down += bytes(total.max(1));
        Ok(words)
    }
}

/// What `lockstep` needs: one step at a time, on memory that it fills itself.
impl GpuDevice {
    fn loaded(&self, id: PlanId) -> Result<&Loaded> {
        self.plans
            .get(&id)
            .ok_or_else(|| Error::Device("the plan is not loaded".into()))
    }

    pub(crate) fn write_upload(&mut self, id: PlanId, upload: &[u32]) -> Result<()> {
        if self.loaded(id)?.bound != self.moved {
            let mut loaded = self
                .plans
                .remove(&id)
                .ok_or_else(|| Error::Device("the plan is not loaded".into()))?;
            self.bind(&mut loaded)?;
            self.plans.insert(id, loaded);
        }
        let loaded = self.loaded(id)?;
        let upload = self.poison(loaded, upload);
        self.queue
            .write_buffer(&loaded.upload, 0, bytemuck::cast_slice(&upload));
        Ok(())
    }

    pub(crate) fn write_region(&mut self, id: PlanId, region: Region, words: &[u32]) -> Result<()> {
        let buffer = self.buffer(self.loaded(id)?, region)?;
        self.queue
            .write_buffer(buffer, bytes(region.offset), bytemuck::cast_slice(words));
        Ok(())
    }

    pub(crate) fn read_region(&mut self, id: PlanId, region: Region) -> Result<Vec<u32>> {
        let buffer = self.buffer(self.loaded(id)?, region)?.clone();
        Ok(
            pollster::block_on(self.read_buffers(&[(Some(buffer), region.offset, region.len)]))?
                .swap_remove(0),
        )
    }

    pub(crate) fn run_step(&mut self, id: PlanId, step: usize) -> Result<()> {
        let loaded = self.loaded(id)?;
        let count = |steps: &[Step]| {
            steps
                .iter()
                .map(|s| s.kernels.dispatches.len())
                .sum::<usize>()
        };
        let first = count(&loaded.plan.steps[..step]);
        let launches = &loaded.launches[first..first + count(&loaded.plan.steps[step..=step])];
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for launch in launches {
            pass.set_pipeline(&launch.pipeline);
            pass.set_bind_group(0, &launch.group, &[]);
            pass.dispatch_workgroups(launch.grid[0], launch.grid[1], launch.grid[2]);
        }
        drop(pass);
        self.queue.submit([encoder.finish()]);
        self.check()
    }
}
