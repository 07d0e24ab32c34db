//! Indices that are out of range: found in the arguments before a run, when a function is compiled, or by the device.
//!
//! What a run computes is looked at in that run: the largest of the indices, as words in which a negative one is larger than
//! all others, is one more result of one element.

use crate::array::Array;
use crate::caps::Caps;
use crate::device::{CpuDevice, Device};
use crate::dtype::DType;
use crate::error::{Error, Misuse, Result};
use crate::graph::{Graph, Leaf, Node, TensorType, Value};
use crate::op::{Kind, OpDef};
use crate::ops::cat::Cat;
use crate::ops::map::Map;
use crate::ops::reduce::{Combine, Reduce};
use crate::plan::Plan;
use crate::scalar::{Bounds, Expr};
use crate::shape::Layout;
use crate::tensor::{Indices, InputRange, Limit, Traced};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// Elements of constants, and of what follows from them, that are computed to know indices.
const KNOWN: usize = 1 << 22;

/// What became of the indices of a function.
#[derive(Default)]
pub(super) struct Found {
    /// Those that are arguments.
    pub inputs: Vec<InputRange>,
    /// Those that are columns of held data.
    pub columns: Vec<InputRange>,
    /// Those that each run computes.
    pub checks: Vec<Check>,
}

/// A result of a run that says whether indices were in range.
#[derive(Debug, Clone)]
pub(super) struct Check {
    /// Which of the results behind the function's own.
    result: usize,
    limit: Limit,
    taken: Misuse,
}

impl Check {
    /// The error in what a run computed, where there is one; `own` results are the function's.
    pub fn all(checks: &[Check], own: usize, results: &[Vec<u32>]) -> Result<()> {
        for check in checks {
            let word = results.get(own + check.result).and_then(|r| r.first());
            let Some(value) = word.map(|w| *w as i32).filter(|v| !check.limit.admits(*v)) else {
                continue;
            };
            let message = format!(
                "takes {}, {value} came: this run computed it, and took another in its place",
                check.limit
            );
            return Err(Error::Index(Misuse {
                message,
                ..check.taken.clone()
            }));
        }
        Ok(())
    }
}

/// Look at the indices of a function. Those that only a run can know become results of the graph, where `checks` asks for it.
///
/// # Errors
/// The first indices that are known to be out of range.
pub(super) fn find(traced: &mut Traced, checks: bool) -> Result<Found> {
    let mut search = Search {
        graph: &traced.graph,
        columns: &traced.columns,
        bounds: None,
        found: Found::default(),
        open: Vec::new(),
    };
    for indices in &traced.indices {
        search.look(indices, indices.value)?;
    }
    let (mut found, mut open) = (search.found, search.open);
    if checks && !open.is_empty() {
        let live = traced.graph.live();
        open.retain(|indices| live[indices.value.node]);
        add_checks(&mut traced.graph, open, &mut found.checks);
    }
    Ok(found)
}

struct Search<'a> {
    graph: &'a Graph,
    columns: &'a HashMap<Value, usize>,
    /// What the integers of each node's first output can be, once that is asked for.
    bounds: Option<Vec<Option<Bounds>>>,
    found: Found,
    /// Those that only a run can know.
    open: Vec<Indices>,
}

impl Search<'_> {
    /// Find out about the integers `value`: through views and joined tensors, what they are made of.
    fn look(&mut self, indices: &Indices, value: Value) -> Result<()> {
        let (limit, mut at, mut chain) = (indices.limit, value, Vec::new());
        // Whether all elements of what is looked at are seen.
        let mut whole = true;
        loop {
            let node = &self.graph.nodes[at.node];
            let all = Layout::contiguous(self.graph.ty(at).shape.clone());
            match (self.columns.get(&at).copied(), node.op.kind()) {
                (Some(input), _) if whole => {
                    let view = all;
                    self.found.columns.push(InputRange { input, limit, view });
                    return Ok(());
                }
                (None, Kind::View) => {
                    let from = node.inputs[0];
                    whole &= self.graph.ty(from).numel() <= all.shape.numel();
                    chain.push(node.op.clone());
                    at = from;
                }
                (None, Kind::Leaf(Leaf::Input(input))) => {
                    let mut views = chain.iter().rev();
                    let seen = match whole {
                        true => Some(all),
                        false => views.try_fold(all, |l, v| v.view(&l)),
                    };
                    let Some(view) = seen else { break };
                    let input = *input;
                    self.found.inputs.push(InputRange { input, limit, view });
                    return Ok(());
                }
                (None, _) if whole && (node.op.as_ref() as &dyn Any).is::<Cat>() => {
                    let mut parts = node.inputs.iter().copied();
                    return parts.try_for_each(|part| match self.graph.ty(part).numel() {
                        0 => Ok(()),
                        _ => self.look(indices, part),
                    });
                }
                _ => break,
            }
        }
        self.prove(indices, value)
    }

    /// Find out about integers that are no argument: whether they are in range, out of it, or only a run knows.
    fn prove(&mut self, indices: &Indices, value: Value) -> Result<()> {
        let limit = indices.limit;
        let refuse = |message: String| {
            Err(Error::Graph(Misuse {
                message,
                ..indices.taken.clone()
            }))
        };
        let bounds = self.bounds.get_or_insert_with(|| bounds(self.graph));
        let known = bounds[value.node].filter(|_| value.output == 0);
        if known.is_some_and(|b| b.within(0, limit.end as i64)) {
            return Ok(());
        }
        if let Some((array, exact)) = constant(self.graph, value) {
            let values = array.words().iter().map(|w| *w as i32);
            if let Some((at, v)) = values.enumerate().find(|(_, v)| !limit.admits(*v)) {
                return refuse(format!("takes {limit}, {v} came at element {at}"));
            }
            if exact {
                return Ok(());
            }
        }
        let beyond = |b: &Bounds| {
            let except = limit.except.map(i64::from);
            let outside = b.low >= limit.end as i64 || b.high < 0;
            outside && !except.is_some_and(|e| b.low <= e && e <= b.high)
        };
        if let Some(Bounds { low, high }) = known.filter(beyond) {
            return refuse(format!(
                "takes {limit}, all that come are from {low} to {high}"
            ));
        }
        self.open.push(Indices {
            value,
            ..indices.clone()
        });
        Ok(())
    }
}

