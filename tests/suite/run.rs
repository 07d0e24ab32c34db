//! A case on a session: its results, and gradients of a weighted sum of them.

use crate::cases::{Build, Case};
use std::sync::Mutex;
use wgrad::rng::Rng;
use wgrad::{Array, Mode, Result, Session, Tensor, TensorType, Trace};

/// A case as a function of its inputs and of a weight for each element of each `f32` result.
pub struct Program {
    build: Build,
    wanted: Vec<bool>,
    /// Types of the case's inputs.
    pub types: Vec<TensorType>,
    /// Types of its results.
    pub outputs: Vec<TensorType>,
}

impl Program {
    /// The program of `case`; its results' types are found by tracing it.
    ///
    /// # Errors
    /// A misuse.
    pub fn new(case: &Case) -> Result<Self> {
        let trace = Trace::new(&wgrad::Params::new(0), true);
        let types = case.types();
        let inputs: Vec<Tensor> = types.iter().map(|t| trace.input(t.clone())).collect();
        let outputs = (case.build)(&trace, &inputs);
        let results = outputs.iter().map(|t| t.ty().clone()).collect();
        drop(inputs);
        trace.finish(&outputs)?;
        Ok(Self {
            build: case.build.clone(),
            wanted: case.inputs.iter().map(|i| i.wanted).collect(),
            types,
            outputs: results,
        })
    }

    /// Types of the inputs, then of the weights.
    pub fn arguments(&self) -> Vec<TensorType> {
        let weights = self.outputs.iter().filter(|t| t.dtype.is_float());
        self.types.iter().chain(weights).cloned().collect()
    }

    /// Weights of the results, between -1 and 1.
    pub fn weights(&self, seed: u64) -> Vec<Array> {
        let mut rng = Rng::new(seed, "weights");
        let mut of = |t: &TensorType| {
            let values: Vec<f32> = (0..t.numel()).map(|_| rng.uniform() * 2.0 - 1.0).collect();
            Array::new(t.shape.clone(), values).unwrap()
        };
        let float = self.outputs.iter().filter(|t| t.dtype.is_float());
        float.map(&mut of).collect()
    }

    /// Trace the results alone.
    pub fn results(&self, g: &Trace, inputs: &[Tensor]) -> Vec<Tensor> {
        (self.build)(g, inputs)
    }

    /// Trace the results, then the gradients of their weighted sum by each wanted input.
    pub fn trace(&self, g: &Trace, arguments: &[Tensor]) -> Vec<Tensor> {
        let (inputs, weights) = arguments.split_at(self.types.len());
        let mut results = (self.build)(g, inputs);
        let float: Vec<&Tensor> = results.iter().filter(|r| r.dtype().is_float()).collect();
        let sums = float
            .iter()
            .zip(weights)
            .map(|(r, w)| (*r * w).sum(&[], false));
        let wanted: Vec<&Tensor> = (inputs.iter().zip(&self.wanted).filter(|p| *p.1))
            .map(|p| p.0)
            .collect();
        if let (Some(loss), false) = (sums.reduce(|a, b| &a + &b), wanted.is_empty()) {
            let gradients = g.gradients(&loss, &wanted);
            results.extend(gradients.into_iter().flatten());
        }
        results
    }
}

/// Results and gradients of `case` for `inputs`.
///
/// # Errors
/// A misuse; the device's failures.
pub fn run(session: &mut Session, case: &Case, inputs: &[Array], seed: u64) -> Result<Vec<Array>> {
    let program = Program::new(case)?;
    let types = program.arguments();
    let weights = program.weights(seed);
    session.set_counts(0, 0);
    let mut f = session.compile(Mode::Train, &types, |g, a| program.trace(g, a))?;
    let arguments: Vec<&Array> = inputs.iter().chain(&weights).collect();
    let results = session.run(&mut f, &arguments);
    session.forget(f);
    results
}

/// Faults that a test collects before it fails.
#[derive(Default)]
pub struct Faults(Mutex<Vec<String>>);

impl Faults {
    /// Keep one.
    pub fn add(&self, fault: String) {
        self.0.lock().unwrap().push(fault);
    }

    /// Fail with all of them, if there is one.
    #[track_caller]
    pub fn end(self) {
        let faults = self.0.into_inner().unwrap();
        assert!(
            faults.is_empty(),
            "{} faults:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }
}
