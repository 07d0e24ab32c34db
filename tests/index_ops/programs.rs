//! Programs over the index operators: lockstep, threads, shaders.

use super::*;

/// The bound of tests/conformance/README.md.
pub fn close(what: &str, got: &Array, want: &Array) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    if want.dtype() == DType::I32 {
        assert_eq!(got, want, "{what}");
        return;
    }
    let (got, want) = (got.to_f32(), want.to_f32());
    let most = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (at, (a, b)) in got.iter().zip(&want).enumerate() {
        let same = a == b || (a.is_nan() && b.is_nan());
        assert!(
            same || (a - b).abs() <= 1e-5 + 1e-4 * b.abs() + 1e-6 * most,
            "{what}[{at}]: {a}, expected {b}"
        );
    }
}

/// Numbers in -2..2, the same for each name.
pub fn numbers(name: &str, shape: &[usize]) -> Array {
    let mut rng = wgrad::rng::Rng::new(5, name);
    let n = shape.iter().product();
    Array::new(
        shape,
        (0..n)
            .map(|_| rng.uniform() * 4.0 - 2.0)
            .collect::<Vec<f32>>(),
    )
    .unwrap()
}

/// Integers below `end`, the same for each name.
pub fn integers(name: &str, shape: &[usize], end: u32) -> Array {
    let mut rng = wgrad::rng::Rng::new(5, name);
    let n = shape.iter().product();
    Array::new(
        shape,
        (0..n).map(|_| rng.below(end) as i32).collect::<Vec<i32>>(),
    )
    .unwrap()
}

type Program = Box<dyn Fn(&Trace) -> Vec<Tensor> + Send + Sync>;

/// `f` in the middle of a graph: something before it, an epilogue and a reduction behind it, the gradients of its float
/// arguments, and the gradient of the first gradient.
fn program(inputs: Vec<Array>, f: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static) -> Program {
    Box::new(move |g| {
        let inputs: Vec<Tensor> = inputs.iter().map(|a| g.constant(a.clone())).collect();
        let scaled = |t: &Tensor| {
            if t.dtype() == DType::F32 {
                t.mul_scalar(1.5)
            } else {
                t.clone()
            }
        };
        let y = f(&inputs.iter().map(scaled).collect::<Vec<_>>());
        let mut out = vec![y.clone()];
        if y.dtype() == DType::F32 {
            let loss = y.add_scalar(0.3).mul(&y.sigmoid()).sum(&[], false);
            let floats: Vec<&Tensor> = inputs.iter().filter(|t| t.dtype() == DType::F32).collect();
            let grads: Vec<Tensor> = g.gradients(&loss, &floats).into_iter().flatten().collect();
            if let Some(first) = grads.first() {
                let again = first.square().sum(&[], false);
                out.extend(g.gradients(&again, &floats).into_iter().flatten());
            }
            out.extend(grads);
        }
        out
    })
}

