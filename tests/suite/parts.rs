//! Optimizers over parts of the parameters, in turn: a generator and its discriminator.

use crate::common::{cpu, gpu};
use wgrad::optim::{Adam, MinimizeOptions, ParamGroup, Sgd};
use wgrad::{Array, Function, Mode, Params, Session, Tensor, Trace};

/// `a` and `b`, two numbers each.
fn numbers() -> Params {
    let params = Params::new(0);
    params.parameter("a.x", [2], |_, _| vec![1.0, -2.0]);
    params.parameter("b.x", [2], |_, _| vec![0.5, 3.0]);
    params
}

fn of(g: &Trace, path: &str) -> Tensor {
    let s = g.params().root().get(path).unwrap();
    g.state(s.range, wgrad::TensorType::new(s.shape, s.dtype))
}

/// One step down `Σ (a - 1)²` for `a` alone.
fn first(session: &mut Session) -> wgrad::Result<Function<'static>> {
    session.compile(Mode::Train, &[], |g, _| {
        let loss = (&of(g, "a.x") - 1.0).square().sum(&[], false);
        g.minimize_with(&loss, &Adam::new(0.1), &MinimizeOptions::part("a", 0));
        vec![loss]
    })
}

/// One step down `Σ (b - a)²` for `b` alone, at another rate.
fn second(session: &mut Session) -> wgrad::Result<Function<'static>> {
    session.compile(Mode::Train, &[], |g, _| {
        let loss = (&of(g, "b.x") - &of(g, "a.x")).square().sum(&[], false);
        g.minimize_with(&loss, &Adam::new(0.2), &MinimizeOptions::part("b", 1));
        vec![loss]
    })
}

/// Adam as its paper has it, for two numbers.
struct Reference {
    rate: f64,
    n: i32,
    m: [f64; 2],
    v: [f64; 2],
}

impl Reference {
    fn new(rate: f64) -> Self {
        let zero = [0.0; 2];
        let (m, v) = (zero, zero);
        Self { rate, n: 0, m, v }
    }

    fn step(&mut self, x: &mut [f64; 2], grad: [f64; 2]) {
        self.n += 1;
        for k in 0..2 {
            self.m[k] = 0.9 * self.m[k] + 0.1 * grad[k];
            self.v[k] = 0.999 * self.v[k] + 0.001 * grad[k] * grad[k];
            let m = self.m[k] / (1.0 - 0.9f64.powi(self.n));
            let v = self.v[k] / (1.0 - 0.999f64.powi(self.n));
            x[k] -= self.rate * m / (v.sqrt() + 1e-8);
        }
    }
}

#[test]
fn two_optimizers_in_turn() {
    for pass in [cpu(), gpu()] {
        let params = numbers();
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let mut f = first(&mut session).unwrap();
        let mut s = second(&mut session).unwrap();
        let (mut a, mut b) = ([1.0, -2.0], [0.5, 3.0]);
        let (mut of_a, mut of_b) = (Reference::new(0.1), Reference::new(0.2));
        // Twice as often the one as the other: each has a count of its own.
        for step in 0..12 {
            session.run(&mut f, &[] as &[Array]).unwrap();
            let grad = a.map(|x| 2.0 * (x - 1.0));
            of_a.step(&mut a, grad);
            if step % 2 == 0 {
                session.run(&mut s, &[] as &[Array]).unwrap();
                let grad = [0, 1].map(|k| 2.0 * (b[k] - a[k]));
                of_b.step(&mut b, grad);
            }
        }
        for (path, want) in [("a.x", a), ("b.x", b)] {
            let got = session.get(path).unwrap().to_f32();
            for (got, want) in got.iter().zip(want) {
                assert!(
                    (f64::from(*got) - want).abs() < 1e-5,
                    "{path}: {got}, {want}"
                );
            }
        }
        assert_eq!((f.compiled(), s.compiled()), (1, 1));
        assert_eq!(session.updates(), 18);
        assert_eq!((session.updates_of(0), session.updates_of(1)), (12, 6));
        assert_eq!(session.rates(), [(0, 0.1), (1, 0.2)]);
    }
}

#[test]
fn a_run_with_both_updates_counts_for_both() {
    let params = numbers();
    let mut session = cpu().open(&params).unwrap();
    let mut f = session
        .compile(Mode::Train, &[], |g, _| {
            let a = of(g, "a.x").square().sum(&[], false);
            let b = of(g, "b.x").square().sum(&[], false);
            g.minimize_with(&a, &Sgd::new(0.5), &MinimizeOptions::part("a", 0));
            g.minimize_with(&b, &Sgd::new(0.25), &MinimizeOptions::part("b", 1));
            vec![]
        })
        .unwrap();
    session.run(&mut f, &[] as &[Array]).unwrap();
    assert_eq!(session.get("a.x").unwrap().to_f32(), [0.0, 0.0]);
    assert_eq!(session.get("b.x").unwrap().to_f32(), [0.25, 1.5]);
    let counts = (session.updates_of(0), session.updates_of(1));
    assert_eq!((session.updates(), counts), (1, (1, 1)));
}

