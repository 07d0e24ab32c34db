//! `norm_sums`: for each set the sum of a gradient, and of the gradient times what was normalised.

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::kernel::{Buf, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::moments::Sets;
use crate::ops::reduce::{Combine, in_parts};
use crate::shape::Shape;
use crate::tensor::{Tensor, Vjp};

/// Of `x`, a gradient of its shape, mean and inverse deviation of each set (in the shape `kept`): `[2, kept…]`, the sums
/// over each set of the gradient, and of the gradient times `(x - mean) * rstd`.
#[derive(Debug)]
pub struct NormSums {
    /// `x`'s shape with 1 where a set extends.
    pub kept: Shape,
}

impl OpDef for NormSums {
    fn name(&self) -> &'static str {
        "norm_sums"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, grad) = (&inputs[0], &inputs[1]);
        let kept = TensorType::f32(self.kept.clone());
        if x != grad || inputs[2] != kept || inputs[3] != kept {
            return Err(format!("{x}, {grad}: takes both alike, statistics {kept}"));
        }
        let shape: Shape = [2].into_iter().chain(self.kept.iter().copied()).collect();
        Ok(vec![TensorType::f32(shape)])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let [x, grad, mean, rstd] = [0, 1, 2, 3].map(|k| &g.inputs[k]);
        let both = g.grad(0);
        let [plain, hat] = halves(&both, &self.kept);
        let off = x.sub(mean);
        let weighted = hat.mul(grad);
        let dx = weighted.mul(rstd);
        let wanted = |k: usize, t: &dyn Fn() -> Tensor| g.wanted[k].then(t);
        vec![
            Some(dx.clone()),
            wanted(1, &|| plain.add(&hat.mul(&off.mul(rstd)))),
            wanted(2, &|| dx.neg().sum_to(&self.kept)),
            wanted(3, &|| weighted.mul(&off).sum_to(&self.kept)),
        ]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let sets = Sets::of(&io.input_type(0).shape, &self.kept);
        let (x, grad) = (io.input::<f32>(0), io.input::<f32>(1));
        let (mean, rstd) = (io.input::<f32>(2), io.input::<f32>(3));
        let sums = sets.sums(x, grad, |set, x, g| {
            (f64::from(g), f64::from(g * ((x - mean[set]) * rstd[set])))
        });
        let (plain, hat) = io.output::<f32>(0).split_at_mut(sets.count);
        for (set, (a, b)) in sums.into_iter().enumerate() {
            (plain[set], hat[set]) = (a as f32, b as f32);
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let sets = Sets::of(&io.inputs[0].shape, &self.kept);
        let parts = sets.parts(caps);
        let d = sets
            .launch(
                "norm_sums",
                include_str!("../../shaders/norm_sums.wgsl"),
                parts,
                caps,
            )
            .sizes([0; 3])
            .read(Buf::Input(0))
            .read(Buf::Input(1))
            .read(Buf::Input(2))
            .read(Buf::Input(3));
        let kernels = if parts == 1 {
            io.with_epilogue(d, 1).map(Kernels::from)
        } else {
            in_parts(io, caps, parts, Combine::Sum, |part| {
                part.with_epilogue(d, 1)
            })
        };
        kernels.ok_or_else(|| Error::Device("norm_sums: no kernel".into()))
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// The two parts of `t [2, kept…]`, each in the shape `kept`.
pub(crate) fn halves(t: &Tensor, kept: &Shape) -> [Tensor; 2] {
    [0, 1].map(|k| t.narrow(0, k, 1).reshape_to(kept.clone()))
}
