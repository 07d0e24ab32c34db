//! Graph to items: views become the ways in which items load, what must be contiguous is.

use crate::array::Array;
use crate::caps::Caps;
use crate::dtype::DType;
use crate::graph::{Graph, Leaf, Scalar, StateRange, TensorType, Value};
use crate::op::{Kind, OpDef};
use crate::ops::view::View;
use crate::scalar::Expr;
use crate::shape::{Layout, Shape};
use crate::state::ALIGN;
use std::sync::Arc;

/// An output of an item.
pub type Source = (usize, usize);

/// A source seen through views.
#[derive(Debug, Clone)]
pub struct Operand {
    /// What is loaded.
    pub source: Source,
    /// The views, in the order in which they apply.
    pub chain: Vec<Arc<dyn OpDef>>,
    /// Where the elements lie.
    pub layout: Layout,
    /// Type of the elements.
    pub dtype: DType,
}

/// Where an item's value must come to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dest {
    /// A state.
    State(StateRange),
    /// Part of a pack, from this element on.
    Pack(usize, usize),
}

/// What an item does.
#[derive(Debug, Clone)]
pub enum Work {
    /// Nothing: it is there.
    Leaf(Leaf),
    /// Nothing: values that the session computes, one word each.
    Scalars(Vec<Scalar>),
    /// An expression at each position; operand slot `k + 1` is operand `k`.
    Map(Expr, Option<Dest>),
    /// A reduction of its operand, whose dimensions are in the order (kept, reduced).
    Reduce(Arc<dyn OpDef>),
    /// An operator on contiguous operands.
    Kernel(Arc<dyn OpDef>),
    /// Nothing: its parts are written by the items whose destination it is.
    Pack,
}

/// A node of the lowered graph.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it does.
    pub work: Work,
    /// What it loads.
    pub operands: Vec<Operand>,
    /// Types of its outputs.
    pub outputs: Vec<TensorType>,
    /// A name for people.
    pub name: String,
    /// Path of the layer that traced it.
    pub path: Arc<str>,
}

/// Items, each after what it loads, and the sources that the run returns.
#[derive(Debug, Default)]
pub struct Items {
    /// The items.
    pub items: Vec<Item>,
    /// What the run returns.
    pub outputs: Vec<Source>,
}

/// See the module.
pub fn lower(graph: &Graph, caps: &Caps) -> Items {
    let mut l = Lower {
        items: Vec::new(),
        seen: Vec::new(),
        graph,
        align: if caps.kernels { ALIGN } else { 1 },
        path: Arc::default(),
    };
    for at in 0..graph.nodes.len() {
        let seen = l.node(at);
        l.seen.push(seen);
    }
    let outputs = graph.outputs.iter().map(|&v| l.output(v)).collect();
    Items {
        items: l.items,
        outputs,
    }
}

struct Lower<'a> {
    graph: &'a Graph,
    items: Vec<Item>,
    /// For each node, how each of its outputs is reached.
    seen: Vec<Vec<Operand>>,
    align: usize,
    /// Path of the layer whose node is lowered.
    path: Arc<str>,
}

