//! What counts updates counts them of each parameter: thawed ones, new ones, those of other functions, in files too.

use crate::common::{Pass, cpu, gpu};
use wgrad::optim::{Adagrad, Adam, Adamax, MinimizeOptions, NAdam, Optimizer, RAdam, Sgd, Update};
use wgrad::{Array, Function, Mode, Params, Session, Tensor, TensorType, Trace};

type Rule = std::sync::Arc<dyn Optimizer + Send + Sync>;

fn of(g: &Trace, path: &str) -> Tensor {
    let s = g.params().root().get(path).unwrap();
    g.state(s.range, TensorType::new(s.shape, s.dtype))
}

/// `Σ x w` over parameters: the gradient of each of their elements is the argument.
fn step(
    session: &mut Session,
    paths: &[&str],
    rule: &Rule,
    options: &MinimizeOptions,
) -> Function<'static> {
    let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
    let (rule, options) = (rule.clone(), options.clone());
    let body = move |g: &Trace, a: &[Tensor]| {
        let terms = paths.iter().map(|p| of(g, p).sum(&[], false));
        let loss = terms.reduce(|a, b| a.add(&b)).unwrap().mul(&a[0]);
        g.minimize_with(&loss, rule.as_ref(), &options);
        vec![]
    };
    session
        .compile(Mode::Train, &[TensorType::f32([])], body)
        .unwrap()
}

fn run(session: &mut Session, f: &mut Function, x: f32) {
    session.run(f, &[&Array::scalar(x)]).unwrap();
}

fn value(session: &mut Session, path: &str) -> f32 {
    session.get(path).unwrap().to_f32()[0]
}

fn parameters(names: &[&str]) -> Params {
    let params = Params::new(0);
    for name in names {
        params.parameter(name, [3], |_, n| vec![1.0; n]);
    }
    params
}

/// Where a parameter that is alone ends after these gradients, and its average.
fn alone(rule: &Rule, ema: Option<f64>, gradients: &[f32]) -> [f32; 2] {
    let params = parameters(&["w"]);
    let mut session = cpu().open(&params).unwrap();
    let options = MinimizeOptions {
        ema,
        ..Default::default()
    };
    let mut f = step(&mut session, &["w"], rule, &options);
    gradients.iter().for_each(|x| run(&mut session, &mut f, *x));
    let average = ema.map(|_| value(&mut session, "ema/w"));
    [value(&mut session, "w"), average.unwrap_or(0.0)]
}

#[track_caller]
fn near(got: f32, want: f32, what: &str) {
    assert!(
        (got - want).abs() <= 2e-6 * want.abs().max(1.0),
        "{what}: {got}, want {want}"
    );
}

/// All rules that look at the number of the update, one that its user wrote among them.
fn rules() -> Vec<(&'static str, Rule)> {
    use std::sync::Arc;
    let momentum = Sgd {
        momentum: 0.9,
        dampening: 0.5,
        ..Sgd::new(0.1)
    };
    let amsgrad = Adam {
        amsgrad: true,
        ..Adam::adamw(0.1)
    };
    let decayed = Adagrad {
        lr_decay: 0.5,
        ..Adagrad::new(0.1)
    };
    vec![
        ("adam", Arc::new(Adam::new(0.1))),
        ("amsgrad", Arc::new(amsgrad)),
        ("nadam", Arc::new(NAdam::new(0.1))),
        ("radam", Arc::new(RAdam::new(0.1))),
        ("adamax", Arc::new(Adamax::new(0.1))),
        ("adagrad", Arc::new(decayed)),
        ("momentum", Arc::new(momentum)),
        ("own", Arc::new(Own)),
    ]
}

/// Plain descent whose rate is that of the first update divided by the number.
struct Own;

impl Optimizer for Own {
    fn learning_rate(&self) -> f64 {
        0.1
    }

    fn update(&self, u: &Update) -> Tensor {
        let share = u.of_update("own.share", [0.0; 2], |n, _| 1.0 / n as f64);
        u.param.sub(&u.grad.mul(&u.rate).mul(&share))
    }
}

