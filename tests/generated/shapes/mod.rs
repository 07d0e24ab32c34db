//! Random shapes of every operator with shapes: both devices against each other, results and gradients, and those that the
//! rest is built of against plain loops in f64.
//!
//! A draw that fails is told with its seed and the name of its case (see `common/draws.rs`).

mod index;
mod layers;
mod long;
mod product;
mod rows;
mod window;

use crate::cases::{Case, Input};
use crate::common::{cpu, gpu, gpu_hardware_kernels, worst};
use crate::draws::{between, chance, draws};
use crate::run::{Program, run};
use wgrad::rng::Rng;
use wgrad::{Array, Params, Session, Tensor};

/// A case, and what it is to give, where that is known.
pub struct Draw {
    pub case: Case,
    pub reference: Option<Reference>,
}

/// Called with the index in the result, a factor, and the elements (input, index) that are multiplied with it.
pub type Term<'a> = &'a mut dyn FnMut(usize, f64, &[(usize, usize)]);

/// Pairs of elements of the result and of the first input.
pub type Pairs = Box<dyn Fn(&mut dyn FnMut(usize, usize))>;

/// A name and a function of a tensor and a dimension.
type Along = (&'static str, fn(&Tensor, isize) -> Tensor);

/// What the first result of a case is, element by element.
pub enum Reference {
    /// A sum of terms.
    Terms(Box<dyn Fn(Term)>),
    /// The largest of elements of the first input (the smallest, for -1), all of which differ.
    Most(f64, Pairs),
}

impl From<Case> for Draw {
    fn from(case: Case) -> Self {
        Self {
            case,
            reference: None,
        }
    }
}

/// Check `many` draws on the CPU, on a GPU, and with the kernels for hardware.
fn sweep(name: &str, many: u64, draw: impl Fn(&mut Rng) -> Draw) {
    let params = Params::new(3);
    let mut reference = cpu().open(&params).unwrap();
    let passes = [gpu(), gpu_hardware_kernels()];
    let open = |pass: &crate::common::Pass| Some((pass.name, pass.open(&params)?));
    let mut sessions: Vec<(&str, Session)> = passes.iter().filter_map(open).collect();
    draws(name, many, |rng| {
        let draw = draw(rng);
        let seed = u64::from(rng.word());
        let inputs = draw.case.values(seed);
        let name = &draw.case.name;
        let want = run(&mut reference, &draw.case, &inputs, seed);
        let want = want.unwrap_or_else(|e| panic!("{name} on the CPU: {e}"));
        if let Some(of) = &draw.reference {
            let expected = of.of(&draw.case, &inputs, seed, &want);
            compare(name, "the CPU", &want, &expected);
        }
        // The kernels for hardware differ in fewer operators.
        let among = if chance(rng, 40) { 0..2 } else { 0..1 };
        for (device, session) in sessions.get_mut(among).unwrap_or_default() {
            let got = run(session, &draw.case, &inputs, seed);
            let got = got.unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
            compare(name, device, &got, &want);
        }
    });
}

/// The bound of the conformance cases.
fn compare(name: &str, device: &str, got: &[Array], want: &[Array]) {
    assert_eq!(got.len(), want.len(), "{name} on {device}");
    for (k, (got, want)) in got.iter().zip(want).enumerate() {
        let worst = worst(got, want, 1e-4, 1e-5);
        let worst = worst.unwrap_or_else(|e| panic!("{name} on {device}, result {k}: {e}"));
        if let Some(w) = worst.filter(|w| w.excess > 1.0) {
            panic!("{name} on {device}, result {k}: {w:?}");
        }
    }
}

impl Reference {
    /// The result and the gradients, in the shapes of `like`, which are the case's own.
    fn of(&self, case: &Case, inputs: &[Array], seed: u64, like: &[Array]) -> Vec<Array> {
        let weights = Program::new(case).unwrap().weights(seed);
        let values = |a: &Array| a.to_f32().into_iter().map(f64::from).collect::<Vec<_>>();
        let x: Vec<Vec<f64>> = inputs.iter().map(values).collect();
        let up = values(&weights[0]);
        let mut y = vec![0.0; up.len()];
        let mut grads: Vec<Vec<f64>> = x.iter().map(|x| vec![0.0; x.len()]).collect();
        match self {
            Self::Terms(terms) => terms(&mut |at, factor, of| {
                let value = |skip: usize| -> f64 {
                    let others = of.iter().enumerate().filter(|(k, _)| *k != skip);
                    others.map(|(_, &(input, i))| x[input][i]).product()
                };
                y[at] += factor * value(of.len());
                for (k, &(input, i)) in of.iter().enumerate() {
                    grads[input][i] += factor * up[at] * value(k);
                }
            }),
            Self::Most(sign, pairs) => {
                let mut best: Vec<Option<usize>> = vec![None; y.len()];
                pairs(&mut |at, i| {
                    let larger = |b: usize| sign * x[0][i] > sign * x[0][b];
                    if best[at].is_none_or(larger) {
                        best[at] = Some(i);
                    }
                });
                for (at, best) in best.into_iter().enumerate() {
                    y[at] = best.map_or(-sign * f64::INFINITY, |i| x[0][i]);
                    if let Some(i) = best {
                        grads[0][i] += up[at];
                    }
                }
            }
        }
        let wanted = (case.inputs.iter().zip(grads)).filter(|(i, _)| i.wanted);
        let all = std::iter::once(y).chain(wanted.map(|(_, g)| g));
        let array = |(of, values): (&Array, Vec<f64>)| {
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            Array::new(of.shape(), values).unwrap()
        };
        like.iter().zip(all).map(array).collect()
    }
}

/// A size: mostly a few, now and then up to `most`.
fn size(rng: &mut Rng, most: usize) -> usize {
    match rng.below(10) {
        0..6 => between(rng, 1, most.min(8)),
        6..9 => between(rng, 1, most.min(70)),
        _ => between(rng, 1, most),
    }
}

/// A shape of `rank` dimensions and at most `most` elements, empty dimensions counted as 1.
fn shape(rng: &mut Rng, rank: usize, most: usize) -> Vec<usize> {
    loop {
        let empty = chance(rng, 4);
        let dim = |rng: &mut Rng| match empty && chance(rng, 40) {
            true => 0,
            false => size(rng, most),
        };
        let shape: Vec<usize> = (0..rank).map(|_| dim(rng)).collect();
        if shape.iter().map(|n| (*n).max(1)).product::<usize>() <= most {
            return shape;
        }
    }
}

/// The row-major coordinates of `i` in `shape`.
fn coordinates(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        (at[d], i) = (i % shape[d], i / shape[d]);
    }
    at
}

/// The row-major index of `at` in `shape`.
fn index(at: &[usize], shape: &[usize]) -> usize {
    at.iter().zip(shape).fold(0, |i, (a, n)| i * n + a)
}

/// Inputs of these shapes.
fn inputs(shapes: &[&[usize]]) -> Vec<Input> {
    shapes.iter().map(|s| Input::new(s)).collect()
}
