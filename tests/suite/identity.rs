//! What is the same, and what is not: operators that print alike, tensors of another trace.

use crate::common::cpu;
use wgrad::error::Site;
use wgrad::graph::{OfUpdate, Scalar};
use wgrad::op::{CpuIo, OpDef};
use wgrad::optim::{MinimizeOptions, Sgd};
use wgrad::{Array, Mode, Params, Result, Tensor, TensorType, Trace};

/// The operator `name` of `struct`s: each element through a function.
macro_rules! elementwise {
    ($t:ident, $self:ident, $x:ident, $value:expr, $merges:expr) => {
        impl OpDef for $t {
            fn name(&self) -> &'static str {
                "mine"
            }

            fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
                Ok(inputs.to_vec())
            }

            fn merges(&self) -> bool {
                $merges
            }

            fn cpu(&$self, io: &mut CpuIo) -> Result<()> {
                let (x, y) = (io.input::<f32>(0), io.output::<f32>(0));
                y.iter_mut().zip(x).for_each(|(y, $x)| *y = $value);
                Ok(())
            }
        }
    };
}

macro_rules! prints_alike {
    ($($t:ident),*) => {$(
        impl std::fmt::Debug for $t {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Mine")
            }
        }
    )*};
}

struct Doubled;
struct Squared;
/// Holds what it does not print.
struct Scaled(f32);
/// Holds a closure.
struct Through(Box<dyn Fn(f32) -> f32 + Send + Sync>);
prints_alike!(Doubled, Squared, Scaled, Through);
elementwise!(Doubled, self, x, 2.0 * x, true);
elementwise!(Squared, self, x, x * x, true);
elementwise!(Scaled, self, x, self.0 * x, false);
elementwise!(Through, self, x, (self.0)(*x), false);

#[derive(Debug)]
struct Shifted(f32);
elementwise!(Shifted, self, x, self.0 + x, true);

fn values(body: impl Fn(&Tensor) -> Vec<Tensor> + Send) -> (Vec<Vec<f32>>, usize) {
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let types = [TensorType::f32([3])];
    let f = session.compile(Mode::Eval, &types, move |_, a| body(&a[0]));
    let mut f = f.unwrap();
    let x = Array::vector(vec![1.0f32, 3.0, 5.0]);
    let results = session.run(&mut f, &[&x]).unwrap();
    let mine = |s: &&wgrad::plan::Step| s.name.contains("mine");
    let steps = f.plan().unwrap().steps.iter().filter(mine).count();
    (results.iter().map(Array::to_f32).collect(), steps)
}

#[test]
fn operators_of_two_types_are_two() {
    let (got, steps) = values(|x| {
        let site = Site::here();
        let double = || x.apply(Doubled, &[], site);
        vec![double(), x.apply(Squared, &[], site), double()]
    });
    assert_eq!(got, [[2.0, 6.0, 10.0], [1.0, 9.0, 25.0], [2.0, 6.0, 10.0]]);
    assert_eq!(steps, 2);
}

#[test]
fn operators_that_hide_what_they_hold_are_as_many_as_are_applied() {
    let (got, _) = values(|x| {
        let site = Site::here();
        let through = |f: fn(f32) -> f32| x.apply(Through(Box::new(f)), &[], site);
        vec![
            x.apply(Scaled(2.0), &[], site),
            x.apply(Scaled(-1.0), &[], site),
            through(|x| x + 1.0),
            through(|x| 0.5 * x),
        ]
    });
    let want = [
        [2.0, 6.0, 10.0],
        [-1.0, -3.0, -5.0],
        [2.0, 4.0, 6.0],
        [0.5, 1.5, 2.5],
    ];
    assert_eq!(got, want);
}

#[test]
fn operators_that_print_all_and_say_so_are_computed_once() {
    let (got, steps) = values(|x| {
        let site = Site::here();
        [1.0, 2.0, 1.0]
            .iter()
            .map(|&by| x.apply(Shifted(by), &[], site))
            .collect()
    });
    assert_eq!(got, [[2.0, 4.0, 6.0], [3.0, 5.0, 7.0], [2.0, 4.0, 6.0]]);
    assert_eq!(steps, 2);
}

/// Values that the host computes by functions of one name.
#[test]
fn functions_of_an_update_are_their_own() {
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let of = |value| OfUpdate::new("mine", [0.0, 0.0], value);
    let results = session.eval(move |g| {
        let scalar = |value| g.run_scalar(Scalar::OfUpdate(of(value)));
        vec![scalar(|_, _| 2.0), scalar(|n, _| 7.0 * n as f64)]
    });
    let values: Vec<f32> = results.unwrap().iter().map(Array::item).collect();
    assert_eq!(values, [2.0, 7.0]);
}

/// The library's own are computed once.
#[test]
fn what_is_traced_twice_is_computed_once() {
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let f = session.compile(Mode::Eval, &[TensorType::f32([3, 3])], |_, a| {
        let product = || a[0].matmul(&a[0]).softmax(1);
        vec![product(), product()]
    });
    let plan = f.unwrap();
    let names: Vec<&str> = (plan.plan().unwrap().steps.iter())
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(
        names.iter().filter(|n| n.contains("matmul")).count(),
        1,
        "{names:?}"
    );
    assert_eq!(
        names.iter().filter(|n| n.contains("softmax")).count(),
        1,
        "{names:?}"
    );
}

