//! Recurrent layers: how many launches they take, what they refuse, what has no part in their results.

use crate::common::cpu;
use wgrad::caps::Caps;
use wgrad::nn::{Gru, Lstm, Module, Rnn};
use wgrad::ops::recurrence::{Cell, Recurrence};
use wgrad::plan::Plan;
use wgrad::rng::Rng;
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType, Trace};

/// Launches of the recurrence of a training step of two layers, both ways. Those of products and sums over all steps are
/// a few more where there is more to cut.
fn launches(steps: usize, hidden: usize, caps: &Caps) -> usize {
    let params = Params::new(0);
    let layer = Lstm::new(5, hidden).num_layers(2).bidirectional(true);
    let layer = layer.batch_first(true).build(&params);
    let trace = Trace::new(&params, true);
    let x = trace.input(TensorType::f32([9, steps, 5]));
    let loss = layer.forward(&x).square().mean(&[], false);
    trace.minimize(&loss, &wgrad::optim::Adam::new(1e-3));
    let plan = Plan::compile(trace.finish(&[loss]).unwrap().graph, caps).unwrap();
    let all = plan.steps.iter().flat_map(|s| &s.kernels.dispatches);
    all.filter(|d| d.shader.starts_with("recurrence")).count()
}

#[test]
fn launches_do_not_grow_with_the_steps() {
    let hardware = Caps::default();
    for hidden in [16, 128, 250] {
        let few = launches(2, hidden, &hardware);
        assert_eq!(few, launches(300, hidden, &hardware), "{hidden} units");
    }
    // Too many weights for one workgroup, or barriers that are dear: a launch a step, in each direction of each layer
    // forward and backward.
    let software = Caps {
        software: true,
        ..Caps::default()
    };
    for (hidden, caps) in [(600, &hardware), (16, &software)] {
        let more = launches(12, hidden, caps) - launches(2, hidden, caps);
        assert_eq!(more, 10 * 4 * 2, "{hidden} units");
    }
}

/// The loop of a thread ends before a device ends it.
#[test]
fn long_loops_are_cut() {
    let few = Caps {
        iterations: 20_000,
        ..Caps::default()
    };
    let (whole, cut) = (
        launches(400, 128, &Caps::default()),
        launches(400, 128, &few),
    );
    assert!(
        (whole + 1..whole + 400).contains(&cut),
        "{whole}, cut {cut}"
    );
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
}

#[test]
fn layers_that_cannot_be() {
    type Build = fn(&Params);
    let rows: [(Build, &[&str]); 5] = [
        (
            |p| drop(Lstm::new(3, 0).build(p)),
            &["LSTM: from 3 features to 0 units", "both must be 1 or more"],
        ),
        (
            |p| drop(Gru::new(0, 4).build(p)),
            &["GRU: from 0 features to 4 units"],
        ),
        (
            |p| drop(Rnn::new(3, 4).num_layers(0).build(p)),
            &["RNN: num_layers is 0: takes 1 or more"],
        ),
        (
            |p| drop(Rnn::new(3, 4).dropout(1.5).build(p)),
            &["RNN: dropout is 1.5: a probability, 0 to 1"],
        ),
        (
            |p| drop(Rnn::new(3, 4).dropout(f32::NAN).build(p)),
            &["RNN: dropout is NaN"],
        ),
    ];
    for (build, parts) in rows {
        let params = Params::new(0);
        build(&params.at("rnn"));
        let error = Session::with_options(&params, &cpu().options).map(drop);
        let message = error.unwrap_err().to_string();
        says(&message, parts);
        says(&message, &["rnn", "tests/suite/recurrent.rs:"]);
    }
}

#[test]
fn inputs_that_do_not_fit() {
    type Call = fn(&Gru, &[Tensor]) -> Tensor;
    let types = [
        TensorType::f32([2, 6, 3]),
        TensorType::f32([2, 3]),
        TensorType::f32([1, 2, 4]),
        TensorType::i32([3]),
        TensorType::f32([2]),
        TensorType::f32([2, 0, 3]),
    ];
    let rows: [(Call, &[&str]); 6] = [
        (
            |gru, a| gru.forward(&a[1]),
            &["GRU input [2,3]: takes [n, t, 3]"],
        ),
        (
            |gru, a| gru.forward(&a[2]),
            &["GRU input [1,2,4]: takes [n, t, 3]"],
        ),
        (
            |gru, a| gru.forward_with(&a[0], Some(&a[2]), None).0,
            &[
                "initial state [1,2,4]",
                "[layers * directions, n, hidden], [4, 2, 4]",
            ],
        ),
        (
            |gru, a| gru.forward_with(&a[0], None, Some(&a[3])).0,
            &["recurrence lengths i32 [3]: takes i32 [2]"],
        ),
        (
            |gru, a| gru.forward_with(&a[0], None, Some(&a[4])).0,
            &["recurrence lengths f32 [2]: takes i32 [2]"],
        ),
        (|gru, a| gru.forward(&a[5]), &["[2,0,12]", "t 1 or more"]),
    ];
    for (call, parts) in rows {
        let params = Params::new(0);
        let gru = Gru::new(3, 4).num_layers(2).bidirectional(true);
        let gru = gru.batch_first(true).build(&params.at("encoder"));
        let mut session = cpu().open(&params).unwrap();
        let compiled = session.compile(Mode::Train, &types, |_, a| vec![call(&gru, a)]);
        let message = compiled.map(drop).unwrap_err().to_string();
        says(&message, parts);
        says(&message, &["encoder", "tests/suite/recurrent.rs:"]);
    }

    let params = Params::new(0);
    let lstm = Lstm::new(3, 4).build(&params);
    let mut session = cpu().open(&params).unwrap();
    let types = [TensorType::f32([6, 2, 3]), TensorType::i32([2])];
    let mut f = session
        .compile(Mode::Train, &types, |_, a| {
            vec![lstm.forward_with(&a[0], None, Some(&a[1])).0]
        })
        .unwrap();
    let x = Array::zeros([6, 2, 3]);
    let mut run = |lengths: [i32; 2]| session.run(&mut f, &[&x, &Array::vector(lengths.to_vec())]);
    run([6, 0]).unwrap();
    for (lengths, got) in [
        ([6, 7], "got 7 at element 1"),
        ([-1, 3], "got -1 at element 0"),
    ] {
        let message = run(lengths).map(drop).unwrap_err().to_string();
        says(&message, &["input 1", "lengths from 0 to 6", got]);
    }
}

