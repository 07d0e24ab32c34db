//! Gradients of gradients: the first gradients of the case table, in the middle of a graph, against finite differences.

use crate::cases::{Case, table};
use crate::common::{cpu, gpu, gpu_hardware_kernels};
use crate::gradcheck::check;
use crate::parity::near;
use crate::run::{Faults, Program, run};
use wgrad::{Array, Params, Tensor, Trace};

/// Elements of a case's inputs, at most: a check takes some runs for each.
const LARGEST: usize = 700;
/// The same where devices compile each case's kernels.
const LARGEST_ON_DEVICES: usize = 150;
/// What differences miss by, of first gradients near poles (`pow_scalar`, -2; `binary_cross_entropy`) up to 0.01.
const RTOL: f64 = 1.5e-2;

/// The case of the gradients of `case`: of a curve of its results, so that they depend on all inputs.
fn gradients_of(case: &Case) -> Result<Case, String> {
    let program = Program::new(case).map_err(|e| e.to_string())?;
    let weights = program.weights(5);
    let wanted: Vec<bool> = case.inputs.iter().map(|i| i.wanted).collect();
    let build = move |g: &Trace, x: &[Tensor]| {
        let results = program.results(g, x);
        let of = |(y, w): (&Tensor, &Array)| {
            let z = y * &g.constant(w.clone());
            (&z + &z.square().mul_scalar(0.2)).sum(&[], false)
        };
        let loss = (results.iter().zip(&weights).map(of)).reduce(|a, b| &a + &b);
        let by: Vec<&Tensor> = (x.iter().zip(&wanted))
            .filter(|p| *p.1)
            .map(|p| p.0)
            .collect();
        let gradients = loss.map(|loss| g.gradients(&loss, &by));
        gradients.into_iter().flatten().flatten().collect()
    };
    let mut derived = Case::many("", case.inputs.clone(), build);
    derived.name = format!("gradient of {}", case.name);
    derived.many = case.many;
    Ok(derived)
}

fn elements(case: &Case) -> usize {
    let of = |i: &crate::cases::Input| i.shape.iter().product::<usize>();
    case.inputs.iter().map(of).sum()
}

#[test]
fn second_gradients_match_differences() {
    let mut session = cpu().open(&Params::new(3)).unwrap();
    let faults = Faults::default();
    let mut count = 0;
    for case in table()
        .into_iter()
        .filter(|c| c.smooth && elements(c) <= LARGEST)
    {
        count += 1;
        if let Err(why) = gradients_of(&case).and_then(|case| check(&mut session, &case, RTOL)) {
            faults.add(format!("{}: {why}", case.name));
        }
    }
    assert!(count > 100, "{count} cases");
    faults.end();
}

/// On every device the same, of those that are gradients of kernels by plain operators.
#[test]
fn second_gradients_on_devices() {
    let of = |name: &str| {
        ["attention", "recurrence"]
            .iter()
            .any(|n| name.starts_with(n))
    };
    let cases: Vec<Case> = table()
        .into_iter()
        .filter(|c| of(&c.name) && elements(c) <= LARGEST_ON_DEVICES)
        .map(|case| gradients_of(&case).unwrap())
        .collect();
    assert!(cases.len() > 10, "{} cases", cases.len());
    let mut reference = cpu().open(&Params::new(3)).unwrap();
    for pass in [gpu(), gpu_hardware_kernels()] {
        let Some(mut session) = pass.open(&Params::new(3)) else {
            continue;
        };
        for case in &cases {
            let inputs = case.values(2);
            let [got, want] = [&mut session, &mut reference]
                .map(|session| run(session, case, &inputs, 2).unwrap());
            assert_eq!(near(&got, &want), Ok(()), "{}: {}", pass.name, case.name);
        }
    }
}
