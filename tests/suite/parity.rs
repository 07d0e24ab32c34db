//! Every case on the GPU gives what it gives on the CPU: results and gradients.

use crate::cases::{Case, long, table};
use crate::common::{
    Pass, cpu, gpu, gpu_default_limits, gpu_few_workgroups, gpu_hardware_kernels, lockstep,
    poisoned, worst,
};
use crate::run::{Faults, run};
use wgrad::optim::Adam;
use wgrad::{Array, Mode, Params, Session, TensorType};

const SEED: u64 = 1;

fn parity(pass: &Pass) {
    compare_all(pass, table());
}

fn compare_all(pass: &Pass, cases: Vec<Case>) {
    let Some(mut session) = pass.open(&Params::new(3)) else {
        return;
    };
    let mut reference = cpu().open(&Params::new(3)).unwrap();
    let faults = Faults::default();
    for case in cases {
        if let Err(why) = compare(&mut reference, &mut session, &case) {
            faults.add(format!("{} on {}: {why}", case.name, pass.name));
        }
    }
    faults.end();
}

fn compare(reference: &mut Session, session: &mut Session, case: &Case) -> Result<(), String> {
    let inputs = case.values(SEED);
    let want = run(reference, case, &inputs, SEED).map_err(|e| format!("CPU: {e}"))?;
    let got = run(session, case, &inputs, SEED).map_err(|e| e.to_string())?;
    near(&got, &want)
}

/// The bound of the conformance cases, for all results.
pub fn near(got: &[Array], want: &[Array]) -> Result<(), String> {
    for (k, (got, want)) in got.iter().zip(want).enumerate() {
        if let Some(w) = worst(got, want, 1e-4, 1e-5)?.filter(|w| w.excess > 1.0) {
            let (at, got, want) = (w.at, w.got, w.want);
            return Err(format!("result {k}, element {at}: got {got}, want {want}"));
        }
    }
    Ok(())
}

#[test]
fn on_the_gpu() {
    parity(&poisoned(gpu()));
}

#[test]
fn on_a_poisoned_cpu() {
    parity(&poisoned(cpu()));
}

#[test]
fn within_default_limits() {
    parity(&gpu_default_limits());
}

#[test]
fn across_the_limit_of_workgroups() {
    compare_all(&gpu_hardware_kernels(), long::crossings());
}

#[test]
fn with_long_loops() {
    compare_all(&gpu(), long::cases());
}

#[test]
fn with_hardware_kernels() {
    parity(&poisoned(gpu_hardware_kernels()));
}

#[test]
fn with_few_workgroups() {
    parity(&gpu_few_workgroups());
}

/// Training on both devices at once, compared after each step of the plan.
#[test]
fn lockstep_trains() {
    trains(&lockstep());
    trains(&poisoned(lockstep()));
}

fn trains(pass: &Pass) {
    let params = Params::new(5);
    let normal = |rng: &mut wgrad::rng::Rng, n: usize| (0..n).map(|_| rng.normal() * 0.3).collect();
    let (w1, b1) = (
        params.parameter("w1", [9, 33], normal),
        params.parameter("b1", [33], normal),
    );
    let w2 = params.parameter("w2", [33, 3], normal);
    let Some(mut session) = pass.open(&params) else {
        return;
    };
    let types = [TensorType::f32([13, 9]), TensorType::f32([13, 3])];
    let mut f = session
        .compile(Mode::Train, &types, |g, a| {
            let h = (&a[0].matmul(&g.param(&w1)) + &g.param(&b1)).relu();
            let loss = (&h.matmul(&g.param(&w2)) - &a[1]).square().mean(&[], false);
            g.minimize_clipped(&loss, &Adam::adamw(0.01), Some(1.0));
            vec![loss]
        })
        .unwrap();
    let mut rng = wgrad::rng::Rng::new(9, "batch");
    let mut array = |t: &TensorType| {
        Array::new(
            t.shape.clone(),
            (0..t.numel()).map(|_| rng.normal()).collect::<Vec<f32>>(),
        )
        .unwrap()
    };
    let (x, y) = (array(&types[0]), array(&types[1]));
    let losses: Vec<f32> = (0..20)
        .map(|_| session.run(&mut f, &[&x, &y]).unwrap()[0].item())
        .collect();
    assert!(losses[19] < 0.8 * losses[0], "{losses:?}");
}
