//! Operators around indices, rows and losses: PyTorch's cases, one device against the other, shaders, edges.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use wgrad::caps::Caps;
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::reduction::Reduction;
use wgrad::plan::Plan;
use wgrad::{Array, DType, Mode, Params, Session, Tensor, TensorType, Trace};

fn session(kind: DeviceKind, workgroups: Option<u32>) -> Session {
    let options = DeviceOptions {
        kind: Some(kind),
        max_workgroups: workgroups,
        ..Default::default()
    };
    Session::with_options(&Params::new(0), &options).unwrap()
}

fn kind() -> DeviceKind {
    std::env::var("WGRAD_DEVICE").map_or(DeviceKind::Cpu, |d| d.parse().unwrap())
}

/// Numbers in -2..2, the same for each name.
fn numbers(name: &str, shape: &[usize]) -> Array {
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
fn integers(name: &str, shape: &[usize], end: u32) -> Array {
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
    let out = s.run(&mut f, &[]);
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

fn same(what: &str, got: &Array, want: &[f32]) {
    close(what, got, &Array::new(got.shape(), want.to_vec()).unwrap());
}

/// Values of torch 2.15.
#[test]
fn losses_with_options() {
    let x = vec![
        0.5f32, -1.0, 2.0, 1.5, 0.25, -0.75, -2.0, 3.0, 1.0, 0.0, 0.5, 1.0,
    ];
    let p = [
        [1.0f32, 2.0, 3.0],
        [0.0, 0.0, 1.0],
        [2.0, 1.0, 0.0],
        [1.0, 1.0, 1.0],
    ]
    .concat();
    let mut s = session(kind(), None);
    let out = s.eval(move |g| {
        let x = g.constant(Array::new([4, 3], x.clone()).unwrap());
        let labels = g.constant(Array::vector(vec![2, -100, 1, 0]));
        let weight = Some(g.constant(Array::vector(vec![0.5f32, 2.0, 1.25])));
        let p = g
            .constant(Array::new([4, 3], p.clone()).unwrap())
            .softmax(1);
        let both = CrossEntropyOptions {
            label_smoothing: 0.2,
            weight: weight.clone(),
            ..Default::default()
        };
        let none = CrossEntropyOptions {
            reduction: Reduction::None,
            ..both.clone()
        };
        let smooth = CrossEntropyOptions {
            weight: None,
            ..both.clone()
        };
        let weighted = CrossEntropyOptions {
            label_smoothing: 0.0,
            ..both.clone()
        };
        let soft = CrossEntropyOptions {
            label_smoothing: 0.1,
            ..both.clone()
        };
        let losses = [
            x.cross_entropy_with(&labels, &both),
            x.cross_entropy_with(&labels, &smooth),
            x.log_softmax(1).nll_loss_with(&labels, &weighted),
            x.cross_entropy_with(&p, &soft),
        ];
        let grads = losses
            .iter()
            .map(|l| g.gradients(l, &[&x]).remove(0).unwrap())
            .collect::<Vec<_>>();
        let none = x.cross_entropy_with(&labels, &none);
        let ignored = g.constant(Array::vector(vec![-100; 4]));
        let alone = x
            .narrow(0, 0, 1)
            .reshape(&[3])
            .cross_entropy(&g.constant(Array::scalar(1)));
        losses
            .into_iter()
            .chain(grads)
            .chain([none, x.cross_entropy(&ignored), alone])
            .collect()
    });
    let out = out.unwrap();
    let wanted: [&[f32]; 11] = [
        &[0.606_109_8],
        &[0.907_031_06],
        &[0.375_323_9],
        &[1.951_111],
        &[
            0.049_541_242,
            -0.022_518_03,
            -0.027_023_22,
            0.0,
            0.0,
            0.0,
            -0.005_978_346,
            -0.030_259_263,
            0.036_237_612,
            -0.083_259_44,
            0.017_691_728,
            0.065_567_71,
        ],
        &[
            0.036_207_91,
            -0.009_184_698,
            -0.027_023_22,
            0.0,
            0.0,
            0.0,
            -0.020_255_64,
            0.002_977_966,
            0.017_277_667,
            -0.226_781,
            0.080_176_406,
            0.146_604_58,
        ],
        &[
            0.058_430_13,
            0.013_037_524,
            -0.071_467_66,
            0.0,
            0.0,
            0.0,
            0.003_146_533,
            -0.066_346_36,
            0.063_199_826,
            -0.108_490_18,
            0.040_959_45,
            0.067_530_72,
        ],
        &[
            0.045_059_144,
            -0.113_550_77,
            0.068_491_61,
            0.196_502_52,
            -0.047_716_43,
            -0.148_786_07,
            -0.077_581_26,
            0.084_696_8,
            -0.007_115_531,
            0.016_559_493,
            -0.070_667_96,
            0.054_108_452,
        ],
        &[0.751_639_1, 0.0, 0.579_097_15, 0.942_175_3],
        &[f32::NAN],
        &[3.241_311_3],
    ];
    out.iter()
        .zip(wanted)
        .enumerate()
        .for_each(|(k, (got, want))| same(&format!("loss {k}"), got, want));
}

/// Rows that are infinite or not numbers, as torch 2.15 has them.
#[test]
fn extremes() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let mut s = session(kind(), None);
    let rows = vec![-inf, -inf, inf, 1.0, nan, 1.0, -inf, 0.0];
    let out = s.eval(move |g| {
        let x = g.constant(Array::new([4, 2], rows.clone()).unwrap());
        let ties = g.constant(
            Array::new(
                [2, 5],
                vec![1.0, 3.0, 3.0, nan, nan, 1.0, 3.0, 3.0, 1.0, 2.0],
            )
            .unwrap(),
        );
        let zeros = g.constant(Array::zeros([2, 2]));
        let of = |y: Tensor| {
            g.gradients(&y.sum(&[], false), &[&zeros])
                .remove(0)
                .unwrap()
        };
        vec![
            x.softmax(1),
            x.log_softmax(1),
            x.logsumexp(&[1], false),
            x.argmax(1, false),
            x.argmin(1, false),
            ties.argmax(1, false),
            ties.argmin(1, false),
            of(zeros.std(&[1], 1, false)),
            of(zeros.norm(&[1], false)),
        ]
    });
    let out = out.unwrap();
    same(
        "softmax",
        &out[0],
        &[nan, nan, nan, nan, nan, nan, 0.0, 1.0],
    );
    same(
        "log_softmax",
        &out[1],
        &[nan, nan, nan, nan, nan, nan, -inf, 0.0],
    );
    same("logsumexp", &out[2], &[-inf, inf, nan, 0.0]);
    assert_eq!(out[3].as_slice::<i32>().unwrap(), [0, 0, 0, 1]);
    assert_eq!(out[4].as_slice::<i32>().unwrap(), [0, 1, 0, 0]);
    assert_eq!(out[5].as_slice::<i32>().unwrap(), [3, 1]);
    assert_eq!(out[6].as_slice::<i32>().unwrap(), [3, 0]);
    same("std", &out[7], &[0.0; 4]);
    same("norm", &out[8], &[0.0; 4]);
}

#[test]
fn dropout_drops() {
    let mut s = session(kind(), None);
    let n = 40_000;
    let ones = Array::full([n], 1.0f32);
    let mut f = s
        .compile(Mode::Train, &[TensorType::f32([n])], |g, a| {
            let y = a[0].dropout(0.3);
            let grad = g
                .gradients(&y.mul_scalar(2.0).sum(&[], false), &[&a[0]])
                .remove(0)
                .unwrap();
            let planes = a[0].reshape(&[20, 100, 20]).feature_dropout(0.5);
            vec![
                y,
                a[0].dropout(0.3),
                grad,
                planes,
                g.uniform([n]),
                g.normal([n]),
                a[0].dropout(0.0),
                a[0].dropout(1.0),
            ]
        })
        .unwrap();
    let first = s.run(&mut f, &[&ones]).unwrap();
    let second = s.run(&mut f, &[&ones]).unwrap();
    let [y, other, grad, planes, uniform, normal, all, none] =
        &first.iter().map(Array::to_f32).collect::<Vec<_>>()[..]
    else {
        panic!("eight results");
    };
    let kept = y.iter().filter(|v| **v > 0.0).count() as f32 / n as f32;
    assert!((kept - 0.7).abs() < 0.01, "{kept}");
    assert!(y.iter().all(|v| *v == 0.0 || *v == 1.0 / 0.7));
    let both = y
        .iter()
        .zip(other)
        .filter(|(a, b)| **a > 0.0 && **b > 0.0)
        .count() as f32
        / n as f32;
    assert!(
        (both - 0.49).abs() < 0.02,
        "calls have streams of their own: {both}"
    );
    assert!(
        y.iter().zip(grad).all(|(y, g)| (2.0 * y - g).abs() < 1e-6),
        "the gradient has the same mask"
    );
    assert!(planes.chunks(20).all(|p| p.iter().all(|v| *v == p[0])));
    assert!((0.4..0.6).contains(&(planes.iter().filter(|v| **v > 0.0).count() as f32 / n as f32)));
    let moments = |v: &[f32]| {
        let mean = v.iter().sum::<f32>() / n as f32;
        (
            mean,
            v.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n as f32,
        )
    };
    let ((um, uv), (nm, nv)) = (moments(uniform), moments(normal));
    assert!(
        (um - 0.5).abs() < 0.01 && (uv - 1.0 / 12.0).abs() < 0.005,
        "{um} {uv}"
    );
    assert!(uniform.iter().all(|u| (0.0..1.0).contains(u)));
    assert!(nm.abs() < 0.02 && (nv - 1.0).abs() < 0.03, "{nm} {nv}");
    assert!(all.iter().all(|v| *v == 1.0) && none.iter().all(|v| *v == 0.0));
    assert_ne!(first[0], second[0], "each run draws again");
    let mut eval = s
        .compile(Mode::Eval, &[TensorType::f32([n])], |_, a| {
            vec![a[0].dropout(0.3)]
        })
        .unwrap();
    assert_eq!(s.run(&mut eval, &[&ones]).unwrap()[0], ones);
}

/// What each misuse says.
#[test]
fn misuses() {
    type Misuse = (&'static str, fn(&Trace, &Tensor, &Tensor) -> Tensor);
    let cases: [Misuse; 20] = [
        ("cat takes at least 1 tensor, 0 came", |_, _, _| {
            Tensor::cat(&[], 0)
        }),
        ("stack takes at least 1 tensor, 0 came", |g, _, _| {
            Tensor::stack(&[], 0).add(&g.scalar(1.0))
        }),
        (
            "cat [4,6] and [3,5]: sizes may differ in dimension 1 alone",
            |g, x, _| Tensor::cat(&[x, &g.constant(Array::zeros([3, 5]))], 1),
        ),
        ("cat f32 [4,6] and i32 [4]: the dtypes differ", |_, x, i| {
            Tensor::cat(&[x, i], 0)
        }),
        (
            "cat [4,6]: dimension 2 is out of range, allowed are -2 to 1",
            |_, x, _| Tensor::cat(&[x, x], 2),
        ),
        (
            "stack [4,6]: dimension 3 is out of range, allowed are -3 to 2",
            |_, x, _| Tensor::stack(&[x, x], 3),
        ),
        ("stack [4,6] and [4]: the shapes differ", |_, x, i| {
            Tensor::stack(&[x, i], 0)
        }),
        (
            "gather [4,6] at indices [4] along 1: takes indices of rank 2, in the other dimensions not larger",
            |_, x, i| x.gather(1, i),
        ),
        (
            "index_select takes i32 indices, f32 [4,6] came: convert with to(DType::I32)",
            |_, x, _| x.index_select(0, x),
        ),
        (
            "index_select [4,6] at indices [2,2] along 0: takes indices of 1 dimension",
            |_, x, i| x.index_select(0, &i.reshape(&[2, 2])),
        ),
        ("embedding padding_idx 4 is not one of 4 rows", |_, x, i| {
            i.embedding(x, Some(4))
        }),
        (
            "embedding takes a weight [ids, features], i32 [4] came",
            |_, _, i| i.embedding(i, None),
        ),
        (
            "index_add [4,6] to [4,1] along 0: the other dimensions must be equal",
            |_, x, i| x.narrow(1, 0, 1).index_add(0, i, x),
        ),
        (
            "cross_entropy f32 [4,6] with targets i32 [3]: takes labels i32 [4] or probabilities f32 [4,6]",
            |_, x, i| x.cross_entropy(&i.narrow(0, 0, 3)),
        ),
        (
            "cross_entropy [4,6]: takes a weight f32 [6], f32 [4,6] came",
            |_, x, i| {
                x.cross_entropy_with(
                    i,
                    &CrossEntropyOptions {
                        weight: Some(x.clone()),
                        ..Default::default()
                    },
                )
            },
        ),
        (
            "cross_entropy takes a label smoothing from 0 to 1, 1.5 came",
            |_, x, i| {
                x.cross_entropy_with(
                    i,
                    &CrossEntropyOptions {
                        label_smoothing: 1.5,
                        ..Default::default()
                    },
                )
            },
        ),
        (
            "nll_loss takes labels i32 and no label smoothing: cross_entropy has both",
            |_, x, _| x.nll_loss(x),
        ),
        (
            "dropout takes a probability from 0 to 1, -0.1 came",
            |_, x, _| x.dropout(-0.1),
        ),
        (
            "softmax takes f32, i32 [4] came: convert with to_f32()",
            |_, _, i| i.softmax(0),
        ),
        (
            "glu [4,6]: dimension 5 is out of range, allowed are -2 to 1",
            |_, x, _| x.glu(5),
        ),
    ];
    for (message, f) in cases {
        let mut s = session(DeviceKind::Cpu, None);
        let error = s.eval(|g| {
            let x = g.constant(numbers("x", &[4, 6]));
            let i = g.constant(integers("i", &[4], 4));
            vec![f(g, &x, &i)]
        });
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{message}, at tests")),
            "{error}\n  expected {message}"
        );
    }
}

/// Ids and labels of a batch are checked before a run.
#[test]
fn ranges_are_checked() {
    let mut s = session(kind(), None);
    let types = [TensorType::i32([2, 3]), TensorType::i32([2])];
    let mut f = s.compile(Mode::Train, &types, |g, a| {
        let x = a[0]
            .embedding(&g.constant(numbers("w", &[7, 5])), None)
            .sum(&[1], false);
        vec![x.cross_entropy(&a[1])]
    });
    let f = f.as_mut().unwrap();
    let ids = |last: i32| Array::new([2, 3], vec![0, 1, 2, 3, 4, last]).unwrap();
    let labels = |last: i32| Array::vector(vec![0, last]);
    for last in [4, -100] {
        assert!(
            s.run(f, &[&ids(6), &labels(last)]).unwrap()[0]
                .item()
                .is_finite()
        );
    }
    let error = |r: wgrad::Result<Vec<Array>>| r.unwrap_err().to_string();
    assert_eq!(
        error(s.run(f, &[&ids(7), &labels(1)])),
        "input 0: expected ids from 0 to 6, got 7 at element 5"
    );
    assert_eq!(
        error(s.run(f, &[&ids(-1), &labels(1)])),
        "input 0: expected ids from 0 to 6, got -1 at element 5"
    );
    assert_eq!(
        error(s.run(f, &[&ids(0), &labels(5)])),
        "input 1: expected class labels from 0 to 4, got 5 at element 1"
    );
}

/// Times of the gradient of an embedding, 8,192 tokens of 28,996 words, 64 features. `--ignored --nocapture` shows them.
#[test]
#[ignore = "measures"]
fn embedding_gradient_time() {
    let (v, d, m) = (28_996, 64, 8192);
    let ids = integers("ids", &[m], v as u32);
    let grad = numbers("g", &[m, d]);
    let mut s = session(kind(), None);
    let types = [TensorType::i32([m]), TensorType::f32([m, d])];
    let mut f = s.compile(Mode::Train, &types, |g, a| {
        let w = g.scalar(0.0).expand([v, d]).add(&a[1].sum(&[], false));
        let loss = a[0].embedding(&w, None).mul(&a[1]).sum(&[], false);
        vec![g.gradients(&loss, &[&w]).remove(0).unwrap().narrow(0, 0, 1)]
    });
    let f = f.as_mut().unwrap();
    println!(
        "{:#?}",
        f.plan()
            .unwrap()
            .steps
            .iter()
            .map(|s| &s.name)
            .collect::<Vec<_>>()
    );
    for _ in 0..5 {
        let t = std::time::Instant::now();
        s.run(f, &[&ids, &grad]).unwrap();
        println!("{:?}", t.elapsed());
    }
}
