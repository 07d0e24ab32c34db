//! `cumsum`: running sums along a dimension.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::fused::{Load, Map};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::reduce::{Combine, Reduce};
use crate::ops::rows::Rows;
use crate::scalar::Expr;
use crate::shape::Layout;
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;

/// Along dimension `dim`.
#[derive(Debug)]
pub struct Cumsum {
    /// The dimension.
    pub dim: usize,
    /// Whether the sums run from the end.
    pub reverse: bool,
}

impl OpDef for Cumsum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let x = &inputs[0];
        if x.dtype != DType::F32 {
            return Err(format!("takes f32, {x} came: convert with to_f32()"));
        }
        Ok(vec![x.clone()])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let back = Self {
            dim: self.dim,
            reverse: !self.reverse,
        };
        vec![Some(g.grad(0).apply(back, &[], g.site))]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let rows = Rows::of(&io.input_type(0).shape, self.dim);
        let (x, y) = (io.input::<f32>(0), io.output::<f32>(0));
        if y.is_empty() {
            return Ok(());
        }
        let block = rows.n * rows.inner;
        y.par_chunks_mut(block)
            .zip(x.par_chunks(block))
            .for_each(|(y, x)| {
                let mut sums = vec![0.0f64; rows.inner];
                for k in 0..rows.n {
                    let k = if self.reverse { rows.n - 1 - k } else { k };
                    let line = k * rows.inner..(k + 1) * rows.inner;
                    let all = sums.iter_mut().zip(&x[line.clone()]).zip(&mut y[line]);
                    all.for_each(|((s, x), y)| {
                        *s += f64::from(*x);
                        *y = *s as f32;
                    });
                }
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let rows = Rows::of(&io.inputs[0].shape, self.dim);
        let parts = rows.n.div_ceil(caps.iterations);
        let kernels = match parts {
            1 => io
                .with_epilogue(self.launch(&rows, 1, caps, None), 1)
                .map(Kernels::from),
            _ => {
                caps.allow_turns("cumsum", parts)?;
                self.in_parts(io, &rows, parts, caps)
            }
        };
        kernels.ok_or_else(|| Error::Device("cumsum: no kernel".into()))
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Cumsum {
    /// A launch of a thread for each of `parts` of each row; `before` holds the sums up to the end of each part.
    fn launch(&self, rows: &Rows, parts: usize, caps: &Caps, before: Option<Buf>) -> Dispatch {
        let tasks = parts * rows.count();
        let mut d = Dispatch::new("cumsum", include_str!("../../shaders/cumsum.wgsl"))
            .read(Buf::Input(0))
            .sizes([rows.count(), rows.n, rows.inner, usize::from(self.reverse)])
            .sizes([parts, rows.n.div_ceil(parts), 0, 0])
            .constant("THREADS", caps.lanes())
            .grid(caps.grid(tasks.div_ceil(caps.lanes() as usize)));
        d.generated.push_str(match before {
            None => "fn sum_to(task: u32) -> f32 { return 0.0; }\n",
            Some(_) => {
                "@group(0) @binding(2) var<storage, read> before: array<f32>;\n\
                 fn sum_to(task: u32) -> f32 { return before[task]; }\n"
            }
        });
        match before {
            None => d,
            Some(before) => d.read(before).constant("PARTED", 1u32),
        }
    }

    /// Rows that are too long for a thread: the sums of their parts, the running sums of those, and then all.
    fn in_parts(&self, io: &GpuIo, rows: &Rows, parts: usize, caps: &Caps) -> Option<Kernels> {
        let count = rows.count();
        let layout = Layout::contiguous([rows.outer, rows.n, rows.inner]).permute(&[0, 2, 1]);
        let dtype = DType::F32;
        let load = Load {
            operand: 0,
            layout,
            dtype,
        };
        let elements = Map {
            exprs: vec![Expr::arg(1)],
            loads: vec![load],
        };
        let identity = Map::identity(dtype);
        let types = [TensorType::f32([parts, count])];
        let part = GpuIo {
            inputs: io.inputs,
            outputs: &types,
            prologue: Some(&elements),
            epilogue: &identity,
            in_place: &[None],
        };
        let redirect = |mut d: Dispatch, from: Buf, to: Buf| {
            let found = d.bindings.iter_mut().filter(|b| b.buf == from);
            found.for_each(|b| b.buf = to);
            d
        };
        let (sums, running) = (Buf::Scratch(0), Buf::Scratch(1));
        let add = Reduce {
            combine: Combine::Sum,
            dims: vec![2],
        };
        let first =
            part.with_prologue(add.launch(caps, types[0].dtype, count, [rows.n, parts]), 2)?;
        let first = redirect(first, Buf::Prologue(0), Buf::Input(0));
        let of_parts = Rows {
            outer: 1,
            n: parts,
            inner: count,
        };
        let second = part.with_epilogue(self.launch(&of_parts, 1, caps, None), 1)?;
        let second = redirect(second, Buf::Input(0), sums);
        let third = io.with_epilogue(self.launch(rows, parts, caps, Some(running)), 1)?;
        Some(Kernels {
            dispatches: vec![
                redirect(first, Buf::Output(0), sums),
                redirect(second, Buf::Output(0), running),
                third,
            ],
            scratch: vec![parts * count; 2],
        })
    }
}

impl Tensor {
    /// The sums of the elements up to each along `dim`: `torch.cumsum`.
    #[track_caller]
    pub fn cumsum(&self, dim: isize) -> Tensor {
        let site = Site::here();
        match self.dim("cumsum", dim, site) {
            Some(dim) => self.apply(
                Cumsum {
                    dim,
                    reverse: false,
                },
                &[],
                site,
            ),
            None => self.trace().poison(),
        }
    }
}
