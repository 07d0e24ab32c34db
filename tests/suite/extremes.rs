//! NaN and infinities: the GPU gives NaN where the CPU does, and both give it where PyTorch does.

use crate::cases::table;
use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use crate::run::{Faults, run};
use std::f32::consts::LN_2;
use wgrad::ops::reduction::Reduction;
use wgrad::{Array, DType, Params, Tensor};

// Finite ones are small enough that products do not overflow: then the order of sums has no part in the result.
const STRANGE: [f32; 8] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    1e18,
    -1e18,
    1e-18,
];

#[test]
fn nan_where_the_cpu_gives_nan() {
    same_kinds(&gpu());
}

#[test]
fn nan_where_the_cpu_gives_nan_on_hardware_kernels() {
    same_kinds(&gpu_hardware_kernels());
}

fn same_kinds(pass: &Pass) {
    let Some(mut session) = pass.open(&Params::new(3)) else {
        return;
    };
    let mut reference = cpu().open(&Params::new(3)).unwrap();
    let faults = Faults::default();
    for case in table().into_iter().filter(|c| c.extremes) {
        let mut inputs = case.values(1);
        if inputs.iter().any(|a| a.numel() > 5000) {
            continue;
        }
        // Every third element of floats is strange, in turn.
        for a in inputs.iter_mut().filter(|a| a.dtype() == DType::F32) {
            let mut values = a.to_f32();
            for (k, x) in values.iter_mut().step_by(3).enumerate() {
                *x = STRANGE[k % STRANGE.len()];
            }
            *a = Array::new(a.shape().clone(), values).unwrap();
        }
        let both = run(&mut reference, &case, &inputs, 1)
            .and_then(|want| Ok((want, run(&mut session, &case, &inputs, 1)?)));
        let verdict = match both {
            Ok((want, got)) => kinds(&got, &want),
            Err(e) => Err(e.to_string()),
        };
        if let Err(why) = verdict {
            faults.add(format!("{}: {why}", case.name));
        }
    }
    faults.end();
}

/// NaN where NaN is expected.
fn kinds(got: &[Array], want: &[Array]) -> Result<(), String> {
    for (k, (got, want)) in got.iter().zip(want).enumerate() {
        let pairs = got.to_f32().into_iter().zip(want.to_f32());
        let mut differs = pairs
            .enumerate()
            .filter(|(_, (g, w))| g.is_nan() != w.is_nan());
        if let Some((at, (got, want))) = differs.next() {
            return Err(format!("result {k}, element {at}: got {got}, want {want}"));
        }
    }
    Ok(())
}

/// What PyTorch 2 gives.
#[test]
fn as_pytorch() {
    type Row = (&'static str, fn(&Tensor) -> Tensor, Vec<f32>, Vec<f32>);
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let rows: Vec<Row> = vec![
        (
            "relu",
            |x| x.relu(),
            vec![nan, inf, -inf, -1.0],
            vec![nan, inf, 0.0, 0.0],
        ),
        (
            "amax",
            |x| x.amax(&[], true),
            vec![1.0, nan, 3.0],
            vec![nan],
        ),
        (
            "amin",
            |x| x.amin(&[], true),
            vec![1.0, nan, inf],
            vec![nan],
        ),
        (
            "amax of infinities",
            |x| x.amax(&[], true),
            vec![-inf, -inf],
            vec![-inf],
        ),
        (
            "sign",
            |x| x.sign(),
            vec![nan, inf, -inf, 0.0],
            vec![nan, 1.0, -1.0, 0.0],
        ),
        (
            "clamp",
            |x| x.clamp(-1.0, 1.0),
            vec![nan, inf, -inf],
            vec![nan, 1.0, -1.0],
        ),
        (
            "sigmoid",
            |x| x.sigmoid(),
            vec![nan, inf, -inf, 200.0],
            vec![nan, 1.0, 0.0, 1.0],
        ),
        (
            "tanh",
            |x| x.tanh(),
            vec![nan, inf, -inf, 200.0],
            vec![nan, 1.0, -1.0, 1.0],
        ),
        (
            "softplus",
            |x| x.softplus(1.0, 20.0),
            vec![nan, inf, -inf],
            vec![nan, inf, 0.0],
        ),
        ("sum", |x| x.sum(&[], true), vec![inf, -inf], vec![nan]),
        (
            "layer_norm",
            |x| x.layer_norm(&[3], None, None, 1e-5),
            vec![inf, 1.0, 2.0],
            vec![nan, nan, nan],
        ),
        (
            "layer_norm of equal values",
            |x| x.layer_norm(&[3], None, None, 1e-5),
            vec![7.0, 7.0, 7.0],
            vec![0.0, 0.0, 0.0],
        ),
        (
            "rms_norm",
            |x| x.rms_norm(&[2], None, 1e-5),
            vec![inf, 1.0],
            vec![nan, 0.0],
        ),
        (
            "batch_norm",
            |x| x.reshape(&[3, 1]).batch_norm(None, None, 1e-5).y.flatten(0),
            vec![nan, 1.0, 2.0],
            vec![nan, nan, nan],
        ),
        (
            "maximum",
            |x| x.maximum(&x.mul_scalar(-1.0)),
            vec![nan, 2.0, -inf],
            vec![nan, 2.0, inf],
        ),
    ];
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        for (name, f, x, want) in &rows {
            let x = Array::vector(x.clone());
            let got = session.eval(|g| vec![f(&g.constant(x.clone()))]).unwrap();
            let verdict = near(&got, &[Array::vector(want.clone())]);
            assert_eq!(verdict, Ok(()), "{name} on {}", pass.name);
        }
    }
}

