//! Memory that shows who reads what nobody wrote, or writes where nothing of theirs is: for tests and `wgrad verify`.
//!
//! Pages hold NaN before each run, and so do the words between regions, which are looked at after it.

use crate::error::{Error, Result};
use crate::plan::{PageKind, Place, Plan, Region};
use std::ops::Range;

/// Words between regions.
pub(super) const GUARD: usize = 64;
/// A NaN, which is no index of anything either.
pub(super) const POISON: u32 = 0x7fc0_dead;

/// Where a plan has regions, and where it has none.
pub(super) struct Watch {
    /// For each page what steps write, in order; regions of one place are one.
    written: Vec<Vec<Range<usize>>>,
    /// Words of the upload and of the constants that are in no region.
    pub upload: Vec<Range<usize>>,
    pub constants: Vec<Range<usize>>,
}

impl Watch {
    pub fn new(plan: &Plan) -> Self {
        let regions = || {
            let steps = plan.steps.iter().map(|s| &s.regions);
            steps.flat_map(|r| r.outputs.iter().chain(&r.scratch))
        };
        let inputs = plan.inputs.iter().map(|(_, region)| region);
        let inputs = inputs.chain(plan.scalars.iter().map(|(_, region)| region));
        let constants = plan.constants.iter().map(|(_, region)| region);
        Self {
            written: (0..plan.pages.len())
                .map(|p| joined(regions().filter(|r| r.place == Place::Page(p))))
                .collect(),
            upload: between(&joined(inputs), plan.upload_words),
            constants: between(&joined(constants), plan.constant_words),
        }
    }

    /// What is to be poisoned of a page of `words` words before a run: all of it, but what pads packed gradients, which is zero.
    pub fn poisoned(&self, plan: &Plan, page: usize, words: usize) -> Vec<Range<usize>> {
        match plan.pages[page].kind {
            PageKind::Activations(_) => std::iter::once(0..words).collect(),
            PageKind::Gradients(..) => self.written[page].clone(),
        }
    }

    /// Refuses a run after which a page holds something where the plan has no region.
    pub fn check(&self, plan: &Plan, page: usize, words: &[u32]) -> Result<()> {
        let before = match plan.pages[page].kind {
            PageKind::Activations(_) => POISON,
            PageKind::Gradients(..) => 0,
        };
        let gaps = between(&self.written[page], words.len());
        let mut changed = gaps.into_iter().flatten().filter(|&at| words[at] != before);
        let Some(at) = changed.next() else {
            return Ok(());
        };
        let near = plan.steps.iter().filter(|step| {
            let mut all = step.regions.outputs.iter().chain(&step.regions.scratch);
            all.any(|r| r.place == Place::Page(page) && r.offset <= at)
        });
        let near: Vec<&str> = near.map(|step| step.name.as_str()).collect();
        Err(Error::Device(format!(
            "word {at} of page {page}, which is in no region of the plan, was written: {:#010x}; before it lie results of {}",
            words[at],
            near.join(", ")
        )))
    }
}

/// Fill `ranges` of `words`.
pub(super) fn fill(words: &mut [u32], ranges: &[Range<usize>]) {
    for range in ranges {
        words[range.clone()].fill(POISON);
    }
}

/// The words of `regions` in order, those that overlap as one.
fn joined<'a>(regions: impl Iterator<Item = &'a Region>) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = regions.map(|r| r.offset..r.offset + r.len).collect();
    all.sort_by_key(|r| (r.start, r.end));
    let mut one: Vec<Range<usize>> = Vec::new();
    for range in all {
        match one.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => one.push(range),
        }
    }
    one
}

/// What lies between `ranges`, before and behind them in a buffer of `words`.
fn between(ranges: &[Range<usize>], words: usize) -> Vec<Range<usize>> {
    let ends = std::iter::once(0).chain(ranges.iter().map(|r| r.end));
    let starts = ranges.iter().map(|r| r.start).chain(std::iter::once(words));
    let gaps = ends.zip(starts).map(|(end, start)| end..start);
    gaps.filter(|gap| gap.start < gap.end).collect()
}
