//! `cumsum`: running sums along a dimension.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::rows::Rows;
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
        caps.allow_turns("cumsum", rows.n)?;
        let d = Dispatch::new("cumsum", include_str!("../../shaders/cumsum.wgsl"))
            .read(Buf::Input(0))
            .sizes([rows.count(), rows.n, rows.inner, usize::from(self.reverse)])
            .constant("THREADS", caps.lanes())
            .grid(caps.grid(rows.count().div_ceil(caps.lanes() as usize)));
        let d = io.with_epilogue(d, 1);
        Ok(d.ok_or_else(|| Error::Device("cumsum: no kernel".into()))?
            .into())
    }

    fn takes_epilogue(&self) -> bool {
        true
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
