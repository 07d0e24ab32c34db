//! Micro-steps: of parameters that miss some, of parts, of batches that count for more.

use crate::common::{cpu, gpu};
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::reduction::Reduction;
use wgrad::optim::{Adam, MinimizeOptions, Sgd};
use wgrad::{Array, Function, Mode, Params, Session, Tensor, TensorType, Trace};

fn of(g: &Trace, path: &str) -> Tensor {
    let s = g.params().root().get(path).unwrap();
    g.state(s.range, TensorType::new(s.shape, s.dtype))
}

fn parameters(names: &[&str]) -> Params {
    let params = Params::new(0);
    for name in names {
        params.parameter(name, [2], |_, n| vec![0.0; n]);
    }
    params
}

fn micro(n: usize) -> MinimizeOptions {
    MinimizeOptions {
        micro_steps: n,
        ..Default::default()
    }
}

/// One run of descent by 1 down `x Σ w` for each list of parameters, whose optimizers take so many micro-steps.
fn step(
    session: &mut Session,
    sets: Vec<(&'static [&'static str], MinimizeOptions)>,
) -> Function<'static> {
    let body = move |g: &Trace, a: &[Tensor]| {
        for (paths, options) in &sets {
            let terms = paths.iter().map(|p| of(g, p).sum(&[], false));
            let loss = terms.reduce(|a, b| a.add(&b)).unwrap().mul(&a[0]);
            g.minimize_with(&loss, &Sgd::new(1.0), options);
        }
        vec![]
    };
    session
        .compile(Mode::Train, &[TensorType::f32([])], body)
        .unwrap()
}

fn run(session: &mut Session, f: &mut Function, x: f32) {
    session.run(f, &[&Array::scalar(x)]).unwrap();
}

#[track_caller]
fn is(session: &mut Session, path: &str, want: f32) {
    let got = session.get(path).unwrap().to_f32();
    assert!(
        got.iter().all(|x| (x - want).abs() < 1e-5),
        "{path}: {got:?}, want {want}"
    );
}

#[test]
fn a_parameter_that_misses_micro_steps() {
    for pass in [cpu(), gpu()] {
        // Which of three micro-steps of the second update it sees, and what it then moves by.
        for (seen, want) in [
            ([true, true, true], 7.0),
            ([false, true, true], 6.0),
            ([false, false, true], 4.0),
            ([true, false, true], 5.0),
            ([true, true, false], 0.0),
        ] {
            let params = parameters(&["a", "b"]);
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            let mut f = step(&mut session, vec![(&["a", "b"][..], micro(3))]);
            (0..3).for_each(|_| run(&mut session, &mut f, 100.0));
            for (x, seen) in [3.0, 6.0, 12.0].into_iter().zip(seen) {
                let marked = if seen {
                    params.thaw("a")
                } else {
                    params.freeze("a")
                };
                assert_eq!(marked.unwrap(), 1);
                run(&mut session, &mut f, x);
            }
            is(&mut session, "a", -100.0 - want);
            is(&mut session, "b", -107.0);
            // What it had gathered before an update that it was not in is gone.
            params.thaw("a").unwrap();
            (0..3).for_each(|_| run(&mut session, &mut f, 1.0));
            is(&mut session, "a", -101.0 - want);
            is(&mut session, "b", -108.0);
        }
    }
}

#[test]
fn two_micro_steps_of_which_one_is_missed() {
    let params = parameters(&["a", "b"]);
    let mut session = cpu().open(&params).unwrap();
    let mut f = step(&mut session, vec![(&["a", "b"][..], micro(2))]);
    (0..2).for_each(|_| run(&mut session, &mut f, 100.0));
    params.freeze("a").unwrap();
    run(&mut session, &mut f, 1.0);
    params.thaw("a").unwrap();
    run(&mut session, &mut f, 1.0);
    is(&mut session, "a", -100.5);
    is(&mut session, "b", -101.0);
}

