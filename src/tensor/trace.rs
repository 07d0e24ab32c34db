//! Tracing: building a graph.
//!
//! Building never fails on the spot: the first misuse is kept, with the layer and the line that made it, and what
//! came of it is poisoned.

mod indices;
mod items;
mod modes;
mod updates;

pub use indices::{Indices, InputRange, Limit};

use super::Tensor;
use crate::array::{Array, Element};
use crate::error::{Error, Site};
use crate::graph::{Graph, Leaf, Node, Scalar, StateRange, TensorType, Value};
use crate::op::OpDef;
use crate::ops::leaf::LeafOp;
use crate::state::{Counts, Level, Params};
use items::Items;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A graph being traced. A clone is the same trace.
#[derive(Clone)]
pub struct Trace(Arc<Shared>);

/// What the clones of a trace share. One thread traces; the lock is what lets options that hold a tensor move into
/// closures that are `Send`.
struct Shared(RwLock<Inner>);

impl Shared {
    fn borrow(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn borrow_mut(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layers that are running, innermost last, with where they were built.
type Scopes = Vec<(Arc<str>, Option<Site>)>;

struct Inner {
    graph: Graph,
    error: Option<Error>,
    scopes: Scopes,
    training: bool,
    averages: bool,
    /// Whether layers leave their running statistics as they are.
    keeps_statistics: bool,
    /// First parameter groups of optimizers that accumulate gradients and leave the update to a later run.
    accumulates: Vec<usize>,
    /// How often what optimizers keep has been updated before the run.
    counts: Counts,
    levels: Vec<Level>,
    /// Paths of the slots of all levels.
    leveled: HashSet<Arc<str>>,
    /// What losses are means over.
    items: HashMap<Value, Items>,
    params: Params,
    ordinals: HashMap<String, usize>,
    indices: Vec<Indices>,
    /// Tensors that stand for a column of a batch whose data are held.
    columns: HashMap<Value, usize>,
    states: HashMap<(StateRange, TensorType), Tensor>,
    rates: Vec<(usize, f64)>,
    parts: Vec<Part>,
    layers: Vec<LayerCall>,
    /// For each layer that is running: the multiply-adds of those inside of it that have run.
    running: Vec<u64>,
    /// The nodes before the first gradient.
    forward: Option<usize>,
}

/// A layer that ran in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerCall {
    /// Its path.
    pub path: Arc<str>,
    /// Its type: `Conv2d`.
    pub kind: &'static str,
    /// What it returned.
    pub output: TensorType,
    /// How many of the layers that ran it is inside of.
    pub depth: usize,
    /// Multiplications with an addition that it takes, those of layers inside of it left out.
    pub multiply_adds: u64,
}

/// A finished trace.
pub struct Traced {
    /// The graph.
    pub graph: Graph,
    /// The integers that operators take.
    pub indices: Vec<Indices>,
    /// Values that stand for a column of a batch whose data are held.
    pub columns: HashMap<Value, usize>,
    /// Learning rates that parameter groups start with.
    pub learning_rates: Vec<(usize, f64)>,
    /// The layers that ran, in their order.
    pub layers: Vec<LayerCall>,
    /// Multiply-adds of all that was traced before the first gradient: of one forward pass.
    pub multiply_adds: u64,
    /// The optimizers that make updates.
    pub parts: Vec<Part>,
    /// Which slots the run updates, those of one number of updates together.
    pub levels: Vec<Level>,
}

/// What an optimizer is over, and which parameter groups are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its first and its last parameter group.
    pub groups: (usize, usize),
    /// Patterns of its parameters; empty for all.
    pub parameters: Vec<String>,
    /// Micro-steps whose gradients make an update.
    pub micro_steps: usize,
}

impl Trace {
    /// An empty trace over `params`.
    pub fn new(params: &Params, training: bool) -> Self {
        Self(Arc::new(Shared(RwLock::new(Inner {
            graph: Graph::default(),
            error: None,
            scopes: Vec::new(),
            training,
            averages: false,
            keeps_statistics: false,
            accumulates: Vec::new(),
            counts: Counts::default(),
            levels: Vec::new(),
            leveled: HashSet::new(),
            items: HashMap::new(),
            params: params.root(),
            ordinals: HashMap::new(),
            indices: Vec::new(),
            columns: HashMap::new(),
            states: HashMap::new(),
            rates: Vec::new(),
            parts: Vec::new(),
            layers: Vec::new(),
            running: Vec::new(),
            forward: None,
        }))))
    }

    /// The parameters and states that the trace may use.
    pub fn params(&self) -> Params {
        self.0.borrow().params.clone()
    }

    /// The next argument of the compiled function.
    pub fn input(&self, ty: TensorType) -> Tensor {
        let mut inner = self.0.borrow_mut();
        inner.graph.inputs.push(ty.clone());
        let leaf = Leaf::Input(inner.graph.inputs.len() - 1);
        drop(inner);
        self.leaf(leaf, ty, Site::here())
    }

