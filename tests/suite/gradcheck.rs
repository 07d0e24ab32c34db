//! Gradients against finite differences, in the middle of a graph: what the operator takes is computed, what it gives
//! goes on through a curve, with coefficients that are neither equal nor 1.

use crate::cases::{Case, table};
use crate::common::cpu;
use crate::run::{Faults, Program};
use wgrad::rng::Rng;
use wgrad::{Array, DType, Mode, Params, Session, Tensor, TensorType, Trace};

/// Each input is this times what is differentiated.
const SCALE: f32 = 0.8;
/// The weighted result `z` counts as `OUTER (z + CURVE z^2)`.
const OUTER: f64 = 1.7;
const CURVE: f64 = 0.3;
/// Step of the differences.
const STEP: f32 = 1e-2;
/// Elements of an input that are tried, or directions.
const TRIED: usize = 16;
/// Differences of second order miss by the third derivative times the squared step, and by rounding over the step.
const RTOL: f64 = 4e-3;

/// The derivative that a graph computes, of every wanted input.
fn graph(program: &Program, wanted: &[bool], g: &Trace, a: &[Tensor]) -> Vec<Tensor> {
    let (raw, weights) = a.split_at(program.types.len());
    let inputs: Vec<Tensor> = raw
        .iter()
        .zip(wanted)
        .map(|(x, w)| if *w { x.mul_scalar(SCALE) } else { x.clone() })
        .collect();
    let mut results = program.results(g, &inputs);
    let z = |(r, w): (&Tensor, &Tensor)| {
        let z = r * w;
        (&z + &z.square().mul_scalar(CURVE as f32)).sum(&[], false)
    };
    let sums = results.iter().zip(weights).map(z);
    if let Some(sum) = sums.reduce(|a, b| &a + &b) {
        let by: Vec<&Tensor> = (raw.iter().zip(wanted).filter(|p| *p.1))
            .map(|p| p.0)
            .collect();
        let gradients = g.gradients(&sum.mul_scalar(OUTER as f32), &by);
        results.extend(gradients.into_iter().flatten());
    }
    results
}

/// Whether the gradients of `case` are those of differences, but for `rtol` and for rounding.
pub fn check(session: &mut Session, case: &Case, rtol: f64) -> Result<(), String> {
    let text = |e: wgrad::Error| e.to_string();
    let program = Program::new(case).map_err(text)?;
    if program.outputs.iter().any(|t| t.dtype != DType::F32) {
        return Err("gives no floats: mark the row rough".to_owned());
    }
    let wanted: Vec<bool> = case.inputs.iter().map(|i| i.wanted).collect();
    let mut arguments: Vec<Array> = case.values(2);
    for (a, _) in arguments.iter_mut().zip(&wanted).filter(|p| *p.1) {
        *a = moved(a, |_, x| x / SCALE);
    }
    let weights = program.weights(2);
    let count = arguments.len();
    arguments.extend(weights.iter().cloned());
    let types: Vec<TensorType> = program.arguments();
    let mut f = session
        .compile(Mode::Train, &types, |g, a| graph(&program, &wanted, g, a))
        .map_err(text)?;
    let mut run = |arguments: &[Array]| {
        session.set_counts(0, 0);
        let arguments: Vec<&Array> = arguments.iter().collect();
        session.run(&mut f, &arguments).map_err(text)
    };
    let all = run(&arguments)?;
    let gradients = &all[program.outputs.len()..];
    let of: Vec<usize> = (0..count).filter(|&i| wanted[i]).collect();
    if gradients.len() != of.len() {
        return Err("an input has no gradient".to_owned());
    }
    let mut rng = Rng::new(4, &case.name);
    for (&input, gradient) in of.iter().zip(gradients) {
        let computed = gradient.to_f32();
        let n = computed.len();
        for k in 0..n.min(TRIED) {
            let direction = match case.many {
                true => along(&mut rng, k, &arguments[input].to_f32()),
                false if n <= TRIED => vec![(k, 1.0)],
                false => vec![(rng.below(n as u32) as usize, 1.0)],
            };
            let mut loss = |step: f32| -> Result<(Vec<Array>, f64), String> {
                let mut arguments = arguments.clone();
                let before = arguments[input].to_f32();
                let mut after = before.clone();
                direction.iter().for_each(|(i, d)| after[*i] += step * d);
                // How far it went along the direction, after rounding.
                let each = direction
                    .iter()
                    .map(|(i, d)| f64::from(*d) * (f64::from(after[*i]) - f64::from(before[*i])));
                let length = direction
                    .iter()
                    .map(|d| f64::from(d.1).powi(2))
                    .sum::<f64>();
                let span = each.sum::<f64>() / length;
                arguments[input] = Array::new(arguments[input].shape().clone(), after).unwrap();
                Ok((run(&arguments)?, span))
            };
            let ((up, there), (down, back)) = (loss(STEP)?, loss(-STEP)?);
            let span = there - back;
            let (mut want, mut noise) = (0.0, 0.0);
            for r in 0..weights.len() {
                let (d, n) = difference(&up[r], &down[r], &weights[r]);
                want += d / span;
                noise += n / (span * span);
            }
            let parts = direction
                .iter()
                .map(|(i, d)| f64::from(*d) * f64::from(computed[*i]));
            let got = parts.clone().sum::<f64>();
            let largest = match case.many {
                true => parts.map(|p| p * p).sum::<f64>().sqrt(),
                false => computed.iter().fold(0.0, |m, x| f64::from(x.abs()).max(m)),
            };
            let bound = rtol * want.abs() + 5e-4 * largest + 1e-4 + 4.0 * noise.sqrt();
            let off = (got - want).abs();
            if off > bound || off.is_nan() {
                return Err(format!(
                    "input {input}, {} elements from {}: gradient {got}, by differences {want}",
                    direction.len(),
                    direction[0].0
                ));
            }
        }
    }
    session.forget(f);
    Ok(())
}