/// What PyTorch 2 gives for losses of strange values, and for their gradients.
#[test]
fn losses_as_pytorch() {
    type Row = (
        &'static str,
        fn(&Tensor) -> Tensor,
        Vec<f32>,
        Vec<f32>,
        Vec<f32>,
    );
    fn of(x: &Tensor, values: &[f32]) -> Tensor {
        x.trace().constant(Array::vector(values.to_vec()))
    }
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let strange = vec![nan, inf, -inf, inf, -inf, 0.0, 200.0];
    let rows: Vec<Row> = vec![
        (
            "binary_cross_entropy_with_logits",
            |x| {
                let target = of(x, &[1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
                x.binary_cross_entropy_with_logits(&target, Reduction::None)
            },
            strange.clone(),
            vec![nan, nan, nan, inf, nan, LN_2, 200.0],
            vec![nan, 0.0, -1.0, 1.0, 0.0, -0.5, 1.0],
        ),
        (
            "smooth_l1_loss",
            |x| x.smooth_l1_loss(&of(x, &[0.0]), 0.5, Reduction::None),
            strange.clone(),
            vec![nan, inf, inf, inf, inf, 0.0, 199.75],
            vec![nan, 1.0, -1.0, 1.0, -1.0, 0.0, 1.0],
        ),
        (
            "huber_loss",
            |x| x.huber_loss(&of(x, &[0.0]), 0.5, Reduction::None),
            strange.clone(),
            vec![nan, inf, inf, inf, inf, 0.0, 99.875],
            vec![nan, 0.5, -0.5, 0.5, -0.5, 0.0, 0.5],
        ),
        (
            "hinge_embedding_loss",
            |x| {
                let target = of(x, &[1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0]);
                x.hinge_embedding_loss(&target, 1.0, Reduction::None)
            },
            strange.clone(),
            vec![nan, inf, -inf, 0.0, inf, 0.0, 0.0],
            vec![1.0, 1.0, 1.0, 0.0, -1.0, 1.0, 0.0],
        ),
        (
            "binary_cross_entropy",
            |x| {
                let target = of(x, &[0.0, 1.0, 0.0, 1.0, 0.25]);
                x.binary_cross_entropy(&target, Reduction::None)
            },
            vec![0.0, 0.0, 1.0, 1.0, 0.5],
            vec![0.0, 100.0, 100.0, 0.0, LN_2],
            vec![0.0, -1e12, 1e12, 0.0, 1.0],
        ),
        (
            "kl_div",
            |x| {
                let target = of(x, &[0.0, 0.5, 0.0, 0.5, 0.5, 0.0, 0.5]);
                x.kl_div(&target, false, Reduction::None)
            },
            strange.clone(),
            vec![nan, -inf, nan, -inf, inf, 0.0, -100.346_57],
            vec![0.0, -0.5, 0.0, -0.5, -0.5, 0.0, -0.5],
        ),
        (
            "log_sigmoid",
            |x| x.log_sigmoid(),
            strange,
            vec![nan, 0.0, -inf, 0.0, -inf, -LN_2, 0.0],
            vec![nan, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0],
        ),
        (
            "mish",
            |x| x.mish(),
            vec![0.0, 1.0],
            vec![0.0, 0.865_098_36],
            vec![0.6, 1.049_036_3],
        ),
    ];
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        for (name, f, x, value, gradient) in &rows {
            let x = Array::vector(x.clone());
            let got = session.eval(|g| {
                let x = g.constant(x.clone());
                let y = f(&x);
                let gradient = g.gradients(&y.sum(&[], false), &[&x]).swap_remove(0);
                std::iter::once(y).chain(gradient).collect()
            });
            let want = [value, gradient].map(|v| Array::vector(v.clone()));
            let verdict = near(&got.unwrap(), &want);
            assert_eq!(verdict, Ok(()), "{name} on {}", pass.name);
        }
    }
}