/// Adam moves by its rate at each step where the gradient is always the same.
#[test]
fn a_thawed_parameter_takes_first_steps() {
    for pass in [cpu(), gpu()] {
        for updates in [1, 10, 1000] {
            if updates == 1000 && pass.name != "cpu" {
                continue;
            }
            let params = parameters(&["a", "b"]);
            params.freeze("b").unwrap();
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            let rule: Rule = std::sync::Arc::new(Adam::new(0.1));
            let mut f = step(
                &mut session,
                &["a", "b"],
                &rule,
                &MinimizeOptions::default(),
            );
            (0..updates).for_each(|_| run(&mut session, &mut f, 1.0));
            params.thaw("b").unwrap();
            for n in 1..4 {
                run(&mut session, &mut f, 1.0);
                let b = value(&mut session, "b");
                assert!((b - (1.0 - 0.1 * n as f32)).abs() < 1e-5, "{updates}: {b}");
            }
            let a = value(&mut session, "a");
            assert!((a - (1.0 - 0.1 * (updates + 3) as f32)).abs() < 1e-3, "{a}");
        }
    }
}

/// Thawed late, frozen in between, made late: each ends where it ends alone, its average too.
#[test]
fn each_parameter_by_its_own_count() {
    const X: [f32; 9] = [1.0, 2.0, 0.5, 1.5, 3.0, 1.0, 0.25, 2.0, 1.0];
    for pass in [cpu(), gpu()] {
        for (name, rule) in rules() {
            let options = MinimizeOptions {
                ema: Some(0.75),
                ..Default::default()
            };
            let params = parameters(&["a", "b", "c", "d"]);
            params.freeze("b").unwrap();
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            let mut f = step(&mut session, &["a", "b", "c", "d"], &rule, &options);
            for (n, x) in X.into_iter().enumerate() {
                match n {
                    2 => assert_eq!(params.freeze("c").unwrap(), 1),
                    3 => assert_eq!(params.thaw("b").unwrap(), 1),
                    5 => {
                        params.thaw("c").unwrap();
                        params.parameter("e", [3], |_, n| vec![1.0; n]);
                        session.forget(f);
                        f = step(&mut session, &["a", "b", "c", "d", "e"], &rule, &options);
                    }
                    _ => {}
                }
                run(&mut session, &mut f, x);
            }
            let seen = [
                ("a", X.to_vec()),
                ("b", X[3..].to_vec()),
                ("c", [&X[..2], &X[5..]].concat()),
                ("d", X.to_vec()),
                ("e", X[5..].to_vec()),
            ];
            for (path, gradients) in seen {
                let [want, average] = alone(&rule, Some(0.75), &gradients);
                let what = format!("{}, {name}, {path}", pass.name);
                near(value(&mut session, path), want, &what);
                near(value(&mut session, &format!("ema/{path}")), average, &what);
            }
            assert_eq!(session.updates(), 9);
        }
    }
}

/// An update over parameters of different counts is one step still.
#[test]
fn counts_of_several_are_one_pass() {
    let params = parameters(&["a", "b", "c", "d"]);
    params.freeze("{b,d}").unwrap();
    let mut session = cpu().open(&params).unwrap();
    let rule: Rule = std::sync::Arc::new(Adam::new(0.1));
    let options = MinimizeOptions::default();
    let mut f = step(&mut session, &["a", "b", "c", "d"], &rule, &options);
    run(&mut session, &mut f, 1.0);
    params.thaw("*").unwrap();
    run(&mut session, &mut f, 1.0);
    let assigns = |s: &&wgrad::plan::Step| {
        let mut outputs = s.outputs.iter();
        outputs.any(|o| format!("{:?}", o.dest).contains("State"))
    };
    assert_eq!(f.plan().unwrap().steps.iter().filter(assigns).count(), 1);
    assert_eq!(f.compiled(), 2);
    // Later runs need no other plan.
    (0..3).for_each(|_| run(&mut session, &mut f, 1.0));
    assert_eq!(f.compiled(), 2);
}

