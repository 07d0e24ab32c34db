//! Random models, trained for a few steps as PyTorch trained them: the cases in `tests/fixtures/models`, which
//! `tests/interop/make_models.py` writes.
//!
//! `WGRAD_MODELS=DIR` runs another folder of that script's.

mod layers;

use crate::common::{Pass, cpu, gpu, say, worst};
use layers::{Layers, kinds_of};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use wgrad::nn::Reduction;
use wgrad::optim::{Adam, Optimizer, RmsProp, Sgd};
use wgrad::weights::Reader;
use wgrad::{Array, Mode, Params, Tensor, TensorType};

/// The bounds of `tests/conformance/README.md` for training.
const RTOL: f64 = 1e-3;
const ATOL: f64 = 1e-4;

/// A file.
struct Case {
    name: String,
    /// What the model is and how it is trained.
    model: Value,
    tensors: Vec<(String, Array)>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let file = Reader::open(path).unwrap();
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            model: serde_json::from_str(&file.metadata()["model"]).unwrap(),
            tensors: file.read_all().unwrap().into_iter().collect(),
        }
    }

    fn get(&self, name: &str) -> &Array {
        let found = self.tensors.iter().find(|t| t.0 == name);
        &found
            .unwrap_or_else(|| panic!("{}: no {name}", self.name))
            .1
    }

    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Array)> {
        let tensors = self.tensors.iter();
        tensors.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }

    fn batch(&self, step: usize) -> [&Array; 2] {
        ["input", "target"].map(|part| self.get(&format!("batch.{step}.{part}")))
    }

    fn loss(&self, y: &Tensor, target: &Tensor) -> Tensor {
        match self.model["loss"].as_str().unwrap() {
            "cross_entropy" => y.cross_entropy(target),
            "mse_loss" => y.mse_loss(target, Reduction::Mean),
            "smooth_l1_loss" => y.smooth_l1_loss(target, 1.0, Reduction::Mean),
            "binary_cross_entropy_with_logits" => {
                y.binary_cross_entropy_with_logits(target, Reduction::Mean)
            }
            other => panic!("no loss {other}"),
        }
    }

    fn optimizer(&self) -> Box<dyn Optimizer + Sync> {
        let of = &self.model["optimizer"];
        let number = |key: &str, default: f32| of[key].as_f64().map_or(default, |x| x as f32);
        let lr = of["lr"].as_f64().unwrap();
        match of["op"].as_str().unwrap() {
            "SGD" => Box::new(Sgd {
                momentum: number("momentum", 0.0),
                nesterov: of["nesterov"] == true,
                weight_decay: number("weight_decay", 0.0),
                ..Sgd::new(lr)
            }),
            "Adam" => Box::new(Adam {
                eps: number("eps", 1e-8),
                ..Adam::new(lr)
            }),
            "AdamW" => Box::new(Adam {
                eps: number("eps", 1e-8),
                weight_decay: number("weight_decay", 0.01),
                ..Adam::adamw(lr)
            }),
            "RMSprop" => Box::new(RmsProp {
                eps: number("eps", 1e-8),
                ..RmsProp::new(lr)
            }),
            other => panic!("no optimizer {other}"),
        }
    }

    /// What differs from PyTorch's numbers.
    fn run(&self, pass: &Pass) -> wgrad::Result<Vec<String>> {
        let params = Params::new(0);
        let net = Layers::default().build(&self.model["net"], &params, "");
        if let Some(frozen) = self.model["freeze"].as_str() {
            params.at(frozen).set_trainable(false);
        }
        let Some(mut session) = pass.open(&params) else {
            return Ok(Vec::new());
        };
        for (name, value) in self.below("param.") {
            session.set(name, value)?;
        }
        let types = self.batch(0).map(TensorType::of);
        let trained = self.model["mode"] == "train";
        let optimizer = self.optimizer();
        let grads: Vec<(&str, &Array)> = self.below("grad.param.").collect();
        assert_eq!(grads.is_empty(), trained, "{}", self.name);
        let mode = if trained { Mode::Train } else { Mode::Eval };
        let mut step = session.compile(mode, &types, |g, a| {
            let loss = self.loss(&net.forward(&a[0]), &a[1]);
            g.minimize(&loss, optimizer.as_ref());
            let states = grads.iter().filter_map(|(name, _)| params.get(name));
            let by: Vec<Tensor> = states
                .map(|s| g.state(s.range, TensorType::f32(s.shape.clone())))
                .collect();
            let gradients = g.gradients(&loss, &by.iter().collect::<Vec<_>>());
            let gradients = gradients.into_iter().flatten();
            std::iter::once(loss).chain(gradients).collect()
        })?;
        let mut faults = Vec::new();
        let mut compare = |name: &str, got: &Array, want: &Array| {
            match worst(got, want, RTOL, ATOL) {
                Ok(Some(w)) if w.excess > 1.0 => faults.push(format!(
                    "{name}[{}]: got {}, want {}, {:.1} of the bound",
                    w.at, w.got, w.want, w.excess
                )),
                Ok(_) => {}
                Err(why) => faults.push(format!("{name}: {why}")),
            };
        };
        let want = self.get("losses");
        let mut losses = Vec::new();
        for s in 0..want.numel() {
            let results = session.run(&mut step, &self.batch(s))?;
            losses.push(results[0].item());
            assert_eq!(results.len(), 1 + grads.len(), "{}", self.name);
            if s == 0 {
                for ((name, want), got) in grads.iter().zip(&results[1..]) {
                    compare(&format!("gradient of {name}"), got, want);
                }
            }
        }
        compare("losses", &Array::vector(losses), want);
        for (name, want) in self.below("after.") {
            compare(name, &session.get(name)?, want);
        }
        let x = self.batch(0)[0];
        let mut answer =
            session.compile(Mode::Eval, &types[..1], |_, a| vec![net.forward(&a[0])])?;
        let got = session.run(&mut answer, &[x])?;
        compare("the answer", &got[0], self.get("eval.output"));
        Ok(faults)
    }
}

