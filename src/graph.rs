//! The graph: nodes in the order in which they were traced, and what they are leaves of.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::Site;
use crate::op::{Kind, OpDef};
use crate::shape::Shape;
use std::fmt;
use std::sync::Arc;

/// Shape and dtype of a tensor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Sizes of the dimensions.
    pub shape: Shape,
    /// Type of the elements.
    pub dtype: DType,
}

impl TensorType {
    /// A tensor of `shape` and `dtype`.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        Self {
            shape: shape.into(),
            dtype,
        }
    }

    /// An `f32` tensor of `shape`.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self::new(shape, DType::F32)
    }

    /// An `i32` tensor of `shape`.
    pub fn i32(shape: impl Into<Shape>) -> Self {
        Self::new(shape, DType::I32)
    }

    /// The type of an array.
    pub fn of(array: &Array) -> Self {
        Self::new(array.shape(), array.dtype())
    }

    /// The types of a batch: what a function that takes it is compiled for.
    pub fn of_all(batch: &[Array]) -> Vec<Self> {
        batch.iter().map(Self::of).collect()
    }

    /// `types`, where each has no more elements than a tensor may have; else what is wrong.
    pub(crate) fn counted(types: Vec<Self>) -> Result<Vec<Self>, String> {
        let most = Shape::MOST;
        match types.iter().find(|t| !t.shape.is_countable()) {
            Some(t) => Err(format!("gives {t}: a tensor has at most {most} elements")),
            None => Ok(types),
        }
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.shape.numel()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// Index of the node.
    pub node: usize,
    /// Which of its outputs.
    pub output: usize,
}

/// An operator applied to values.
#[derive(Debug, Clone)]
pub struct Node {
    /// The operator.
    pub op: Arc<dyn OpDef>,
    /// What it is applied to.
    pub inputs: Vec<Value>,
    /// Types of its outputs.
    pub outputs: Vec<TensorType>,
    /// Path of the layer that made it.
    pub path: Arc<str>,
    /// The user's line that made it.
    pub site: Site,
}

/// A range of a state segment, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateRange {
    /// Index of the segment.
    pub segment: usize,
    /// First element.
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
}

impl StateRange {
    /// Whether both have elements in common.
    pub fn overlaps(&self, other: &StateRange) -> bool {
        self.segment == other.segment
            && self.offset < other.offset + other.len
            && other.offset < self.offset + self.len
    }
}

/// A value that the session computes on the host before each run and uploads in one small block.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Low word of the seed, `u32`.
    SeedLow,
    /// High word of the seed, `u32`.
    SeedHigh,
    /// Runs of training functions so far, `u32`.
    MicroStep,
    /// Learning rate of a parameter group.
    LearningRate(usize),
    /// Micro-steps whose gradients the optimizer with this first parameter group has accumulated since its last update,
    /// `f32`.
    Accumulated(usize),
    /// A function of the number of this update of a parameter.
    OfUpdate(OfUpdate),
}

/// A function of the number of a parameter's update, counted from 1, evaluated on the host in `f64`.
#[derive(Clone, Copy)]
pub struct OfUpdate {
    /// Its name, which together with the parameters says which function it is.
    pub name: &'static str,
    /// Its parameters.
    pub args: [f64; 2],
    /// Whose updates are counted: a place among the levels of its trace.
    pub level: usize,
    /// Its value, from the number and the parameters.
    pub value: fn(u64, [f64; 2]) -> f64,
}

impl OfUpdate {
    /// A function of the first level, until another one is said.
    pub fn new(name: &'static str, args: [f64; 2], value: fn(u64, [f64; 2]) -> f64) -> Self {
        Self {
            name,
            args,
            level: 0,
            value,
        }
    }

    fn key(&self) -> (&'static str, [u64; 2], usize) {
        (self.name, self.args.map(f64::to_bits), self.level)
    }
}

