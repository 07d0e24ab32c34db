//! Updates: one dispatch each, groups, penalties, clipping, accumulation, averages.

use crate::common::{cpu, gpu};
use wgrad::caps::Caps;
use wgrad::nn::{Linear, Module};
use wgrad::ops::reduction::Reduction;
use wgrad::optim::{
    Adadelta, Adagrad, Adam, Adamax, Lion, MinimizeOptions, NAdam, Optimizer, ParamGroup, Penalty,
    RAdam, RmsProp, Sgd,
};
use wgrad::plan::Plan;
use wgrad::{Array, Function, Mode, Params, Session, TensorType, Trace};

fn options() -> MinimizeOptions {
    MinimizeOptions::default()
}

/// A multilayer perceptron's training step.
fn plan(optimizer: &dyn Optimizer, options: &MinimizeOptions) -> Plan {
    let params = Params::new(0);
    let linear1 = Linear::new(100, 70).build(&params.at("linear1"));
    let linear2 = Linear::new(70, 10).build(&params.at("linear2"));
    let trace = Trace::new(&params, true);
    let x = trace.input(TensorType::f32([16, 100]));
    let labels = trace.input(TensorType::i32([16]));
    let y = linear2.forward(&linear1.forward(&x).relu());
    let loss = y.cross_entropy(&labels);
    trace.minimize_with(&loss, optimizer, options);
    let traced = trace.finish(&[loss]).unwrap();
    Plan::compile(traced.graph, &Caps::default()).unwrap()
}

/// Steps of the plan that replace a state.
fn updates(plan: &Plan) -> usize {
    let assigns = |s: &&wgrad::plan::Step| {
        let mut outputs = s.outputs.iter();
        outputs.any(|o| format!("{:?}", o.dest).contains("State"))
    };
    plan.steps.iter().filter(assigns).count()
}

fn all() -> Vec<(&'static str, Box<dyn Optimizer>)> {
    let momentum = Sgd {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.1,
        ..Sgd::new(0.1)
    };
    let amsgrad = Adam {
        amsgrad: true,
        ..Adam::adamw(0.1)
    };
    let centered = RmsProp {
        momentum: 0.5,
        centered: true,
        ..RmsProp::new(0.1)
    };
    vec![
        ("sgd", Box::new(Sgd::new(0.1))),
        ("momentum", Box::new(momentum)),
        ("adam", Box::new(Adam::new(0.1))),
        ("amsgrad", Box::new(amsgrad)),
        ("rmsprop", Box::new(centered)),
        ("adagrad", Box::new(Adagrad::new(0.1))),
        ("adadelta", Box::new(Adadelta::new(0.1))),
        ("adamax", Box::new(Adamax::new(0.1))),
        ("nadam", Box::new(NAdam::new(0.1))),
        ("radam", Box::new(RAdam::new(0.1))),
        ("lion", Box::new(Lion::new(0.1))),
    ]
}

#[test]
fn an_update_is_one_dispatch() {
    for (name, optimizer) in all() {
        let plain = plan(optimizer.as_ref(), &options());
        assert_eq!(updates(&plain), 1, "{name}:\n{plain}");
        let grouped = MinimizeOptions {
            groups: vec![ParamGroup::new("*.bias").lr(0.01).weight_decay(0.0)],
            penalties: vec![Penalty::elastic("*.weight", 0.1, 0.1)],
            clip_value: Some(1.0),
            ..options()
        };
        let grouped = plan_of_groups(name, optimizer.as_ref(), &grouped);
        assert_eq!(updates(&grouped), 1, "{name}:\n{grouped}");
        // Nothing is computed for groups and penalties beside the update.
        assert_eq!(grouped.steps.len(), plain.steps.len(), "{name}:\n{grouped}");
    }
    let averaged = MinimizeOptions {
        ema: Some(0.99),
        clip_norm: Some(1.0),
        ..options()
    };
    let averaged = plan(&Adam::new(0.1), &averaged);
    assert_eq!(updates(&averaged), 1, "{averaged}");
}

fn plan_of_groups(name: &str, optimizer: &dyn Optimizer, options: &MinimizeOptions) -> Plan {
    let grouped = plan(optimizer, options);
    let update = grouped.steps.last().unwrap();
    assert!(update.kernels.dispatches.len() == 1, "{name}:\n{grouped}");
    grouped
}

fn array<const N: usize>(shape: [usize; 2], values: [f32; N]) -> Array {
    Array::new(shape, values.to_vec()).unwrap()
}

