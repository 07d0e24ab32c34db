//! State: what outlives a run. Parameters, running statistics, optimizer slots, by path.
//!
//! Each kind lies in flat segments, every state at a multiple of 256 bytes, so that an update of all parameters is one pass
//! over a segment. A state that is larger than a segment has one of its own.

mod counts;
mod create;
mod freezing;
mod held;
mod initial;
mod modes;
mod slots;
mod tree;

pub use counts::Level;
pub(crate) use counts::{Count, Counts};
pub use held::Held;
pub use initial::Initial;
pub(crate) use slots::{SlotInit, span};

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result, Site};
use crate::glob;
use crate::graph::{StateRange, TensorType};
use crate::shape::Shape;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Elements that a state's offset is a multiple of: 256 bytes.
pub const ALIGN: usize = 64;

/// Most elements of a segment of several states: WebGPU's default binding limit of 128 MiB.
pub const SEGMENT: usize = (128 << 20) / DType::SIZE;

/// The slot that holds the moving average of the weights.
pub(crate) const AVERAGE: &str = "ema";

/// The slot in which gradients are accumulated.
pub(crate) const GRADIENT: &str = "grad";

/// What an optimizer keeps of how many items the losses of its micro-steps are means over.
pub(crate) const COUNTED: &str = "counted";

/// What a state is for. Kinds lie in segments of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateKind {
    /// A parameter of the model, trainable or frozen.
    Parameter,
    /// What a layer keeps besides, such as running statistics.
    Buffer,
    /// What an optimizer keeps for each parameter.
    Optimizer,
    /// Data that a session holds, see [`Session::hold`](crate::Session::hold).
    Data,
}

/// One state.
#[derive(Debug, Clone)]
pub struct State {
    /// Its path, unique.
    pub path: Arc<str>,
    /// Its shape.
    pub shape: Shape,
    /// Type of its elements.
    pub dtype: DType,
    /// What it is for.
    pub kind: StateKind,
    /// Where it lies.
    pub range: StateRange,
    /// Its first value.
    pub init: Initial,
    /// The state whose value it starts with, in place of `init` where that is not carried over.
    pub starts_as: Option<Arc<str>>,
    /// For parameters and buffers: whether training changes it.
    pub trainable: bool,
}

/// A segment of states of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What lies in it.
    pub kind: StateKind,
    /// Elements in use.
    pub len: usize,
    /// For optimizer slots: the name of the slot.
    pub slot: String,
}

impl Segment {
    /// Elements that a device holds for it: none of data that were released, else at least one.
    pub(crate) fn held_len(&self) -> usize {
        match self.kind {
            StateKind::Data => self.len,
            _ => self.len.max(1),
        }
    }
}

#[derive(Debug, Default)]
struct Store {
    states: Vec<State>,
    by_path: HashMap<Arc<str>, usize>,
    segments: Vec<Segment>,
    modules: Vec<tree::Described>,
    /// Paths of modules in the order in which they were built.
    places: Vec<String>,
    error: Option<Error>,
    sealed: bool,
    /// Values of slots that wait for their parameters to be trained again.
    carried: HashMap<Arc<str>, Arc<Array>>,
    /// Whether the slots no longer lie as the trainable parameters do.
    misplaced: bool,
    /// Paths of layers that are in evaluation mode also where a function trains.
    evaluates: BTreeSet<String>,
    /// How often the mode of a layer was changed.
    modes: u64,
    /// How many of the states a session holds.
    held: usize,
    /// How many arrays of data a session was asked to hold.
    data: usize,
}

/// The parameters of a model and all other state, by path. A clone is the same store; [`Params::at`] goes to a layer.
///
/// ```
/// use wgrad::{Params, nn::Linear};
/// let params = Params::new(42);
/// let fc = Linear::new(3, 2).build(&params.at("fc"));
/// assert_eq!(params.list()[0].path.as_ref(), "fc.weight");
/// ```
#[derive(Debug, Clone)]
pub struct Params {
    store: Arc<Mutex<Store>>,
    prefix: String,
    seed: u64,
}