/// The `k`-th direction in which an input of many elements is moved: a part of it, with signs drawn by chance, or all by
/// the same, or each by itself.
fn along(rng: &mut Rng, k: usize, values: &[f32]) -> Vec<(usize, f32)> {
    let n = values.len();
    let first = rng.below(n as u32) as usize;
    let count = (n >> (k / 3 % 4)).max(1);
    let each = (0..count).map(|i| (first + i) % n);
    let directions = each.map(|i| match k % 3 {
        0 => (i, if rng.below(2) == 0 { 1.0 } else { -1.0 }),
        1 => (i, 1.0),
        _ => (i, values[i]),
    });
    directions.collect()
}

/// The difference of the loss, summed in f64 over differences: what did not change cancels exactly; and the square of
/// what rounding of the results that did change makes of it.
fn difference(up: &Array, down: &Array, weights: &Array) -> (f64, f64) {
    let value = |z: f64| OUTER * (z + CURVE * z * z);
    let slope = |z: f64| OUTER * (1.0 + 2.0 * CURVE * z);
    let (up, down) = (up.to_f32(), down.to_f32());
    let each = up.iter().zip(&down).zip(weights.to_f32());
    let changed = each.filter(|((u, d), _)| u != d);
    changed.fold((0.0, 0.0), |(sum, noise), ((u, d), w)| {
        let (u, d, w) = (f64::from(*u), f64::from(*d), f64::from(w));
        let rounding = slope(u * w) * w * u * f64::from(f32::EPSILON);
        (
            sum + value(u * w) - value(d * w),
            noise + rounding * rounding,
        )
    })
}

fn moved(a: &Array, f: impl Fn(usize, f32) -> f32) -> Array {
    let values = a.to_f32().into_iter().enumerate();
    Array::new(
        a.shape().clone(),
        values.map(|(i, x)| f(i, x)).collect::<Vec<_>>(),
    )
    .unwrap()
}

#[test]
fn gradients_match_differences() {
    let mut session = cpu().open(&Params::new(3)).unwrap();
    let faults = Faults::default();
    for case in table().into_iter().filter(|c| c.smooth || c.many) {
        if let Err(why) = check(&mut session, &case, RTOL) {
            faults.add(format!("{}: {why}", case.name));
        }
    }
    faults.end();
}