/// Every operator of this file, with sizes that take each of its kernels.
fn programs() -> Vec<(String, Program)> {
    let mut all: Vec<(String, Program)> = Vec::new();
    let mut add = |name: String, p: Program| all.push((name, p));
    for (shape, dim) in [
        (&[5, 3][..], 1),
        (&[4, 40, 6], 1),
        (&[3, 200], 1),
        (&[2, 3000], -1),
        (&[70, 20], 0),
        (&[9], 0),
    ] {
        let x = || vec![numbers("x", shape)];
        add(
            format!("softmax {shape:?} {dim}"),
            program(x(), move |t| t[0].mul_scalar(4.0).softmax(dim)),
        );
        add(
            format!("log_softmax {shape:?} {dim}"),
            program(x(), move |t| t[0].mul_scalar(4.0).log_softmax(dim)),
        );
        add(
            format!("logsumexp {shape:?} {dim}"),
            program(x(), move |t| t[0].logsumexp(&[dim], false)),
        );
        add(
            format!("argmax {shape:?} {dim}"),
            program(x(), move |t| t[0].argmax(dim, false)),
        );
        add(
            format!("argmin {shape:?} {dim}"),
            program(x(), move |t| t[0].argmin(dim, true)),
        );
        add(
            format!("cumsum {shape:?} {dim}"),
            program(x(), move |t| t[0].cumsum(dim)),
        );
        add(
            format!("std {shape:?} {dim}"),
            program(x(), move |t| t[0].std(&[dim], 1, true)),
        );
    }
    for shape in [&[50, 10][..], &[20, 700], &[3, 5, 4, 6], &[2, 40, 3], &[6]] {
        let classes = shape[usize::from(shape.len() > 1)];
        let rest: Vec<usize> = shape
            .iter()
            .enumerate()
            .filter(|s| s.0 != usize::from(shape.len() > 1))
            .map(|s| *s.1)
            .collect();
        let inputs = || {
            vec![
                numbers("x", shape),
                integers("t", &rest, classes as u32),
                numbers("w", &[classes]),
            ]
        };
        for case in 0..6 {
            let ignored = case % 2 == 1;
            let f = move |t: &[Tensor]| {
                let options = CrossEntropyOptions {
                    reduction: [Reduction::Mean, Reduction::Sum, Reduction::None][case % 3],
                    ignore_index: if ignored { 2 } else { -100 },
                    label_smoothing: if case > 3 { 0.1 } else { 0.0 },
                    weight: (case > 2).then(|| t[2].square()),
                };
                t[0].cross_entropy_with(&t[1], &options)
            };
            add(
                format!("cross_entropy {shape:?} {case}"),
                program(inputs(), f),
            );
        }
        add(
            format!("nll_loss {shape:?}"),
            program(inputs(), |t| t[0].nll_loss(&t[1])),
        );
    }
    for (v, d, m) in [
        (50, 8, 20),
        (50, 8, 200),
        (7, 6, 2500),
        (3, 5, 5000),
        (900, 4, 3000),
        (1, 1, 100),
        (5000, 12, 50),
    ] {
        for padding in [None, Some(0)] {
            let f = move |t: &[Tensor]| t[1].embedding(&t[0], padding);
            add(
                format!("embedding {v} {d} {m} {padding:?}"),
                program(
                    vec![numbers("w", &[v, d]), integers("i", &[m], v as u32)],
                    f,
                ),
            );
        }
    }
    for m in [5, 40, 1500] {
        for dim in [0, 1, 2] {
            let x = numbers("x", &[3, 11, 4]);
            let i = integers("i", &[m], x.shape()[dim] as u32);
            let f = move |t: &[Tensor]| t[0].index_select(dim as isize, &t[1]);
            add(format!("index_select {m} {dim}"), program(vec![x, i], f));
            let mut wide = vec![3, 11, 4];
            wide[dim] = m;
            let (x, i, s) = (
                numbers("x", &[3, 11, 4]),
                integers("i", &[m], [3, 11, 4][dim]),
                numbers("s", &wide),
            );
            let f = move |t: &[Tensor]| t[0].index_add(dim as isize, &t[1], &t[2]);
            add(format!("index_add {m} {dim}"), program(vec![x, i, s], f));
        }
    }
    for (index, dim) in [
        ([6, 1, 3], 1),
        ([2, 7, 3], 0),
        ([9, 4, 3], 0),
        ([6, 7, 11], 2),
    ] {
        let i = || integers("i", &index, [6, 7, 3][dim]);
        let f = move |t: &[Tensor]| t[0].gather(dim as isize, &t[1]);
        add(
            format!("gather {index:?} {dim}"),
            program(vec![numbers("x", &[6, 7, 3]), i()], f),
        );
        let f = move |t: &[Tensor]| t[0].gather(dim as isize, &t[1]);
        add(
            format!("gather i32 {index:?} {dim}"),
            program(vec![integers("x", &[6, 7, 3], 99), i()], f),
        );
    }
    let (x, i, s) = (
        numbers("x", &[6, 7, 3]),
        integers("i", &[6, 20, 3], 7),
        numbers("s", &[6, 20, 3]),
    );
    add(
        "scatter_add".into(),
        program(vec![x, i, s], |t| t[0].scatter_add(1, &t[1], &t[2])),
    );
    for (dim, sizes) in [
        (0, vec![1, 2]),
        (1, vec![3, 5, 1]),
        (2, vec![4, 8]),
        (1, (1..=9).collect()),
        (2, (1..=16).collect()),
    ] {
        let shape = |n: usize| {
            (0..3)
                .map(|d| if d == dim { n } else { d + 3 })
                .collect::<Vec<_>>()
        };
        let parts: Vec<Array> = sizes.iter().map(|&n| numbers("x", &shape(n))).collect();
        let f = move |t: &[Tensor]| Tensor::cat(&t.iter().collect::<Vec<_>>(), dim as isize);
        add(format!("cat {dim} {sizes:?}"), program(parts, f));
    }
    let parts = vec![integers("a", &[3, 4], 9), integers("b", &[3, 4], 9)];
    add(
        "cat i32".into(),
        program(parts, |t| Tensor::cat(&[&t[0], &t[1]], 1)),
    );
    add(
        "one_hot".into(),
        program(
            vec![integers("i", &[3, 4], 5), numbers("x", &[3, 4, 5])],
            |t| t[0].one_hot(5).mul(&t[1]),
        ),
    );
    add(
        "glu".into(),
        program(vec![numbers("x", &[3, 8, 2])], |t| t[0].glu(1)),
    );
    let both = vec![numbers("x", &[5, 9]), numbers("y", &[1, 9])];
    add(
        "cosine_similarity".into(),
        program(both, |t| t[0].cosine_similarity(&t[1], 1, 1e-8)),
    );
    for p in [0.1, 0.5, 1.0] {
        let x = || vec![numbers("x", &[37, 12, 3])];
        add(
            format!("dropout {p}"),
            program(x(), move |t| t[0].dropout(p)),
        );
        add(
            format!("feature_dropout {p}"),
            program(x(), move |t| t[0].feature_dropout(p)),
        );
    }
    add(
        "uniform".into(),
        Box::new(|g| vec![g.uniform([1001]), g.uniform([4, 8]), g.normal([1001])]),
    );
    all
}