/// `y = x W' + b` and a batch.
fn regression(params: &Params) -> (Linear, [Array; 2]) {
    let fc = Linear::new(3, 2).build(&params.at("fc"));
    let x = array([2, 3], [1.0, 2.0, 3.0, 0.5, -1.0, 0.25]);
    let y = array([2, 2], [1.0, 0.0, 0.0, 1.0]);
    (fc, [x, y])
}

/// A training step of it, which returns the loss, the norm of the gradient and the penalties.
fn step<'f>(
    session: &mut Session,
    fc: &'f Linear,
    rows: usize,
    optimizer: &'f (dyn Optimizer + Sync),
    options: &'f MinimizeOptions,
) -> wgrad::Result<Function<'f>> {
    let types = [TensorType::f32([rows, 3]), TensorType::f32([rows, 2])];
    session.compile(Mode::Train, &types, move |g, a| {
        let loss = fc.forward(&a[0]).mse_loss(&a[1], Reduction::Mean);
        let made = g.minimize_with(&loss, optimizer, options);
        vec![loss, made.norm, made.penalty]
    })
}

#[track_caller]
fn near(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 2e-5, "{k}: got {got:?}, want {want:?}");
    }
}

fn set(session: &mut Session) {
    let weight = array([2, 3], [0.5, -1.0, 2.0, 1.5, 0.25, -0.75]);
    session.set("fc.weight", &weight).unwrap();
    let bias = Array::vector(vec![0.1f32, -0.2]);
    session.set("fc.bias", &bias).unwrap();
}

/// Three steps of PyTorch 2: AdamW with two groups, penalties in the loss, both kinds of clipping.
#[test]
fn groups_penalties_and_clipping_as_pytorch() {
    let options = MinimizeOptions {
        groups: vec![ParamGroup::new("*.bias").lr(0.5).weight_decay(0.0)],
        penalties: vec![Penalty::l1("fc.weight", 0.01), Penalty::l2("*", 0.02)],
        clip_value: Some(2.0),
        clip_norm: Some(1.5),
        ..options()
    };
    let optimizer = Adam {
        weight_decay: 0.3,
        ..Adam::adamw(0.1)
    };
    for pass in [cpu(), gpu()] {
        let params = Params::new(0);
        let (fc, batch) = regression(&params);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        set(&mut session);
        let mut f = step(&mut session, &fc, 2, &optimizer, &options).unwrap();
        let (mut losses, mut norms) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let got = session.run(&mut f, &[&batch[0], &batch[1]]).unwrap();
            losses.push(got[0].item() + got[2].item());
            norms.push(got[1].item());
        }
        near(&losses, &[4.566_663_7, 2.075_858_4, 0.786_056_2]);
        near(&norms, &[4.157_209, 3.564_769_3, 2.604_882_7]);
        let weight = session.get("fc.weight").unwrap().to_f32();
        let want = [
            0.168_770_64,
            -1.199_112_8,
            1.534_218_3,
            1.452_721,
            -0.025_281_06,
            -0.599_997_2,
        ];
        near(&weight, &want);
        let bias = session.get("fc.bias").unwrap().to_f32();
        near(&bias, &[-1.390_593_3, 0.581_478_54]);
        assert_eq!(session.rates(), [(0, 0.1), (1, 0.5)]);
        assert_eq!(session.predicted_memory(&f), session.memory());
    }
}

/// Two steps of Lion by hand: the sign of the gradient, then of `0.9 m + 0.1 g`.
#[test]
fn lion() {
    let params = Params::new(0);
    let w = params.parameter("w", [2], |_, _| vec![1.0, -2.0]);
    let optimizer = Lion {
        weight_decay: 0.5,
        ..Lion::new(0.1)
    };
    let mut session = cpu().open(&params).unwrap();
    let mut f = session
        .compile(Mode::Train, &[TensorType::f32([2])], |g, a| {
            g.minimize(&g.param(&w).mul(&a[0]).sum(&[], false), &optimizer);
            vec![]
        })
        .unwrap();
    let run = |session: &mut Session, f: &mut Function, g: [f32; 2]| {
        session.run(f, &[&Array::vector(g.to_vec())]).unwrap();
        session.get("w").unwrap().to_f32()
    };
    // 0.95 w - 0.1 sign
    near(&run(&mut session, &mut f, [1.0, -1.0]), &[0.85, -1.8]);
    // m is 0.01 and -0.01: 0.009 - 0.05 and -0.009 - 0.0001.
    near(&run(&mut session, &mut f, [-0.5, -0.001]), &[0.9075, -1.61]);
    assert_eq!(session.get("exp_avg/w").unwrap().numel(), 2);
}

