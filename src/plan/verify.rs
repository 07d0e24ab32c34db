//! What every plan must hold, checked in builds with debug assertions, from the finished plan alone.

use super::{Place, Plan, Region};
use crate::kernel::Binding;
use std::collections::HashMap;

/// The first thing about the plan that is wrong, if anything is.
///
/// `returned` are the sources of the plan's outputs.
pub fn verify(plan: &Plan, returned: &[(usize, usize)]) -> Result<(), String> {
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
