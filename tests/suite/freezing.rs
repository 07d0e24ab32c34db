//! Freezing, thawing, and loading what fits of a checkpoint.

use crate::common::{Pass, cpu, gpu};
use wgrad::nn::{Linear, Module};
use wgrad::ops::reduction::Reduction;
use wgrad::optim::{Adam, MinimizeOptions};
use wgrad::{Array, Function, Mode, Params, Session, TensorType};

struct Net([Linear; 3]);

impl Net {
    fn new(p: &Params) -> Self {
        let layer = |k: usize| Linear::new(40, 40).build(&p.at(format!("layers.{k}")));
        Self([layer(0), layer(1), layer(2)])
    }

    fn step(&self, session: &mut Session) -> Function<'_> {
        let types = [TensorType::f32([4, 40])];
        let options = MinimizeOptions {
            ema: Some(0.5),
            ..Default::default()
        };
        let step = session.compile(Mode::Train, &types, move |g, a| {
            let [first, second, third] = &self.0;
            let y = third.forward(&second.forward(&first.forward(&a[0]).tanh()).tanh());
            let loss = y.mse_loss(&g.scalar(1.0), Reduction::Mean);
            g.minimize_with(&loss, &Adam::new(0.01), &options);
            vec![loss]
        });
        step.unwrap()
    }
}

fn batch() -> Array {
    let x: Vec<f32> = (0..160).map(|i| (i as f32 * 0.37).sin()).collect();
    Array::new([4, 40], x).unwrap()
}

