//! A device that runs each step of a plan as a plan of its own, waits for it, and keeps the time.

use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use wgrad::Result;
use wgrad::caps::Caps;
use wgrad::device::{Counters, Device, PlanId, Ticket};
use wgrad::graph::StateRange;
use wgrad::plan::{Memory, Plan};
use wgrad::state::Segment;

/// Milliseconds of each step, run after run, by the step's position and name.
#[derive(Default)]
pub struct Times(Mutex<Vec<(String, Vec<f64>)>>);

impl Times {
    /// Forget what was measured.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// What was measured.
    pub fn take(&self) -> Vec<(String, Vec<f64>)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, step: usize, name: &str, ms: f64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if step == all.len() {
            all.push((name.to_owned(), Vec::new()));
        }
        if let Some(row) = all.get_mut(step) {
            row.1.push(ms);
        }
    }
}

/// The device; see the module.
pub struct Profiler {
    inner: Box<dyn Device>,
    times: Arc<Times>,
    /// The whole plan, without steps, and one plan a step.
    parts: HashMap<PlanId, Vec<(String, PlanId)>>,
}

impl Profiler {
    /// Around `inner`.
    pub fn new(inner: Box<dyn Device>, times: Arc<Times>) -> Self {
        Self {
            inner,
            times,
            parts: HashMap::new(),
        }
    }
}

/// `plan` with the one step `step`, or none, and `outputs`.
fn part(plan: &Plan, step: Option<usize>, outputs: bool) -> Arc<Plan> {
    Arc::new(Plan {
        steps: step.map(|i| plan.steps[i].clone()).into_iter().collect(),
        pages: plan.pages.clone(),
        inputs: plan.inputs.clone(),
        scalars: plan.scalars.clone(),
        upload_words: plan.upload_words,
        constants: plan.constants.clone(),
        constant_words: plan.constant_words,
        // A result to wait for: any will do where the step has none that the plan returns.
        outputs: if outputs {
            plan.outputs.clone()
        } else {
            plan.outputs[..1.min(plan.outputs.len())].to_vec()
        },
    })
}

impl Device for Profiler {
    fn name(&self) -> String {
        format!("{}, step by step", self.inner.name())
    }

    fn caps(&self) -> &Caps {
        self.inner.caps()
    }

    fn segment(&mut self, index: usize, segment: &Segment) -> Result<()> {
        self.inner.segment(index, segment)
    }

    fn write_state(&mut self, range: StateRange, words: &[u32]) -> Result<()> {
        self.inner.write_state(range, words)
    }

    fn read_states(&mut self, ranges: &[StateRange]) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        self.inner.read_states(ranges)
    }

    fn load(&mut self, plan: Arc<Plan>) -> Result<PlanId> {
        let mut parts = Vec::new();
        for (i, step) in plan.steps.iter().enumerate() {
            let types: Vec<String> = step.outputs.iter().map(|o| o.ty.to_string()).collect();
            let name = format!("{} -> {}", step.name, types.join(", "));
            parts.push((name, self.inner.load(part(&plan, Some(i), false))?));
        }
        let id = self.inner.load(part(&plan, None, true))?;
        self.parts.insert(id, parts);
        Ok(id)
    }

    fn unload(&mut self, plan: PlanId) {
        for (_, part) in self.parts.remove(&plan).unwrap_or_default() {
            self.inner.unload(part);
        }
        self.inner.unload(plan);
    }

    fn submit(&mut self, plan: PlanId, upload: &[u32]) -> Result<Ticket> {
        for (i, (name, part)) in self.parts.get(&plan).into_iter().flatten().enumerate() {
            let begin = Instant::now();
            let ticket = self.inner.submit(*part, upload)?;
            pollster::block_on(self.inner.read(ticket))?;
            self.times.add(i, name, super::ms(begin));
        }
        self.inner.submit(plan, upload)
    }

    fn read(&mut self, ticket: Ticket) -> BoxFuture<'_, Result<Vec<Vec<u32>>>> {
        self.inner.read(ticket)
    }

    fn discard(&mut self, ticket: Ticket) {
        self.inner.discard(ticket);
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }

    fn memory(&self) -> Memory {
        self.inner.memory()
    }
}