/// A generator that makes an update of two runs, its discriminator one of three.
#[test]
fn parts_accumulate_by_their_own_counts() {
    let of = |pattern: &str, group: usize, n: usize| MinimizeOptions {
        micro_steps: n,
        ..MinimizeOptions::part(pattern, group)
    };
    for pass in [cpu(), gpu()] {
        for together in [true, false] {
            let params = parameters(&["a", "b"]);
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            let (a, b) = ((&["a"][..], of("a", 0, 2)), (&["b"][..], of("b", 1, 3)));
            let mut all = match together {
                true => vec![step(&mut session, vec![a, b])],
                false => vec![step(&mut session, vec![a]), step(&mut session, vec![b])],
            };
            let (mut want, mut sums, mut counts) = ([0.0; 2], [0.0; 2], [0, 0]);
            for n in 0..11 {
                let x = 1.0 + n as f32;
                all.iter_mut().for_each(|f| run(&mut session, f, x));
                for (k, micro) in [2, 3].into_iter().enumerate() {
                    sums[k] += x;
                    counts[k] += 1;
                    if counts[k] == micro {
                        want[k] -= sums[k] / micro as f32;
                        (sums[k], counts[k]) = (0.0, 0);
                    }
                }
                is(&mut session, "a", want[0]);
                is(&mut session, "b", want[1]);
                let accumulated = [0, 1].map(|g| session.accumulated_of(g) as usize);
                assert_eq!(accumulated, counts);
            }
            assert_eq!((session.updates_of(0), session.updates_of(1)), (5, 3));
            // The end of an epoch: what there is makes an update.
            session.apply_next();
            run(&mut session, &mut all[0], 2.0);
            assert_eq!(session.accumulated_of(0), 0);
        }
    }
}

/// Descent by 1 for a softmax whose logits are the parameter `w`, on labels of which -100 is ignored.
fn tokens(
    session: &mut Session,
    n: usize,
    options: &MinimizeOptions,
    form: usize,
) -> Function<'static> {
    let options = options.clone();
    let types = [TensorType::i32([n])];
    let body = move |g: &Trace, a: &[Tensor]| {
        let w = of(g, "w").unsqueeze(0).expand([a[0].size(0), 2]);
        let rule = Sgd::new(1.0);
        match form {
            0 => drop(g.minimize_with(&w.cross_entropy(&a[0]), &rule, &options)),
            // The same loss, of which nothing is known.
            1 => {
                let each = CrossEntropyOptions {
                    reduction: Reduction::None,
                    ..Default::default()
                };
                let counted = a[0].ne(-100).to_f32().sum(&[], false);
                let loss = w
                    .cross_entropy_with(&a[0], &each)
                    .sum(&[], false)
                    .div(&counted);
                g.minimize_counted(&loss, &counted, &rule, &options);
            }
            // With a term of which the batch has no part.
            2 => {
                let size = of(g, "w").square().mean(&[], false).mul_scalar(0.0);
                let loss = w.cross_entropy(&a[0]).add(&size);
                g.minimize_with(&loss, &rule, &options);
            }
            // Of which two are added up.
            _ => {
                let both = w.log_softmax(-1).nll_loss(&a[0]).mul_scalar(0.5);
                let loss = both.add(&both);
                g.minimize_with(&loss, &rule, &options);
            }
        }
        vec![]
    };
    session.compile(Mode::Train, &types, body).unwrap()
}

fn labels(all: &[i32]) -> Array {
    Array::vector(all.to_vec())
}

/// Micro-batches of 1 and 3 tokens: by tokens, not by batches, whether others are ignored or not there.
#[test]
fn batches_count_by_what_their_loss_counted() {
    for pass in [cpu(), gpu()] {
        for form in 0..4 {
            let params = parameters(&["w"]);
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            let mut f = tokens(&mut session, 3, &micro(2), form);
            let want = |session: &mut Session, want: [f32; 2]| {
                let got = session.get("w").unwrap().to_f32();
                let off = got.iter().zip(want).map(|(g, w)| (g - w).abs());
                assert!(
                    off.fold(0.0, f32::max) < 1e-6,
                    "{} {form}: {got:?}, {want:?}",
                    pass.name
                );
                session.set("w", &Array::vector(vec![0.0f32; 2])).unwrap();
            };
            session.run(&mut f, &[&labels(&[-100, 0, -100])]).unwrap();
            session.run(&mut f, &[&labels(&[1, 1, 1])]).unwrap();
            want(&mut session, [-0.25, 0.25]);
            if form == 0 {
                // Shorter texts in place of ignored labels.
                session.run(&mut f, &[&labels(&[0])]).unwrap();
                session.run(&mut f, &[&labels(&[1, 1, 1])]).unwrap();
                want(&mut session, [-0.25, 0.25]);
            }
            // One whose labels are all ignored adds nothing, whenever it comes.
            for at in [0, 1] {
                let mut both = [labels(&[1, 0, 1]), labels(&[-100; 3])];
                both.swap(0, at);
                session.run(&mut f, &[&both[0]]).unwrap();
                session.run(&mut f, &[&both[1]]).unwrap();
                want(&mut session, [-1.0 / 6.0, 1.0 / 6.0]);
            }
        }
    }
}

