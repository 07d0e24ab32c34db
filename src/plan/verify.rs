//! What every plan must hold, checked in builds with debug assertions, from the finished plan alone.

use super::lower::Dest;
use super::{PageKind, Place, Plan, Region};
use crate::kernel::Binding;
use std::collections::{BTreeSet, HashMap};

#[cfg(test)]
mod tests;

/// The first thing about the plan that is wrong, if anything is.
///
/// `returned` are the sources of the plan's outputs.
pub fn verify(plan: &Plan, returned: &[(usize, usize)]) -> Result<(), String> {
    pages(plan)?;
    let end = plan.steps.len();
    // For each value: where it lies, the step that writes it, the last that reads it.
    let mut lives: Vec<(Region, usize, usize, String)> = Vec::new();
    let mut at_source: HashMap<(usize, usize), usize> = HashMap::new();
    for (at, step) in plan.steps.iter().enumerate() {
        for source in step.sources.iter().flatten() {
            if let Some(&life) = at_source.get(source) {
                lives[life].2 = at;
            }
        }
        let r = &step.regions;
        for (output, region) in step.outputs.iter().zip(&r.outputs) {
            if output.dest.is_none() {
                at_source.insert(output.source, lives.len());
            }
            let until = if output.dest.is_some() { end } else { at };
            lives.push((*region, at, until, step.name.clone()));
        }
        lives.extend(
            r.scratch
                .iter()
                .map(|s| (*s, at, at, format!("scratch of {}", step.name))),
        );
        // One kernel may not see a buffer both as read-only and as written, but for what it updates in place.
        let read = r.inputs.iter().chain(&r.prologue).chain(&r.epilogue);
        for read in read.filter(|read| !r.outputs.contains(read)) {
            let written = r
                .outputs
                .iter()
                .chain(&r.scratch)
                .find(|w| w.place == read.place);
            if let Some(written) = written {
                return Err(format!(
                    "step {at} ({}) reads {read} and writes {written} of one buffer",
                    step.name
                ));
            }
        }
        for d in &step.kernels.dispatches {
            let (written, read): (Vec<_>, Vec<_>) = d.bindings.iter().partition(|b| b.write);
            let place = |b: &Binding| step.regions.get(b.buf).place;
            let both = |r: &Binding| written.iter().any(|w| place(w) == place(r));
            if let Some(r) = read.into_iter().find(both) {
                let (shader, buf) = (d.shader, r.buf);
                return Err(format!("step {at}: {shader} writes the buffer of {buf:?}"));
            }
        }
    }
    for life in returned.iter().filter_map(|s| at_source.get(s)) {
        lives[*life].2 = end;
    }
    for (i, a) in lives.iter().enumerate() {
        for b in &lives[i + 1..] {
            let overlap = a.0.place == b.0.place
                && a.0.offset < b.0.offset + b.0.len
                && b.0.offset < a.0.offset + a.0.len;
            let state = matches!(a.0.place, Place::Segment(_));
            if overlap && !state && a.1 <= b.2 && b.1 <= a.2 {
                return Err(format!(
                    "{} (step {}, {}) and {} (step {}, {}) overlap",
                    a.0, a.1, a.3, b.0, b.1, b.3
                ));
            }
        }
    }
    Ok(())
}

/// What is wrong with the buffers that a device makes of the pages: it holds one buffer for all pages of one kind and name.
fn pages(plan: &Plan) -> Result<(), String> {
    for (at, page) in plan.pages.iter().enumerate() {
        let other = plan.pages[..at].iter().position(|p| p.kind == page.kind);
        if let Some(other) = other {
            return Err(format!(
                "pages {other} and {at} are one buffer, {:?}",
                page.kind
            ));
        }
        if let PageKind::Gradients(packing, _) = &page.kind {
            // What one plan leaves in a shared buffer must not be where another takes zeros from.
            let written = packed(plan, at);
            let named = packing.iter().copied().filter(|(_, len)| *len > 0);
            let named: BTreeSet<(usize, usize)> = named.collect();
            if written != named {
                return Err(format!(
                    "page {at} is written at {written:?}, it is named by {named:?}"
                ));
            }
        }
    }
    let of_steps = plan.steps.iter().flat_map(|step| step.regions.all());
    let mut regions = of_steps.chain(plan.outputs.iter().map(|o| &o.1));
    let inside = |r: &&Region| match r.place {
        Place::Page(p) => plan
            .pages
            .get(p)
            .is_some_and(|p| r.offset + r.len <= p.words),
        _ => true,
    };
    match regions.find(|r| !inside(r)) {
        Some(region) => Err(format!("{region} is beyond the end of its page")),
        None => Ok(()),
    }
}

/// First elements and lengths of the gradients that are written to a page, empty ones left out.
fn packed(plan: &Plan, page: usize) -> BTreeSet<(usize, usize)> {
    let outputs = plan.steps.iter().flat_map(|step| {
        let regions = step.outputs.iter().zip(&step.regions.outputs);
        regions.filter(|(o, _)| matches!(o.dest, Some(Dest::Pack(..))))
    });
    let here = outputs.filter(|(_, region)| region.place == Place::Page(page));
    let written = here.map(|(output, region)| (region.offset, output.ty.numel()));
    written.filter(|(_, len)| *len > 0).collect()
}
