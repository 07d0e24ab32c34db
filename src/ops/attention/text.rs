//! What the shaders of attention call: bindings, masks, dropout, what is done with vectors of a length.

use super::kernels::{BLOCK, Form, Launch, Role, part};
use crate::DType;
use crate::kernel::Buf;
use std::fmt::Write;

impl Launch<'_> {
    /// All that the shader's file calls.
    pub(super) fn text(&self, written: &[(Buf, &'static str)], form: Form) -> String {
        let z = &self.sizes;
        // An empty buffer is bound as one word.
        let empty = z.t * z.s * z.ev == 0;
        let aligned = !empty && z.e.is_multiple_of(4) && z.ev.is_multiple_of(4);
        let vector = if aligned { "vec4<f32>" } else { "f32" };
        let mut t = include_str!("../../../shaders/lib/attention.wgsl").to_owned();
        for (k, (_, name)) in written.iter().enumerate() {
            let element = if *name == "kept" { "f32" } else { vector };
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
            let input = self.input(role.unwrap_or(Role::Query));
            load(&mut t, name, &format!("in{input}"), width, aligned);
        }
        let out = |part: char| {
            let mut names = written.iter().map(|w| w.1);
            names.find(|n| match *n {
                "result" => part == 'y',
                "kept" => false,
                n => n[4..].contains(part),
            })
        };
        let parts =
            [('x', z.e, true), ('y', z.ev, self.own[1].is_some())].map(|(name, width, own)| Part {
                name,
                width,
                own,
                out: out(name),
                aligned,
            });
        match form {
            Form::Team(_) | Form::Single => {
                let (lib, tile) = match form {
                    Form::Team(tile) => {
                        let lib = include_str!("../../../shaders/lib/attention_team.wgsl");
                        (lib, tile)
                    }
                    _ => {
                        let lib = include_str!("../../../shaders/lib/attention_single.wgsl");
                        (lib, 1 << 30)
                    }
                };
                t.push_str(lib);
                let [wx, wy] = [z.e, z.ev].map(|w| w.div_ceil(4).max(1));
                let _ = writeln!(
                    t,
                    "const TILE = {tile}u;\nconst WX = {wx}u;\nconst WY = {wy}u;"
                );
                parts.iter().for_each(|part| part.unrolled(&mut t));
            }
            Form::Blocks => {
                let _ = writeln!(t, "const BLOCK = {BLOCK}u;");
                t.push_str(include_str!("../../../shaders/lib/attention_held.wgsl"));
                parts.iter().for_each(|part| part.looped(&mut t));
            }
        }
        t
    }
}

/// `fn NAME_load(at, c)`: vector `c` of the row of `width` elements at `at`, zeros past its end.
fn load(t: &mut String, name: &str, from: &str, width: usize, aligned: bool) {
    let n = width.div_ceil(4);
    let past = match n.is_multiple_of(part(n)) {
        true => String::new(),
        false => format!("if (c >= {n}u) {{ return vec4<f32>(); }} "),
    };
    let _ = write!(
        t,
        "fn {name}_load(at: u32, c: u32) -> vec4<f32> {{ {past}return "
    );
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

/// The vectors of `x` or `y`: a thread's own and their sums.
struct Part {
    name: char,
    width: usize,
    /// Whether a thread has own vectors.
    own: bool,
    /// What their sum is written to, if there is one.
    out: Option<&'static str>,
    aligned: bool,
}

impl Part {
    /// What is done with the vectors where they are in memory.
    fn looped(&self, t: &mut String) {
        let (name, n) = (self.name, self.width.div_ceil(4));
        let part = part(n);
        let _ = writeln!(
            t,
            "const VECTORS_{name} = {n}u;\nconst PART_{name} = {part}u;"
        );
        let mut text = |of: &str| t.push_str(&of.replace("_x", &format!("_{name}")));
        if self.own {
            text(include_str!("../../../shaders/lib/attention_products.wgsl"));
        }
        let Some(out) = self.out else {
            text(
                "fn clear_x(at: u32) {}\nfn add_x(at: u32, rows: u32, begin: u32, stop: u32, shrink: f32, thread: u32) {}\n",
            );
            return;
        };
        text(include_str!("../../../shaders/lib/attention_sums.wgsl"));
        load(t, &format!("sum_{name}"), out, self.width, self.aligned);
        let store = match self.aligned {
            true => format!("if (c < {n}u) {{ {out}[at / 4u + c] = v; }}"),
            false => {
                let one = |k: usize| {
                    let lane = ["x", "y", "z", "w"][k];
                    format!(
                        "if (4u * c + {k}u < {}u) {{ {out}[at + 4u * c + {k}u] = v.{lane}; }} ",
                        self.width
                    )
                };
                (0..4).map(one).collect()
            }
        };
        let _ = writeln!(
            t,
            "fn sum_{name}_store(at: u32, c: u32, v: vec4<f32>) {{ {store} }}"
        );
    }

    /// What is done with the vectors where they are in registers: without loops.
    fn unrolled(&self, t: &mut String) {
        let Self {
            name,
            width,
            own,
            out,
            aligned,
        } = *self;
        let n = width.div_ceil(4);
        let each = |line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
        let own_n = if own { n } else { 0 };
        let terms: Vec<String> = (0..own_n)
            .map(|c| format!("dot(own_{name}[{c}], tile_{name}(row, {c}u))"))
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
            .map(|c| format!("    own_{name}[{c}] = own_{name}_load(at, {c}u);\n"))
            .collect::<String>();
        let sum = |c: usize| format!("sum_{name}[{c}]");
        let (mut clear, mut add, mut scale) = (String::new(), String::new(), String::new());
        let (mut store, mut resume) = (String::new(), String::new());
        if let Some(out) = out {
            clear = each(&|c| format!("    {} = vec4<f32>();\n", sum(c)));
            add = each(&|c| format!("    {} += w * tile_{name}(row, {c}u);\n", sum(c)));
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
            "var<private> own_{name}: array<vec4<f32>, {size}>;\n\
             var<private> sum_{name}: array<vec4<f32>, {size}>;\n\
             fn take_{name}(at: u32) {{\n{take}}}\n\
             fn dot_{name}(row: u32) -> f32 {{\n    return {dot};\n}}\n\
             fn clear_{name}() {{\n{clear}}}\n\
             fn add_{name}(row: u32, w: f32) {{\n{add}}}\n\
             fn scale_{name}(w: f32) {{\n{scale}}}\n\
             fn store_{name}(at: u32) {{\n{store}}}\n\
             fn resume_{name}(at: u32) {{\n{resume}}}"
        );
    }
}