/// What draws a parameter's first values; closures do, and those of `nn::init`.
pub trait Initializer {
    /// Values for a parameter of `shape`, row-major, drawn from `rng`.
    ///
    /// # Errors
    /// What such a parameter cannot have, in words.
    fn values(&self, rng: &mut crate::rng::Rng, shape: &Shape) -> Result<Vec<f32>, String>;

    /// The same to be kept, with which a session draws the values of a parameter of `shape` when it takes them; none, the
    /// default, where the values are drawn at once and kept.
    ///
    /// # Errors
    /// As [`Initializer::values`].
    fn again(&self, shape: &Shape) -> Result<Option<Arc<dyn Initializer + Send + Sync>>, String> {
        let _ = shape;
        Ok(None)
    }
}

impl<F: Fn(&mut crate::rng::Rng, &Shape) -> Vec<f32>> Initializer for F {
    fn values(&self, rng: &mut crate::rng::Rng, shape: &Shape) -> Result<Vec<f32>, String> {
        Ok(self(rng, shape))
    }
}

/// A handle to a state, which layers hold.
#[derive(Debug, Clone)]
pub struct Param {
    /// Path of the state.
    pub path: Arc<str>,
    /// Its shape.
    pub shape: Shape,
}

impl Params {
    /// No parameters yet; initial values will be drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            store: Arc::default(),
            prefix: String::new(),
            seed,
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The same store, for the layer `name` below this one.
    pub fn at(&self, name: impl AsRef<str>) -> Self {
        Self {
            prefix: join(&self.prefix, name.as_ref()),
            ..self.clone()
        }
    }

    /// The same store, from its root.
    pub fn root(&self) -> Self {
        Self {
            prefix: String::new(),
            ..self.clone()
        }
    }

    /// Path of the layer that this handle stands for.
    pub fn path(&self) -> &str {
        &self.prefix
    }