/// Some rows of a batch at a time, accumulated, are the whole batch.
#[test]
fn accumulated_gradients_are_those_of_the_whole() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = |name: &str| dir.path().join(name);
    let x: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin()).collect();
    let y: Vec<f32> = (0..16).map(|i| (i as f32 * 1.3).cos()).collect();
    let rows = |from: usize, n: usize| {
        let x = Array::new([n, 3], x[3 * from..3 * (from + n)].to_vec()).unwrap();
        let y = Array::new([n, 2], y[2 * from..2 * (from + n)].to_vec()).unwrap();
        [x, y]
    };
    let optimizer = Adam::new(0.05);
    let options = |micro_steps| MinimizeOptions {
        micro_steps,
        clip_norm: Some(0.5),
        groups: vec![ParamGroup::new("fc.bias").lr(0.01)],
        ..options()
    };
    for pass in [cpu(), gpu()] {
        let whole = options(1);
        let params = Params::new(3);
        let (fc, _) = regression(&params);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let mut f = step(&mut session, &fc, 8, &optimizer, &whole).unwrap();
        let mut norms = Vec::new();
        for _ in 0..3 {
            let [x, y] = rows(0, 8);
            norms.push(session.run(&mut f, &[&x, &y]).unwrap()[1].item());
        }
        let want = ["fc.weight", "fc.bias"].map(|p| session.get(p).unwrap().to_f32());

        let quarter = options(4);
        let params = Params::new(3);
        let (fc, _) = regression(&params);
        let mut session = pass.open(&params).unwrap();
        let mut f = step(&mut session, &fc, 2, &optimizer, &quarter).unwrap();
        for k in 0..12 {
            let [x, y] = rows(2 * (k % 4), 2);
            let got = session.run(&mut f, &[&x, &y]).unwrap();
            if k % 4 == 3 {
                near(&[got[1].item()], &[norms[k / 4]]);
            }
            assert_eq!(session.updates(), (k as u64 + 1) / 4);
            if k == 5 {
                // Stop in the middle of an update, go on in another session.
                session.save(file("m")).unwrap();
                session.save_optimizer(file("o")).unwrap();
                session.forget(f);
                session = pass.open(&params).unwrap();
                f = step(&mut session, &fc, 2, &optimizer, &quarter).unwrap();
                session.load(file("m")).unwrap();
                session.load_optimizer(file("o")).unwrap();
                assert_eq!((session.updates(), session.accumulated()), (1, 2));
            }
        }
        assert_eq!(f.compiled(), 2);
        for (path, want) in ["fc.weight", "fc.bias"].iter().zip(&want) {
            near(&session.get(path).unwrap().to_f32(), want);
        }
        // An update of fewer: the mean of those that there are.
        let before = session.updates();
        let [x, y] = rows(0, 2);
        session.run(&mut f, &[&x, &y]).unwrap();
        session.apply_next();
        session.run(&mut f, &[&x, &y]).unwrap();
        assert_eq!((session.updates(), session.accumulated()), (before + 1, 0));
        session.run(&mut f, &[&x, &y]).unwrap();
        assert_eq!((session.updates(), session.accumulated()), (before + 1, 1));
    }
}

#[test]
fn averages_of_weights() {
    let options = MinimizeOptions {
        ema: Some(0.75),
        ..options()
    };
    let optimizer = Sgd::new(0.1);
    for pass in [cpu(), gpu()] {
        let params = Params::new(0);
        let (fc, batch) = regression(&params);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let types = [TensorType::f32([2, 3])];
        let body = |_: &Trace, a: &[wgrad::Tensor]| vec![fc.forward(&a[0])];
        let none = session.compile(Mode::EvalAverage, &types, body);
        let message = none.map(drop).unwrap_err().to_string();
        assert!(message.contains("no averages of weights"), "{message}");
        let mut f = step(&mut session, &fc, 2, &optimizer, &options).unwrap();
        let mut eval = session.compile(Mode::EvalAverage, &types, body).unwrap();
        let mut plain = session.compile(Mode::Eval, &types, body).unwrap();
        let mut average: Vec<f32> = Vec::new();
        for n in 0..4 {
            session.run(&mut f, &[&batch[0], &batch[1]]).unwrap();
            let now = session.get("fc.weight").unwrap().to_f32();
            average = match n {
                0 => now,
                _ => now
                    .iter()
                    .zip(&average)
                    .map(|(w, a)| 0.75 * a + 0.25 * w)
                    .collect(),
            };
            let got = session.get("ema/fc.weight").unwrap();
            near(&got.to_f32(), &average);
        }
        let got = session.run(&mut eval, &[&batch[0]]).unwrap()[0].to_f32();
        let own = session.run(&mut plain, &[&batch[0]]).unwrap()[0].to_f32();
        assert_ne!(got, own);
        for path in ["fc.weight", "fc.bias"] {
            let value = session.get(&format!("ema/{path}")).unwrap();
            session.set(path, &value).unwrap();
        }
        let swapped = session.run(&mut plain, &[&batch[0]]).unwrap()[0].to_f32();
        near(&got, &swapped);
    }
}

