//! Functions and layers: one call, its gradients, what it leaves behind.

use super::{Build, Case, Outcome, functions, layers};
use wgrad::error::Site;
use wgrad::{Array, Mode, Result, Session, Tensor, TensorType, Trace};

/// What is computed, and of what.
struct Program<'a> {
    build: Build,
    arguments: Vec<(String, &'a Array)>,
    /// Parameters of a layer: name and path.
    parameters: Vec<(String, String)>,
}

/// Run `case`; a layer's parameters get the case's name before their own.
pub fn run(session: &mut Session, case: &Case) -> Outcome {
    let is_input = |(n, array)| (format!("input.{n}"), array);
    let mut arguments: Vec<_> = case
        .numbered("input")
        .into_iter()
        .enumerate()
        .map(is_input)
        .collect();
    let mut parameters = Vec::new();
    let build = if case.op.starts_with("nn.") {
        let params = session.params().at(&case.name);
        let Some(build) = layers::find(case, &params) else {
            return Outcome::Missing;
        };
        let mut faults = Vec::new();
        for state in params.list() {
            let name = state.path[case.name.len() + 1..].to_owned();
            match case.get(&format!("param.{name}")) {
                Some(value) => {
                    if let Err(error) = session.set(&state.path, value) {
                        faults.push(error.to_string());
                    }
                    parameters.push((name, state.path.to_string()));
                }
                None => faults.push(format!("{name}: a parameter that PyTorch's layer has not")),
            }
        }
        for (name, _) in case.below("param.") {
            if parameters.iter().all(|p| p.0 != name) {
                faults.push(format!("{name}: a parameter that the layer has not"));
            }
        }
        if !faults.is_empty() {
            return faults.into();
        }
        build
    } else {
        let Some(build) = functions::find(case) else {
            return Outcome::Missing;
        };
        let known = ["param.weight", "param.bias"].map(|n| Some((n.to_owned(), case.get(n)?)));
        arguments.extend(known.into_iter().flatten());
        build
    };
    let program = Program {
        build,
        arguments,
        parameters,
    };
    program.run(session, case).unwrap_or_else(Outcome::from)
}

impl Program<'_> {
    fn run(&self, session: &mut Session, case: &Case) -> Result<Outcome> {
        let seeds: Vec<(usize, &Array)> = (0..case.numbered("output").len())
            .filter_map(|n| Some((n, case.get(&format!("grad_output.{n}"))?)))
            .collect();
        let arrays = self
            .arguments
            .iter()
            .map(|a| a.1)
            .chain(seeds.iter().map(|s| s.1));
        let arrays: Vec<&Array> = arrays.collect();
        let types: Vec<TensorType> = arrays.iter().map(|a| TensorType::of(a)).collect();
        let mode = if case.flag("training", true) {
            Mode::Train
        } else {
            Mode::Eval
        };
        let outputs = case.numbered("output").len();
        let of_arguments = self.arguments.iter().map(|a| &a.0);
        let of_parameters = self.parameters.iter().map(|p| format!("param.{}", p.0));
        let differentiated: Vec<String> = of_arguments.cloned().chain(of_parameters).collect();
        let wanted: Vec<bool> = differentiated
            .iter()
            .map(|name| case.get(&format!("grad.{name}")).is_some())
            .collect();
        let mut f = session.compile(mode, &types, |g, a| {
            self.trace(g, a, &seeds, &wanted, outputs)
        })?;
        let results = session.run(&mut f, &arrays);
        session.forget(f);
        let results = results?;
        let names = (0..outputs).map(|n| format!("output.{n}"));
        let gradients = differentiated
            .iter()
            .zip(&wanted)
            .filter(|p| *p.1)
            .map(|p| format!("grad.{}", p.0));
        let names: Vec<String> = names.chain(gradients).collect();
        let mut faults: Vec<String> = names
            .iter()
            .zip(&results)
            .filter_map(|(n, r)| case.compare(n, r))
            .collect();
        if results.len() != names.len() {
            faults.push(format!(
                "{} results and gradients, want {}",
                results.len(),
                names.len()
            ));
        }
        for (name, _) in case.below("after.") {
            let got = session.get(&format!("{}.{name}", case.name))?;
            faults.extend(case.compare(&format!("after.{name}"), &got));
        }
        Ok(faults.into())
    }

    fn trace(
        &self,
        g: &Trace,
        a: &[Tensor],
        seeds: &[(usize, &Array)],
        wanted: &[bool],
        outputs: usize,
    ) -> Vec<Tensor> {
        let (arguments, grads) = a.split_at(self.arguments.len());
        let mut results = (self.build)(g, arguments);
        if results.len() != outputs {
            let message = format!("{} results, want {outputs}", results.len());
            return vec![g.misuse("the case", message, Site::here())];
        }
        let term =
            |((n, _), grad): (&(usize, &Array), &Tensor)| (&results[*n] * grad).sum(&[], false);
        let Some(loss) = seeds.iter().zip(grads).map(term).reduce(|a, b| &a + &b) else {
            return results;
        };
        let parameters = self.parameters.iter().filter_map(|(_, path)| {
            let state = g.params().get(path)?;
            Some(g.state(state.range, TensorType::new(state.shape, state.dtype)))
        });
        let all: Vec<Tensor> = arguments.iter().cloned().chain(parameters).collect();
        let by: Vec<&Tensor> = all
            .iter()
            .zip(wanted)
            .filter(|p| *p.1)
            .map(|p| p.0)
            .collect();
        results.extend(g.gradients(&loss, &by).into_iter().flatten());
        results
    }
}
