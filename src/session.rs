//! A session: a device, the state that lives on it, and functions compiled for it.

mod eval;
mod function;
mod held;
mod indices;
mod memory;
mod pending;
mod updates;
mod values;

use crate::array::Array;
pub use eval::eval;
pub use pending::Pending;

use crate::device::{self, Counters, Device, DeviceOptions, PlanId};
use crate::error::{Error, Result};
use crate::graph::{Leaf, Node, Scalar, TensorType};
use crate::host;
use crate::op::Kind;
use crate::plan::Plan;
use crate::state::{self, Counts, Params, State, StateKind};
use crate::tensor::{InputRange, LayerCall, Part, Tensor, Trace, Traced};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Plans that a function keeps for different shapes; the least recently used one goes first.
const PLANS: usize = 32;

/// Whether layers behave as in training, and states change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Dropout drops, statistics are updated, optimizers run.
    #[default]
    Train,
    /// Nothing changes.
    Eval,
    /// As [`Mode::Eval`], with the moving averages of the weights in place of the weights, where
    /// [`MinimizeOptions::ema`](crate::optim::MinimizeOptions::ema) keeps them.
    EvalAverage,
}

/// A device, the states that live on it, and what a run needs besides its arguments: step and learning rates.
pub struct Session {
    device: Box<dyn Device>,
    params: Params,
    banner: String,
    written: usize,
    micro_step: u32,
    updates: u64,
    apply_next: bool,
    placement: u64,
    /// How often held data were released: plans that read such were made for one count.
    released: u64,
    rates: BTreeMap<usize, f64>,
    upload: Vec<u32>,
    memory_limit: Option<u64>,
    /// Whether runs look at the indices that they compute.
    check_indices: bool,
    dropped: pending::Dropped,
    /// Learning rates that functions were compiled with last.
    first_rates: BTreeMap<usize, f64>,
    optimizers: Vec<updates::Counted>,
    /// How often what optimizers keep of each parameter has been updated.
    counts: Counts,
}

/// A function of tensors, compiled for the shapes that it was called with.
pub struct Function<'f> {
    trace: Body<'f>,
    mode: Mode,
    plans: Vec<Compiled>,
    compiled: usize,
    /// Its optimizers.
    parts: Vec<Part>,
}

type Body<'f> = Box<dyn Fn(&Trace, &[Tensor]) -> Vec<Tensor> + Send + 'f>;

struct Compiled {
    inputs: Vec<TensorType>,
    /// First parameter groups of the optimizers that accumulate gradients only.
    accumulates: Vec<usize>,
    /// Which placement of optimizer slots it was made for.
    placement: u64,
    /// Which modes of layers it was made for.
    modes: u64,
    /// The session's count of released data, where it reads held data.
    released: Option<u64>,
    id: PlanId,
    plan: Arc<Plan>,
    ranges: Vec<InputRange>,
    column_ranges: Vec<InputRange>,
    checks: Arc<[indices::Check]>,
    /// How many of the plan's outputs are the function's own.
    results: usize,
    layers: Vec<LayerCall>,
    multiply_adds: u64,
    parts: Vec<Part>,
    /// What it updates, by level: places among what the session counts.
    levels: Vec<Vec<usize>>,
}

impl Session {
    /// A session on the device that [`device::choose`] takes, with the state of `params` on it.
    ///
    /// # Errors
    /// No such device; a parameter that could not be made; memory.
    pub fn new(params: &Params) -> Result<Self> {
        Self::with_options(params, &DeviceOptions::default())
    }