impl Lower<'_> {
    fn node(&mut self, at: usize) -> Vec<Operand> {
        let graph = self.graph;
        let node = &graph.nodes[at];
        self.path = node.path.clone();
        let inputs: Vec<Operand> = node
            .inputs
            .iter()
            .map(|v| self.seen[v.node][v.output].clone())
            .collect();
        let outputs = node.outputs.clone();
        let name = node.op.name().to_owned();
        match node.op.kind() {
            Kind::View => vec![self.through(inputs[0].clone(), node.op.clone())],
            Kind::Leaf(Leaf::Scalar(scalar)) => vec![self.scalar(*scalar)],
            Kind::Leaf(leaf) => self.push(Work::Leaf(leaf.clone()), Vec::new(), outputs, name),
            Kind::Map(expr) => {
                let shape = &outputs[0].shape;
                let operands = inputs
                    .into_iter()
                    .map(|o| self.expanded(o, shape))
                    .collect();
                let (expr, operands) = self.without_constants(expr.clone(), operands);
                match expr.as_constant() {
                    Some(bits) => {
                        let array = Array::from_words([], expr.dtype(), vec![bits]);
                        let ty = TensorType::new([], expr.dtype());
                        let leaf = Work::Leaf(Leaf::Constant(Arc::new(array)));
                        let mut constant = self.push(leaf, Vec::new(), vec![ty], name);
                        vec![self.expanded(constant.remove(0), shape)]
                    }
                    None => self.push(Work::Map(expr, None), operands, outputs, name),
                }
            }
            Kind::Assign(to) => {
                let expr = Expr::load(1, outputs[0].dtype);
                let state = matches!(
                    self.items[inputs[0].source.0].work,
                    Work::Leaf(Leaf::State(_))
                );
                let inputs = if state {
                    vec![self.copied(inputs[0].clone())]
                } else {
                    inputs
                };
                self.push(
                    Work::Map(expr, Some(Dest::State(to))),
                    inputs,
                    outputs,
                    name,
                )
            }
            Kind::Reduce(dims) => {
                let rank = inputs[0].layout.shape.rank();
                let order = (0..rank)
                    .filter(|d| !dims.contains(d))
                    .chain(dims.iter().copied())
                    .collect();
                let operand = self.through(inputs[0].clone(), Arc::new(View::Permute(order)));
                self.push(Work::Reduce(node.op.clone()), vec![operand], outputs, name)
            }
            Kind::Pack(align) => {
                let pack = self.push(Work::Pack, Vec::new(), outputs, name);
                let mut at = 0usize;
                for o in inputs {
                    at = at.next_multiple_of(align);
                    let ty = TensorType::new(o.layout.shape.clone(), o.dtype);
                    let dest = Dest::Pack(pack[0].source.0, at);
                    at += ty.numel();
                    self.push(
                        Work::Map(Expr::load(1, o.dtype), Some(dest)),
                        vec![o],
                        vec![ty],
                        "part".to_owned(),
                    );
                }
                pack
            }
            Kind::Kernel => {
                let mut op = node.op.clone();
                let mut operands = Vec::new();
                for (k, o) in inputs.into_iter().enumerate() {
                    operands.push(if self.is_plain(&o) {
                        o
                    } else if let Some((absorbed, order)) =
                        op.absorb(k, &o.layout).filter(|_| self.starts_aligned(&o))
                    {
                        op = absorbed;
                        self.through(o, Arc::new(View::Permute(order)))
                    } else {
                        self.copied(o)
                    });
                }
                self.push(Work::Kernel(op), operands, outputs, name)
            }
        }
    }

    /// A scalar of the run: all of them lie together.
    fn scalar(&mut self, scalar: Scalar) -> Operand {
        let first = self
            .items
            .iter()
            .position(|i| matches!(i.work, Work::Scalars(_)));
        let item = first.unwrap_or_else(|| {
            let name = "scalars".to_owned();
            let work = Work::Scalars(Vec::new());
            let ty = TensorType::new([0], DType::U32);
            self.push(work, Vec::new(), vec![ty], name)[0].source.0
        });
        let mut offset = 0;
        if let Work::Scalars(list) = &mut self.items[item].work {
            list.push(scalar);
            offset = list.len() - 1;
        }
        self.items[item].outputs[0].shape = [offset + 1].into();
        let layout = Layout {
            offset,
            ..Layout::contiguous([])
        };
        Operand {
            source: (item, 0),
            chain: Vec::new(),
            layout,
            dtype: scalar.dtype(),
        }
    }

    fn push(
        &mut self,
        work: Work,
        operands: Vec<Operand>,
        outputs: Vec<TensorType>,
        name: String,
    ) -> Vec<Operand> {
        let item = self.items.len();
        let operand = |(k, ty): (usize, &TensorType)| Operand {
            source: (item, k),
            chain: Vec::new(),
            layout: Layout::contiguous(ty.shape.clone()),
            dtype: ty.dtype,
        };
        let seen = outputs.iter().enumerate().map(operand).collect();
        self.items.push(Item {
            work,
            operands,
            outputs,
            name,
            path: self.path.clone(),
        });
        seen
    }

    /// `o` through one more view; copied first where strides cannot say it.
    fn through(&mut self, o: Operand, view: Arc<dyn OpDef>) -> Operand {
        let (mut o, layout) = match view.view(&o.layout) {
            Some(layout) => (o, Some(layout)),
            None => (self.copied(o), None),
        };
        let layout = layout.or_else(|| view.view(&o.layout));
        o.layout = layout.unwrap_or_else(|| o.layout.clone());
        o.chain.push(view);
        o
    }

    fn expanded(&mut self, o: Operand, shape: &Shape) -> Operand {
        if o.layout.shape == *shape {
            o
        } else {
            self.through(o, Arc::new(View::Expand(shape.clone())))
        }
    }

    /// A contiguous copy of what `o` shows.
    fn copied(&mut self, o: Operand) -> Operand {
        let ty = TensorType::new(o.layout.shape.clone(), o.dtype);
        let (expr, operands) = self.without_constants(Expr::load(1, o.dtype), vec![o]);
        let mut copy = self.push(Work::Map(expr, None), operands, vec![ty], "copy".to_owned());
        copy.remove(0)
    }

    fn starts_aligned(&self, o: &Operand) -> bool {
        o.layout.offset.is_multiple_of(self.align)
    }

    /// Whether a kernel can bind it.
    fn is_plain(&self, o: &Operand) -> bool {
        o.layout.is_contiguous() && self.starts_aligned(o)
    }

    /// Constants of one element become part of the expression.
    fn without_constants(&self, expr: Expr, operands: Vec<Operand>) -> (Expr, Vec<Operand>) {
        let constant = |o: &Operand| match &self.items[o.source.0].work {
            Work::Leaf(Leaf::Constant(a)) if a.numel() == 1 => {
                Some(Expr::constant(a.words()[0], o.dtype))
            }
            _ => None,
        };
        let constants: Vec<Option<Expr>> = operands.iter().map(constant).collect();
        let slots: Vec<usize> = constants
            .iter()
            .scan(0, |n, c| {
                *n += usize::from(c.is_none());
                Some(*n)
            })
            .collect();
        let expr = expr.substitute(&mut |s, dtype| {
            constants[s - 1]
                .clone()
                .unwrap_or_else(|| Expr::load(slots[s - 1], dtype))
        });
        let mut at = 0;
        let operands = operands
            .into_iter()
            .filter(|_| {
                at += 1;
                constants[at - 1].is_none()
            })
            .collect();
        (expr, operands)
    }

    /// The source of an output: a contiguous value of its own.
    fn output(&mut self, v: Value) -> Source {
        let o = self.seen[v.node][v.output].clone();
        let item = &self.items[o.source.0];
        let whole = o.layout.offset == 0
            && item.outputs[o.source.1].numel() == o.layout.shape.numel()
            && o.layout.is_contiguous();
        if whole && !matches!(item.work, Work::Leaf(_) | Work::Scalars(_)) {
            o.source
        } else {
            self.copied(o).source
        }
    }
}
