//! Groups to steps: operators with their prologues and epilogues, and the kernels that do them.

use super::fuse::{Flat, Group, Groups};
use super::lower::{Dest, Source, Work};
use super::place::Region;
use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::fused::{Load, Map};
use crate::graph::{Leaf, TensorType};
use crate::kernel::{Binding, Buf, Kernels};
use crate::op::{GpuIo, Kind, OpDef};
use crate::ops::map;
use crate::scalar::Expr;
use std::sync::Arc;

/// An output of a step.
#[derive(Debug, Clone)]
pub struct Output {
    /// What it is.
    pub source: Source,
    /// Its type.
    pub ty: TensorType,
    /// Where it must lie, if it must.
    pub dest: Option<Dest>,
}

/// One fused group: an operator, what is computed before it and after it.
#[derive(Debug, Clone)]
pub struct Step {
    /// A name for people: `matmul + add + relu`.
    pub name: String,
    /// Path of the layer that traced it; empty outside of layers.
    pub path: Arc<str>,
    /// The operator.
    pub op: Arc<dyn OpDef>,
    /// Types of the operator's inputs.
    pub input_types: Vec<TensorType>,
    /// Types of the operator's own outputs.
    pub core_types: Vec<TensorType>,
    /// For reductions: what is reduced.
    pub prologue: Option<Map>,
    /// What becomes of the first output.
    pub epilogue: Map,
    /// Results of the epilogue, then the operator's other outputs.
    pub outputs: Vec<Output>,
    /// For each result of the epilogue, the epilogue's operand whose memory it takes.
    pub in_place: Vec<Option<usize>>,
    /// Sources of the operator's inputs, of the prologue's and of the epilogue's operands.
    pub sources: [Vec<Source>; 3],
    /// First element and number of elements of each input within its source.
    pub slices: Vec<(usize, usize)>,
    /// Where each `Buf` lies; filled in when memory is placed.
    pub regions: Regions,
    /// Launches on a GPU.
    pub kernels: Kernels,
}

impl Step {
    /// The result of the epilogue whose memory the operator's own first output takes on the CPU, if there is one.
    pub(crate) fn own_place(&self) -> Option<usize> {
        let mut results = self.in_place.iter().zip(&self.epilogue.exprs);
        let taken = results.position(|(p, e)| p.is_none() && *e == Expr::load(0, e.dtype()));
        taken.or_else(|| self.in_place.iter().position(Option::is_none))
    }

    /// Words that the operator's own first output takes besides: none for an elementwise step, which has no such output.
    pub(crate) fn own_words(&self) -> usize {
        match self.own_place() {
            None if !matches!(self.op.kind(), Kind::Map(_)) => {
                self.core_types.first().map_or(0, |t| t.numel())
            }
            _ => 0,
        }
    }
}

/// Where the operands of a step lie.
#[derive(Debug, Clone, Default)]
pub struct Regions {
    /// The operator's inputs.
    pub inputs: Vec<Region>,
    /// Operands of the prologue.
    pub prologue: Vec<Region>,
    /// Operands of the epilogue.
    pub epilogue: Vec<Region>,
    /// Outputs.
    pub outputs: Vec<Region>,
    /// Scratch memory.
    pub scratch: Vec<Region>,
}

impl Regions {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Region> {
        let read = self.inputs.iter().chain(&self.prologue);
        let read = read.chain(&self.epilogue);
        read.chain(&self.outputs).chain(&self.scratch)
    }

    /// The region of `buf`.
    pub fn get(&self, buf: Buf) -> Region {
        match buf {
            Buf::Input(i) => self.inputs[i],
            Buf::Prologue(i) => self.prologue[i],
            Buf::Epilogue(i) => self.epilogue[i],
            Buf::Output(i) => self.outputs[i],
            Buf::Scratch(i) => self.scratch[i],
        }
    }

    /// The region that a kernel binds.
    pub fn bound(&self, binding: &Binding) -> Region {
        let whole = self.get(binding.buf);
        binding.part.map_or(whole, |part| Region {
            offset: whole.offset + part.offset,
            len: part.len,
            ..whole
        })
    }
}

/// See the module.
pub fn steps(groups: &Groups, order: &[usize], caps: &Caps) -> Result<Vec<Step>> {
    order
        .iter()
        .map(|&g| step(groups, &groups.groups[g], caps))
        .collect()
}