impl PartialEq for OfUpdate {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for OfUpdate {}

impl std::hash::Hash for OfUpdate {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Scalar {
    /// Its dtype.
    pub fn dtype(&self) -> DType {
        match self {
            Self::SeedLow | Self::SeedHigh | Self::MicroStep => DType::U32,
            _ => DType::F32,
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeedLow => f.write_str("seed_low"),
            Self::SeedHigh => f.write_str("seed_high"),
            Self::MicroStep => f.write_str("micro_step"),
            Self::Accumulated(0) => f.write_str("accumulated"),
            Self::Accumulated(group) => write!(f, "accumulated.{group}"),
            Self::LearningRate(group) => write!(f, "learning_rate.{group}"),
            Self::OfUpdate(f_) => {
                write!(f, "{}{:?}", f_.name, f_.args)?;
                match f_.level {
                    0 => Ok(()),
                    level => write!(f, " of {level}"),
                }
            }
        }
    }
}

/// A value that no operator computes.
#[derive(Clone)]
pub enum Leaf {
    /// The `n`-th argument of the compiled function.
    Input(usize),
    /// What a state holds when the run starts.
    State(StateRange),
    /// A constant.
    Constant(Arc<Array>),
    /// A value that the session computes.
    Scalar(Scalar),
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(n) => write!(f, "input {n}"),
            Self::State(r) => write!(f, "state {}[{}..{}]", r.segment, r.offset, r.offset + r.len),
            Self::Constant(a) => {
                // Long constants go by a hash of their bits: `Debug` is the key for common subexpressions.
                let hash = a.words().iter().fold(0xcbf2_9ce4_8422_2325u64, |h, w| {
                    (h ^ u64::from(*w)).wrapping_mul(0x100_0000_01b3)
                });
                write!(f, "constant {} {} #{hash:016x}", a.dtype(), a.shape())
            }
            Self::Scalar(s) => write!(f, "scalar {s:?}"),
        }
    }
}

/// Nodes in an order in which each comes after its inputs.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What a run returns.
    pub outputs: Vec<Value>,
    /// Types of the function's arguments.
    pub inputs: Vec<TensorType>,
}

impl Graph {
    /// The type of a value.
    pub fn ty(&self, v: Value) -> &TensorType {
        &self.nodes[v.node].outputs[v.output]
    }

    /// Multiplications with an addition that these nodes take ([`OpDef::multiply_adds`]).
    pub fn multiply_adds(&self, nodes: std::ops::Range<usize>) -> u64 {
        let each = self.nodes[nodes].iter().map(|n| {
            let inputs: Vec<TensorType> = n.inputs.iter().map(|&v| self.ty(v).clone()).collect();
            n.op.multiply_adds(&inputs, &n.outputs)
        });
        each.sum()
    }

    /// Which of the nodes an output or an effect needs.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        self.outputs.iter().for_each(|v| live[v.node] = true);
        for at in (0..self.nodes.len()).rev() {
            live[at] |= self.is_effect(at);
            if live[at] {
                let inputs = self.nodes[at].inputs.iter();
                inputs.for_each(|v| live[v.node] = true);
            }
        }
        live
    }

    /// Whether a node has an effect of its own.
    pub fn is_effect(&self, node: usize) -> bool {
        matches!(self.nodes[node].op.kind(), Kind::Assign(_))
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            write!(f, "%{i} = {:?}(", node.op)?;
            for (k, v) in node.inputs.iter().enumerate() {
                write!(f, "{}%{}", if k > 0 { ", " } else { "" }, v.node)?;
                if v.output > 0 {
                    write!(f, ".{}", v.output)?;
                }
            }
            writeln!(f, ") -> {:?}", node.outputs)?;
        }
        writeln!(
            f,
            "return {:?}",
            self.outputs
                .iter()
                .map(|v| format!("%{}.{}", v.node, v.output))
                .collect::<Vec<_>>()
        )
    }
}