    /// A constant.
    #[track_caller]
    pub fn constant(&self, array: Array) -> Tensor {
        let ty = TensorType::of(&array);
        self.leaf(Leaf::Constant(Arc::new(array)), ty, Site::here())
    }

    /// A constant scalar: `f32`, or `i32` for labels and ids.
    #[track_caller]
    pub fn scalar<T: Element>(&self, value: T) -> Tensor {
        self.constant(Array::scalar(value))
    }

    /// `0, 1, … n - 1` as `i32` `[n]`.
    #[track_caller]
    pub fn arange(&self, n: usize) -> Tensor {
        if i32::try_from(n).is_err() {
            let message = format!("{n}: an i32 counts up to {}", i32::MAX);
            return self.misuse("arange", message, Site::here());
        }
        self.constant(Array::vector((0..n as i32).collect::<Vec<_>>()))
    }

    /// A value that the session computes before each run, shape `[]`.
    pub fn run_scalar(&self, scalar: Scalar) -> Tensor {
        self.leaf(
            Leaf::Scalar(scalar),
            TensorType::new([], scalar.dtype()),
            Site::here(),
        )
    }

    /// The value of a state when the run starts.
    pub fn state(&self, range: StateRange, ty: TensorType) -> Tensor {
        let key = (range, ty.clone());
        if let Some(known) = self.0.borrow().states.get(&key) {
            return known.clone();
        }
        let tensor = self.leaf(Leaf::State(range), ty, Site::here());
        self.0.borrow_mut().states.insert(key, tensor.clone());
        tensor
    }

    fn leaf(&self, leaf: Leaf, ty: TensorType, site: Site) -> Tensor {
        self.push1(Arc::new(LeafOp { leaf, ty }), &[], site)
    }

    /// Apply an operator; one tensor an output.
    pub fn push(&self, op: Arc<dyn OpDef>, inputs: &[&Tensor], site: Site) -> Vec<Tensor> {
        let own = self.own(op.name(), inputs, site);
        let values = own.and_then(|()| inputs.iter().map(|t| t.value).collect::<Option<Vec<_>>>());
        let Some(values) = values else {
            return Vec::new();
        };
        let types: Vec<TensorType> = inputs.iter().map(|t| t.ty.clone()).collect();
        match op.infer(&types).and_then(TensorType::counted) {
            Err(message) => {
                self.misuse(op.name(), message, site);
                Vec::new()
            }
            Ok(outputs) => {
                let mut inner = self.0.borrow_mut();
                let (path, scope_site) = inner.scopes.last().cloned().unwrap_or_default();
                let node = inner.graph.nodes.len();
                let site = scope_site.unwrap_or(site);
                inner.graph.nodes.push(Node {
                    op,
                    inputs: values,
                    outputs: outputs.clone(),
                    path,
                    site,
                });
                drop(inner);
                let tensor = |(output, ty)| Tensor {
                    trace: self.clone(),
                    value: Some(Value { node, output }),
                    ty,
                };
                outputs.into_iter().enumerate().map(tensor).collect()
            }
        }
    }

    /// Apply an operator and take its first output.
    pub fn push1(&self, op: Arc<dyn OpDef>, inputs: &[&Tensor], site: Site) -> Tensor {
        self.push(op, inputs, site)
            .into_iter()
            .next()
            .unwrap_or_else(|| self.poison())
    }

    /// What stands for a value that could not be computed.
    pub fn poison(&self) -> Tensor {
        Tensor {
            trace: self.clone(),
            value: None,
            ty: TensorType::f32([]),
        }
    }

    /// Keep a misuse, if it is the first; returns a poisoned tensor.
    pub fn misuse(&self, op: &str, message: impl Into<String>, site: Site) -> Tensor {
        let mut inner = self.0.borrow_mut();
        let misuse = inner.here(op, message.into(), site);
        inner.error.get_or_insert(Error::Graph(misuse));
        drop(inner);
        self.poison()
    }

    /// A poisoned tensor of a trace of its own, for a misuse that has no tensor to tell the trace by.
    pub(crate) fn detached(op: &str, message: &str, site: Site) -> Tensor {
        Self::new(&Params::new(0), false).misuse(op, message, site)
    }

    /// Keep the misuse that poisoned a tensor of another trace.
    fn adopt(&self, t: &Tensor) {
        if t.is_poisoned() && !self.is(&t.trace) {
            let error = t.trace.0.borrow_mut().error.take();
            error.into_iter().for_each(|e| self.fail(e));
        }
    }

    /// Keep an error, if it is the first.
    pub fn fail(&self, error: Error) {
        self.0.borrow_mut().error.get_or_insert(error);
    }

    /// Run `f` inside the layer at `path`, built at `site`: misuses name them.
    pub fn scope<R>(&self, path: &Arc<str>, site: Site, f: impl FnOnce() -> R) -> R {
        self.0.borrow_mut().scopes.push((path.clone(), Some(site)));
        let result = f();
        self.0.borrow_mut().scopes.pop();
        result
    }