fn run(s: &mut Session, p: &Program) -> wgrad::Result<Vec<Array>> {
    let mut f = s.compile(Mode::Train, &[], |g, _| p(g))?;
    let out = s.run(&mut f, &[] as &[Array]);
    s.forget(f);
    out
}

/// Each step on the GPU against the CPU, with the kernels for hardware, those for software, and few workgroups.
#[test]
fn lockstep() {
    if kind() == DeviceKind::Cpu {
        return;
    }
    let only = std::env::var("WGRAD_TEST_ONLY").unwrap_or_default();
    for (software_kernels, max_workgroups) in [
        (None, None),
        (Some(false), None),
        (Some(false), Some(7)),
        (Some(true), Some(7)),
    ] {
        let options = DeviceOptions {
            kind: Some(DeviceKind::Lockstep),
            default_limits: max_workgroups.is_some(),
            max_workgroups,
            software_kernels,
            ..Default::default()
        };
        let mut s = Session::with_options(&Params::new(0), &options).unwrap();
        for (name, p) in programs().iter().filter(|p| p.0.starts_with(&only)) {
            run(&mut s, p).unwrap_or_else(|e| panic!("{name}, {options:?}: {e}"));
        }
    }
}

/// Results are the same bits on any number of threads.
#[test]
fn threads_do_not_matter() {
    let programs = programs();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let all = || {
            programs
                .iter()
                .map(|(_, p)| run(&mut session(DeviceKind::Cpu, None), p).unwrap())
                .collect::<Vec<_>>()
        };
        pool.install(all)
    };
    let bits = |a: &Array| a.to_f32().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for ((a, b), (name, _)) in on(1).iter().zip(on(5)).zip(&programs) {
        assert!(a.iter().zip(&b).all(|(a, b)| bits(a) == bits(b)), "{name}");
    }
}

/// The modules of each device's kernels are valid, and have an `override` (without one, wgpu ignores what a pipeline
/// asks for).
#[test]
fn shaders_are_valid() {
    let software = Caps {
        software: true,
        ..Caps::default()
    };
    let few = Caps {
        workgroups: 7,
        ..Caps::default()
    };
    let mut seen = std::collections::BTreeSet::new();
    for (name, p) in programs() {
        for caps in [Caps::default(), software.clone(), few.clone()] {
            let trace = Trace::new(&Params::new(0), true);
            let outputs = p(&trace);
            let plan = Plan::compile(trace.finish(&outputs).unwrap().graph, &caps).unwrap();
            for d in plan.steps.iter().flat_map(|s| &s.kernels.dispatches) {
                let text = d.wgsl();
                assert!(
                    d.bindings.len() <= caps.storage_buffers,
                    "{name}: {} binds too much",
                    d.shader
                );
                assert!(
                    d.grid.iter().all(|g| *g <= caps.workgroups),
                    "{name}: {} has too large a grid",
                    d.shader
                );
                seen.insert(d.shader);
                let module = naga::front::wgsl::parse_str(&text)
                    .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
                assert!(
                    !module.overrides.is_empty(),
                    "{name}: {} has no override",
                    d.shader
                );
                let (flags, capabilities) = (
                    naga::valid::ValidationFlags::all(),
                    naga::valid::Capabilities::empty(),
                );
                let valid = naga::valid::Validator::new(flags, capabilities).validate(&module);
                valid.unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
            }
        }
    }
    for stem in [
        "softmax",
        "cross_entropy",
        "argmax",
        "cumsum",
        "cat",
        "gather",
        "scatter_add",
        "scatter_add_link",
        "scatter_add_sum",
    ] {
        assert!(seen.contains(stem), "{stem} was not reached");
    }
}
