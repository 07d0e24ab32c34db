//! Attention on the GPU: one thread owns a query or a key and goes along the others, its vectors in registers.

use super::{Attention, Sizes, Strided};
use crate::DType;
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::GpuIo;
use crate::ops::random::threshold;
use std::fmt::Write;

/// An operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Query,
    Key,
    Value,
    /// The gradient of the result.
    Grad,
}

/// Words of workgroup memory that tiles may take.
const STAGE: usize = 3584;

/// Launches of one of the shaders: what a thread owns, what it goes along, what it writes.
pub(crate) struct Launch<'a> {
    op: &'a Attention,
    inputs: &'a [TensorType],
    /// Inputs between the sources and the mask.
    extra: usize,
    caps: &'a Caps,
    pub sizes: Sizes,
    own: [Option<Role>; 2],
    tile: [Role; 2],
    out: [Strided; 2],
}

impl<'a> Launch<'a> {
    pub fn new(op: &'a Attention, inputs: &'a [TensorType], extra: usize, caps: &'a Caps) -> Self {
        let sizes = op.sizes(inputs);
        let result = rows_of_heads(sizes.t, sizes.h, sizes.ev, 0);
        Self {
            op,
            inputs,
            extra,
            caps,
            sizes,
            own: [None; 2],
            tile: [Role::Key, Role::Value],
            out: [result; 2],
        }
    }

    /// What a thread owns: a vector of `e` elements, and perhaps one of `ev`.
    pub fn own(&mut self, x: Role, y: Option<Role>) {
        self.own = [Some(x), y];
    }

    /// What it goes along.
    pub fn tile(&mut self, x: Role, y: Role) {
        self.tile = [x, y];
    }

    /// Where the gradients of roles `x` and `y` go.
    pub fn place_out(&mut self, outputs: &[TensorType], x: usize, y: usize) {
        self.out = [x, y].map(|role| {
            let place = self.op.places[role];
            let s = &outputs[place.input].shape;
            rows_of_heads(s[1], s[2], s[3], place.head)
        });
    }

    /// Buffers that a launch reads.
    pub fn reads(&self) -> usize {
        let flags = usize::from(self.op.mask) + usize::from(self.op.dropout.is_some());
        self.op.sources() + self.extra + flags
    }

    fn strided(&self, role: Role) -> Strided {
        let z = &self.sizes;
        match role {
            Role::Query => z.places[0],
            Role::Key => z.places[1],
            Role::Value => z.places[2],
            Role::Grad => rows_of_heads(z.t, z.h, z.ev, 0),
        }
    }

    /// The variable that holds a role.
    fn input(&self, role: Role) -> usize {
        match role {
            Role::Query => self.op.places[0].input,
            Role::Key => self.op.places[1].input,
            Role::Value => self.op.places[2].input,
            Role::Grad => self.op.sources(),
        }
    }

