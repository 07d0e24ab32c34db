//! Attention on the GPU: one thread owns a query or a key and goes along the others.

use super::{Attention, Sizes, Strided};
use crate::caps::Caps;
use crate::error::Result;
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::GpuIo;
use crate::ops::random::threshold;

/// An operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Query,
    Key,
    Value,
    /// The gradient of the result.
    Grad,
}

/// One of the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stem {
    /// The result.
    Forward,
    /// The gradient of queries.
    Query,
    /// The gradients of keys and values.
    Key,
}

/// How a thread goes along rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Its vectors in registers, by code that grows with them; the rows that it goes along in workgroup memory, so many at
    /// once.
    Team(usize),
    /// The same along rows in memory.
    Single,
    /// Vectors in memory, by code of one length: software adapters take long to compile, the square of a kernel's length.
    Blocks,
}

impl Stem {
    /// The shader's name and text.
    fn shader(self, form: Form) -> (&'static str, &'static str) {
        match (self, form) {
            (Self::Forward, Form::Blocks) => (
                "attention_blocks",
                include_str!("../../../shaders/attention_blocks.wgsl"),
            ),
            (Self::Query, Form::Blocks) => (
                "attention_grad_query_blocks",
                include_str!("../../../shaders/attention_grad_query_blocks.wgsl"),
            ),
            (Self::Key, Form::Blocks) => (
                "attention_grad_key_blocks",
                include_str!("../../../shaders/attention_grad_key_blocks.wgsl"),
            ),
            (Self::Forward, _) => ("attention", include_str!("../../../shaders/attention.wgsl")),
            (Self::Query, _) => (
                "attention_grad_query",
                include_str!("../../../shaders/attention_grad_query.wgsl"),
            ),
            (Self::Key, _) => (
                "attention_grad_key",
                include_str!("../../../shaders/attention_grad_key.wgsl"),
            ),
        }
    }
}

/// Words of workgroup memory that tiles may take.
const STAGE: usize = 3584;
/// Rows that a thread goes along between two readings of vectors in memory.
pub(super) const BLOCK: usize = 32;
/// Vectors of four, keys' and values', up to which a software adapter has them in registers: there it is twice as quick.
const SHORT: usize = 16;
/// Vectors of four that a thread works on at once, at most, where they are in memory.
const PART: usize = 8;

/// How many vectors of `n` are worked on at once.
pub(super) fn part(n: usize) -> usize {
    n.div_ceil(n.div_ceil(PART).max(1)).max(1)
}

/// Launches of one of the shaders: what a thread owns, what it goes along, what it writes.
pub(crate) struct Launch<'a> {
    pub(super) op: &'a Attention,
    pub(super) inputs: &'a [TensorType],
    /// Inputs between the sources and the mask.
    pub(super) extra: usize,
    caps: &'a Caps,
    pub sizes: Sizes,
    pub(super) own: [Option<Role>; 2],
    pub(super) tile: [Role; 2],
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

    /// Whether a thread's vectors are in registers.
    pub fn in_registers(&self) -> bool {
        self.form() != Form::Blocks
    }

    fn form(&self) -> Form {
        let z = &self.sizes;
        let vectors = z.e.div_ceil(4) + z.ev.div_ceil(4);
        match (STAGE / (4 * vectors)).min(64) {
            _ if self.caps.software && vectors <= SHORT => Form::Single,
            rows if rows > 0 && !self.caps.software => Form::Team(rows),
            _ => Form::Blocks,
        }
    }

    /// The variable that holds a role.
    pub(super) fn input(&self, role: Role) -> usize {
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
        stem: Stem,
        written: &[(Buf, &'static str)],
        (rows, turns): (usize, usize),
    ) -> Result<Kernels> {
        let z = &self.sizes;
        let threads = self.caps.lanes();
        let form = self.form();
        let tasks = z.n * z.h * rows.div_ceil(threads as usize);
        let grid = self.caps.grid(tasks);
        // Turns of a thread's loops for a row, and the rows of a launch at least.
        let (each, least) = match form {
            Form::Team(_) | Form::Single => (1, 64),
            Form::Blocks => {
                let parts = |n: usize| n.div_ceil(4).div_ceil(PART);
                (4 + 2 * (parts(z.e) + parts(z.ev)), BLOCK)
            }
        };
        // A random number takes ten turns of its own.
        let each = each + if self.op.dropout.is_some() { 11 } else { 0 };
        let own_tasks = tasks.div_ceil(grid.iter().map(|&g| g as usize).product());
        let most = self.caps.iterations / 2 / (each * own_tasks.max(1));
        let part = turns
            .div_ceil(turns.div_ceil(most.max(least)).max(1))
            .max(1);

        let (name, source) = stem.shader(form);
        let mut d = Dispatch::new(name, source)
            .constant("THREADS", threads)
            .grid(grid);
        d.generated = self.text(written, form);
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
}

/// Rows of `[n, len, heads, width]` from `head` on.
fn rows_of_heads(len: usize, heads: usize, width: usize, head: usize) -> Strided {
    Strided {
        offset: head * width,
        strides: [len * heads * width, width, heads * width],
    }
}