/// A rule that takes over begins its own slots, and one that comes back goes on with its own.
#[test]
fn rules_in_turn() {
    let params = parameters(&["w"]);
    let mut session = cpu().open(&params).unwrap();
    let (sgd, adam): (Rule, Rule) = (
        std::sync::Arc::new(Sgd::new(0.5)),
        std::sync::Arc::new(Adam::new(0.1)),
    );
    let options = MinimizeOptions::default();
    let mut plain = step(&mut session, &["w"], &sgd, &options);
    (0..4).for_each(|_| run(&mut session, &mut plain, 0.25));
    near(value(&mut session, "w"), 0.5, "descent");
    session.set_learning_rate(0.1);
    let mut adaptive = step(&mut session, &["w"], &adam, &options);
    (0..2).for_each(|_| run(&mut session, &mut adaptive, 1.0));
    near(value(&mut session, "w"), 0.3, "adam after it");
    // Averages that begin later copy the weights of their first update.
    let averaged = MinimizeOptions {
        ema: Some(0.5),
        ..Default::default()
    };
    let mut averaged = step(&mut session, &["w"], &adam, &averaged);
    run(&mut session, &mut averaged, 1.0);
    let w = value(&mut session, "w");
    near(w, 0.2, "adam again");
    near(value(&mut session, "ema/w"), w, "the first average");
}

/// One function over all, another over one of the parameters: their counts part.
#[test]
fn another_function_over_one_of_them() {
    for pass in [cpu(), gpu()] {
        let rule: Rule = std::sync::Arc::new(NAdam::new(0.1));
        let params = parameters(&["a", "b"]);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let all = MinimizeOptions::default();
        let mut both = step(&mut session, &["a", "b"], &rule, &all);
        let one = MinimizeOptions::part("a", 1);
        let mut first = step(&mut session, &["a"], &rule, &one);
        let mut seen: Vec<f32> = Vec::new();
        for n in 0..3 {
            run(&mut session, &mut first, 2.0);
            run(&mut session, &mut both, 1.0 + n as f32);
            seen.extend([2.0, 1.0 + n as f32]);
        }
        let [a, _] = alone(&rule, None, &seen);
        let [b, _] = alone(&rule, None, &[1.0, 2.0, 3.0]);
        near(value(&mut session, "a"), a, pass.name);
        near(value(&mut session, "b"), b, pass.name);
    }
}

/// The session as its files have it: other initial values, compiled anew.
fn resumed(
    pass: &Pass,
    session: &mut Session,
    (names, frozen): (&[&str], &[&str]),
    compile: impl Fn(&mut Session) -> Function<'static>,
) -> (Session, Function<'static>) {
    let folder = tempfile::TempDir::new().unwrap();
    let [weights, optimizer] = ["w", "o"].map(|n| folder.path().join(n));
    session.save(&weights).unwrap();
    session.save_optimizer(&optimizer).unwrap();
    let params = Params::new(0);
    for name in names {
        params.parameter(name, [3], |_, n| vec![9.0; n]);
    }
    for path in frozen {
        params.freeze(path).unwrap();
    }
    let mut session = pass.open(&params).unwrap();
    let f = compile(&mut session);
    session.load(&weights).unwrap();
    session.load_optimizer(&optimizer).unwrap();
    (session, f)
}

#[test]
fn counts_are_in_files() {
    const X: [f32; 8] = [1.0, 2.0, 0.5, 1.5, 3.0, 1.0, 0.25, 2.0];
    for (name, rule) in rules() {
        for stop in 1..8 {
            let params = parameters(&["a", "b"]);
            params.freeze("b").unwrap();
            let mut session = cpu().open(&params).unwrap();
            let options = MinimizeOptions {
                ema: Some(0.5),
                ..Default::default()
            };
            let compile = |session: &mut Session| step(session, &["a", "b"], &rule, &options);
            let mut f = compile(&mut session);
            let mut params = params;
            for (n, x) in X.into_iter().enumerate() {
                if n == 2 {
                    params.thaw("b").unwrap();
                }
                if n == 5 {
                    params.freeze("a").unwrap();
                }
                if n == stop {
                    let frozen: &[&str] = match n {
                        ..2 => &["b"],
                        5.. => &["a"],
                        _ => &[],
                    };
                    (session, f) = resumed(&cpu(), &mut session, (&["a", "b"], frozen), compile);
                    params = session.params().clone();
                }
                run(&mut session, &mut f, x);
            }
            let [a, _] = alone(&rule, Some(0.5), &X[..5]);
            let [b, average] = alone(&rule, Some(0.5), &X[2..]);
            let what = format!("{name}, stopped at {stop}");
            near(value(&mut session, "a"), a, &what);
            near(value(&mut session, "b"), b, &what);
            near(value(&mut session, "ema/b"), average, &what);
        }
    }
}

