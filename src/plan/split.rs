//! Steps on tensors that one binding does not cover. Elementwise steps are launched range after range; the kernels of others
//! bind such a tensor several times (`windows`). What neither helps is refused.

use super::steps::Step;
use super::{Plan, Region, human, windows};
use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::fused::{Load, Map};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Part};
use crate::op::{GpuIo, Kind};
use crate::shape::{Layout, Shape};
use crate::state::ALIGN;

const HELPS: &str =
    "a smaller batch or shorter texts may help, and the CPU has no such limit (WGRAD_DEVICE=cpu)";

/// See the module.
pub fn split(plan: &mut Plan, caps: &Caps) -> Result<()> {
    if !caps.kernels {
        return Ok(());
    }
    buffers(plan, caps)?;
    let most = (caps.binding_bytes / DType::SIZE as u64) as usize;
    for step in &mut plan.steps {
        let r = &step.regions;
        let all = step.kernels.dispatches.iter().flat_map(|d| &d.bindings);
        if all.clone().all(|b| r.bound(b).len <= most) {
            continue;
        }
        step.kernels.dispatches = match by_ranges(step, caps, most)? {
            Some(launches) => launches,
            None => by_windows(step, caps, most)?,
        };
    }
    Ok(())
}

/// Refuse what no buffer of the device holds.
fn buffers(plan: &Plan, caps: &Caps) -> Result<()> {
    let bytes = |words: usize| (words * DType::SIZE) as u64;
    let holds = |words: usize| bytes(words) <= caps.buffer_bytes;
    let refuse = |what: String, words: usize| {
        Error::Limit(format!(
            "{what}: {}, the largest buffer of {} has {} (max_buffer_size): {HELPS}",
            human(bytes(words)),
            caps.owner,
            human(caps.buffer_bytes)
        ))
    };
    for step in &plan.steps {
        let r = &step.regions;
        let written = step
            .outputs
            .iter()
            .map(|o| o.ty.to_string())
            .zip(&r.outputs);
        let scratch = r.scratch.iter().map(|s| ("scratch memory".to_owned(), s));
        if let Some((what, region)) = written.chain(scratch).find(|(_, r)| !holds(r.len)) {
            return Err(refuse(format!("{}: {what}", title(step)), region.len));
        }
    }
    let blocks = [
        ("the arguments of a run", plan.upload_words),
        ("the constants of a function", plan.constant_words),
        ("the results of a run", plan.read_words()),
    ];
    let pages = plan.pages.iter().map(|p| ("a page of memory", p.words));
    match blocks.into_iter().chain(pages).find(|b| !holds(b.1)) {
        Some((what, words)) => Err(refuse(what.to_owned(), words)),
        None => Ok(()),
    }
}

/// A step for people: the layer's path and what it does.
fn title(step: &Step) -> String {
    match step.path.is_empty() {
        true => step.name.clone(),
        false => format!("{}: {}", step.path, step.name),
    }
}