fn values(session: &mut Session) -> Vec<(String, Vec<f32>)> {
    let states = session.params().all();
    let values = session.get_all(&states).unwrap();
    let paths = states.iter().map(|s| s.path.to_string());
    let mut all: Vec<_> = paths.zip(values.iter().map(Array::to_f32)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn slots(session: &Session) -> Vec<String> {
    let mut paths: Vec<String> = session
        .params()
        .all()
        .iter()
        .map(|s| s.path.to_string())
        .filter(|p| p.contains('/'))
        .collect();
    paths.sort();
    paths
}

#[test]
fn a_frozen_parameter_costs_nothing() {
    for pass in [cpu(), gpu()] {
        let params = Params::new(1);
        let net = Net::new(&params);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let mut f = net.step(&mut session);
        session.run(&mut f, &[&batch()]).unwrap();
        let (whole, memory) = (f.plan().unwrap().steps.len(), session.memory());
        let frozen = session.get("layers.0.weight").unwrap();

        assert_eq!(params.freeze("layers.{0,1}").unwrap(), 4);
        session.run(&mut f, &[&batch()]).unwrap();
        let (part, less) = (f.plan().unwrap().steps.len(), session.memory());
        // Two weight gradients, two of biases, two of inputs are gone.
        assert!(part + 5 <= whole, "{part} steps, {whole} before");
        assert_eq!(session.get("layers.0.weight").unwrap(), frozen);
        assert_eq!(3 * less.optimizer, memory.optimizer);
        let gone = |p: &String| p.contains("layers.0") || p.contains("layers.1");
        assert!(!slots(&session).iter().any(gone), "{:?}", slots(&session));

        // The plan is that of a model which was frozen from the start.
        let params = Params::new(1);
        let net = Net::new(&params);
        params.freeze("layers.0").unwrap();
        params.freeze("layers.1").unwrap();
        let mut other = pass.open(&params).unwrap();
        let g = net.step(&mut other);
        assert_eq!(g.plan().unwrap().to_string(), f.plan().unwrap().to_string());
        assert_eq!(other.predicted_memory(&g), other.memory());
        assert_eq!(other.memory().optimizer, less.optimizer);
        assert_eq!(session.predicted_memory(&f).optimizer, less.optimizer);
    }
}

/// Freezing and thawing without a step between them changes nothing, and what the optimizer keeps is carried over.
#[test]
fn slots_are_carried_over_by_path() {
    for pass in [cpu(), gpu()] {
        let run = |freeze: bool| {
            let params = Params::new(1);
            let net = Net::new(&params);
            let mut session = pass.open(&params)?;
            let mut f = net.step(&mut session);
            for k in 0..6 {
                if freeze && k == 2 {
                    params.freeze("*.bias").unwrap();
                    params.thaw("*").unwrap();
                }
                if freeze && k == 4 {
                    // Another training set in between, which makes no step.
                    params.freeze("layers.1.weight").unwrap();
                    let other = net.step(&mut session);
                    session.forget(other);
                    params.thaw("layers.1").unwrap();
                }
                session.run(&mut f, &[&batch()]).unwrap();
            }
            Some(values(&mut session))
        };
        let Some(want) = run(false) else { continue };
        assert_eq!(run(true).unwrap(), want, "{}", pass.name);
    }
}

#[test]
fn thawed_parameters_train_and_others_keep_their_momentum() {
    let params = Params::new(1);
    let net = Net::new(&params);
    params.freeze("layers.0").unwrap();
    let mut session = cpu().open(&params).unwrap();
    let mut f = net.step(&mut session);
    session.run(&mut f, &[&batch()]).unwrap();
    let first = session.get("layers.0.weight").unwrap();
    let momentum = session.get("exp_avg/layers.2.weight").unwrap().to_f32();
    params.thaw("layers.0.weight").unwrap();
    session.run(&mut f, &[&batch()]).unwrap();
    assert_ne!(session.get("layers.0.weight").unwrap(), first);
    let later = session.get("exp_avg/layers.2.weight").unwrap().to_f32();
    // 0.9 of the momentum is still there: a step of Adam from 0 would leave a tenth of the gradient.
    let size = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(size(&later) > 1.5 * size(&momentum));
    // The first update of a parameter that was frozen is the first that its average counts.
    let average = session.get("ema/layers.0.weight").unwrap();
    assert_eq!(average, session.get("layers.0.weight").unwrap());
    let message = params.freeze("layer.0").unwrap_err().to_string();
    assert_eq!(
        message,
        "the pattern 'layer.0' stands for no parameter: there are layers.0.weight, layers.0.bias, \
         layers.1.weight, layers.1.bias, ..."
    );
}

#[test]
fn loading_what_fits() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("w.safetensors");
    let params = Params::new(1);
    let _ = Linear::new(3, 2).build(&params.at("body"));
    let _ = Linear::new(2, 5).build(&params.at("head"));
    let _ = Linear::new(2, 2).build(&params.at("old"));
    cpu().open(&params).unwrap().save(&path).unwrap();
    let params = Params::new(2);
    let _ = Linear::new(3, 2).build(&params.at("body"));
    let _ = Linear::new(2, 7).build(&params.at("head"));
    let _ = Linear::new(2, 2).build(&params.at("new"));
    let mut session = cpu().open(&params).unwrap();
    let before = session.get("head.weight").unwrap();
    let report = session.load_partial(&path).unwrap();
    assert_eq!(
        report.to_string(),
        "loaded 2 of 6\n  skipped, of another shape: head.weight: the model has [7,2], the file [5,2], \
         head.bias: the model has [7], the file [5]\n  left as they were: new.weight, new.bias\n  \
         in the file alone: old.weight, old.bias"
    );
    assert_eq!(report.loaded, ["body.weight", "body.bias"]);
    assert_eq!(session.get("head.weight").unwrap(), before);
    let file = wgrad::weights::Reader::open(&path).unwrap();
    let body = session.get("body.weight").unwrap();
    assert_eq!(file.read("body.weight").unwrap(), body);
    let params = Params::new(0);
    let _ = Linear::new(3, 2).build(&params.at("other"));
    let message = cpu().open(&params).unwrap().load_partial(&path);
    let message = message.unwrap_err().to_string();
    assert!(
        message.contains("nothing in it fits this model"),
        "{message}"
    );
}

/// Eight steps, of which three in the middle leave two layers alone; with `stop`, the session ends in the middle of these
/// and another goes on, in which the layers are frozen before it compiles, or after it has loaded.
fn frozen_for_a_while(pass: &Pass, stop: Option<bool>) -> Option<Vec<(String, Vec<f32>)>> {
    const FROZEN: &str = "layers.{0,1}";
    fn go(session: &mut Session, f: &mut Function, steps: std::ops::Range<usize>) {
        for k in steps {
            match k {
                2 => assert_eq!(session.params().freeze(FROZEN).unwrap(), 4),
                5 => assert_eq!(session.params().thaw(FROZEN).unwrap(), 4),
                _ => {}
            }
            session.run(f, &[&batch()]).unwrap();
        }
    }
    let dir = tempfile::TempDir::new().unwrap();
    let [weights, optimizer] = ["weights", "optimizer"].map(|name| dir.path().join(name));
    let params = Params::new(1);
    let net = Net::new(&params);
    let mut session = pass.open(&params)?;
    let mut f = net.step(&mut session);
    let Some(before) = stop else {
        go(&mut session, &mut f, 0..8);
        return Some(values(&mut session));
    };
    go(&mut session, &mut f, 0..4);
    session.save(&weights).unwrap();
    session.save_optimizer(&optimizer).unwrap();
    let saved = wgrad::weights::Reader::open(&optimizer).unwrap();
    for slot in ["exp_avg", "exp_avg_sq", "ema"] {
        let name = format!("{slot}/layers.0.weight");
        assert!(saved.names().contains(&name), "{name}: {:?}", saved.names());
    }
    // Other initial values, so that only the files can make the bits equal.
    let params = Params::new(2);
    let net = Net::new(&params);
    if before {
        params.freeze(FROZEN).unwrap();
    }
    let mut session = pass.open(&params)?;
    let mut f = net.step(&mut session);
    session.load(&weights).unwrap();
    session.load_optimizer(&optimizer).unwrap();
    params.freeze(FROZEN).unwrap();
    go(&mut session, &mut f, 4..8);
    Some(values(&mut session))
}

#[test]
fn what_frozen_parameters_keep_is_saved() {
    for pass in [cpu(), gpu()] {
        let Some(want) = frozen_for_a_while(&pass, None) else {
            continue;
        };
        for before in [true, false] {
            let got = frozen_for_a_while(&pass, Some(before)).unwrap();
            assert_eq!(
                got, want,
                "{}, frozen before compiling: {before}",
                pass.name
            );
        }
    }
}

/// What a file holds for parameters that there are not is refused, as before.
#[test]
fn slots_of_others_are_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("optimizer");
    let params = Params::new(1);
    let net = Net::new(&params);
    let mut session = cpu().open(&params).unwrap();
    let _f = net.step(&mut session);
    session.save_optimizer(&path).unwrap();
    let params = Params::new(1);
    let fc = Linear::new(40, 40).build(&params.at("layers.2"));
    let mut session = cpu().open(&params).unwrap();
    let types = [TensorType::f32([4, 40])];
    let options = MinimizeOptions {
        ema: Some(0.5),
        ..Default::default()
    };
    let step = session.compile(Mode::Train, &types, |g, a| {
        let loss = fc.forward(&a[0]).square().mean(&[], false);
        g.minimize_with(&loss, &Adam::new(0.01), &options);
        vec![loss]
    });
    step.map(drop).unwrap();
    let message = session.load_optimizer(&path).unwrap_err().to_string();
    assert!(message.contains("exp_avg/layers.0.weight"), "{message}");
}

