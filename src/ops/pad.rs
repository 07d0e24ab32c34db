//! `pad`: a constant around, and between, the elements of a tensor. The gradient of every slice.

use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::view::View;
use crate::shape::{Layout, Shape};
use crate::tensor::{Tensor, Vjp};

/// `low` and `high` elements around each dimension, `step - 1` between neighbours, of a value given by its bits.
#[derive(Debug)]
pub struct Pad {
    /// Elements before, a dimension.
    pub low: Vec<usize>,
    /// Elements behind, a dimension.
    pub high: Vec<usize>,
    /// Distance of neighbours in the result, a dimension.
    pub step: Vec<usize>,
    /// The constant.
    pub bits: u32,
}

/// Most dimensions that the kernel takes.
const RANK: usize = 8;

impl OpDef for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let x = &inputs[0].shape;
        if x.rank() > RANK {
            return Err(format!("{x}: takes at most {RANK} dimensions"));
        }
        let size = |d: usize| {
            let inside = match x[d] {
                0 => 0,
                n => (n - 1).saturating_mul(self.step[d]).saturating_add(1),
            };
            let outside = self.low[d].saturating_add(self.high[d]);
            outside.saturating_add(inside)
        };
        Ok(vec![TensorType::new(
            (0..x.rank()).map(size).collect::<Shape>(),
            inputs[0].dtype,
        )])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let x = g.inputs[0].shape();
        let cut = |t: Tensor, dim: usize| {
            let view = View::Slice {
                dim,
                start: self.low[dim],
                len: x[dim],
                step: self.step[dim],
            };
            t.apply(view, &[], g.site)
        };
        vec![Some((0..x.rank()).fold(g.grad(0), cut))]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (x, shape, out) = (
            io.input::<u32>(0),
            &io.input_type(0).shape,
            io.output_type(0).shape.clone(),
        );
        let y = io.output::<u32>(0);
        y.fill(self.bits);
        let inside = (0..shape.rank()).fold(Layout::contiguous(out), |l, d| {
            l.slice(d, self.low[d], shape[d], self.step[d])
        });
        x.iter()
            .enumerate()
            .for_each(|(i, &x)| y[inside.position(i)] = x);
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let (from, to) = (&io.inputs[0].shape, &io.outputs[0].shape);
        let threads = if caps.software {
            8
        } else {
            64.min(caps.threads)
        };
        let mut d = Dispatch::new("pad", include_str!("../../shaders/pad.wgsl"))
            .read(Buf::Input(0))
            .sizes([to.numel(), to.rank(), self.bits as usize, 0])
            .constant("THREADS", threads)
            .grid(caps.grid(to.numel().div_ceil(threads as usize)));
        for k in 0..RANK {
            d = if k < to.rank() {
                d.sizes([to[k], self.low[k], self.step[k], from[k]])
            } else {
                d.sizes([1, 0, 1, 1])
            };
        }
        d.generated
            .push_str(&format!("alias T = {};\n", io.inputs[0].dtype.wgsl()));
        Ok(io
            .with_epilogue(d, 1)
            .ok_or_else(|| Error::Device("pad: no kernel".into()))?
            .into())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Tensor {
    /// `value` around the last dimensions, as `torch.nn.functional.pad`: `[before, behind]` of the last dimension first.
    #[track_caller]
    pub fn pad(&self, pad: &[usize], value: f32) -> Tensor {
        let (site, rank) = (Site::here(), self.rank());
        if !pad.len().is_multiple_of(2) || pad.len() > 2 * rank {
            let message = format!(
                "{}: {pad:?} must be pairs (before, behind), at most one a dimension",
                self.shape()
            );
            return self.trace().misuse("pad", message, site);
        }
        if pad.iter().all(|n| *n == 0) {
            return self.again(site);
        }
        let at = |d: usize, k: usize| pad.get(2 * (rank - 1 - d) + k).copied().unwrap_or(0);
        let bits = match self.dtype() {
            crate::DType::F32 => value.to_bits(),
            crate::DType::I32 => value as i32 as u32,
            _ => value as u32,
        };
        let op = Pad {
            low: (0..rank).map(|d| at(d, 0)).collect(),
            high: (0..rank).map(|d| at(d, 1)).collect(),
            step: vec![1; rank],
            bits,
        };
        self.apply(op, &[], site)
    }

    /// The gradient of taking `len` elements of `dim` from `start` by `step`: zeros elsewhere, `size` in all.
    pub(crate) fn unslice(
        &self,
        dim: usize,
        start: usize,
        len: usize,
        step: usize,
        size: usize,
        site: Site,
    ) -> Tensor {
        let used = if len == 0 { 0 } else { (len - 1) * step + 1 };
        let at = |value: usize, other: usize| {
            (0..self.rank())
                .map(|d| if d == dim { value } else { other })
                .collect()
        };
        let op = Pad {
            low: at(start, 0),
            high: at(size - start - used, 0),
            step: at(step, 1),
            bits: 0,
        };
        self.apply(op, &[], site)
    }
}
