//! Indices that a run computes: who is told of those that are out of range, and when.

use crate::common::{Pass, cpu, gpu, lockstep};
use crate::indices::{TAKERS, logits, refused, table};
use wgrad::nn::{Embedding, Gru, Module};
use wgrad::optim::Sgd;
use wgrad::{Array, DType, Error, Mode, Params, Result, Tensor, TensorType, Trace};

fn passes() -> [Pass; 3] {
    [cpu(), gpu(), lockstep()]
}

fn vector(values: &[f32]) -> Array {
    Array::vector(values.to_vec())
}

#[test]
fn what_a_run_computes_is_told_by_reading_it() {
    for pass in passes() {
        let Some(mut s) = pass.open(&Params::new(0)) else {
            continue;
        };
        for &(op, what, take) in TAKERS {
            let types = [TensorType::f32([3])];
            let f = s.compile(Mode::Eval, &types, move |g, a| {
                vec![take(g, &a[0].to(DType::I32))]
            });
            let mut f = f.unwrap();
            let good = s.run(&mut f, &[&vector(&[0.0, 4.0, 1.5])]).unwrap();
            assert_eq!(good.len(), 1);
            for (values, bad) in [
                ([0.0, 5.0, 1.0], 5),
                ([-1.0, 0.0, 2.0], -1),
                ([9.0, 2.0, 1e9], 1_000_000_000),
            ] {
                match s.run(&mut f, &[&vector(&values)]) {
                    Err(Error::Index(misuse)) => {
                        let text = misuse.to_string();
                        let start = format!("{op} takes {what} from 0 to 4, {bad} came");
                        assert!(text.starts_with(&start), "{}: {text}", pass.name);
                        assert!(text.contains("tests/suite/indices.rs"), "{text}");
                    }
                    other => panic!("{}, {op}: {other:?}", pass.name),
                }
                let again = s.run(&mut f, &[&vector(&[0.0, 4.0, 1.5])]).unwrap();
                assert!(again == good, "{}, {op}", pass.name);
            }
            s.forget(f);
        }
    }
}

/// Two tables that one tensor is an index of: the message is of the one that it does not fit.
#[test]
fn the_operator_that_it_does_not_fit_is_named() {
    let params = Params::new(0);
    let (small, large) = (
        Embedding::new(5, 2).build(&params.at("small")),
        Embedding::new(50, 2).build(&params.at("large")),
    );
    for pass in passes() {
        let Some(mut s) = pass.open(&params) else {
            continue;
        };
        let f = s.compile(Mode::Eval, &[TensorType::f32([2, 2])], |_, a| {
            let ids = a[0].to(DType::I32);
            vec![large.forward(&ids).add(&small.forward(&ids))]
        });
        let mut f = f.unwrap();
        let mut of = |v: f32| {
            let x = Array::new([2, 2], vec![0.0, 4.0, v, 1.0]).unwrap();
            s.run(&mut f, &[&x]).map_err(|e| e.to_string())
        };
        assert!(of(4.0).is_ok());
        assert!(
            of(5.0)
                .unwrap_err()
                .starts_with("small: embedding takes ids from 0 to 4, 5 came")
        );
        assert!(
            of(50.0)
                .unwrap_err()
                .starts_with("large: embedding takes ids from 0 to 49, 50 came")
        );
    }
}

/// Lengths of sequences, of recurrent layers.
#[test]
fn lengths_of_sequences() {
    let params = Params::new(0);
    let layer = Gru::new(2, 3).build(&params.at("rnn"));
    let x = |g: &Trace| g.constant(Array::full([4, 2, 2], 0.5f32));
    for pass in passes() {
        let Some(mut s) = pass.open(&params) else {
            continue;
        };
        let f = s.compile(Mode::Eval, &[TensorType::f32([2])], |g, a| {
            let lengths = a[0].to(DType::I32);
            vec![layer.forward_with(&x(g), None, Some(&lengths)).0]
        });
        let mut f = f.unwrap();
        s.run(&mut f, &[&vector(&[0.0, 4.0])]).unwrap();
        let error = s.run(&mut f, &[&vector(&[5.0, 4.0])]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("rnn: ") && text.contains("takes lengths from 0 to 4, 5 came"),
            "{text}"
        );
        refused(
            &mut s,
            &["rnn: ", "takes lengths from 0 to 4, -1 came at element 1"],
            |g| {
                let lengths = g.constant(Array::vector(vec![1, -1]));
                layer.forward_with(&x(g), None, Some(&lengths)).0
            },
        );
    }
}

/// A label that is ignored is no index, wherever the label comes from.
#[test]
fn ignored_labels_that_are_computed() {
    for pass in passes() {
        let Some(mut s) = pass.open(&Params::new(0)) else {
            continue;
        };
        let f = s.compile(Mode::Eval, &[TensorType::f32([3])], |g, a| {
            vec![logits(g, 3).cross_entropy(&a[0].to(DType::I32))]
        });
        let mut f = f.unwrap();
        s.run(&mut f, &[&vector(&[0.0, -100.0, 4.0])]).unwrap();
        let error = s
            .run(&mut f, &[&vector(&[0.0, -100.0, -99.0])])
            .unwrap_err();
        assert!(error.to_string().contains("-99 came"), "{error}");
    }
}