#[test]
fn wordings() {
    let says = |optimizer: &(dyn Optimizer + Sync), options: &MinimizeOptions| {
        let params = Params::new(0);
        let (fc, _) = regression(&params);
        let mut session = cpu().open(&params).unwrap();
        let compiled = step(&mut session, &fc, 2, optimizer, options);
        compiled.map(drop).unwrap_err().to_string()
    };
    let optimizers: Vec<(Box<dyn Optimizer + Sync>, &str)> = vec![
        (
            Box::new(Sgd::new(-0.1)),
            "learning rate of 0 or more, -0.1 came",
        ),
        (
            Box::new(Adam::new(f64::NAN)),
            "learning rate of 0 or more, NaN came",
        ),
        (
            Box::new(Sgd {
                weight_decay: -1.0,
                ..Sgd::new(0.1)
            }),
            "weight decay of 0 or more, -1 came",
        ),
        (
            Box::new(Sgd {
                nesterov: true,
                ..Sgd::new(0.1)
            }),
            "nesterov with a momentum and no dampening only",
        ),
        (
            Box::new(Adam {
                betas: (0.9, 1.0),
                ..Adam::new(0.1)
            }),
            "beta 2 from 0 to 1, excluded, 1 came",
        ),
        (
            Box::new(RmsProp {
                alpha: -0.5,
                ..RmsProp::new(0.1)
            }),
            "alpha from 0 to 1, excluded, -0.5 came",
        ),
        (
            Box::new(Adagrad {
                lr_decay: -1.0,
                ..Adagrad::new(0.1)
            }),
            "lr_decay of 0 or more, -1 came",
        ),
        (
            Box::new(Adadelta {
                rho: 1.5,
                ..Adadelta::new(0.1)
            }),
            "rho from 0 to 1, excluded, 1.5 came",
        ),
    ];
    for (optimizer, part) in optimizers {
        let message = says(optimizer.as_ref(), &options());
        assert!(message.contains(part), "no '{part}' in: {message}");
        assert!(
            message.contains("at tests/suite/optimizers.rs:"),
            "{message}"
        );
    }
    let group = |g: ParamGroup| MinimizeOptions {
        groups: vec![g],
        ..options()
    };
    let rows = [
        (
            group(ParamGroup::new("fc.wieght")),
            "the pattern 'fc.wieght' stands for no parameter: there are fc.weight, fc.bias",
        ),
        (
            group(ParamGroup::new("fc").lr(-1.0)),
            "the group 'fc' takes a learning rate of 0 or more, -1 came",
        ),
        (
            MinimizeOptions {
                penalties: vec![Penalty::l1("*", -0.1)],
                ..options()
            },
            "the penalty of '*' takes a l1 of 0 or more, -0.1 came",
        ),
        (
            MinimizeOptions {
                penalties: vec![Penalty::l2("conv", 0.1)],
                ..options()
            },
            "the pattern 'conv' stands for no parameter",
        ),
        (
            MinimizeOptions {
                clip_norm: Some(-1.0),
                ..options()
            },
            "clip_norm of 0 or more, -1 came",
        ),
        (
            MinimizeOptions {
                clip_value: Some(f32::NAN),
                ..options()
            },
            "clip_value of 0 or more, NaN came",
        ),
        (
            MinimizeOptions {
                micro_steps: 0,
                ..options()
            },
            "micro_steps of 1 or more, 0 came",
        ),
        (
            MinimizeOptions {
                ema: Some(1.0),
                ..options()
            },
            "decay of the average from 0 to 1, excluded, 1 came",
        ),
    ];
    for (options, part) in rows {
        let message = says(&Sgd::new(0.1), &options);
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
}