#[test]
fn both_go_on_after_a_stop() {
    let folder = tempfile::TempDir::new().unwrap();
    let [model, optimizer] = ["m.safetensors", "o.safetensors"].map(|n| folder.path().join(n));
    let values = |session: &mut Session| {
        let get = |path| session.get(path).unwrap();
        ["a.x", "b.x"].map(get)
    };
    let turns = |session: &mut Session, f: &mut Function, s: &mut Function, n| {
        for _ in 0..n {
            session.run(f, &[] as &[Array]).unwrap();
            session.run(f, &[] as &[Array]).unwrap();
            session.run(s, &[] as &[Array]).unwrap();
        }
    };
    let params = numbers();
    let mut session = cpu().open(&params).unwrap();
    let (mut f, mut s) = (first(&mut session).unwrap(), second(&mut session).unwrap());
    turns(&mut session, &mut f, &mut s, 3);
    session.save(&model).unwrap();
    session.save_optimizer(&optimizer).unwrap();
    turns(&mut session, &mut f, &mut s, 3);
    let want = values(&mut session);

    let params = numbers();
    let mut session = cpu().open(&params).unwrap();
    let (mut f, mut s) = (first(&mut session).unwrap(), second(&mut session).unwrap());
    session.load(&model).unwrap();
    session.load_optimizer(&optimizer).unwrap();
    turns(&mut session, &mut f, &mut s, 3);
    assert_eq!(values(&mut session), want);
}

#[test]
fn parts_that_cannot_be() {
    let message = |options: MinimizeOptions| {
        let params = numbers();
        let mut session = cpu().open(&params).unwrap();
        first(&mut session).unwrap();
        let f = session.compile(Mode::Train, &[], |g, _| {
            let loss = (&of(g, "b.x") - 1.0).square().sum(&[], false);
            g.minimize_with(&loss, &Sgd::new(0.1), &options);
            vec![loss]
        });
        f.err().unwrap().to_string()
    };
    let of_b = |first_group| MinimizeOptions::part("b", first_group);
    assert_eq!(
        message(of_b(0)),
        "an optimizer over a has parameter groups 0 to 0, and one over b would have 0 to 0: give this one another \
         MinimizeOptions::first_group, 1 say"
    );
    assert_eq!(
        message(MinimizeOptions::default()),
        "the loss does not reach a.x: freeze what is not used, use it, or say which parameters are meant \
         (MinimizeOptions::parameters)"
    );
    let text = message(of_b(1).clone_with(|o| o.parameters = vec!["c".into()]));
    assert!(
        text.contains("the pattern 'c' stands for no parameter: there are a.x, b.x, at tests"),
        "{text}"
    );
    let two = of_b(3).clone_with(|o| o.groups = vec![ParamGroup::new("b").lr(0.5)]);
    let params = numbers();
    let mut session = cpu().open(&params).unwrap();
    let f = session.compile(Mode::Train, &[], |g, _| {
        let loss = (&of(g, "b.x") - 1.0).square().sum(&[], false);
        g.minimize_with(&loss, &Sgd::new(0.1), &two);
        vec![loss]
    });
    f.unwrap();
    assert_eq!(session.rates(), [(3, 0.1), (4, 0.5)]);
}

trait CloneWith {
    fn clone_with(&self, change: impl FnOnce(&mut Self)) -> Self;
}

impl CloneWith for MinimizeOptions {
    fn clone_with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut new = self.clone();
        change(&mut new);
        new
    }
}

/// A second training at another learning rate has that rate; one that is compiled again leaves what was set.
#[test]
fn the_newest_function_says_the_rate() {
    let params = numbers();
    let mut session = cpu().open(&params).unwrap();
    let compile = |session: &mut Session, rate: f64| {
        let f = session.compile(Mode::Train, &[], move |g, _| {
            let loss = (&of(g, "a.x") + &of(g, "b.x")).square().sum(&[], false);
            g.minimize(&loss, &Sgd::new(rate));
            vec![loss]
        });
        drop(f.unwrap());
    };
    compile(&mut session, 0.1);
    assert_eq!(session.learning_rate(), 0.1);
    session.set_learning_rate(0.01);
    compile(&mut session, 0.1);
    assert_eq!(session.learning_rate(), 0.01);
    compile(&mut session, 0.5);
    assert_eq!(session.learning_rate(), 0.5);
}
