//! Memory: predicted before it is allocated, held to a limit; a device that is lost in the middle.

use crate::common::{cpu, gpu, gpu_default_limits};
use wgrad::device::{DeviceOptions, GpuDevice};
use wgrad::nn::{Embedding, Linear, Lstm, Module};
use wgrad::optim::Adam;
use wgrad::{Array, Error, Function, Mode, Params, Result, Session, TensorType};

/// A small network's step: its loss comes back.
fn step<'f>(session: &mut Session, layers: &'f [Linear; 2], batch: usize) -> Result<Function<'f>> {
    let types = [TensorType::f32([batch, 20]), TensorType::i32([batch])];
    session.compile(Mode::Train, &types, |g, a| {
        let y = layers[1].forward(&layers[0].forward(&a[0]).relu());
        let loss = y.cross_entropy(&a[1]);
        g.minimize(&loss, &Adam::new(0.01));
        vec![loss]
    })
}

fn layers(params: &Params) -> [Linear; 2] {
    [
        Linear::new(20, 33).build(&params.at("fc1")),
        Linear::new(33, 7).build(&params.at("fc2")),
    ]
}

fn batch(n: usize) -> [Array; 2] {
    [Array::full([n, 20], 0.5f32), Array::vector(vec![3i32; n])]
}

#[test]
fn memory_is_as_predicted() {
    for pass in [cpu(), gpu(), gpu_default_limits()] {
        let params = Params::new(1);
        let layers = layers(&params);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let mut f = step(&mut session, &layers, 16).unwrap();
        assert_eq!(
            session.predicted_memory(&f),
            session.memory(),
            "{}",
            pass.name
        );
        let [x, y] = batch(16);
        for _ in 0..5 {
            session.run(&mut f, &[&x, &y]).unwrap();
        }
        assert_eq!(
            session.predicted_memory(&f),
            session.memory(),
            "{}",
            pass.name
        );
        let memory = session.memory();
        assert!(memory.optimizer == 2 * memory.parameters && memory.gradients == memory.parameters);
    }
}

#[test]
fn a_step_allocates_nothing_and_submits_once() {
    for pass in [cpu(), gpu(), gpu_default_limits()] {
        let params = Params::new(1);
        let layers = layers(&params);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let mut f = step(&mut session, &layers, 16).unwrap();
        let [x, y] = batch(16);
        for _ in 0..4 {
            session.run(&mut f, &[&x, &y]).unwrap();
        }
        let before = session.counters();
        let runs = 5;
        for _ in 0..runs {
            session.run(&mut f, &[&x, &y]).unwrap();
        }
        let after = session.counters();
        let plan = f.plan().unwrap();
        assert_eq!(after.allocations, before.allocations, "{}", pass.name);
        assert_eq!(after.plans, before.plans);
        assert_eq!(after.pipelines, before.pipelines);
        assert_eq!(after.submits - before.submits, runs);
        assert_eq!(after.bytes_down - before.bytes_down, runs * 4);
        let uploaded = (after.bytes_up - before.bytes_up) / runs;
        assert_eq!(uploaded, 4 * plan.upload_words as u64);
        // The batch, each array from a multiple of 256 bytes, and one block of scalars.
        let arrays = [&x, &y].map(|a| (a.numel() * 4).next_multiple_of(256) as u64);
        assert!(
            uploaded <= arrays.iter().sum::<u64>() + 256,
            "{uploaded} bytes up"
        );
        let launches: usize = plan.steps.iter().map(|s| s.kernels.dispatches.len()).sum();
        let steps = if session.device().caps().kernels {
            launches
        } else {
            plan.steps.len()
        };
        assert_eq!(after.dispatches - before.dispatches, runs * steps as u64);
    }
}

#[test]
fn a_plan_larger_than_the_limit() {
    for pass in [cpu(), gpu()] {
        let params = Params::new(1);
        let layers = layers(&params);
        let mut pass = pass;
        pass.options.memory_limit = Some(2 << 20);
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        step(&mut session, &layers, 16).map(drop).unwrap();
        let held = session.memory();
        let error = step(&mut session, &layers, 100_000).map(drop).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
        let message = error.to_string();
        for part in [
            "limit of 2.0 MiB",
            "parameters",
            "gradients",
            "optimizer",
            "activations",
            "inputs",
            "total",
        ] {
            assert!(message.contains(part), "no '{part}' in: {message}");
        }
        assert_eq!(session.memory(), held, "nothing was allocated for it");
    }
}