fn step(groups: &Groups, group: &Group, caps: &Caps) -> Result<Step> {
    let item = |at: usize| &groups.items.items[at];
    let mut names: Vec<&str> = Vec::new();
    let mut prologue = None;
    let mut slices = Vec::new();
    let mut sources: [Vec<Source>; 3] = Default::default();
    let (op, input_types, core_types): (Arc<dyn OpDef>, _, _) = match group.core {
        Some(core) => {
            names.extend(groups.names(core));
            match &item(core).work {
                Work::Kernel(op) => {
                    sources[0] = item(core).operands.iter().map(|o| o.source).collect();
                    slices = item(core)
                        .operands
                        .iter()
                        .map(|o| (o.layout.offset, o.layout.shape.numel()))
                        .collect();
                    let types = item(core)
                        .operands
                        .iter()
                        .map(|o| TensorType::new(o.layout.shape.clone(), o.dtype))
                        .collect();
                    (op.clone(), types, item(core).outputs.clone())
                }
                Work::Reduce(op) => {
                    let mut builder = Builder::default();
                    let flat = groups.flat(core);
                    let expr = builder.add(&flat, &mut |_| None);
                    prologue = Some(Map {
                        exprs: vec![expr],
                        loads: builder.loads,
                    });
                    sources[1] = builder.operands;
                    (op.clone(), Vec::new(), item(core).outputs.clone())
                }
                _ => unreachable!("only operators are cores"),
            }
        }
        None => {
            let op = map::Map {
                name: "map",
                expr: Expr::lit(0.0),
            };
            (
                Arc::new(op),
                Vec::new(),
                vec![TensorType::new(
                    item(group.members[0]).outputs[0].shape.clone(),
                    DType::F32,
                )],
            )
        }
    };
    // Values of the members as expressions over the group's operands, slot 0 being the operator's result.
    let mut builder = Builder::default();
    let mut values: Vec<(usize, Expr)> = group
        .core
        .iter()
        .map(|&c| (c, Expr::load(0, item(c).outputs[0].dtype)))
        .collect();
    for &at in &group.members {
        names.extend(groups.names(at));
        let flat = groups.flat(at);
        let expr = builder.add(&flat, &mut |s| {
            values.iter().find(|v| v.0 == s.0).map(|v| v.1.clone())
        });
        values.push((at, expr));
    }
    let mut outputs = Vec::new();
    let mut exprs = Vec::new();
    for (at, expr) in values {
        if groups.is_result(group, (at, 0)) {
            let dest = if let Work::Map(_, dest) = item(at).work {
                dest
            } else {
                None
            };
            outputs.push(Output {
                source: (at, 0),
                ty: item(at).outputs[0].clone(),
                dest,
            });
            exprs.push(expr);
        }
    }
    if let (Some(core), true) = (group.core, exprs.is_empty()) {
        // Only further outputs are needed; the first is computed all the same.
        outputs.push(Output {
            source: (core, 0),
            ty: item(core).outputs[0].clone(),
            dest: None,
        });
        exprs.push(Expr::load(0, item(core).outputs[0].dtype));
    }
    let state = |s: &Source| match item(s.0).work {
        Work::Leaf(Leaf::State(range)) => Some(Dest::State(range)),
        _ => None,
    };
    let in_place: Vec<Option<usize>> = outputs
        .iter()
        .map(|o| {
            o.dest
                .and_then(|d| builder.operands.iter().position(|s| state(s) == Some(d)))
        })
        .collect();
    if let Some(core) = group.core {
        let rest = item(core).outputs.iter().enumerate().skip(1);
        outputs.extend(rest.map(|(k, ty)| Output {
            source: (core, k),
            ty: ty.clone(),
            dest: None,
        }));
    }
    sources[2] = builder.operands;
    let epilogue = Map {
        exprs,
        loads: builder.loads,
    };
    let io = GpuIo {
        inputs: &input_types,
        outputs: &core_types,
        prologue: prologue.as_ref(),
        epilogue: &epilogue,
        in_place: &in_place,
    };
    let empty = core_types.iter().all(|t| t.numel() == 0);
    let kernels = if caps.kernels && !empty {
        op.gpu(&io, caps)?
    } else {
        Kernels::default()
    };
    let name = if names.is_empty() {
        "copy".to_owned()
    } else {
        names.join(" + ")
    };
    let mut traced = group.core.iter().chain(&group.members);
    let path = traced.find_map(|&at| Some(&item(at).path).filter(|p| !p.is_empty()));
    if let Some(size) = kernels.dispatches.iter().find_map(|d| d.oversize) {
        let most = u32::MAX;
        return Err(Error::Device(format!(
            "{name}: a size of {size}, kernels count up to {most}: use the CPU (WGRAD_DEVICE=cpu) or smaller sizes"
        )));
    }
    Ok(Step {
        name,
        path: path.cloned().unwrap_or_default(),
        op,
        input_types,
        core_types,
        prologue,
        epilogue,
        outputs,
        in_place,
        sources,
        slices,
        regions: Regions::default(),
        kernels,
    })
}

/// Collects the operands of several expressions.
#[derive(Default)]
struct Builder {
    loads: Vec<Load>,
    operands: Vec<Source>,
}

impl Builder {
    /// `flat` over the collected operands; `inside` gives the value of a source that is computed in the same step.
    fn add(&mut self, flat: &Flat, inside: &mut dyn FnMut(Source) -> Option<Expr>) -> Expr {
        let values: Vec<Expr> = flat
            .loads
            .iter()
            .map(|(source, load)| {
                if let Some(expr) = inside(*source) {
                    return expr;
                }
                let operand = position(&mut self.operands, *source);
                let slot = position(
                    &mut self.loads,
                    Load {
                        operand,
                        ..load.clone()
                    },
                );
                Expr::load(slot + 1, load.dtype)
            })
            .collect();
        flat.expr
            .substitute(&mut |slot, _| values[slot - 1].clone())
    }
}

/// Where `value` stands in `list`, put at its end if it does not.
fn position<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().position(|v| *v == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}