/// What compiling `body` for f32 `[2, 3]` says, which also gets the tensors f32 `[2, 3]`, i32 `[2]` and f32 `[]` of another trace.
fn foreign(
    mode: Mode,
    body: impl Fn(&Trace, &Tensor, &[Tensor]) -> Tensor + Send + Sync,
) -> String {
    let params = Params::new(0);
    params.parameter("w", [2, 3], |_: &mut wgrad::rng::Rng, n: usize| {
        vec![1.0; n]
    });
    let mut session = cpu().open(&params).unwrap();
    let compiled = session.compile(mode, &[TensorType::f32([2, 3])], |g, a| {
        let other = Trace::new(&g.params(), true);
        // So many nodes that an index into them is none here.
        for _ in 0..100 {
            other.scalar(0.0f32);
        }
        let x = other.input(TensorType::f32([2, 3]));
        let i = other.input(TensorType::i32([2]));
        let sum = x.sum(&[], false);
        vec![body(g, &a[0], &[x, i, sum])]
    });
    compiled.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn tensors_of_another_trace_are_refused_wherever_they_come() {
    type Body = fn(&Trace, &Tensor, &[Tensor]) -> Tensor;
    let rows: &[(&str, Body)] = &[
        ("gradients", |g, x, f| g.grad(&x.sum(&[], false), &f[0])),
        ("gradients", |g, x, f| g.grad(&f[2], x)),
        ("gradients", |g, _, f| g.grad(&f[2], &f[0])),
        ("gradients", |g, x, f| {
            let loss = x.sum(&[], false);
            let both = g.gradients(&loss, &[x, &f[0]]);
            both.into_iter().flatten().next().unwrap_or(loss)
        }),
        ("minimize", |g, x, f| {
            g.minimize(&f[2], &Sgd::new(0.1));
            x.clone()
        }),
        ("minimize", |g, x, f| {
            g.minimize_clipped(&f[2], &Sgd::new(0.1), Some(1.0));
            x.clone()
        }),
        ("minimize", |g, x, f| {
            g.minimize_with(&f[2], &Sgd::new(0.1), &MinimizeOptions::default());
            x.clone()
        }),
        ("assign", |g, x, f| {
            let w = g.params().get("w").unwrap();
            g.assign(w.range, &f[0]);
            x.clone()
        }),
        ("gather", |_, x, f| {
            x.gather(0, &f[1].unsqueeze(-1).expand([2, 3]))
        }),
        ("index_select", |_, x, f| x.index_select(0, &f[1])),
        ("index_add", |_, x, f| x.index_add(0, &f[1], x)),
        ("embedding", |_, x, f| f[1].embedding(x, None)),
        ("cross_entropy", |_, x, f| x.cross_entropy(&f[1])),
        ("nll_loss", |_, x, f| x.nll_loss(&f[1])),
        ("stands_for", |g, x, f| {
            g.stands_for(&f[0], 0);
            x.clone()
        }),
        ("add", |_, x, f| x.add(&f[0])),
        ("add", |_, x, f| f[0].add(x)),
        ("where", |_, x, f| f[0].where_(x, x)),
        ("matmul", |_, x, f| x.matmul(&f[0].t())),
        ("einsum", |_, x, f| Tensor::einsum("ij,kj->ik", &[x, &f[0]])),
        ("cat", |_, x, f| Tensor::cat(&[x, &f[0]], 0)),
        ("cat", |_, x, f| Tensor::stack(&[&f[0], x], 0)),
        ("maximum", |_, x, f| x.maximum(&f[0])),
    ];
    for (op, body) in rows {
        let said = foreign(Mode::Train, body);
        let want = format!("{op} takes tensors of one trace: one of another function came");
        assert!(said.starts_with(&want), "{op}: {said}");
        let line = said.rsplit(", at ").next().unwrap();
        assert!(line.starts_with("tests/suite/identity.rs:"), "{said}");
    }
    let said = foreign(Mode::Eval, |_, _, f| f[0].clone());
    assert_eq!(
        said,
        "an output of the function is a tensor of another trace"
    );
    // In an evaluation too, where nothing is minimized.
    let said = foreign(Mode::Eval, |g, x, f| {
        g.minimize(&f[2], &Sgd::new(0.1));
        x.clone()
    });
    assert!(
        said.starts_with("minimize takes tensors of one trace"),
        "{said}"
    );
    // What is wrong with a tensor of another trace is not lost.
    let said = foreign(Mode::Train, |g, x, f| {
        g.minimize(&f[0].matmul(&f[0]), &Sgd::new(0.1));
        x.clone()
    });
    assert!(
        said.starts_with("matmul [2,3] x [2,3]: inner sizes"),
        "{said}"
    );
    let said = foreign(Mode::Train, |g, x, f| {
        let _ = g.grad(&f[0].matmul(&f[0]), x);
        x.clone()
    });
    assert!(
        said.starts_with("matmul [2,3] x [2,3]: inner sizes"),
        "{said}"
    );
}
