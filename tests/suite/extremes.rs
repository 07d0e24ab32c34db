//! NaN and infinities: the GPU gives NaN where the CPU does, and both give it where PyTorch does.

use crate::cases::table;
use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use crate::run::{Faults, run};
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

/// What PyTorch 2 gives for rows; for single numbers `scalar_edges.rs` holds more.
#[test]
fn as_pytorch() {
    type Row = (&'static str, fn(&Tensor) -> Tensor, Vec<f32>, Vec<f32>);
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let rows: Vec<Row> = vec![
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