#[test]
fn a_lost_device() {
    if gpu().open(&Params::new(0)).is_none() {
        return;
    }
    let params = Params::new(1);
    let layers = layers(&params);
    let device = GpuDevice::open(&DeviceOptions::default(), true).unwrap();
    let handle = device.wgpu().clone();
    let mut session = Session::on(Box::new(device), &params).unwrap();
    let mut f = step(&mut session, &layers, 16).unwrap();
    let [x, y] = batch(16);
    session.run(&mut f, &[&x, &y]).unwrap();
    let pending = session.submit(&mut f, &[&x, &y]).unwrap();
    handle.destroy();
    // What was on its way may still arrive; everything after says what happened.
    if let Err(error) = session.read(pending) {
        assert!(matches!(error, Error::DeviceLost(_)), "{error}");
    }
    for _ in 0..4 {
        let error = session.run(&mut f, &[&x, &y]).map(drop).unwrap_err();
        assert!(matches!(error, Error::DeviceLost(_)), "{error}");
    }
    let error = session.get("fc1.weight").map(drop).unwrap_err();
    assert!(matches!(error, Error::DeviceLost(_)), "{error}");
    let error = step(&mut session, &layers, 8).map(drop).unwrap_err();
    assert!(matches!(error, Error::DeviceLost(_)), "{error}");
}

/// Texts of twenty lengths need the memory of the longest and the pipelines of a few.
#[test]
fn lengths_share_memory_and_pipelines() {
    let text = |session: &mut Session, f: &mut Function, tokens: usize| {
        let ids: Vec<i32> = (0..4 * tokens).map(|i| (i * 7 % 50) as i32).collect();
        let x = Array::new([4, tokens], ids).unwrap();
        let labels = Array::vector(vec![0i32, 1, 0, 1]);
        let loss = session.run(f, &[&x, &labels]).unwrap()[0].item();
        assert!(loss.is_finite());
        session.memory().activations
    };
    for pass in [cpu(), gpu()] {
        let open = || {
            let params = Params::new(1);
            let embedding = Embedding::new(50, 8).build(&params.at("embedding"));
            let lstm = Lstm::new(8, 12).batch_first(true).build(&params.at("lstm"));
            let out = Linear::new(12, 2).build(&params.at("out"));
            let session = pass.open(&params)?;
            Some((session, embedding, lstm, out))
        };
        let compile = |session: &mut Session, tokens, layers: (Embedding, Lstm, Linear)| {
            let types = [TensorType::i32([4, tokens]), TensorType::i32([4])];
            session
                .compile(Mode::Train, &types, move |g, a| {
                    let h = layers.1.forward(&layers.0.forward(&a[0]));
                    let loss = layers.2.forward(&h.mean(&[1], false)).cross_entropy(&a[1]);
                    g.minimize(&loss, &Adam::new(0.01));
                    vec![loss]
                })
                .unwrap()
        };
        let Some((mut session, e, l, o)) = open() else {
            continue;
        };
        let mut f = compile(&mut session, 17, (e, l, o));
        let first: Vec<u64> = (17..25).map(|t| text(&mut session, &mut f, t)).collect();
        let before = session.counters();
        let last = (25..37).map(|t| text(&mut session, &mut f, t)).last();
        let after = session.counters();
        assert_eq!(after.plans, 20, "{}", pass.name);
        assert_eq!(after.pipelines, before.pipelines, "{}", pass.name);
        let (mut alone, e, l, o) = open().unwrap();
        let mut g = compile(&mut alone, 36, (e, l, o));
        let longest = text(&mut alone, &mut g, 36);
        assert!(first[0] < longest, "{}", pass.name);
        assert_eq!(last, Some(longest), "{}", pass.name);
    }
}