    /// Draw new first values for the parameters below this handle's path that `pattern` stands for, as
    /// [`crate::glob::matches`] reads it, and return how many they are. For models that are built and not in a session yet.
    ///
    /// ```
    /// use wgrad::{Params, nn::{Linear, ModuleList, init::Init}};
    /// let params = Params::new(42);
    /// let fc = ModuleList::new(&params.at("fc"), [Linear::new(3, 4), Linear::new(4, 2)]);
    /// assert_eq!(params.init("fc.*.weight", Init::xavier_normal())?, 2);
    /// assert_eq!(params.init("fc.*.bias", Init::zeros())?, 2);
    /// # drop(fc);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// A pattern that stands for no parameter or is none; what the values cannot be drawn for; parameters that a session holds already:
    /// `Session::set` changes these.
    pub fn init(&self, pattern: &str, with: impl Initializer) -> Result<usize> {
        let full = join(&self.prefix, pattern);
        glob::check(pattern).map_err(Error::Argument)?;
        let below = match self.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}."),
        };
        let mut store = self.lock();
        let held = store.held;
        let parameter = |s: &State| s.kind == StateKind::Parameter;
        let fits = |s: &State| {
            s.path
                .strip_prefix(&below)
                .is_some_and(|path| glob::matches(pattern, path))
        };
        let named = |s: &State| parameter(s) && fits(s);
        let found: Vec<usize> = (0..store.states.len())
            .filter(|&i| named(&store.states[i]))
            .collect();
        if found.is_empty() {
            drop(store);
            return Err(Error::Argument(self.matches_nothing(&full)));
        }
        for &i in &found {
            let state = &mut store.states[i];
            let wrong = |why: String| {
                Error::Argument(format!("init: {} {}: {why}", state.path, state.shape))
            };
            if i < held {
                return Err(wrong("a session holds it already: change it there".into()));
            }
            let (path, shape) = (state.path.clone(), state.shape.clone());
            state.init = self.initial(&path, &shape, &with).map_err(wrong)?;
        }
        Ok(found.len())
    }

    /// Remember that a session holds the first `states` states.
    pub(crate) fn hold(&self, states: usize) {
        let mut store = self.lock();
        store.held = store.held.max(states);
        store.states.iter_mut().for_each(|s| s.init.taken());
    }

    /// Bytes of first values and of slots that wait for their parameters, which the host keeps.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let store = self.lock();
        let waiting = store
            .carried
            .values()
            .map(|a| (a.numel() * DType::SIZE) as u64);
        let states = store.states.iter().map(|s| s.init.kept_bytes());
        states.chain(waiting).sum()
    }

    /// Every state, in the order of creation.
    pub fn all(&self) -> Vec<State> {
        self.lock().states.clone()
    }

    /// The parameters and buffers below this handle's path, in the order of creation.
    pub fn list(&self) -> Vec<State> {
        let below = |s: &&State| {
            matches!(s.kind, StateKind::Parameter | StateKind::Buffer)
                && (self.prefix.is_empty() || s.path.starts_with(&format!("{}.", self.prefix)))
        };
        self.lock().states.iter().filter(below).cloned().collect()
    }

    /// The state at `path` (from the root), if there is one.
    pub fn get(&self, path: &str) -> Option<State> {
        let store = self.lock();
        store.by_path.get(path).map(|&i| store.states[i].clone())
    }

    /// The state of a handle.
    pub fn state(&self, param: &Param) -> State {
        let store = self.lock();
        let at = store.by_path.get(&param.path).copied();
        store.states[at.unwrap_or_default()].clone()
    }

    /// The segments so far.
    pub fn segments(&self) -> Vec<Segment> {
        self.lock().segments.clone()
    }

    /// Keep what is wrong with a layer or a state at `path`, if it is the first: `Session::new` and `compile` return it.
    pub(crate) fn refuse(&self, path: &str, message: &str, site: Site) {
        let place = if path.is_empty() { "the model" } else { path };
        let error = Error::Argument(format!("{place}: {message}, at {site}"));
        self.lock().error.get_or_insert(error);
    }

    /// The first error of building layers.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.lock().error.take()
    }

    /// Whether creating a parameter is an error from now on.
    pub(crate) fn seal(&self, sealed: bool) {
        self.lock().sealed = sealed;
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

impl Store {
    fn insert(&mut self, state: State) {
        self.by_path.insert(state.path.clone(), self.states.len());
        self.states.push(state);
    }

    fn allocate(&mut self, kind: StateKind, slot: &str, len: usize) -> StateRange {
        let open = self
            .segments
            .iter()
            .rposition(|s| s.kind == kind && s.slot == slot);
        let fits = open.filter(|&i| self.segments[i].len + len <= SEGMENT);
        let segment = fits.unwrap_or_else(|| {
            self.segments.push(Segment {
                kind,
                len: 0,
                slot: slot.to_owned(),
            });
            self.segments.len() - 1
        });
        let offset = self.segments[segment].len;
        self.segments[segment].len = (offset + len).next_multiple_of(ALIGN);
        StateRange {
            segment,
            offset,
            len,
        }
    }
}

/// What layers give: a parameter's value in a trace.
impl crate::tensor::Trace {
    /// The value of `param` when the run starts.
    #[track_caller]
    pub fn param(&self, param: &Param) -> crate::tensor::Tensor {
        let known = self.params().get(&param.path);
        if known.is_none_or(|s| s.shape != param.shape) {
            let message = format!(
                "{} {} is none of the session's: build layers with the Params that the session is made of",
                param.path, param.shape
            );
            return self.misuse("parameter", message, Site::here());
        }
        let state = self.params().state(param);
        let average = format!("{AVERAGE}/{}", param.path);
        let average = self.params().get(&average).filter(|_| self.averages());
        self.state(
            average.map_or(state.range, |s| s.range),
            TensorType::new(state.shape, state.dtype),
        )
    }
}

/// Check that layers were built without an error.
pub(crate) fn check(params: &Params) -> Result<()> {
    params.take_error().map_or(Ok(()), Err)
}