    /// As [`Trace::scope`], for a layer of type `kind` that returns one tensor: [`Function::layers`] lists it.
    ///
    /// [`Function::layers`]: crate::Function::layers
    pub fn layer(
        &self,
        path: &Arc<str>,
        kind: &'static str,
        site: Site,
        f: impl FnOnce() -> Tensor,
    ) -> Tensor {
        let mut inner = self.0.borrow_mut();
        let (first, at) = (inner.graph.nodes.len(), inner.layers.len());
        // Before those inside of it.
        let call = LayerCall {
            path: path.clone(),
            kind,
            output: TensorType::f32([]),
            depth: inner.running.len(),
            multiply_adds: 0,
        };
        inner.layers.push(call);
        inner.running.push(0);
        drop(inner);
        let output = self.scope(path, site, f);
        let mut inner = self.0.borrow_mut();
        let all = inner.graph.multiply_adds(first..inner.graph.nodes.len());
        let inside = inner.running.pop().unwrap_or(0);
        if let Some(around) = inner.running.last_mut() {
            *around += all;
        }
        if let Some(call) = inner.layers.get_mut(at) {
            call.output = output.ty.clone();
            call.multiply_adds = all.saturating_sub(inside);
        }
        drop(inner);
        output
    }

    /// A number that counts the calls of `what` within the current layer, with the layer's path: a key for random
    /// streams that does not change with what else is in the graph.
    pub fn ordinal(&self, what: &str) -> String {
        let mut inner = self.0.borrow_mut();
        let path = inner
            .scopes
            .last()
            .map(|s| s.0.to_string())
            .unwrap_or_default();
        let n = inner.ordinals.entry(format!("{path}/{what}")).or_insert(0);
        *n += 1;
        format!("{path}/{what}.{n}")
    }

    /// Have what is traced from here on be no part of the forward pass.
    pub(crate) fn forward_ends(&self) {
        let mut inner = self.0.borrow_mut();
        let nodes = inner.graph.nodes.len();
        inner.forward.get_or_insert(nodes);
    }

    /// A copy of a node, for autodiff.
    pub(crate) fn node(&self, node: usize) -> Node {
        self.0.borrow().graph.nodes[node].clone()
    }

    /// The node that assigns the state at `to`, if there is one.
    pub(crate) fn assigned(&self, to: StateRange) -> Option<usize> {
        let inner = self.0.borrow();
        let found = |n: &Node| matches!(n.op.kind(), crate::op::Kind::Assign(r) if r == to);
        inner.graph.nodes.iter().rposition(found)
    }

    /// Whether something is assigned to elements of `range` already.
    pub(crate) fn assigns_into(&self, range: StateRange) -> bool {
        let inner = self.0.borrow();
        let into =
            |n: &Node| matches!(n.op.kind(), crate::op::Kind::Assign(r) if r.overlaps(&range));
        inner.graph.nodes.iter().any(into)
    }

    /// Have a node do `op` instead.
    pub(crate) fn replace(&self, node: usize, op: Arc<dyn OpDef>) {
        self.0.borrow_mut().graph.nodes[node].op = op;
    }

    /// The tensor of a value.
    pub(crate) fn tensor(&self, value: Value) -> Tensor {
        let ty = self.0.borrow().graph.ty(value).clone();
        Tensor {
            trace: self.clone(),
            value: Some(value),
            ty,
        }
    }

    /// The graph with `outputs`, or the first error.
    ///
    /// # Errors
    /// What the trace kept.
    pub fn finish(&self, outputs: &[Tensor]) -> Result<Traced, Error> {
        outputs.iter().for_each(|t| self.adopt(t));
        let mut inner = self.0.borrow_mut();
        if let Some(error) = inner.error.take() {
            return Err(error);
        }
        let foreign = || Error::argument("an output of the function is a tensor of another trace");
        let mine = |t: &Tensor| t.value.filter(|_| self.is(&t.trace)).ok_or_else(foreign);
        let outputs = outputs.iter().map(mine).collect::<Result<_, _>>()?;
        inner.states.clear(); // each holds the trace
        inner.items.clear();
        let mut graph = std::mem::take(&mut inner.graph);
        graph.outputs = outputs;
        let indices = std::mem::take(&mut inner.indices);
        let columns = std::mem::take(&mut inner.columns);
        let learning_rates = std::mem::take(&mut inner.rates);
        let layers = std::mem::take(&mut inner.layers);
        let parts = std::mem::take(&mut inner.parts);
        let levels = std::mem::take(&mut inner.levels);
        let forward = inner.forward.unwrap_or(graph.nodes.len());
        Ok(Traced {
            multiply_adds: graph.multiply_adds(0..forward),
            graph,
            indices,
            columns,
            learning_rates,
            layers,
            parts,
            levels,
        })
    }
}