/// What the integers of each node's first output can be.
fn bounds(graph: &Graph) -> Vec<Option<Bounds>> {
    let mut all: Vec<Option<Bounds>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let ty = &node.outputs[0];
        let Some(any) = Bounds::of(ty.dtype) else {
            all.push(None);
            continue;
        };
        let input = |v: &Value| match v.output {
            0 => all[v.node],
            _ => Bounds::of(graph.ty(*v).dtype),
        };
        let inputs: Vec<Option<Bounds>> = node.inputs.iter().map(input).collect();
        let types = || node.inputs.iter().map(|v| graph.ty(*v).clone());
        let known = match node.op.kind() {
            Kind::Leaf(Leaf::Constant(a)) => Bounds::of_words(a.words(), a.dtype()),
            Kind::View => inputs[0],
            Kind::Map(expr) => expr.bounds(&inputs, ty.numel()),
            _ => node.op.bounds(&inputs, &types().collect::<Vec<_>>()),
        };
        all.push(known.or(Some(any)));
    }
    all
}

/// The value of integers that follow from constants alone, and whether each device computes the same: no floats are in it.
fn constant(graph: &Graph, value: Value) -> Option<(Array, bool)> {
    let mut needed = vec![false; value.node + 1];
    needed[value.node] = true;
    let (mut elements, mut exact) = (0usize, true);
    for at in (0..=value.node).rev() {
        if !needed[at] {
            continue;
        }
        let node = &graph.nodes[at];
        match node.op.kind() {
            Kind::Leaf(Leaf::Constant(_)) => {}
            Kind::Leaf(_) | Kind::Assign(_) => return None,
            _ => node.inputs.iter().for_each(|v| needed[v.node] = true),
        }
        elements = node
            .outputs
            .iter()
            .fold(elements, |n, ty| n.saturating_add(ty.numel()));
        if elements > KNOWN {
            return None;
        }
        exact &= node.outputs.iter().all(|ty| !ty.dtype.is_float());
    }
    let mut place = vec![0; value.node + 1];
    let mut part = Graph::default();
    for (at, node) in graph.nodes.iter().enumerate().take(value.node + 1) {
        if needed[at] {
            place[at] = part.nodes.len();
            let mut node = node.clone();
            node.inputs.iter_mut().for_each(|v| v.node = place[v.node]);
            part.nodes.push(node);
        }
    }
    let ty = graph.ty(value).clone();
    part.outputs = vec![Value {
        node: place[value.node],
        ..value
    }];
    let words = on_cpu(part).ok()?.into_iter().next()?;
    Some((Array::from_words(ty.shape, ty.dtype, words), exact))
}

/// The results of a graph that takes nothing.
fn on_cpu(graph: Graph) -> Result<Vec<Vec<u32>>> {
    let mut cpu = CpuDevice::new();
    let plan = Plan::compile(graph, &Caps::cpu())?;
    let id = cpu.load(Arc::new(plan))?;
    let ticket = cpu.submit(id, &[])?;
    pollster::block_on(cpu.read(ticket))
}

/// One more result for each different one of the indices.
fn add_checks(graph: &mut Graph, open: Vec<Indices>, checks: &mut Vec<Check>) {
    let own = graph.outputs.len();
    let mut results: HashMap<(Value, Option<i32>), usize> = HashMap::new();
    for Indices {
        value,
        limit,
        taken,
    } in open
    {
        let result = *results.entry((value, limit.except)).or_insert_with(|| {
            let most = most(graph, value, limit.except);
            graph.outputs.push(most);
            graph.outputs.len() - 1 - own
        });
        checks.push(Check {
            result,
            limit,
            taken,
        });
    }
}

/// The largest of the words of indices, those that are `except` left out.
fn most(graph: &mut Graph, value: Value, except: Option<i32>) -> Value {
    let index = Expr::load(1, DType::I32);
    let mut word = index.cast(DType::U32);
    if let Some(except) = except {
        let zero = Expr::constant(0, DType::U32);
        let left_out = index.equals(&Expr::constant(except as u32, DType::I32));
        word = left_out.select(&zero, &word);
    }
    let shape = graph.ty(value).shape.clone();
    let map = Map {
        name: "index",
        expr: word,
    };
    let words = push(
        graph,
        Arc::new(map),
        value,
        TensorType::new(shape.clone(), DType::U32),
    );
    let reduce = Reduce {
        combine: Combine::Max,
        dims: (0..shape.rank()).collect(),
    };
    push(
        graph,
        Arc::new(reduce),
        words,
        TensorType::new([], DType::U32),
    )
}

fn push(graph: &mut Graph, op: Arc<dyn OpDef>, input: Value, ty: TensorType) -> Value {
    let of = &graph.nodes[input.node];
    let node = Node {
        op,
        inputs: vec![input],
        outputs: vec![ty],
        path: of.path.clone(),
        site: of.site,
    };
    graph.nodes.push(node);
    Value {
        node: graph.nodes.len() - 1,
        output: 0,
    }
}
