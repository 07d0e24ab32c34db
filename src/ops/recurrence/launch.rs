//! How the time loops are launched: all steps in one dispatch where a workgroup can keep its sequences' vectors, else a
//! dispatch a step.

use super::{Cell, Steps};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::GpuIo;

/// Sequences that one thread handles.
const ROWS: usize = 4;

/// Weights that a workgroup may read again at each step: as many as a second-level cache has room for.
const WEIGHTS: usize = 1 << 18;

/// A loop over time: at each step a vector of `inner` elements a sequence is multiplied by the weight, which takes the
/// step's results one step on.
pub(crate) struct Launch {
    pub stem: &'static str,
    pub source: &'static str,
    /// `[gates h, h]`
    pub weight: Buf,
    pub inner: usize,
    pub backward: bool,
}

impl Launch {
    /// The kernels; `bind` binds what follows the weight.
    pub fn kernels(
        &self,
        steps: &Steps,
        io: &GpuIo,
        caps: &Caps,
        bind: impl Fn(Dispatch, Cell) -> Dispatch,
    ) -> Result<Kernels> {
        let Steps {
            cell, n, hidden, ..
        } = *steps;
        // A thread's four sums are those of a unit's gates, or of neighbouring units.
        let units = self.backward || cell.gates() == 1;
        let lanes = if units { hidden.div_ceil(4) } else { hidden };
        let tiles = n.div_ceil(ROWS);
        // The gradient's last turn is that of the initial states.
        let turns = steps.steps + usize::from(self.backward);
        let vectors = cell.gates() * hidden;
        let team = !caps.software
            && vectors * 16 <= caps.workgroup_bytes as usize
            && vectors * hidden <= WEIGHTS;
        let threads = if team {
            lanes.next_multiple_of(32).min(caps.threads as usize)
        } else {
            caps.lanes() as usize
        };
        let grid = if team {
            caps.grid(tiles)
        } else {
            caps.grid((tiles * lanes).div_ceil(threads))
        };
        // Turns of the loops of a thread at one step.
        let groups = grid.iter().map(|&g| g as usize).product::<usize>();
        let each = self.inner + 64;
        let cost = if team {
            tiles.div_ceil(groups) * (lanes.div_ceil(threads) * each + self.inner.div_ceil(threads))
        } else {
            (tiles * lanes).div_ceil(groups * threads) * each
        };
        let together = if team {
            (caps.iterations / (cost + 1)).max(1)
        } else {
            1
        };
        let pack = self.pack(steps, units, lanes, caps);
        let mut dispatches = vec![pack];
        for from in (0..turns).step_by(together) {
            let d = Dispatch::new(self.stem, self.source).write(Buf::Scratch(0));
            let mut d = bind(d, cell)
                .sizes([n, steps.steps, hidden, lanes, tiles])
                .sizes([from, turns.min(from + together), steps.reverse.into()])
                .constant("THREADS", threads as u32)
                .grid(grid);
            d.generated.push_str(&self.constants(cell));
            d.generated
                .push_str(include_str!("../../../shaders/lib/cell.wgsl"));
            d.generated.push_str(if team {
                include_str!("../../../shaders/lib/steps_team.wgsl")
            } else {
                include_str!("../../../shaders/lib/steps_single.wgsl")
            });
            if team {
                let array = format!("var<workgroup> held: array<vec4<f32>, {}>;\n", self.inner);
                d.generated.push_str(&array);
            }
            dispatches.push(io.with_library(d));
        }
        Ok(Kernels {
            dispatches,
            scratch: vec![self.inner * lanes * 4],
        })
    }

    /// Constants of the cell, and what only some cells bind.
    fn constants(&self, cell: Cell) -> String {
        let number = match cell {
            Cell::Tanh => 0,
            Cell::Relu => 1,
            Cell::Lstm => 2,
            Cell::Gru => 3,
        };
        let mut text = format!(
            "const CELL = {number}u;\nconst GATES = {}u;\nconst STATES = {}u;\nconst KEPT = {}u;\n",
            cell.gates(),
            cell.states(),
            cell.kept()
        );
        let mut binding = if self.backward { 7 } else { 6 };
        let mut optional = |bound: bool, with: &str, without: &str| {
            if bound {
                binding += 1;
                text.push_str(&format!("@group(0) @binding({binding}) {with}"));
            } else {
                text.push_str(without);
            }
        };
        if self.backward {
            optional(
                cell.states() > 1,
                "var<storage, read> start: array<f32>;\nfn started(at: u32) -> f32 { return start[at]; }\n",
                "fn started(at: u32) -> f32 { return 0.0; }\n",
            );
            optional(
                cell.has_bias(),
                "var<storage, read_write> product: array<f32>;\n\
                 fn store_product(at: u32, x: f32) { product[at] = x; }\n\
                 fn load_product(at: u32) -> f32 { return product[at]; }\n",
                "fn store_product(at: u32, x: f32) {}\n\
                 fn load_product(at: u32) -> f32 { return dx[at]; }\n",
            );
        } else {
            optional(
                cell.kept() > 0,
                "var<storage, read_write> kept: array<f32>;\n\
                 fn keep(at: u32, x: f32) { kept[at] = x; }\n\
                 fn kept_at(at: u32) -> f32 { return kept[at]; }\n",
                "fn keep(at: u32, x: f32) {}\nfn kept_at(at: u32) -> f32 { return 0.0; }\n",
            );
            optional(
                cell.has_bias(),
                "var<storage, read> bias: array<f32>;\nfn biased(at: u32) -> f32 { return bias[at]; }\n",
                "fn biased(at: u32) -> f32 { return 0.0; }\n",
            );
        }
        text
    }

    /// The weight in the order in which threads read it: for each element of the vector and each lane four.
    fn pack(&self, steps: &Steps, units: bool, lanes: usize, caps: &Caps) -> Dispatch {
        let h = steps.hidden;
        // Distances of the weights of the four, of neighbouring lanes, of neighbouring elements.
        let strides = match (self.backward, units) {
            (true, _) => [1, 4, h],
            (false, true) => [h, 4 * h, 1],
            (false, false) => [h * h, h, 1],
        };
        let (all, across) = if units {
            (h, 4)
        } else {
            (steps.cell.gates(), 0)
        };
        let count = self.inner * lanes;
        let source = include_str!("../../../shaders/recurrence_pack.wgsl");
        Dispatch::new("recurrence_pack", source)
            .read(self.weight)
            .write(Buf::Scratch(0))
            .sizes([count, lanes, all, across])
            .sizes(strides)
            .words([0])
            .constant("THREADS", caps.lanes())
            .grid(caps.grid(count.div_ceil(caps.lanes() as usize)))
    }
}
