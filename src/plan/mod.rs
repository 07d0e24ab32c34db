//! Graph to plan: a list of passes, each a pure function between printable values.

mod fuse;
mod lower;
mod memory;
mod place;
mod print;
mod schedule;
mod simplify;
mod split;
mod steps;
mod verify;
mod windows;

pub use memory::{Memory, human};
#[cfg(feature = "gpu")]
pub(crate) use memory::{RING, uniform_bytes};
pub use place::{Page, PageKind, Place, Region};
pub use steps::{Output, Step};

use crate::array::Array;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::{Graph, Scalar, TensorType};
use std::sync::Arc;

/// What a device runs: steps in order, and where everything lies.
#[derive(Debug)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Memory for what lives within a run.
    pub pages: Vec<Page>,
    /// Where each argument is uploaded.
    pub inputs: Vec<(TensorType, Region)>,
    /// Where each scalar of the run is uploaded.
    pub scalars: Vec<(Scalar, Region)>,
    /// Words of the block that is uploaded.
    pub upload_words: usize,
    /// Constants and where they lie.
    pub constants: Vec<(Arc<Array>, Region)>,
    /// Words of the constants.
    pub constant_words: usize,
    /// What a run returns.
    pub outputs: Vec<(TensorType, Region)>,
}

impl Plan {
    /// Compile `graph` for a device with `caps`.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit): a tensor larger than a buffer of the device, or that a kernel cannot bind in
    /// parts; an operator without kernels for it.
    pub fn compile(graph: Graph, caps: &Caps) -> Result<Self> {
        let types: Vec<TensorType> = graph.outputs.iter().map(|&v| graph.ty(v).clone()).collect();
        let inputs = graph.inputs.clone();
        let graph = simplify::dead_code(simplify::unchanged_views(graph));
        let graph = simplify::common_subexpressions(graph);
        let graph = simplify::dead_code(simplify::transposed_products(graph));
        let items = lower::lower(&graph, caps);
        let groups = fuse::fuse(items, caps);
        let order = schedule::schedule(&groups);
        let steps = steps::steps(&groups, &order, caps)?;
        let returned = groups.items.outputs.clone();
        let mut plan = place::place(groups, steps, inputs, types, caps);
        debug_assert_eq!(verify::verify(&plan, &returned), Ok(()));
        split::split(&mut plan, caps)?;
        Ok(plan)
    }
}