/// The launches of an elementwise step on ranges of its outermost dimension that bindings cover; none where that cannot be.
fn by_ranges(step: &Step, caps: &Caps, most: usize) -> Result<Option<Vec<Dispatch>>> {
    let map = &step.epilogue;
    if !matches!(step.op.kind(), Kind::Map(_)) || map.exprs.iter().any(|e| e.uses_index()) {
        return Ok(None);
    }
    let Some((sizes, loads)) = collapsed(&step.core_types[0].shape, map) else {
        return Ok(None);
    };
    let Some((&outer, inner)) = sizes.split_first() else {
        return Ok(None);
    };
    let row: usize = inner.iter().product();
    // A range begins where a binding may begin.
    let unit = ALIGN / gcd(row, ALIGN);
    let mut rows = outer.min(most / row);
    loop {
        rows = if rows < outer {
            rows / unit * unit
        } else {
            rows
        };
        if rows == 0 {
            return Ok(None);
        }
        let starts = (0..outer).step_by(rows);
        let ranges = starts.map(|start| {
            let rows = rows.min(outer - start);
            Range::of(step, &loads, row, (start, rows))
        });
        match ranges.collect::<Option<Vec<Range>>>() {
            Some(ranges) if ranges.iter().all(|r| r.longest() <= most) => {
                let launches = ranges.iter().map(|r| r.launch(step, caps));
                let launches: Vec<Vec<Dispatch>> = launches.collect::<Result<_>>()?;
                return Ok(Some(launches.concat()));
            }
            Some(_) => rows /= 2,
            None => return Ok(None),
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The fewest dimensions that positions of `shape` and all loads of `map` can be walked by, and the loads over these.
fn collapsed(shape: &Shape, map: &Map) -> Option<(Vec<usize>, Vec<Load>)> {
    // A step's members may count the same positions in other dimensions.
    let over = |l: &Load| match l.layout.shape == *shape {
        true => Some(l.layout.clone()),
        false => l.layout.reshape(shape),
    };
    let layouts: Vec<Layout> = map.loads.iter().map(over).collect::<Option<_>>()?;
    let mut sizes: Vec<usize> = Vec::new();
    let mut strides: Vec<Vec<isize>> = vec![Vec::new(); layouts.len()];
    for (d, &n) in shape.iter().enumerate().filter(|(_, n)| **n != 1) {
        let of = |k: usize| layouts[k].strides[d];
        let joins = strides
            .iter()
            .enumerate()
            .all(|(k, s)| s.last().is_some_and(|&last| last == of(k) * n as isize));
        let joins = joins && !sizes.is_empty();
        match sizes.last_mut() {
            Some(last) if joins => *last *= n,
            _ => sizes.push(n),
        }
        for (k, s) in strides.iter_mut().enumerate() {
            if joins {
                s.pop();
            }
            s.push(of(k));
        }
    }
    let over = |(load, strides): (&Load, Vec<isize>)| Load {
        layout: Layout {
            shape: sizes.clone().into(),
            strides,
            offset: load.layout.offset,
        },
        ..load.clone()
    };
    let loads = map.loads.iter().zip(strides).map(over).collect();
    Some((sizes, loads))
}

/// Some rows of an elementwise step: what it loads, and the part of each operand and of the results.
struct Range {
    shape: Shape,
    loads: Vec<Load>,
    operands: Vec<Part>,
    written: Part,
}

impl Range {
    /// `rows` rows of `row` elements from `start` on; none where a result that takes an operand's memory would begin
    /// elsewhere than it.
    fn of(step: &Step, loads: &[Load], row: usize, (start, rows): (usize, usize)) -> Option<Self> {
        let written = Part {
            offset: start * row,
            len: rows * row,
        };
        let mut loads: Vec<Load> = loads.to_vec();
        for load in &mut loads {
            load.layout = load.layout.slice(0, start, rows, 1);
        }
        let mut operands = Vec::new();
        for k in 0..step.regions.epilogue.len() {
            let of = loads.iter_mut().filter(|l| l.operand == k);
            let mut of: Vec<&mut Load> = of.collect();
            let spans: Vec<(usize, usize)> = of.iter().filter_map(|l| l.layout.span()).collect();
            let low = spans.iter().map(|s| s.0).min().unwrap_or(0) / ALIGN * ALIGN;
            let high = spans.iter().map(|s| s.1 + 1).max().unwrap_or(0);
            of.iter_mut().for_each(|l| l.layout.offset -= low);
            operands.push(Part {
                offset: low,
                len: high.saturating_sub(low).max(1),
            });
        }
        let shape = loads
            .first()
            .map_or([rows * row].into(), |l| l.layout.shape.clone());
        let in_place = step.in_place.iter().flatten();
        let together = in_place.into_iter().all(|&k| operands[k] == written);
        together.then_some(Self {
            shape,
            loads,
            operands,
            written,
        })
    }

    fn longest(&self) -> usize {
        let all = self.operands.iter().chain([&self.written]);
        all.map(|p| p.len).max().unwrap_or(0)
    }

    fn launch(&self, step: &Step, caps: &Caps) -> Result<Vec<Dispatch>> {
        let map = Map {
            exprs: step.epilogue.exprs.clone(),
            loads: self.loads.clone(),
        };
        let io = GpuIo {
            inputs: &[],
            outputs: &[TensorType::new(
                self.shape.clone(),
                step.core_types[0].dtype,
            )],
            prologue: None,
            epilogue: &map,
            in_place: &step.in_place,
        };
        let mut dispatches = step.op.gpu(&io, caps)?.dispatches;
        for b in dispatches.iter_mut().flat_map(|d| &mut d.bindings) {
            b.part = match b.buf {
                Buf::Epilogue(k) => Some(self.operands[k]),
                _ => Some(self.written),
            };
        }
        Ok(dispatches)
    }
}

/// The launches of a step whose kernels bind what is too long in windows.
fn by_windows(step: &Step, caps: &Caps, most: usize) -> Result<Vec<Dispatch>> {
    let window = 1usize << most.ilog2();
    let one = |d: &Dispatch| {
        let regions: Vec<Region> = d.bindings.iter().map(|b| step.regions.bound(b)).collect();
        let long = |r: &Region| r.len > most;
        let Some(longest) = regions.iter().filter(|r| long(r)).max_by_key(|r| r.len) else {
            return Ok(d.clone());
        };
        let refuse = |why: String| {
            Error::Limit(format!(
                "{}: {}: a tensor of {} in it, one binding of {} covers {} (max_storage_buffer_binding_size), {why}: {HELPS}",
                title(step),
                types(step),
                human((longest.len * DType::SIZE) as u64),
                caps.owner,
                human(caps.binding_bytes)
            ))
        };
        let lengths: Vec<Option<usize>> =
            regions.iter().map(|r| long(r).then_some(r.len)).collect();
        let d = windows::windows(d, &lengths, window).map_err(&refuse)?;
        if d.bindings.len() > caps.bindings {
            return Err(refuse(format!(
                "and its kernel would bind {} storage buffers, {} are allowed (max_storage_buffers_per_shader_stage)",
                d.bindings.len(),
                caps.bindings
            )));
        }
        Ok(d)
    };
    step.kernels.dispatches.iter().map(one).collect()
}

fn types(step: &Step) -> String {
    let list = |types: &mut dyn Iterator<Item = String>| types.collect::<Vec<_>>().join(", ");
    let inputs = list(&mut step.input_types.iter().map(|t| t.to_string()));
    let outputs = list(&mut step.outputs.iter().map(|o| o.ty.to_string()));
    match inputs.is_empty() {
        true => outputs,
        false => format!("{inputs} to {outputs}"),
    }
}
