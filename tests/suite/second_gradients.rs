//! Gradients of gradients: the first gradients of the case table, in the middle of a graph, against finite differences.

use crate::cases::{Case, table};
use crate::common::{cpu, gpu};
use crate::gradcheck::check;
use crate::parity::near;
use crate::run::{Faults, Program, run};
use wgrad::nn::{Gru, Lstm, Masks, Module, MultiheadAttention, Rnn, TransformerEncoderLayer};
use wgrad::rng::Rng;
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType, Trace};

/// Elements of a case's inputs, at most: a check takes some runs for each.
const LARGEST: usize = 700;
/// The same where devices compile each case's kernels.
const LARGEST_ON_DEVICES: usize = 150;
/// What differences miss by, of first gradients near poles (`pow_scalar`, -2; `binary_cross_entropy`) up to 0.01.
const RTOL: f64 = 1.5e-2;

/// The case of the gradients of `case`: of a curve of its results, so that they depend on all inputs.
fn gradients_of(case: &Case) -> Result<Case, String> {
    let program = Program::new(case).map_err(|e| e.to_string())?;
    let weights = program.weights(5);
    let wanted: Vec<bool> = case.inputs.iter().map(|i| i.wanted).collect();
    let build = move |g: &Trace, x: &[Tensor]| {
        let results = program.results(g, x);
        let of = |(y, w): (&Tensor, &Array)| {
            let z = y * &g.constant(w.clone());
            (&z + &z.square().mul_scalar(0.2)).sum(&[], false)
        };
        let loss = (results.iter().zip(&weights).map(of)).reduce(|a, b| &a + &b);
        let by: Vec<&Tensor> = (x.iter().zip(&wanted))
            .filter(|p| *p.1)
            .map(|p| p.0)
            .collect();
        let gradients = loss.map(|loss| g.gradients(&loss, &by));
        gradients.into_iter().flatten().flatten().collect()
    };
    let mut derived = Case::many("", case.inputs.clone(), build);
    derived.name = format!("gradient of {}", case.name);
    derived.many = case.many;
    Ok(derived)
}

fn elements(case: &Case) -> usize {
    let of = |i: &crate::cases::Input| i.shape.iter().product::<usize>();
    case.inputs.iter().map(of).sum()
}

#[test]
fn second_gradients_match_differences() {
    let mut session = cpu().open(&Params::new(3)).unwrap();
    let faults = Faults::default();
    let mut count = 0;
    for case in table()
        .into_iter()
        .filter(|c| c.smooth && elements(c) <= LARGEST)
    {
        count += 1;
        if let Err(why) = gradients_of(&case).and_then(|case| check(&mut session, &case, RTOL)) {
            faults.add(format!("{}: {why}", case.name));
        }
    }
    assert!(count > 100, "{count} cases");
    faults.end();
}

/// The same on both devices, of those that are gradients of kernels by plain operators.
#[test]
fn second_gradients_on_devices() {
    let of = |name: &str| {
        ["attention", "recurrence"]
            .iter()
            .any(|n| name.starts_with(n))
    };
    let cases: Vec<Case> = table()
        .into_iter()
        .filter(|c| of(&c.name) && elements(c) <= LARGEST_ON_DEVICES)
        .map(|case| gradients_of(&case).unwrap())
        .collect();
    assert!(cases.len() > 10, "{} cases", cases.len());
    let mut reference = cpu().open(&Params::new(3)).unwrap();
    let Some(mut session) = gpu().open(&Params::new(3)) else {
        return;
    };
    for case in &cases {
        let inputs = case.values(2);
        let [got, want] =
            [&mut session, &mut reference].map(|session| run(session, case, &inputs, 2).unwrap());
        assert_eq!(near(&got, &want), Ok(()), "{}", case.name);
    }
}

fn normal(rng: &mut Rng, shape: &[usize]) -> Array {
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
    Array::new(shape.to_vec(), values).unwrap()
}