#[test]
fn operands_that_do_not_fit() {
    let op = Recurrence {
        cell: Cell::Gru,
        reverse: false,
    };
    let says_of = |x: &[usize], weight: &[usize], bias: &[usize], start: &[usize]| {
        let types = [x, weight, bias, start].map(TensorType::f32);
        let mut session = cpu().open(&Params::new(0)).unwrap();
        let compiled = session.compile(Mode::Train, &types, |_, a| {
            let (y, last) = a[0].recurrence(op, &a[1], Some(&a[2]), Some(&a[3]), None);
            vec![y, last]
        });
        compiled.map(drop).unwrap_err().to_string()
    };
    let weight = says_of(&[2, 6, 12], &[16, 4], &[12], &[1, 2, 4]);
    says(
        &weight,
        &[
            "[2,6,12] with a weight [16,4]",
            "takes [n, t, 3 h] and [3 h, h]",
        ],
    );
    let bias = says_of(&[2, 6, 12], &[12, 4], &[4], &[1, 2, 4]);
    says(&bias, &["a bias [4]: takes [12]"]);
    let start = says_of(&[2, 6, 12], &[12, 4], &[12], &[2, 2, 4]);
    says(&start, &["initial states [2,2,4]: takes [1,2,4]"]);
}

/// The bits of the output and of the weights after three steps of training.
fn train(threads: usize) -> Vec<u32> {
    let params = Params::new(3);
    let layer = Lstm::new(7, 37).num_layers(2).bidirectional(true);
    let layer = layer.dropout(0.3).build(&params);
    let mut session = cpu().open(&params).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let train = || {
        let types = [TensorType::f32([9, 19, 7])];
        let mut step = session
            .compile(Mode::Train, &types, |g, a| {
                let y = layer.forward(&a[0]);
                let loss = y.square().mean(&[], false);
                g.minimize(&loss, &wgrad::optim::Adam::new(1e-2));
                vec![y]
            })
            .unwrap();
        let mut rng = Rng::new(1, "x");
        let x: Vec<f32> = (0..9 * 19 * 7).map(|_| rng.normal()).collect();
        let x = Array::new([9, 19, 7], x).unwrap();
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(session.run(&mut step, &[&x]).unwrap().remove(0));
        }
        let states = session.params().all();
        all.extend(session.get_all(&states).unwrap());
        let values = all.iter().flat_map(Array::to_f32);
        values.map(f32::to_bits).collect::<Vec<u32>>()
    };
    pool.build().unwrap().install(train)
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let one = train(1);
    for threads in [2, 3, 5] {
        assert!(train(threads) == one, "{threads} threads");
    }
}

#[test]
fn dropout_is_between_layers() {
    let output = |layers: usize, mode: Mode| {
        let params = Params::new(3);
        let layer = Rnn::new(4, 8)
            .num_layers(layers)
            .dropout(0.5)
            .build(&params);
        let mut session = cpu().open(&params).unwrap();
        let types = [TensorType::f32([5, 3, 4])];
        let mut f = session
            .compile(mode, &types, |_, a| vec![layer.forward(&a[0])])
            .unwrap();
        let x = Array::full([5, 3, 4], 0.5f32);
        session.run(&mut f, &[&x]).unwrap()[0].to_f32()
    };
    assert_eq!(output(1, Mode::Train), output(1, Mode::Eval));
    let (train, eval) = (output(2, Mode::Train), output(2, Mode::Eval));
    assert_ne!(train, eval);
    assert!(train.iter().all(|y| *y != 0.0), "the last output is whole");
}

#[test]
fn initial_values_and_names() {
    let params = Params::new(1);
    let bound = 1.0 / 10f32.sqrt();
    let gru = Gru::new(6, 10).num_layers(2).bidirectional(true);
    gru.build(&params.at("gru"));
    let list = params.list();
    let names: Vec<_> = list.iter().map(|p| p.path.to_string()).collect();
    let expected: Vec<String> = ["l0", "l0_reverse", "l1", "l1_reverse"]
        .iter()
        .flat_map(|of| {
            ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|n| format!("gru.{n}_{of}"))
        })
        .collect();
    assert_eq!(names, expected);
    let mut session = cpu().open(&params).unwrap();
    assert_eq!(
        session.get("gru.weight_ih_l1").unwrap().shape()[..],
        [30, 20]
    );
    for name in &names {
        let values = session.get(name).unwrap().to_f32();
        let largest = values.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(
            largest <= bound && largest > 0.8 * bound,
            "{name}: {largest}"
        );
    }
}
