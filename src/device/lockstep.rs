//! `lockstep`: every step on the GPU and on the CPU, from the same inputs; the first that differs is an error.

use super::{Counters, CpuDevice, Device, DeviceOptions, GpuDevice, PlanId, Ticket};
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::StateRange;
use crate::plan::{Memory, Plan};
use crate::state::Segment;
use futures::future::BoxFuture;
use std::sync::Arc;

/// The device.
pub struct Lockstep {
    cpu: CpuDevice,
    gpu: GpuDevice,
    plans: Vec<(PlanId, PlanId)>,
}

impl Lockstep {
    /// Open a GPU, a software adapter if there is no other, and the CPU.
    ///
    /// # Errors
    /// As [`GpuDevice::open`].
    pub fn open(options: &DeviceOptions) -> Result<Self> {
        let gpu = GpuDevice::open(options, true)?;
        Ok(Self {
            cpu: CpuDevice::with_caps(gpu.caps().clone()),
            gpu,
            plans: Vec::new(),
        })
    }

    fn run(&mut self, at: PlanId, upload: &[u32]) -> Result<Ticket> {
        let (cpu, gpu) = self.plans[at.0];
        let plan = self.cpu.begin(cpu, upload)?;
        self.gpu.write_upload(gpu, upload)?;
        for (index, step) in plan.steps.iter().enumerate() {
            let r = &step.regions;
            let mut before = Vec::new();
            for region in r.inputs.iter().chain(&r.prologue).chain(&r.epilogue) {
                let words = self.cpu.words(cpu, *region)?;
                self.gpu.write_region(gpu, *region, &words)?;
                before.push(words);
            }
            self.cpu.step(cpu, step)?;
            self.gpu.run_step(gpu, index)?;
            for (output, region) in step.outputs.iter().zip(&r.outputs) {
                let n = output.ty.numel();
                let want = self.cpu.words(cpu, *region)?;
                let got = self.gpu.read_region(gpu, *region)?;
                let scale = scale(output.ty.dtype, &want[..n]);
                let differs = (0..n).find(|&i| !agree(output.ty.dtype, want[i], got[i], scale));
                if let Some(i) = differs {
                    let inputs: Vec<String> = before.iter().map(|w| statistics(w)).collect();
                    return Err(Error::Lockstep(format!(
                        "lockstep: step {index} ({}) differs at element {i} of {}: CPU {}, GPU {}\n{step}\ninputs:\n  {}",
                        step.name,
                        output.ty,
                        show(output.ty.dtype, want[i]),
                        show(output.ty.dtype, got[i]),
                        inputs.join("\n  ")
                    )));
                }
            }
        }
        self.gpu.check_guards(gpu)?;
        self.cpu.end(cpu, &plan)
    }
}

/// The largest finite magnitude.
fn scale(dtype: crate::DType, words: &[u32]) -> f32 {
    if !dtype.is_float() {
        return 0.0;
    }
    words
        .iter()
        .map(|w| f32::from_bits(*w).abs())
        .filter(|x| x.is_finite())
        .fold(0.0, f32::max)
}

/// The bound of the conformance cases.
fn agree(dtype: crate::DType, want: u32, got: u32, scale: f32) -> bool {
    if !dtype.is_float() {
        return want == got;
    }
    let (a, b) = (f32::from_bits(got), f32::from_bits(want));
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-5 + 1e-4 * b.abs() + 1e-6 * scale
}

fn show(dtype: crate::DType, word: u32) -> String {
    if dtype.is_float() {
        f32::from_bits(word).to_string()
    } else {
        word.to_string()
    }
}

fn statistics(words: &[u32]) -> String {
    let x = || words.iter().map(|w| f32::from_bits(*w));
    let n = words.len().max(1) as f32;
    let (low, high) = x().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    format!(
        "{} elements, mean {}, from {low} to {high}, {} NaN",
        words.len(),
        x().sum::<f32>() / n,
        x().filter(|v| v.is_nan()).count()
    )
}

impl Device for Lockstep {
    fn name(&self) -> String {
        format!("lockstep of {} and {}", self.gpu.name(), self.cpu.name())
    }

    fn caps(&self) -> &Caps {
        self.gpu.caps()
    }

    fn segment(&mut self, index: usize, segment: &Segment) -> Result<()> {
        self.cpu.segment(index, segment)?;
        self.gpu.segment(index, segment)
    }

    fn write_state(&mut self, range: StateRange, words: &[u32]) -> Result<()> {
        self.cpu.write_state(range, words)
    }

    fn read_states(&mut self, ranges: &[StateRange]) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        self.cpu.read_states(ranges)
    }

    fn load(&mut self, plan: Arc<Plan>) -> Result<PlanId> {
        let ids = (self.cpu.load(plan.clone())?, self.gpu.load(plan)?);
        self.plans.push(ids);
        Ok(PlanId(self.plans.len() - 1))
    }

    fn unload(&mut self, plan: PlanId) {
        let (cpu, gpu) = self.plans[plan.0];
        self.cpu.unload(cpu);
        self.gpu.unload(gpu);
    }

    fn submit(&mut self, plan: PlanId, upload: &[u32]) -> Result<Ticket> {
        self.run(plan, upload)
    }

    fn read(&mut self, ticket: Ticket) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        self.cpu.read(ticket)
    }

    fn discard(&mut self, ticket: Ticket) {
        self.cpu.discard(ticket);
    }

    fn counters(&self) -> Counters {
        self.gpu.counters()
    }

    fn memory(&self) -> Memory {
        self.gpu.memory()
    }
}