fn cases() -> (Vec<Case>, bool) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    let chosen = std::env::var_os("WGRAD_MODELS").filter(|d| !d.is_empty());
    let stored = chosen.is_none();
    let folder = chosen.map_or(own, PathBuf::from);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?}: no models");
    (paths.iter().map(|p| Case::read(p)).collect(), stored)
}

/// On the CPU and the GPU, each a thread.
#[test]
fn models_train_as_in_pytorch() {
    let (cases, _) = cases();
    say(&format!("models: {}\n", cases.len()));
    let cases = &cases;
    let faults: Vec<String> = std::thread::scope(|scope| {
        let run = |pass: Pass| {
            scope.spawn(move || -> Vec<String> {
                let each = |case: &Case| {
                    let found = case.run(&pass).unwrap_or_else(|e| vec![e.to_string()]);
                    let (name, text) = (pass.name, found.join("\n    "));
                    (!found.is_empty()).then(|| format!("{name}, {}:\n    {text}", case.name))
                };
                cases.iter().filter_map(each).collect()
            })
        };
        let running = [cpu(), gpu()].map(run);
        running
            .into_iter()
            .flat_map(|r| r.join().unwrap())
            .collect()
    });
    assert!(
        faults.is_empty(),
        "{} models differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// The stored models have each kind of layer.
#[test]
fn models_have_every_layer() {
    let (cases, stored) = cases();
    let found: BTreeSet<String> = (cases.iter())
        .flat_map(|case| kinds_of(&case.model["net"]))
        .collect();
    let known: BTreeSet<String> = layers::KINDS.iter().map(|k| k.to_string()).collect();
    let missing: Vec<&String> = known.difference(&found).collect();
    assert!(!stored || missing.is_empty(), "no model has {missing:?}");
    let unknown: Vec<&String> = found.difference(&known).collect();
    assert!(unknown.is_empty(), "models have {unknown:?}");
}
