//! An operator of your own: shape rule, gradient, CPU function and WGSL, used like those of the library.
//!
//! `cargo run --release --example custom_op` learns prototypes of three clouds of points by it.

use wgrad::caps::Caps;
use wgrad::error::{Error, Result, Site};
use wgrad::kernel::{Buf, Dispatch, Kernels};
use wgrad::op::{CpuIo, GpuIo, OpDef};
use wgrad::tensor::Vjp;
use wgrad::{Array, DType, Mode, Params, Session, Tensor, TensorType};

/// From squared distances `d [n, k]` to shares `[n, k]`: `1 / (1 + d)`, divided by the sum of its row. The soft assignment
/// of points to centres of Deep Embedded Clustering (Xie et al., 2016).
///
/// `Debug` prints every attribute, and `merges` says so: what is traced twice on the same inputs is computed once.
#[derive(Debug)]
pub struct SoftAssign;

/// One thread a row, in the stride of the grid: a device may start fewer workgroups than asked for.
const WGSL: &str = "
override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    columns: u32,
    map: array<vec4<u32>, MAP>, // what becomes of the result: the library's
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> d: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var row = id.x; row < p.rows; row += groups.x * THREADS) {
        let first = row * p.columns;
        var sum = 0.0;
        for (var k = first; k < first + p.columns; k++) {
            sum += 1.0 / (1.0 + d[k]);
        }
        for (var k = first; k < first + p.columns; k++) {
            epilogue(k, 1.0 / (1.0 + d[k]) / sum);
        }
    }
}
";

impl OpDef for SoftAssign {
    fn name(&self) -> &'static str {
        "soft_assign"
    }

    fn merges(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match &inputs[0] {
            d if d.dtype == DType::F32 && d.shape.rank() == 2 => Ok(vec![d.clone()]),
            d => Err(format!("takes f32 [n, k], {d} came")),
        }
    }

    /// With weights w and shares y: dy/dw = (1 - y) / sum, dw/dd = -w², so -w y (g - the row's sum of g y).
    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (d, y, grad) = (&g.inputs[0], &g.outputs[0], g.grad(0));
        let mean = grad.mul(y).sum(&[1], true);
        let weight = d.add_scalar(1.0).reciprocal();
        vec![Some(grad.sub(&mean).mul(y).mul(&weight).neg())]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let columns = io.input_type(0).shape[1].max(1);
        let (d, y) = (io.input::<f32>(0), io.output::<f32>(0));
        for (y, d) in y.chunks_mut(columns).zip(d.chunks(columns)) {
            let sum: f32 = d.iter().map(|d| 1.0 / (1.0 + d)).sum();
            for (y, d) in y.iter_mut().zip(d) {
                *y = 1.0 / (1.0 + d) / sum;
            }
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let shape = &io.inputs[0].shape;
        let groups = shape[0].div_ceil(64).clamp(1, caps.workgroups as usize);
        let dispatch = Dispatch::new("soft_assign", WGSL)
            .read(Buf::Input(0))
            .sizes([shape[0], shape[1]])
            .constant("THREADS", 64u32)
            .grid([groups as u32, 1, 1]);
        // Elementwise operators that follow run in this kernel too: they are the epilogue.
        let dispatch = io.with_epilogue(dispatch, 1);
        let none = || Error::Device("soft_assign: no kernel".into());
        Ok(dispatch.ok_or_else(none)?.into())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// The method that adds the operator to a trace, beside those of [`Tensor`].
pub trait SoftAssignExt {
    /// Shares of each row of squared distances `[n, k]`.
    #[track_caller]
    fn soft_assign(&self) -> Tensor;
}

impl SoftAssignExt for Tensor {
    fn soft_assign(&self) -> Tensor {
        self.apply(SoftAssign, &[], Site::here())
    }
}

/// The share of points whose nearest prototype is that of their cloud, before and after training.
pub fn train() -> Result<[f32; 2]> {
    let params = Params::new(7);
    let start = |rng: &mut wgrad::rng::Rng, n| (0..n).map(|_| 0.1 * rng.normal()).collect();
    let prototypes = params.parameter("prototypes", [3, 2], start);
    let mut session = Session::new(&params)?;
    let types = [TensorType::f32([150, 2]), TensorType::i32([150])];
    let mut step = session.compile(Mode::Train, &types, |g, batch| {
        let difference = batch[0].unsqueeze(1).sub(&g.param(&prototypes)); // [150, 3, 2]
        let shares = difference.square().sum(&[2], false).soft_assign();
        let right = shares.argmax(1, false).eq(&batch[1]).to_f32();
        let loss = shares.log().nll_loss(&batch[1]);
        g.minimize(&loss, &wgrad::optim::Adam::new(0.05));
        vec![right.mean(&[], false)]
    })?;
    let mut rng = wgrad::rng::Rng::new(7, "points");
    let mut points = Vec::new();
    for at in 0..150 {
        let (x, y) = [(2.0, 0.0), (-1.0, 2.0), (-1.0, -2.0)][at % 3];
        points.extend([x + 0.4 * rng.normal(), y + 0.4 * rng.normal()]);
    }
    let points = Array::new([150, 2], points)?;
    let clouds = Array::vector((0..150).map(|at| at % 3).collect::<Vec<i32>>());
    let mut right = |steps: usize| -> Result<f32> {
        let mut last = 0.0;
        for _ in 0..steps {
            last = session.run(&mut step, &[&points, &clouds])?[0].item();
        }
        Ok(last)
    };
    Ok([right(1)?, right(100)?])
}

#[allow(dead_code, reason = "the tests take the operator alone")]
fn main() -> Result<()> {
    let [before, after] = train()?;
    let percent = [before, after].map(|x| (100.0 * x).round());
    println!("right: {} % before, {} % after", percent[0], percent[1]);
    Ok(())
}
