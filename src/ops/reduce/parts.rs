//! What is computed in parts by one launch and combined by others: where a thread may not take all turns, or where too few
//! threads would have all the work.

use super::{Combine, Reduce};
use crate::caps::Caps;
use crate::fused::{Load, Map};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::GpuIo;
use crate::scalar::Expr;
use crate::shape::Layout;

/// Kernels of an operator that computes its first output as `parts` parts to be combined: those of `before`, then `first`
/// launches the parts, each a whole output behind the last one, in scratch memory; further launches combine them, the last
/// one through the epilogue.
pub(crate) fn in_parts(
    io: &GpuIo,
    caps: &Caps,
    (parts, combine): (usize, Combine),
    before: Kernels,
    first: impl FnOnce(&GpuIo) -> Option<Dispatch>,
) -> Option<Kernels> {
    let (n, dtype) = (io.outputs[0].numel(), io.outputs[0].dtype);
    let add = Reduce {
        combine,
        dims: vec![1],
    };
    let redirect = |mut d: Dispatch, from: Buf, scratch: usize| {
        let found = d.bindings.iter_mut().filter(|b| b.buf == from);
        found.for_each(|b| b.buf = Buf::Scratch(scratch));
        d
    };
    let identity = Map::identity(dtype);
    let types = [TensorType::new([parts, n], dtype)];
    let d = first(&GpuIo {
        outputs: &types,
        epilogue: &identity,
        in_place: &[None],
        ..*io
    })?;
    let mut kernels = before;
    kernels
        .dispatches
        .push(redirect(d, Buf::Output(0), kernels.scratch.len()));
    kernels.scratch.push(parts * n);
    let mut left = parts;
    loop {
        let from = kernels.scratch.len() - 1;
        let load = Load {
            operand: 0,
            layout: Layout::contiguous([left, n]).permute(&[1, 0]),
            dtype,
        };
        let partial = Map {
            exprs: vec![Expr::load(1, dtype)],
            loads: vec![load],
        };
        // One thread combines as many as it may take turns.
        let chunks = left.div_ceil(caps.iterations);
        let launch = add.launch(caps, dtype, n, [left, chunks]);
        let prologue = Some(&partial);
        if chunks == 1 {
            let d = GpuIo { prologue, ..*io }.with_prologue(launch, 1)?;
            let d = redirect(d, Buf::Prologue(0), from);
            kernels.dispatches.push(d);
            return Some(kernels);
        }
        let types = [TensorType::new([chunks, n], dtype)];
        let d = GpuIo {
            prologue,
            outputs: &types,
            epilogue: &identity,
            in_place: &[None],
            ..*io
        }
        .with_prologue(launch, 1)?;
        let d = redirect(d, Buf::Prologue(0), from);
        kernels
            .dispatches
            .push(redirect(d, Buf::Output(0), from + 1));
        kernels.scratch.push(chunks * n);
        left = chunks;
    }
}
