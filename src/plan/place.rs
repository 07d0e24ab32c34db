//! Steps to plan: where everything lies.
//!
//! Memory that lives within a run is cut from a few pages. A kernel may not see one buffer both as read-only and as
//! written, so no step writes to a page that it reads from.

use super::Plan;
use super::fuse::Groups;
use super::lower::{Dest, Source, Work};
use super::steps::{Regions, Step};
use crate::DType;
use crate::caps::Caps;
use crate::graph::{Leaf, TensorType};
use crate::kernel::Buf;
use crate::state::ALIGN;
use std::collections::HashMap;

/// Which buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A page of the plan.
    Page(usize),
    /// The block that each run uploads.
    Upload,
    /// The plan's constants.
    Constants,
    /// A segment of states.
    Segment(usize),
}

/// A range of a buffer, in words of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region {
    /// Which buffer.
    pub place: Place,
    /// First word.
    pub offset: usize,
    /// Number of words.
    pub len: usize,
}

/// What a page is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PageKind {
    /// Values of the run; a session's plans share its memory.
    Activations(usize),
    /// Gradients, packed for the optimizer: zero where no gradient is. By the first element and the length of each, and the
    /// number of the page among those of its plan that are packed alike: plans share what has one name, pages of a plan do not.
    Gradients(Vec<(usize, usize)>, usize),
}

/// A buffer for what lives within a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What it is for.
    pub kind: PageKind,
    /// Its size, in words.
    pub words: usize,
}

/// Words that `words` take up: none take up those of the widest load, as kernels bind no less than one.
fn room(words: usize) -> usize {
    if words == 0 { 8 } else { words }
}

/// Something to be placed: when it is needed, how long it is, what may not be in the same page.
struct Temp {
    words: usize,
    from: usize,
    to: usize,
    apart: Vec<usize>,
    at: Option<(usize, usize)>,
}

/// See the module.
pub fn place(
    groups: Groups,
    mut steps: Vec<Step>,
    inputs: Vec<TensorType>,
    types: Vec<TensorType>,
    caps: &Caps,
) -> Plan {
    let items = &groups.items.items;
    let mut plan = Plan {
        steps: Vec::new(),
        pages: Vec::new(),
        inputs: Vec::new(),
        scalars: Vec::new(),
        upload_words: 0,
        constants: Vec::new(),
        constant_words: 0,
        outputs: Vec::new(),
    };
    let cut = |total: &mut usize, place: Place, len: usize| {
        let region = Region {
            place,
            offset: (*total).max(caps.guard),
            len: room(len),
        };
        *total = region.offset + room(len).next_multiple_of(ALIGN) + caps.guard;
        region
    };
    for ty in inputs {
        let region = cut(&mut plan.upload_words, Place::Upload, ty.numel());
        plan.inputs.push((ty, region));
    }
    // Leaves and packs have their places; the rest is temporary.
    let mut known: HashMap<Source, Region> = HashMap::new();
    let mut packs: Vec<(usize, usize)> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let region = match &item.work {
            Work::Leaf(Leaf::Input(n)) => plan.inputs[*n].1,
            Work::Leaf(Leaf::State(r)) => Region {
                place: Place::Segment(r.segment),
                offset: r.offset,
                len: r.len,
            },
            Work::Leaf(Leaf::Constant(array)) => {
                let region = cut(&mut plan.constant_words, Place::Constants, array.numel());
                plan.constants.push((array.clone(), region));
                region
            }
            Work::Scalars(list) => {
                let region = cut(&mut plan.upload_words, Place::Upload, list.len());
                let at = |k| Region {
                    offset: region.offset + k,
                    len: 1,
                    ..region
                };
                plan.scalars = list.iter().enumerate().map(|(k, s)| (*s, at(k))).collect();
                region
            }
            Work::Pack => {
                packs.push((at, plan.pages.len()));
                let words = item.outputs[0].numel();
                let packed = items.iter().filter_map(|i| match i.work {
                    Work::Map(_, Some(Dest::Pack(p, offset))) if p == at => {
                        Some((offset, i.outputs[0].numel()))
                    }
                    _ => None,
                });
                let packing: Vec<(usize, usize)> = packed.collect();
                let alike =
                    |p: &&Page| matches!(&p.kind, PageKind::Gradients(of, _) if *of == packing);
                let number = plan.pages.iter().filter(alike).count();
                plan.pages.push(Page {
                    kind: PageKind::Gradients(packing, number),
                    words: room(words),
                });
                Region {
                    place: Place::Page(plan.pages.len() - 1),
                    offset: 0,
                    len: room(words),
                }
            }
            _ => continue,
        };
        known.insert((at, 0), region);
    }
    let pack_page = |pack: usize| packs.iter().find(|p| p.0 == pack).map_or(0, |p| p.1);
    let mut temps: Vec<Temp> = Vec::new();
    let mut temp_of: HashMap<Source, usize> = HashMap::new();
    let mut scratch: Vec<Vec<usize>> = Vec::new();
    let last = steps.len();
    for (at, step) in steps.iter().enumerate() {
        let reads: Vec<usize> = step
            .sources
            .iter()
            .flatten()
            .filter_map(|s| temp_of.get(s).copied())
            .collect();
        reads
            .iter()
            .for_each(|&r| temps[r].to = temps[r].to.max(at));
        let mut written = Vec::new();
        for o in &step.outputs {
            let region = match o.dest {
                Some(Dest::State(r)) => Region {
                    place: Place::Segment(r.segment),
                    offset: r.offset,
                    len: r.len,
                },
                Some(Dest::Pack(p, offset)) => Region {
                    place: Place::Page(pack_page(p)),
                    offset,
                    len: o.ty.numel(), // no kernel binds an empty part
                },
                None => {
                    let to = if groups.items.outputs.contains(&o.source) {
                        last
                    } else {
                        at
                    };
                    temp_of.insert(o.source, temps.len());
                    written.push(temps.len());
                    temps.push(Temp {
                        words: room(o.ty.numel()),
                        from: at,
                        to,
                        apart: reads.clone(),
                        at: None,
                    });
                    continue;
                }
            };
            known.insert(o.source, region);
        }
        let own: Vec<usize> = step
            .kernels
            .scratch
            .iter()
            .map(|&words| {
                let apart = reads.iter().chain(&written).copied().collect();
                temps.push(Temp {
                    words: room(words),
                    from: at,
                    to: at,
                    apart,
                    at: None,
                });
                temps.len() - 1
            })
            .collect();
        // What one kernel reads and another scratch buffer that it writes.
        for d in &step.kernels.dispatches {
            let of = |write: bool| {
                let bound = d.bindings.iter().filter(move |b| b.write == write);
                bound.filter_map(|b| match b.buf {
                    Buf::Scratch(k) => Some(own[k]),
                    _ => None,
                })
            };
            of(false).for_each(|read| temps[read].apart.extend(of(true)));
        }
        scratch.push(own);
    }
    let fixed = plan.pages.len();
    arrange(&mut temps, &mut plan.pages, caps);
    let region_of = |t: usize| {
        let (page, offset) = temps[t].at.unwrap_or_default();
        Region {
            place: Place::Page(fixed + page),
            offset,
            len: temps[t].words,
        }
    };
    let find = |s: &Source| {
        known
            .get(s)
            .copied()
            .or_else(|| temp_of.get(s).map(|&t| region_of(t)))
    };
    let nowhere = Region {
        place: Place::Constants,
        offset: 0,
        len: 0,
    };
    let of = |s: &Source| find(s).unwrap_or(nowhere);
    for (at, step) in steps.iter_mut().enumerate() {
        let slice = |(s, &(offset, len)): (&Source, &(usize, usize))| {
            let whole = of(s);
            // Where nothing is taken, what is bound must still lie inside.
            let start = if len == 0 { 0 } else { offset };
            Region {
                offset: whole.offset + start,
                len: room(len),
                ..whole
            }
        };
        step.regions = Regions {
            inputs: step.sources[0]
                .iter()
                .zip(&step.slices)
                .map(slice)
                .collect(),
            prologue: step.sources[1].iter().map(of).collect(),
            epilogue: step.sources[2].iter().map(of).collect(),
            outputs: step.outputs.iter().map(|o| of(&o.source)).collect(),
            scratch: scratch[at].iter().map(|&t| region_of(t)).collect(),
        };
    }
    plan.outputs = groups
        .items
        .outputs
        .iter()
        .zip(types)
        .map(|(s, ty)| (ty, of(s)))
        .collect();
    plan.steps = steps;
    plan
}

