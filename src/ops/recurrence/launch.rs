//! How the time loops are launched: all steps in one dispatch where a workgroup can keep its sequences' vectors, else a
//! dispatch a step, by threads that work alone or by subgroups.

use super::{Cell, Steps};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::GpuIo;

/// Sequences of a tile, which one thread handles.
const TILE: usize = 4;

/// Weights that a workgroup may read again at each step: as many as a second-level cache has room for.
const WEIGHTS: usize = 1 << 18;

/// Who does a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A workgroup takes its sequences through all steps.
    Team,
    /// A subgroup of 8 takes `rows` sequences, a vector of units a thread, through one step.
    Subgroup { rows: usize },
    /// A thread takes a lane of its sequences through one step.
    Single,
}

impl Form {
    /// Whether four units are handled at once.
    fn vectors(self) -> bool {
        matches!(self, Form::Subgroup { .. })
    }
}

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
        // The gradient's last turn is that of the initial states.
        let turns = steps.steps + usize::from(self.backward);
        let form = self.form(steps, caps);
        let sums = self.sums(cell);
        let gates_are_fours = !form.vectors() && sums > 1;
        let mut order = Order {
            gates_are_fours,
            lanes: match gates_are_fours {
                true => hidden,
                false => hidden.div_ceil(4),
            },
            sums: if gates_are_fours { 1 } else { sums },
            parts: 1,
        };
        let lanes = order.lanes;
        let tiles = n.div_ceil(TILE);
        caps.allow_turns(self.stem, self.inner)?;
        let threads = match form {
            Form::Team => lanes.next_multiple_of(32).min(caps.threads as usize),
            Form::Subgroup { .. } => 8,
            Form::Single => caps.lanes() as usize,
        };
        let grid = caps.grid(match form {
            Form::Team => tiles,
            Form::Subgroup { rows } => n.div_ceil(rows) * lanes.div_ceil(8),
            Form::Single => (tiles * lanes).div_ceil(threads),
        });
        let together = match form {
            Form::Team => {
                // Turns of the loops of a thread at one step.
                let groups = grid.iter().map(|&g| g as usize).product::<usize>();
                let fetched = self.inner.div_ceil(threads);
                let cost = lanes.div_ceil(threads) * (self.inner + 64) + fetched;
                (caps.iterations / (tiles.div_ceil(groups) * cost + 1)).max(1)
            }
            Form::Subgroup { .. } | Form::Single => 1,
        };
        // Units that are handled at once, and what the weight is read by.
        let width = if form.vectors() { 4 } else { 1 };
        let (load, elements) = caps.load(form.vectors());
        order.parts = elements / 4;
        let pack = self.pack(steps, &order, caps);
        let mut dispatches = vec![pack];
        for from in (0..turns).step_by(together) {
            let d = Dispatch::new(self.stem, self.source).write(Buf::Scratch(0));
            let mut d = bind(d, cell)
                .sizes([n, steps.steps, hidden / width, lanes, tiles])
                .sizes([from, turns.min(from + together), steps.reverse.into()])
                .constant("THREADS", threads as u32)
                .grid(grid);
            d.generated += &self.constants(cell);
            d.generated += load;
            d.generated += include_str!("../../../shaders/lib/cell.wgsl");
            d.generated += &self.text(form);
            dispatches.push(io.with_library(d, width));
        }
        Ok(Kernels {
            dispatches,
            scratch: vec![4 * order.count(self.inner)],
        })
    }

    fn form(&self, steps: &Steps, caps: &Caps) -> Form {
        let vectors = steps.cell.gates() * steps.hidden;
        if !caps.software
            && vectors * 16 <= caps.workgroup_bytes as usize
            && vectors * steps.hidden <= WEIGHTS
        {
            return Form::Team;
        }
        if !caps.software || caps.subgroup != 8 || !steps.hidden.is_multiple_of(4) {
            return Form::Single;
        }
        // The more sequences, the fewer loads of weights, and the more sums in each thread.
        let most = if self.sums(steps.cell) > 1 { 16 } else { 32 };
        Form::Subgroup {
            rows: match steps.n {
                0..=8 => 8,
                9..=16 => 16,
                _ => most,
            },
        }
    }

    /// Sums of a unit: its gates, or in the gradient one.
    fn sums(&self, cell: Cell) -> usize {
        if self.backward { 1 } else { cell.gates() }
    }

    /// Who does what in a launch.
    fn text(&self, form: Form) -> String {
        let turn = include_str!("../../../shaders/lib/steps_turn.wgsl");
        let all = match form {
            Form::Team => include_str!("../../../shaders/lib/steps_team.wgsl"),
            Form::Single => include_str!("../../../shaders/lib/steps_single.wgsl"),
            Form::Subgroup { rows } => {
                let lanes = include_str!("../../../shaders/lib/from_lanes.wgsl");
                let step = include_str!("../../../shaders/lib/steps_subgroup.wgsl");
                return format!("const ROWS = {rows}u;\n{lanes}{step}");
            }
        };
        let held = match form {
            Form::Team => format!("var<workgroup> held: array<vec4<f32>, {}>;\n", self.inner),
            _ => String::new(),
        };
        format!("{turn}{all}{held}")
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
            "const CELL = {number}u;\nconst GATES = {}u;\nconst STATES = {}u;\nconst KEPT = {}u;\n\
             const SUMS = {}u;\n",
            cell.gates(),
            cell.states(),
            cell.kept(),
            self.sums(cell)
        );
        let mut binding = if self.backward { 7 } else { 6 };
        let mut bind = |access: &str, name: &str| {
            binding += 1;
            format!("@group(0) @binding({binding}) var<storage, {access}> {name}: array<F>;\n")
        };
        if self.backward {
            text += &match cell.states() > 1 {
                true => bind("read", "start") + "fn started(at: u32) -> F { return start[at]; }\n",
                false => "fn started(at: u32) -> F { return F(0.0); }\n".to_owned(),
            };
            text += &match cell.has_bias() {
                true => {
                    bind("read_write", "products")
                        + "fn product(at: u32) -> F { return products[at]; }\n\
                           fn store_product(at: u32, x: F) { products[at] = x; }\n"
                }
                false => "fn product(at: u32) -> F { return input_grads[at]; }\n\
                          fn store_product(at: u32, x: F) {}\n"
                    .to_owned(),
            };
        } else {
            text += &match cell.kept() > 0 {
                true => {
                    bind("read_write", "kept")
                        + "fn keep(at: u32, x: F) { kept[at] = x; }\n\
                           fn kept_at(at: u32) -> F { return kept[at]; }\n"
                }
                false => "fn keep(at: u32, x: F) {}\n\
                          fn kept_at(at: u32) -> F { return F(0.0); }\n"
                    .to_owned(),
            };
            text += &match cell.has_bias() {
                true => bind("read", "bias") + "fn biased(at: u32) -> F { return bias[at]; }\n",
                false => "fn biased(at: u32) -> F { return F(0.0); }\n".to_owned(),
            };
        }
        text
    }

    /// The weight in that order.
    fn pack(&self, steps: &Steps, order: &Order, caps: &Caps) -> Dispatch {
        let h = steps.hidden;
        // Distances of the weights of the four, of a lane's sums, of neighbouring lanes, of neighbouring elements.
        let strides = match (self.backward, order.gates_are_fours) {
            (true, _) => [1, 0, 4, h],
            (false, false) => [h, h * h, 4 * h, 1],
            (false, true) => [h * h, 0, h, 1],
        };
        let (all, across) = match order.gates_are_fours {
            true => (steps.cell.gates(), 0),
            false => (h, 4),
        };
        let count = order.count(self.inner);
        let source = include_str!("../../../shaders/recurrence_pack.wgsl");
        Dispatch::new("recurrence_pack", source)
            .read(self.weight)
            .write(Buf::Scratch(0))
            .sizes([count, order.lanes, order.sums, order.parts, all, across])
            .sizes(strides)
            .words([0, 0])
            .constant("THREADS", caps.lanes())
            .grid(caps.grid(count.div_ceil(caps.lanes() as usize)))
    }
}

/// How the weight is laid out for the loops: vectors of four for each element, each of a lane's sums, each lane.
struct Order {
    /// Whether the four are a unit's gates, else neighbouring units.
    gates_are_fours: bool,
    lanes: usize,
    sums: usize,
    /// Vectors of neighbouring elements that one load takes.
    parts: usize,
}

impl Order {
    /// Vectors in all.
    fn count(&self, inner: usize) -> usize {
        inner * self.sums * self.lanes
    }
}