/// A last batch that is short, and an update of fewer micro-steps.
#[test]
fn short_batches_count_by_samples() {
    for pass in [cpu(), gpu()] {
        let params = parameters(&["w"]);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let types = [TensorType::f32([2])];
        let mut f = session
            .compile(Mode::Train, &types, |g, a| {
                let w = of(g, "w").sum(&[], false).mul_scalar(0.5);
                let loss = w
                    .expand(a[0].shape().clone())
                    .mse_loss(&a[0], Reduction::Mean);
                let options = MinimizeOptions {
                    clip_norm: Some(1e6),
                    ..micro(3)
                };
                g.minimize_with(&loss, &Adam::new(0.1), &options);
                vec![]
            })
            .unwrap();
        for batch in [vec![1.0f32, 2.0], vec![3.0, 4.0], vec![21.0]] {
            session.run(&mut f, &[&Array::vector(batch)]).unwrap();
        }
        // Σ 2 (0 - x) / 5 · 1/2 = -6.2, of which a tenth is the first mean.
        let m = session.get("exp_avg/w").unwrap().to_f32();
        assert!(
            m.iter().all(|m| (m + 0.62).abs() < 1e-5),
            "{}: {m:?}",
            pass.name
        );
        session
            .run(&mut f, &[&Array::vector(vec![5.0f32, 7.0])])
            .unwrap();
        session.apply_next();
        session
            .run(&mut f, &[&Array::vector(vec![3.0f32])])
            .unwrap();
        // Adam's first step was 0.1 towards the larger.
        let mean = (5.0 + 7.0 + 3.0) / 3.0 - 0.1;
        let want = 0.9 * -0.62 - 0.1 * mean;
        let m = session.get("exp_avg/w").unwrap().to_f32();
        assert!(
            m.iter().all(|m| (m - want).abs() < 1e-5),
            "{}: {m:?}, {want}",
            pass.name
        );
    }
}

/// A stop between two micro-steps, one of which counts for more and which one parameter misses.
#[test]
fn a_stop_between_micro_steps() {
    let folder = tempfile::TempDir::new().unwrap();
    let [weights, optimizer] = ["w", "o"].map(|n| folder.path().join(n));
    let compile = |session: &mut Session| {
        let body = |g: &Trace, a: &[Tensor]| {
            let both = of(g, "a").sum(&[], false).add(&of(g, "b").sum(&[], false));
            g.minimize_counted(&both.mul(&a[0]), &a[1], &Sgd::new(1.0), &micro(3));
            vec![]
        };
        let types = [TensorType::f32([]), TensorType::f32([])];
        session.compile(Mode::Train, &types, body).unwrap()
    };
    for stop in [None, Some(4), Some(5)] {
        let mut params = parameters(&["a", "b"]);
        let mut session = cpu().open(&params).unwrap();
        let mut f = compile(&mut session);
        let runs = [(9.0, 1.0); 3]
            .into_iter()
            .chain([(1.0, 1.0), (2.0, 4.0), (5.0, 5.0)]);
        for (n, (x, counted)) in runs.enumerate() {
            if n == 3 {
                params.freeze("a").unwrap();
            }
            if stop == Some(n) {
                session.save(&weights).unwrap();
                session.save_optimizer(&optimizer).unwrap();
                params = parameters(&["a", "b"]);
                params.freeze(if n == 4 { "a" } else { "{a,b}" }).unwrap();
                params.thaw("b").unwrap();
                session = cpu().open(&params).unwrap();
                f = compile(&mut session);
                session.load(&weights).unwrap();
                session.load_optimizer(&optimizer).unwrap();
                assert_eq!(session.accumulated(), n as u32 - 3);
            }
            if n == 5 {
                params.thaw("a").unwrap();
            }
            let arguments = [Array::scalar(x), Array::scalar(counted)];
            session.run(&mut f, &arguments).unwrap();
        }
        is(&mut session, "a", -9.0 - 2.5);
        is(&mut session, "b", -9.0 - (1.0 + 8.0 + 25.0) / 10.0);
    }
}

#[test]
fn wordings() {
    let params = parameters(&["w"]);
    let mut session = cpu().open(&params).unwrap();
    let f = session.compile(Mode::Train, &[], |g, _| {
        let w = of(g, "w");
        g.minimize_counted(&w.sum(&[], false), &w, &Sgd::new(1.0), &micro(2));
        vec![]
    });
    let message = f.map(drop).unwrap_err().to_string();
    assert!(
        message.contains("takes how many items were counted as one number, f32 [2] came"),
        "{message}"
    );
}