    /// Launches in which each of `rows` threads a head goes along `turns` rows, in as many parts as the device demands;
    /// `written` are the buffers that they write and the shader's names of them.
    pub fn kernels(
        &self,
        io: &GpuIo,
        stem: &'static str,
        source: &'static str,
        written: &[(Buf, &'static str)],
        (rows, turns): (usize, usize),
    ) -> Result<Kernels> {
        let z = &self.sizes;
        let threads = self.caps.lanes();
        let vectors = z.e.div_ceil(4) + z.ev.div_ceil(4);
        let tile = (STAGE / (4 * vectors)).min(64);
        let team = !self.caps.software && tile > 0;
        let tasks = z.n * z.h * rows.div_ceil(threads as usize);
        let grid = self.caps.grid(tasks);
        // A random number takes ten turns of its own.
        let each = if self.op.dropout.is_some() { 12 } else { 1 };
        let own_tasks = tasks.div_ceil(grid.iter().map(|&g| g as usize).product());
        let most = self.caps.iterations / 2 / (each * own_tasks.max(1));
        let part = turns.div_ceil(turns.div_ceil(most.max(64)).max(1)).max(1);

        let mut d = Dispatch::new(stem, source)
            .constant("THREADS", threads)
            .grid(grid);
        d.generated = self.text(written, team, tile);
        d = written.iter().fold(d, |d, w| d.write(w.0));
        d = (0..self.reads()).fold(d, |d, i| d.read(Buf::Input(i)));
        let d = io.with_library(d, 1);
        let mut dispatches = Vec::new();
        for first in (0..turns.max(1)).step_by(part) {
            let last = (first + part).min(turns);
            let d = d.clone().sizes([z.n * z.h, z.h, z.t, z.s, first, last]);
            dispatches.push(self.words(d));
        }
        Ok(Kernels {
            dispatches,
            scratch: Vec::new(),
        })
    }

    /// The rest of the shader's parameters.
    fn words(&self, d: Dispatch) -> Dispatch {
        let own = self.own.map(|r| self.strided(r.unwrap_or(Role::Query)));
        let tile = self.tile.map(|r| self.strided(r));
        let mut d = d.words([u32::from(self.op.causal), self.op.scale.to_bits()]);
        for place in own.into_iter().chain(tile).chain(self.out) {
            let [n, h, row] = place.strides;
            d = d.sizes([place.offset, n, h, row]);
        }
        let mask = match self.op.mask {
            true => Attention::mask_strides(&self.inputs[self.op.sources() + self.extra].shape),
            false => [0; 4],
        };
        let (p, stream) = self.op.dropout.unwrap_or((0.0, 0));
        let kept = (1.0 / (1.0 - p)).to_bits();
        d.sizes(mask).words([threshold(p), stream, kept, 0])
    }

    /// All that the shader's file calls.
    fn text(&self, written: &[(Buf, &'static str)], team: bool, tile: usize) -> String {
        let z = &self.sizes;
        // An empty buffer is bound as one word.
        let empty = z.t * z.s * z.ev == 0;
        let aligned = !empty && z.e.is_multiple_of(4) && z.ev.is_multiple_of(4);
        let vector = if aligned { "vec4<f32>" } else { "f32" };
        let (wx, wy) = (z.e.div_ceil(4), z.ev.div_ceil(4));
        let mut t = include_str!("../../../shaders/lib/attention.wgsl").to_owned();
        t.push_str(match team {
            true => include_str!("../../../shaders/lib/attention_team.wgsl"),
            false => include_str!("../../../shaders/lib/attention_single.wgsl"),
        });
        let tile = if team { tile } else { 1 << 30 };
        let _ = writeln!(
            t,
            "const TILE = {tile}u;\nconst WX = {}u;\nconst WY = {}u;",
            wx.max(1),
            wy.max(1)
        );
        for (k, (_, name)) in written.iter().enumerate() {
            let element = if *name == "sums" { "f32" } else { vector };
            let _ = writeln!(
                t,
                "@group(0) @binding({}) var<storage, read_write> {name}: array<{element}>;",
                k + 1
            );
        }
        let sources = self.op.sources();
        let mut read = |k: usize, name: &str, element: &str| {
            let at = written.len() + k + 1;
            let _ = writeln!(
                t,
                "@group(0) @binding({at}) var<storage, read> {name}: array<{element}>;"
            );
        };
        (0..sources).for_each(|k| read(k, &format!("in{k}"), vector));
        if self.extra > 0 {
            read(sources, &format!("in{sources}"), vector);
            read(sources + 1, "stats", "f32");
        }
        let mask_at = sources + self.extra;
        let float = self.op.mask && self.inputs[mask_at].dtype == DType::F32;
        if self.op.mask {
            read(mask_at, "mask", if float { "f32" } else { "u32" });
        }
        if self.op.dropout.is_some() {
            read(mask_at + usize::from(self.op.mask), "run", "u32");
        }
        let at = "n * p.mask.x + h * p.mask.y + i * p.mask.z + j * p.mask.w";
        let bias = match (self.op.mask, float) {
            (false, _) => "0.0".to_owned(),
            (true, true) => format!("mask[{at}]"),
            (true, false) => format!("select(from_bits(0xff800000u), 0.0, mask[{at}] != 0u)"),
        };
        let keep = match self.op.dropout {
            Some(_) => {
                "select(0.0, p.kept, random_(at, p.stream, run[0], run[1], run[2]) < p.threshold)"
            }
            None => "1.0",
        };
        let _ = writeln!(
            t,
            "fn bias(n: u32, h: u32, i: u32, j: u32) -> f32 {{ return {bias}; }}\n\
             fn keep(at: u32) -> f32 {{ return {keep}; }}"
        );
        let slots = [
            ("own_x", self.own[0], z.e),
            ("own_y", self.own[1], z.ev),
            ("tile_x", Some(self.tile[0]), z.e),
            ("tile_y", Some(self.tile[1]), z.ev),
        ];
        for (name, role, width) in slots {
            let role = role.unwrap_or(Role::Query);
            load(
                &mut t,
                name,
                &format!("in{}", self.input(role)),
                width,
                aligned,
            );
        }
        let out = |part: char| {
            let mut names = written.iter().map(|w| w.1);
            names.find(|n| match *n {
                "result" => part == 'y',
                "sums" => false,
                n => n[4..].contains(part),
            })
        };
        let own_y = self.own[1].is_some();
        unrolled(&mut t, 'x', wx, z.e, true, out('x'), aligned);
        unrolled(&mut t, 'y', wy, z.ev, own_y, out('y'), aligned);
        t
    }
}

/// Rows of `[n, len, heads, width]` from `head` on.
fn rows_of_heads(len: usize, heads: usize, width: usize, head: usize) -> Strided {
    Strided {
        offset: head * width,
        strides: [len * heads * width, width, heads * width],
    }
}

/// `fn NAME_load(at, c)`: vector `c` of the row of `width` elements at `at`, zeros past its end.
fn load(t: &mut String, name: &str, from: &str, width: usize, aligned: bool) {
    let _ = write!(t, "fn {name}_load(at: u32, c: u32) -> vec4<f32> {{ return ");
    if aligned {
        let _ = writeln!(t, "{from}[at / 4u + c]; }}");
        return;
    }
    let one = |k: usize| {
        let load = format!("{from}[at + 4u * c + {k}u]");
        match width % 4 {
            tail if tail == 0 || k < tail => load,
            _ => format!("select(0.0, {load}, 4u * c + {k}u < {width}u)"),
        }
    };
    let _ = writeln!(
        t,
        "vec4<f32>({}, {}, {}, {}); }}",
        one(0),
        one(1),
        one(2),
        one(3)
    );
}

/// What is done with the `n` vectors of `x` or `y`, without loops, so that they lie in registers.
fn unrolled(
    t: &mut String,
    part: char,
    n: usize,
    width: usize,
    own: bool,
    out: Option<&str>,
    aligned: bool,
) {
    let each = |line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
    let own_n = if own { n } else { 0 };
    let terms: Vec<String> = (0..own_n)
        .map(|c| format!("dot(own_{part}[{c}], tile_{part}(row, {c}u))"))
        .collect();
    // Two levels, so that the sum of a long row loses little.
    let sums: Vec<String> = terms
        .chunks(8)
        .map(|c| format!("({})", c.join(" + ")))
        .collect();
    let dot = if sums.is_empty() {
        "0.0".to_owned()
    } else {
        sums.join(" + ")
    };
    let take = (0..own_n)
        .map(|c| format!("    own_{part}[{c}] = own_{part}_load(at, {c}u);\n"))
        .collect::<String>();
    let sum = |c: usize| format!("sum_{part}[{c}]");
    let (mut clear, mut add, mut scale) = (String::new(), String::new(), String::new());
    let (mut store, mut resume) = (String::new(), String::new());
    if let Some(out) = out {
        clear = each(&|c| format!("    {} = vec4<f32>();\n", sum(c)));
        add = each(&|c| format!("    {} += w * tile_{part}(row, {c}u);\n", sum(c)));
        scale = each(&|c| format!("    {} *= w;\n", sum(c)));
        if aligned {
            store = each(&|c| format!("    {out}[at / 4u + {c}u] = {};\n", sum(c)));
            resume = each(&|c| format!("    {} = {out}[at / 4u + {c}u];\n", sum(c)));
        } else {
            for k in 0..width {
                let (v, c) = (sum(k / 4), ["x", "y", "z", "w"][k % 4]);
                let _ = writeln!(store, "    {out}[at + {k}u] = {v}.{c};");
                let _ = writeln!(resume, "    {v}.{c} = {out}[at + {k}u];");
            }
        }
    }
    let size = n.max(1);
    let _ = writeln!(
        t,
        "var<private> own_{part}: array<vec4<f32>, {size}>;\n\
         var<private> sum_{part}: array<vec4<f32>, {size}>;\n\
         fn take_{part}(at: u32) {{\n{take}}}\n\
         fn dot_{part}(row: u32) -> f32 {{\n    return {dot};\n}}\n\
         fn clear_{part}() {{\n{clear}}}\n\
         fn add_{part}(row: u32, w: f32) {{\n{add}}}\n\
         fn scale_{part}(w: f32) {{\n{scale}}}\n\
         fn store_{part}(at: u32) {{\n{store}}}\n\
         fn resume_{part}(at: u32) {{\n{resume}}}"
    );
}
