//! How the time loops are launched: all steps in one dispatch where a workgroup can keep its sequences' vectors, else a
//! dispatch a step, by threads that work alone or by subgroups.

use super::{Cell, Steps};
use crate::caps::Caps;
use crate::error::Result;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::GpuIo;

/// Sequences that one thread handles.
const ROWS: usize = 4;

/// Weights that a workgroup may read again at each step: as many as a second-level cache has room for.
const WEIGHTS: usize = 1 << 18;

/// Who does a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A workgroup takes its sequences through all steps.
    Team,
    /// A subgroup of 8 takes 16 sequences by 8 lanes through one step.
    Subgroup,
    /// A thread takes a lane of its sequences through one step.
    Single,
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
        let form = if team {
            Form::Team
        } else if caps.software && caps.subgroup == 8 && self.inner.is_multiple_of(4) {
            Form::Subgroup
        } else {
            Form::Single
        };
        let threads = match form {
            Form::Team => lanes.next_multiple_of(32).min(caps.threads as usize),
            Form::Subgroup => 8,
            Form::Single => caps.lanes() as usize,
        };
        let grid = caps.grid(match form {
            Form::Team => tiles,
            Form::Subgroup => n.div_ceil(16) * lanes.div_ceil(8),
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
            Form::Subgroup | Form::Single => 1,
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
            d.generated += &self.constants(cell, form);
            d.generated += include_str!("../../../shaders/lib/cell.wgsl");
            d.generated += &self.text(form);
            dispatches.push(io.with_library(d));
        }
        Ok(Kernels {
            dispatches,
            scratch: vec![self.inner * lanes * 4],
        })
    }

    /// Who does what in a launch.
    fn text(&self, form: Form) -> String {
        let turn = include_str!("../../../shaders/lib/steps_turn.wgsl");
        let all = match form {
            Form::Team => include_str!("../../../shaders/lib/steps_team.wgsl"),
            Form::Single => include_str!("../../../shaders/lib/steps_single.wgsl"),
            Form::Subgroup => {
                return include_str!("../../../shaders/lib/steps_subgroup.wgsl").to_owned();
            }
        };
        let held = match form {
            Form::Team => format!("var<workgroup> held: array<vec4<f32>, {}>;\n", self.inner),
            _ => String::new(),
        };
        format!("{turn}{all}{held}")
    }

    /// Constants of the cell, and what only some cells bind.
    fn constants(&self, cell: Cell, form: Form) -> String {
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
        let fours = form == Form::Subgroup;
        let mut binding = if self.backward { 7 } else { 6 };
        let mut next = || {
            binding += 1;
            binding
        };
        if self.backward {
            text += &vectors(6, "input_grad", fours);
            text += &match cell.states() > 1 {
                true => format!(
                    "@group(0) @binding({}) var<storage, read> start: array<f32>;\n\
                     fn started(at: u32) -> f32 {{ return start[at]; }}\n",
                    next()
                ),
                false => "fn started(at: u32) -> f32 { return 0.0; }\n".to_owned(),
            };
            text += &match cell.has_bias() {
                true => vectors(next(), "product", fours),
                false => "fn store_product(at: u32, x: f32) {}\n\
                          fn product(at: u32) -> f32 { return input_grad(at); }\n\
                          fn four_products(at: u32) -> vec4<f32> { return four_input_grads(at); }\n"
                    .to_owned(),
            };
        } else {
            text += &vectors(5, "state", fours);
            text += &match cell.kept() > 0 {
                true => format!(
                    "@group(0) @binding({}) var<storage, read_write> kept: array<f32>;\n\
                     fn keep(at: u32, x: f32) {{ kept[at] = x; }}\n\
                     fn kept_at(at: u32) -> f32 {{ return kept[at]; }}\n",
                    next()
                ),
                false => {
                    "fn keep(at: u32, x: f32) {}\nfn kept_at(at: u32) -> f32 { return 0.0; }\n"
                        .to_owned()
                }
            };
            text += &match cell.has_bias() {
                true => format!(
                    "@group(0) @binding({}) var<storage, read> bias: array<f32>;\n\
                     fn biased(at: u32) -> f32 {{ return bias[at]; }}\n",
                    next()
                ),
                false => "fn biased(at: u32) -> f32 { return 0.0; }\n".to_owned(),
            };
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

/// A buffer of what steps hand on, element by element, and `four_…s` at once where its vectors lie at multiples of four.
fn vectors(binding: u32, name: &str, fours: bool) -> String {
    let at = format!("@group(0) @binding({binding}) var<storage, read_write> {name}s");
    match fours {
        true => format!(
            "{at}: array<vec4<f32>>;\n\
             fn {name}(at: u32) -> f32 {{ return {name}s[at / 4u][at % 4u]; }}\n\
             fn store_{name}(at: u32, x: f32) {{ {name}s[at / 4u][at % 4u] = x; }}\n\
             fn four_{name}s(at: u32) -> vec4<f32> {{ return {name}s[at / 4u]; }}\n"
        ),
        false => format!(
            "{at}: array<f32>;\n\
             fn {name}(at: u32) -> f32 {{ return {name}s[at]; }}\n\
             fn store_{name}(at: u32, x: f32) {{ {name}s[at] = x; }}\n\
             fn four_{name}s(at: u32) -> vec4<f32> {{\n    \
             return vec4<f32>({name}(at), {name}(at + 1u), {name}(at + 2u), {name}(at + 3u));\n}}\n"
        ),
    }
}
