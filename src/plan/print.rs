//! Plans in print: what snapshot tests compare.

use super::{Place, Plan, Region, Step};
use std::fmt;

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Page(p) => write!(f, "page{p}")?,
            Place::Upload => f.write_str("upload")?,
            Place::Constants => f.write_str("constants")?,
            Place::Segment(s) => write!(f, "state{s}")?,
        }
        write!(f, "[{}..{}]", self.offset, self.offset + self.len)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |regions: &[Region]| {
            regions
                .iter()
                .map(Region::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let types: Vec<String> = self.outputs.iter().map(|o| o.ty.to_string()).collect();
        writeln!(f, "{} -> {}", self.name, types.join(", "))?;
        if !self.regions.inputs.is_empty() {
            writeln!(f, "    {:?} of {}", self.op, list(&self.regions.inputs))?;
        }
        if let Some(map) = &self.prologue {
            writeln!(
                f,
                "    {:?} of {:?}, x = {}",
                self.op,
                map.exprs[0],
                list(&self.regions.prologue)
            )?;
        }
        if !self.epilogue.is_identity() {
            writeln!(
                f,
                "    {:?}, x = {}",
                self.epilogue.exprs,
                list(&self.regions.epilogue)
            )?;
        }
        write!(f, "    to {}", list(&self.regions.outputs))?;
        if !self.regions.scratch.is_empty() {
            write!(f, ", scratch {}", list(&self.regions.scratch))?;
        }
        for d in &self.kernels.dispatches {
            write!(f, "\n    {} {:?} {:?}", d.shader, d.overrides, d.grid)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (ty, region)) in self.inputs.iter().enumerate() {
            writeln!(f, "input {i}: {ty} at {region}")?;
        }
        for (scalar, region) in &self.scalars {
            writeln!(f, "{scalar:?} at {region}")?;
        }
        for (i, page) in self.pages.iter().enumerate() {
            writeln!(f, "page{i}: {:?}, {} words", page.kind, page.words)?;
        }
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{i}: {step}")?;
        }
        for (i, (ty, region)) in self.outputs.iter().enumerate() {
            writeln!(f, "output {i}: {ty} at {region}")?;
        }
        Ok(())
    }
}