/// Where all parameters of an optimizer are frozen when the session goes on, what it kept for them waits all the same.
#[test]
fn all_that_an_optimizer_has_is_frozen() {
    for (name, rule) in rules() {
        let params = parameters(&["a", "b"]);
        let mut session = cpu().open(&params).unwrap();
        let options = MinimizeOptions {
            ema: Some(0.5),
            ..Default::default()
        };
        let compile = |session: &mut Session| step(session, &["a", "b"], &rule, &options);
        let mut f = compile(&mut session);
        (0..3).for_each(|_| run(&mut session, &mut f, 2.0));
        params.freeze("*").unwrap();
        run(&mut session, &mut f, 5.0);
        (session, f) = resumed(&cpu(), &mut session, (&["a", "b"], &["*"]), compile);
        run(&mut session, &mut f, 7.0);
        session.params().thaw("b").unwrap();
        run(&mut session, &mut f, 1.0);
        let [a, _] = alone(&rule, None, &[2.0; 3]);
        let [b, average] = alone(&rule, Some(0.5), &[2.0, 2.0, 2.0, 1.0]);
        near(value(&mut session, "a"), a, name);
        near(value(&mut session, "b"), b, name);
        near(value(&mut session, "ema/b"), average, name);
    }
}

/// The only optimizer, with parameter groups that do not begin at 0.
#[test]
fn an_optimizer_of_another_first_group() {
    for options in [
        MinimizeOptions::part("w", 1),
        MinimizeOptions {
            first_group: 3,
            ..Default::default()
        },
    ] {
        let rule: Rule = std::sync::Arc::new(Adam::new(0.1));
        let params = parameters(&["w"]);
        let mut session = cpu().open(&params).unwrap();
        let compile = |session: &mut Session| step(session, &["w"], &rule, &options);
        let mut f = compile(&mut session);
        (0..3).for_each(|_| run(&mut session, &mut f, 1.0));
        (session, f) = resumed(&cpu(), &mut session, (&["w"], &[]), compile);
        assert_eq!(session.updates_of(options.first_group), 3);
        (0..2).for_each(|_| run(&mut session, &mut f, 0.1));
        let w = value(&mut session, "w");
        assert!((w - 0.539_891).abs() < 1e-5, "{w}");
    }
}

/// Files that were written before counts were those of parameters.
#[test]
fn files_of_before() {
    use std::collections::BTreeMap;
    let folder = tempfile::TempDir::new().unwrap();
    let [old, new] = ["old", "new"].map(|n| folder.path().join(n));
    for (first_group, key) in [(0, None), (1, None), (1, Some(("updates.1", "3")))] {
        let rule: Rule = std::sync::Arc::new(Adam::new(0.1));
        let options = MinimizeOptions {
            first_group,
            ..Default::default()
        };
        let params = parameters(&["w"]);
        let mut session = cpu().open(&params).unwrap();
        let mut f = step(&mut session, &["w"], &rule, &options);
        (0..3).for_each(|_| run(&mut session, &mut f, 1.0));
        session.save_optimizer(&new).unwrap();
        let file = wgrad::weights::Reader::open(&new).unwrap();
        let named: Vec<(String, Array)> = file
            .names()
            .iter()
            .map(|n| (n.clone(), file.read(n).unwrap()))
            .collect();
        let total = if key.is_some() { "7" } else { "3" };
        let mut metadata: BTreeMap<String, String> = [
            ("updates", total),
            ("micro_step", "3"),
            ("accumulated", "0"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        metadata.insert(format!("learning_rate.{first_group}"), "0.1".into());
        metadata.extend(key.map(|(k, v)| (k.to_owned(), v.to_owned())));
        wgrad::weights::write(&old, &named, &metadata).unwrap();
        let weights = value(&mut session, "w");
        let params = parameters(&["w"]);
        let mut session = cpu().open(&params).unwrap();
        let mut f = step(&mut session, &["w"], &rule, &options);
        session.set("w", &Array::vector(vec![weights; 3])).unwrap();
        session.load_optimizer(&old).unwrap();
        (0..2).for_each(|_| run(&mut session, &mut f, 0.1));
        near(
            value(&mut session, "w"),
            0.539_891,
            &format!("{first_group} {key:?}"),
        );
    }
}
