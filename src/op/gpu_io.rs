//! What an operator's kernels work on.

use crate::caps::Caps;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::fused::{Map, Space, print_map};
use crate::graph::TensorType;
use crate::kernel::{Binding, Buf, Dispatch, Kernels};
use std::fmt::Write;

const SCALAR_LIB: &str = include_str!("../../shaders/lib/scalar.wgsl");

/// Types of a step's operands, and what is fused to it.
pub struct GpuIo<'a> {
    /// Types of the operator's inputs.
    pub inputs: &'a [TensorType],
    /// Types of the operator's own outputs.
    pub outputs: &'a [TensorType],
    /// For reductions: what is reduced.
    pub prologue: Option<&'a Map>,
    /// What becomes of the first output.
    pub epilogue: &'a Map,
    /// For each result of the epilogue, the operand whose memory it takes.
    pub in_place: &'a [Option<usize>],
}

impl GpuIo<'_> {
    /// `dispatch` with what its shader calls for each element of the first output:
    /// `fn epilogue(at: u32, core: F)`, which stores the element at the row-major index `at` (counted in vectors where
    /// the shader handles `width` 4 at once). The shader's `Params` must end in `map: array<vec4<u32>, MAP>`.
    ///
    /// `None` where the operands do not allow the width.
    pub fn with_epilogue(&self, dispatch: Dispatch, width: usize) -> Option<Dispatch> {
        let n = self.outputs[0].numel();
        self.attach(dispatch, width, n, &[])
    }

    /// As [`GpuIo::with_epilogue`], and `fn prologue(row: u32, column: u32) -> F` which gives the element to reduce;
    /// `kept` is the number of dimensions that `row` runs over.
    pub fn with_prologue(&self, dispatch: Dispatch, kept: usize) -> Option<Dispatch> {
        let rows = Space {
            index: "row",
            dims: kept,
        };
        let columns = Space {
            index: "column",
            dims: usize::MAX,
        };
        self.attach(dispatch, 1, self.outputs[0].numel(), &[rows, columns])
    }

    fn attach(
        &self,
        mut d: Dispatch,
        width: usize,
        n: usize,
        prologue: &[Space],
    ) -> Option<Dispatch> {
        while !d.words.len().is_multiple_of(4) {
            d.words.push(0);
        }
        let mut text = aliases(width, self.outputs[0].dtype);
        let mut words = 0;
        if let (Some(map), false) = (self.prologue, prologue.is_empty()) {
            let printed = print_map(
                map,
                prologue,
                1,
                Buf::Prologue,
                d.bindings.len() + 1,
                0,
                &[],
            )?;
            text.push_str(&printed.declarations);
            let _ = writeln!(
                text,
                "fn prologue(row: u32, column: u32) -> C {{\n{}    return {};\n}}",
                printed.body, printed.values[0]
            );
            d.bindings.extend(printed.bindings);
            words = printed.words.len();
            d.words.extend(printed.words);
        }
        if width == 4 && !n.is_multiple_of(4) {
            return None;
        }
        let all = [Space {
            index: "at",
            dims: usize::MAX,
        }];
        let mut written = vec![false; self.epilogue.operands()];
        self.in_place
            .iter()
            .flatten()
            .for_each(|&o| written[o] = true);
        let printed = print_map(
            self.epilogue,
            &all,
            width,
            Buf::Epilogue,
            d.bindings.len() + 1,
            words,
            &written,
        )?;
        text.push_str(&printed.declarations);
        d.bindings.extend(&printed.bindings);
        words += printed.words.len();
        d.words.extend(printed.words);
        let mut stores = String::new();
        for (k, (value, expr)) in printed.values.iter().zip(&self.epilogue.exprs).enumerate() {
            let name = match self.in_place.get(k).copied().flatten() {
                Some(operand) => {
                    let mut names = Vec::new();
                    printed.bindings.iter().for_each(|b| names.push(b.buf));
                    format!(
                        "post{}_",
                        names.iter().position(|b| *b == Buf::Epilogue(operand))?
                    )
                }
                None => {
                    let element = if width == 4 {
                        format!("vec4<{}>", expr.dtype().wgsl())
                    } else {
                        expr.dtype().wgsl().to_owned()
                    };
                    let binding = d.bindings.len() + 1;
                    let _ = writeln!(
                        text,
                        "@group(0) @binding({binding}) var<storage, read_write> out{k}_: array<{element}>;"
                    );
                    d.bindings.push(Binding::whole(Buf::Output(k), true));
                    format!("out{k}_")
                }
            };
            let _ = writeln!(stores, "    {name}[at] = {value};");
        }
        let index = if width == 4 {
            "U(at * 4u) + U(0u, 1u, 2u, 3u)"
        } else {
            "at"
        };
        let _ = writeln!(
            text,
            "fn epilogue(at: u32, core: C) {{\n    let index: U = {index};\n{}{stores}}}",
            printed.body
        );
        let _ = writeln!(text, "const MAP = {}u;", words.div_ceil(4).max(1));
        while !d.words.len().is_multiple_of(4) || words == 0 {
            d.words.push(0);
            words += 1;
        }
        text.push_str(SCALAR_LIB);
        d.generated.push_str(&text);
        Some(d)
    }

    /// `dispatch` with the functions of `scalar.wgsl` on scalars (`width` 1) or vectors of four, for shaders that store
    /// their results themselves.
    pub fn with_library(&self, mut dispatch: Dispatch, width: usize) -> Dispatch {
        dispatch.generated.push_str(&aliases(width, DType::F32));
        dispatch.generated.push_str(SCALAR_LIB);
        dispatch
    }

    /// The buffer of the operator's output `i`, past the first: they follow what the epilogue makes of the first.
    pub fn further(&self, i: usize) -> Buf {
        Buf::Output(self.epilogue.exprs.len() + i - 1)
    }

    /// The error of an operator without kernels.
    pub fn unsupported(&self, op: &str, _caps: &Caps) -> Result<Kernels> {
        Err(Error::Device(format!("{op} has no kernels for the GPU")))
    }
}

/// `F`, `I`, `U`, `B` of `scalar.wgsl`, and `C`, the type of the operator's own result.
fn aliases(width: usize, core: DType) -> String {
    let of = |scalar: &str| {
        if width == 4 {
            format!("vec4<{scalar}>")
        } else {
            scalar.to_owned()
        }
    };
    format!(
        "alias F = {};\nalias I = {};\nalias U = {};\nalias B = {};\nalias C = {};\n",
        of("f32"),
        of("i32"),
        of("u32"),
        of("bool"),
        of(core.wgsl())
    )
}