/// Results that nobody reads: the next read says it, or the values of states, or a later submission.
#[test]
fn dropped_results_are_told_by_the_next_read() {
    let params = Params::new(0);
    let layer = Embedding::new(5, 2).build(&params.at("layer"));
    let index = |r: Result<()>| match r {
        Err(Error::Index(misuse)) => assert!(misuse.to_string().contains("7 came")),
        other => panic!("{other:?}"),
    };
    for pass in passes() {
        let Some(mut s) = pass.open(&params) else {
            continue;
        };
        let f = s.compile(Mode::Eval, &[TensorType::f32([2])], |_, a| {
            vec![layer.forward(&a[0].to(DType::I32))]
        });
        let mut f = f.unwrap();
        let (good, bad) = (vector(&[0.0, 4.0]), vector(&[0.0, 7.0]));
        let submits = s.counters().submits;
        // Discarded, dropped, and both before another function's results are read.
        let pending = s.submit(&mut f, &[&bad]).unwrap();
        s.discard(pending);
        let pending = s.submit(&mut f, &[&good]).unwrap();
        index(s.read(pending).map(drop));
        s.run(&mut f, &[&good]).unwrap();
        drop(s.submit(&mut f, &[&bad]).unwrap());
        index(s.run(&mut f, &[&good]).map(drop));
        s.run(&mut f, &[&good]).unwrap();
        assert!(pass.name == "lockstep" || s.counters().submits == submits + 6);
        drop(s.submit(&mut f, &[&bad]).unwrap());
        index(s.get("layer.weight").map(drop));
        s.get("layer.weight").unwrap();
        // Nobody reads anything, ever.
        let mut told = 0;
        for _ in 0..20 {
            match s.submit(&mut f, &[&bad]) {
                Ok(pending) => s.discard(pending),
                Err(error) => {
                    index(Err(error));
                    told += 1;
                }
            }
        }
        assert!((3..=7).contains(&told), "{told}");
    }
}

#[test]
fn an_option_turns_the_checks_off() {
    for mut pass in passes() {
        let computed = |_: &Trace, a: &[Tensor]| {
            let ids = a[0].to(DType::I32);
            vec![ids.embedding(&table(a[0].trace()), None)]
        };
        let types = [TensorType::f32([3])];
        let mut counted = Vec::new();
        for check in [Some(true), None, Some(false)] {
            pass.options.check_indices = check;
            let Some(mut s) = pass.open(&Params::new(0)) else {
                continue;
            };
            let mut f = s.compile(Mode::Eval, &types, computed).unwrap();
            let before = s.counters().submits;
            let run = s.run(&mut f, &[&vector(&[0.0, 7.0, 1.0])]);
            counted.push(s.counters().submits - before);
            match check {
                Some(false) => assert_eq!(run.unwrap()[0].to_f32(), [0.0, 1.0, 8.0, 9.0, 2.0, 3.0]),
                _ => assert!(matches!(run, Err(Error::Index(_)))),
            }
            // Constants are refused all the same.
            refused(&mut s, &["5 came"], |g| {
                g.arange(6).embedding(&table(g), None)
            });
        }
        if pass.name == "gpu" {
            assert_eq!(counted, [1, 1, 1]);
        }
    }
}

/// Training does not go on in silence.
#[test]
fn training_ends_with_the_error() {
    let params = Params::new(0);
    let layer = Embedding::new(5, 3).build(&params.at("layer"));
    for pass in passes() {
        let Some(mut s) = pass.open(&params) else {
            continue;
        };
        let f = s.compile(Mode::Train, &[TensorType::f32([2])], |g, a| {
            let loss = layer
                .forward(&a[0].to(DType::I32))
                .square()
                .mean(&[], false);
            g.minimize(&loss, &Sgd::new(0.1));
            vec![loss]
        });
        let mut f = f.unwrap();
        s.run(&mut f, &[&vector(&[0.0, 4.0])]).unwrap();
        let error = s
            .run(&mut f, &[&vector(&[0.0, 5.0])])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("layer: embedding takes ids from 0 to 4, 5 came"),
            "{error}"
        );
    }
}

/// Rows of data that the session holds, at indices of every kind.
#[test]
fn rows_of_held_data() {
    for pass in passes() {
        let Some(mut s) = pass.open(&Params::new(0)) else {
            continue;
        };
        let rows = Array::new([3, 2], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let rows = s.hold(&rows).unwrap();
        refused(
            &mut s,
            &["index_select takes indices from 0 to 2, 3 came"],
            |g| g.held(&rows).index_select(0, &g.arange(4)),
        );
        let f = s.compile(Mode::Eval, &[TensorType::f32([2])], |g, a| {
            vec![g.held(&rows).index_select(0, &a[0].to(DType::I32))]
        });
        let mut f = f.unwrap();
        let got = s.run(&mut f, &[&vector(&[2.0, 0.0])]).unwrap();
        assert_eq!(got[0].to_f32(), [4.0, 5.0, 0.0, 1.0]);
        let error = s.run(&mut f, &[&vector(&[2.0, 3.0])]).unwrap_err();
        assert!(matches!(error, Error::Index(_)), "{error}");
    }
}

/// More indices than a kernel reduces at once, of several dimensions, one of them wrong.
#[test]
fn one_among_many() {
    for pass in [cpu(), gpu()] {
        let Some(mut s) = pass.open(&Params::new(0)) else {
            continue;
        };
        let f = s.compile(Mode::Eval, &[TensorType::f32([3, 7, 9001])], |g, a| {
            let ids = a[0].to(DType::I32);
            vec![ids.embedding(&table(g), None).mean(&[], false)]
        });
        let mut f = f.unwrap();
        let mut values = vec![4.0f32; 3 * 7 * 9001];
        let mut run = |values: &[f32]| {
            s.run(
                &mut f,
                &[&Array::new([3, 7, 9001], values.to_vec()).unwrap()],
            )
        };
        run(&values).unwrap();
        for at in [0, 1, 77_777, 3 * 7 * 9001 - 1] {
            values[at] = -3.0;
            let error = run(&values).unwrap_err().to_string();
            assert!(error.contains("-3 came"), "{}: {error}", pass.name);
            values[at] = 4.0;
        }
        run(&values).unwrap();
    }
}