/// Greedy by size (Pisarchyk and Lee, 2020), over several pages: each where it makes the pages grow least.
fn arrange(temps: &mut [Temp], pages: &mut Vec<Page>, caps: &Caps) {
    let limit = (caps.buffer_bytes / DType::SIZE as u64) as usize;
    let fixed = pages.len();
    let mut apart: Vec<Vec<usize>> = temps.iter().map(|t| t.apart.clone()).collect();
    for t in 0..temps.len() {
        temps[t].apart.iter().for_each(|&o| apart[o].push(t));
    }
    let mut order: Vec<usize> = (0..temps.len()).collect();
    order.sort_by_key(|&t| (std::cmp::Reverse(temps[t].words), t));
    let mut placed: Vec<Vec<usize>> = Vec::new();
    for t in order {
        let words = temps[t].words.next_multiple_of(ALIGN) + caps.guard;
        let barred: Vec<usize> = apart[t]
            .iter()
            .filter_map(|&o| temps[o].at.map(|(page, _)| page))
            .collect();
        let mut best: Option<(usize, usize, usize)> = None;
        for (page, there) in placed
            .iter()
            .enumerate()
            .filter(|(page, _)| !barred.contains(page))
        {
            let mut taken: Vec<(usize, usize)> = there
                .iter()
                .map(|&o| &temps[o])
                .filter(|o| o.from <= temps[t].to && temps[t].from <= o.to)
                .filter_map(|o| {
                    let words = o.words.next_multiple_of(ALIGN) + caps.guard;
                    o.at.map(|(_, offset)| (offset, offset + words))
                })
                .collect();
            taken.sort_unstable();
            let mut at = caps.guard;
            for (start, end) in taken {
                if start >= at + words {
                    break;
                }
                at = at.max(end);
            }
            let growth = (at + words).saturating_sub(pages[fixed + page].words);
            if at + words <= limit && best.is_none_or(|b| growth < b.0) {
                best = Some((growth, page, at));
            }
        }
        let (growth, page, at) = best.unwrap_or_else(|| {
            placed.push(Vec::new());
            pages.push(Page {
                kind: PageKind::Activations(placed.len() - 1),
                words: 0,
            });
            (words + caps.guard, placed.len() - 1, caps.guard)
        });
        pages[fixed + page].words += growth;
        placed[page].push(t);
        temps[t].at = Some((page, at));
    }
}