#[test]
fn regular_expressions() {
    let params = Params::new(1);
    let net = Net::new(&params);
    assert_eq!(params.freeze(r"re:layers\.[01]\.w").unwrap(), 2);
    let trains = |path: &str| params.get(path).unwrap().trainable;
    assert!(!trains("layers.0.weight") && !trains("layers.1.weight"));
    assert!(trains("layers.0.bias") && trains("layers.2.weight"));
    assert_eq!(params.thaw("re:weight$").unwrap(), 3);
    assert_eq!(
        params
            .at("layers")
            .init(r"re:^[12]\.bias$", wgrad::nn::init::Init::ones())
            .unwrap(),
        2
    );
    assert_eq!(
        net.0[2].bias.as_ref().unwrap().path.as_ref(),
        "layers.2.bias"
    );
    assert_ne!(params.get("layers.0.bias").unwrap().init.to_f32()[0], 1.0);
    let nothing = params.freeze("re:^bias").unwrap_err().to_string();
    assert!(
        nothing.contains("the pattern 're:^bias' stands for no parameter"),
        "{nothing}"
    );
    let refused = [
        params.freeze("re:layers.(0").unwrap_err().to_string(),
        params
            .init("re:[", wgrad::nn::init::Init::ones())
            .unwrap_err()
            .to_string(),
    ];
    for message in refused {
        assert!(message.contains("is no regular expression: "), "{message}");
    }
}