/// `x [3, 4, 6]` through layers whose gradients are kernels, heads of one tensor and both directions among them: what a
/// penalty on the gradient by `x` adds to the gradients of the parameters, along random directions.
#[test]
fn penalties_on_gradients() {
    type Build = fn(&Params) -> Box<dyn Module>;
    let layers: [(&str, Build); 6] = [
        ("MultiheadAttention", |p| {
            let layer = MultiheadAttention::new(6, 2).batch_first(true).build(p);
            Box::new(move |x: &Tensor| layer.forward(x, x, x, &Masks::causal()))
        }),
        ("MultiheadAttention of two", |p| {
            let layer = MultiheadAttention::new(6, 3).batch_first(true).build(p);
            Box::new(move |x: &Tensor| {
                let keys = x.square();
                layer.forward(x, &keys, &keys, &Masks::default())
            })
        }),
        ("TransformerEncoderLayer", |p| {
            let layer = TransformerEncoderLayer::new(6, 2).dim_feedforward(5);
            Box::new(layer.activation(|x| x.tanh()).norm_first(true).build(p))
        }),
        ("RNN", |p| {
            Box::new(Rnn::new(6, 3).bidirectional(true).build(p))
        }),
        ("LSTM", |p| {
            let layer = Lstm::new(6, 3).num_layers(2).bidirectional(true);
            Box::new(layer.batch_first(true).build(p))
        }),
        ("GRU", |p| {
            Box::new(Gru::new(6, 3).bidirectional(true).build(p))
        }),
    ];
    for (name, build) in layers {
        for pass in [cpu(), gpu()] {
            let params = Params::new(7);
            let layer = build(&params.at("layer"));
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            let mut rng = Rng::new(1, name);
            let x = normal(&mut rng, &[3, 4, 6]);
            let states = params.list();
            let mut f = session
                .compile(Mode::Train, &[TensorType::of(&x)], |g, a| {
                    let z = layer.forward(&a[0].mul_scalar(0.9));
                    let loss = (&z + &z.square().mul_scalar(0.3)).sum(&[], false);
                    let penalty = g.grad(&loss, &a[0]).square().sum(&[], false);
                    let total = &penalty.mul_scalar(0.7) + &loss;
                    let by: Vec<Tensor> = (states.iter())
                        .map(|s| g.state(s.range, TensorType::f32(s.shape.clone())))
                        .collect();
                    let by: Vec<&Tensor> = by.iter().collect();
                    let gradients = g.gradients(&total, &by).into_iter().flatten();
                    std::iter::once(total.clone()).chain(gradients).collect()
                })
                .unwrap();
            let mut run = |session: &mut Session| {
                session.set_counts(0, 0);
                session.run(&mut f, &[&x]).unwrap()
            };
            let first = run(&mut session);
            assert_eq!(first.len(), 1 + states.len(), "{name}");
            let values: Vec<Array> = (states.iter())
                .map(|s| session.get(&s.path).unwrap())
                .collect();
            for _ in 0..4 {
                let along: Vec<Array> =
                    values.iter().map(|v| normal(&mut rng, v.shape())).collect();
                let got: f64 = (along.iter().zip(&first[1..]))
                    .flat_map(|(d, g)| d.to_f32().into_iter().zip(g.to_f32()))
                    .map(|(d, g)| f64::from(d) * f64::from(g))
                    .sum();
                let mut total = |step: f32| {
                    for ((state, value), d) in states.iter().zip(&values).zip(&along) {
                        let moved = value.to_f32().into_iter().zip(d.to_f32());
                        let moved: Vec<f32> = moved.map(|(v, d)| v + step * d).collect();
                        let moved = Array::new(value.shape().clone(), moved).unwrap();
                        session.set(&state.path, &moved).unwrap();
                    }
                    f64::from(run(&mut session)[0].item())
                };
                let step = 2e-3;
                let want = (total(step) - total(-step)) / f64::from(2.0 * step);
                let bound = 1e-2 * want.abs() + 1e-3 * f64::from(first[0].item().abs());
                assert!(
                    (got - want).abs() <= bound,
                    "{}, {name}: {got}, by differences {want}",
                    pass.name
                );
            }
        }
    }
}