    /// A session on the device that `options` ask for.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_options(params: &Params, options: &DeviceOptions) -> Result<Self> {
        let (device, banner) = device::choose(options)?;
        let mut session = Self::open(device, params, options.memory_limit)?;
        session.banner = banner;
        session.check_indices = options.check_indices.unwrap_or(true);
        Ok(session)
    }

    /// A session on `device`.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn on(device: Box<dyn Device>, params: &Params) -> Result<Self> {
        Self::open(device, params, None)
    }

    fn open(device: Box<dyn Device>, params: &Params, limit: Option<u64>) -> Result<Self> {
        let mut device = device;
        if let Some(key) = device.pipeline_cache_key() {
            device.set_pipeline_cache(host::read_pipelines(&key));
        }
        let banner = format!("device: {}", device.name());
        // Where the device computes in the machine's own memory, leave some of it to the rest.
        let own = !device.caps().kernels || device.caps().software;
        let most = || host::memory().filter(|_| own).map(|bytes| bytes / 4 * 3);
        let memory_limit = limit.or_else(most);
        let mut session = Self {
            device,
            params: params.root(),
            banner,
            written: 0,
            micro_step: 0,
            updates: 0,
            apply_next: false,
            placement: 0,
            released: 0,
            rates: BTreeMap::new(),
            upload: Vec::new(),
            memory_limit,
            check_indices: true,
            dropped: pending::Dropped::default(),
            first_rates: BTreeMap::new(),
            optimizers: Vec::new(),
            counts: Counts::default(),
        };
        session.sync()?;
        Ok(session)
    }

    /// One line: which device was taken and why.
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// The device.
    pub fn device(&self) -> &dyn Device {
        self.device.as_ref()
    }

    /// The parameters and other state.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Compile `body` for arguments of the types `inputs`. It is traced now, and again when a run brings other shapes.
    ///
    /// # Errors
    /// The first misuse in the trace; parameters that the loss does not reach; what the device cannot do or hold.
    pub fn compile<'f>(
        &mut self,
        mode: Mode,
        inputs: &[TensorType],
        body: impl Fn(&Trace, &[Tensor]) -> Vec<Tensor> + Send + 'f,
    ) -> Result<Function<'f>> {
        let mut function = Function {
            trace: Box::new(body),
            mode,
            plans: Vec::new(),
            compiled: 0,
            parts: Vec::new(),
        };
        self.plan_for(&mut function, inputs, &[])?;
        Ok(function)
    }

    /// Have the function's plan for `inputs` be its last, compiled if there is none.
    fn plan_for(
        &mut self,
        f: &mut Function,
        inputs: &[TensorType],
        accumulates: &[usize],
    ) -> Result<()> {
        if self.params.misplaced() {
            self.lift_slots()?;
        }
        let modes = self.params.modes();
        let fits = |p: &Compiled| p.inputs == inputs && p.accumulates == accumulates;
        let mut gone: Vec<PlanId> = Vec::new();
        f.plans.retain(|p| {
            let stays = (p.placement == self.placement || f.mode == Mode::Eval)
                && (p.modes == modes || f.mode != Mode::Train)
                && p.released.is_none_or(|n| n == self.released)
                && (!fits(p) || self.are_level(&p.levels));
            if !stays {
                gone.push(p.id);
            }
            stays
        });
        gone.into_iter().for_each(|id| self.device.unload(id));
        if let Some(at) = f.plans.iter().position(fits) {
            f.plans[at..].rotate_left(1); // the last one is the one in use
            return Ok(());
        }
        if f.plans.len() == PLANS {
            self.device.unload(f.plans.remove(0).id);
        }
        let mut traced = self.trace(f, inputs, accumulates)?;
        if self.params.misplaced() {
            self.lift_slots()?;
            traced = self.trace(f, inputs, accumulates)?;
        }
        self.take_optimizers(&traced, f.compiled == 0)?;
        f.parts = traced.parts.clone();
        let compiled = self.load_plan(traced, inputs, accumulates)?;
        f.plans.push(compiled);
        f.compiled += 1;
        Ok(())
    }

    fn trace(&self, f: &Function, inputs: &[TensorType], accumulates: &[usize]) -> Result<Traced> {
        let trace = Trace::new(&self.params, f.mode == Mode::Train);
        if f.mode == Mode::Train {
            trace.set_counts(self.counts.clone());
        }
        if f.mode == Mode::EvalAverage {
            let average = |s: &State| s.path.starts_with(&format!("{}/", state::AVERAGE));
            if !self.params.all().iter().any(average) {
                return Err(Error::argument(
                    "Mode::EvalAverage: no averages of weights are kept: compile a training function with \
                     MinimizeOptions::ema first",
                ));
            }
            trace.use_averages();
        }
        trace.accumulate_only(accumulates);
        let arguments: Vec<Tensor> = inputs.iter().map(|ty| trace.input(ty.clone())).collect();
        self.params.seal(f.compiled > 0);
        let outputs = (f.trace)(&trace, &arguments);
        self.params.seal(false);
        state::check(&self.params)?;
        drop(arguments);
        trace.finish(&outputs)
    }

    /// Take the values of optimizer slots to the host, from where the next traces take them to their new places.
    fn lift_slots(&mut self) -> Result<()> {
        let mut slots = self.params.all();
        slots.retain(|s| s.kind == StateKind::Optimizer);
        let values = self.get_all(&slots)?;
        let paths = slots.into_iter().map(|s| s.path);
        self.params.lift_slots(paths.zip(values).collect());
        self.sync()?;
        self.placement += 1;
        Ok(())
    }

    fn load_plan(
        &mut self,
        mut traced: Traced,
        inputs: &[TensorType],
        accumulates: &[usize],
    ) -> Result<Compiled> {
        let results = traced.graph.outputs.len();
        let found = indices::find(&mut traced, self.check_indices)?;
        let segments = self.params.segments();
        let reads_data = |n: &Node| match n.op.kind() {
            Kind::Leaf(Leaf::State(r)) => segments[r.segment].kind == StateKind::Data,
            _ => false,
        };
        let reads_data = traced.graph.nodes.iter().any(reads_data);
        let levels = self.levels(&traced);
        let plan = Arc::new(Plan::compile(traced.graph, self.device.caps())?);
        let memory = self.with_host(
            plan.memory(&self.params.segments(), self.device.caps()),
            plan.upload_words,
        );
        if self
            .memory_limit
            .is_some_and(|limit| memory.total() > limit)
        {
            let limit = crate::plan::human(self.memory_limit.unwrap_or(0));
            return Err(Error::OutOfMemory(format!(
                "the plan needs more than the limit of {limit}:\n{memory}"
            )));
        }
        self.sync()?;
        let words = plan.upload_words.max(self.upload.len());
        self.upload.resize(words, 0);
        let pipelines = self.counters().pipelines;
        let id = self.device.load(plan.clone())?;
        if self.counters().pipelines > pipelines {
            self.keep_pipelines();
        }
        Ok(Compiled {
            inputs: inputs.to_vec(),
            accumulates: accumulates.to_vec(),
            placement: self.placement,
            modes: self.params.modes(),
            released: reads_data.then_some(self.released),
            id,
            plan,
            ranges: found.inputs,
            column_ranges: found.columns,
            checks: found.checks.into(),
            results,
            layers: traced.layers,
            multiply_adds: traced.multiply_adds,
            parts: traced.parts,
            levels,
        })
    }

    /// Keep compiled pipelines for later sessions. Without them those are slower to start, nothing more.
    fn keep_pipelines(&self) {
        if let (Some(key), Some(data)) = (
            self.device.pipeline_cache_key(),
            self.device.pipeline_cache(),
        ) {
            let _ = host::write_pipelines(&key, &data);
        }
    }

    /// Run `f` and wait for its results. `inputs` are arrays or references to some: a batch of a loader is one as it is.
    ///
    /// # Errors
    /// Arguments that do not fit; whatever compiling for new shapes returns; the device's failures.
    pub fn run(&mut self, f: &mut Function, inputs: &[impl Borrow<Array>]) -> Result<Vec<Array>> {
        let pending = self.submit(f, inputs)?;
        self.read(pending)
    }

    /// [`Session::run`] without blocking.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn run_async(
        &mut self,
        f: &mut Function<'_>,
        inputs: &[impl Borrow<Array>],
    ) -> Result<Vec<Array>> {
        let pending = self.submit(f, inputs)?;
        self.read_async(pending).await
    }

    /// Start a run of `f`; later runs may start before its results are read.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn submit(&mut self, f: &mut Function, inputs: &[impl Borrow<Array>]) -> Result<Pending> {
        self.start(f, &inputs.iter().map(Borrow::borrow).collect::<Vec<_>>())
    }

    fn start(&mut self, f: &mut Function, inputs: &[&Array]) -> Result<Pending> {
        let types: Vec<TensorType> = inputs.iter().map(|a| TensorType::of(a)).collect();
        f.check(&types)?;
        self.settle_many()?;
        let accumulates = self.accumulating(f);
        self.plan_for(f, &types, &accumulates)?;
        let Some(compiled) = f.plans.last() else {
            return Err(Error::argument("the function has no plan"));
        };
        compiled
            .ranges
            .iter()
            .try_for_each(|r| function::check_range(r, inputs))?;
        let plan = &compiled.plan;
        for (array, (_, region)) in inputs.iter().zip(&plan.inputs) {
            self.upload[region.offset..region.offset + array.numel()]
                .copy_from_slice(array.words());
        }
        for (scalar, region) in &plan.scalars {
            self.upload[region.offset] = self.scalar(*scalar, &compiled.levels);
        }
        let ticket = self
            .device
            .submit(compiled.id, &self.upload[..plan.upload_words])?;
        let own = plan.outputs[..compiled.results].iter();
        let results = own.map(|o| o.0.clone()).collect();
        let checks = compiled.checks.clone();
        if f.mode == Mode::Train {
            self.count_run(&compiled.parts, &accumulates, &compiled.levels);
        }
        Ok(self.pending(ticket, results, &checks))
    }

    /// The bits of a scalar for the next run.
    fn scalar(&self, scalar: Scalar, levels: &[Vec<usize>]) -> u32 {
        let seed = self.params.seed();
        match scalar {
            Scalar::SeedLow => seed as u32,
            Scalar::SeedHigh => (seed >> 32) as u32,
            Scalar::MicroStep => self.micro_step,
            Scalar::Accumulated(group) => (self.accumulated_of(group) as f32).to_bits(),
            Scalar::LearningRate(group) => (self.learning_rate_of(group) as f32).to_bits(),
            Scalar::OfUpdate(f) => {
                let number = self.number_of(levels.get(f.level)) + 1;
                ((f.value)(number, f.args) as f32).to_bits()
            }
        }
    }

    /// What the device has done so far.
    pub fn counters(&self) -> Counters {
        self.device.counters()
    }

    /// The bytes that states, plans and held data may take, where there is such a limit.
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    /// Whether functions that are compiled from here on look at the indices that they compute: see
    /// [`DeviceOptions::check_indices`].
    pub fn check_indices(&mut self, check: bool) {
        self.check_indices = check;
    }

    /// Forget the plans of a function.
    pub fn forget(&mut self, f: Function) {
        f.plans.iter().for_each(|p| self.device.unload(p.id));
    }
}
