//! A norm's forward and its backward each read the input at most twice, and the backward the incoming gradient: counted on
//! the plan, kernel by kernel, with what is fused into them. A kernel that goes over a row twice finds it in a cache the
//! second time: rows of such kernels are at most 32 KiB.

use wgrad::caps::Caps;
use wgrad::kernel::Buf;
use wgrad::plan::{Place, Plan, Step};
use wgrad::{Params, Tensor, TensorType, Trace};

/// It reads one element of each set: that from which the others are counted.
const READS_FEW: &str = "moments_merge";

type Norm = fn(&Tensor, Option<&Tensor>, Option<&Tensor>) -> Tensor;

struct Row {
    name: &'static str,
    shape: &'static [usize],
    /// Shape of weight and bias.
    affine: &'static [usize],
    norm: Norm,
}

const fn row(
    name: &'static str,
    shape: &'static [usize],
    affine: &'static [usize],
    norm: Norm,
) -> Row {
    Row {
        name,
        shape,
        affine,
        norm,
    }
}

const ROWS: &[Row] = &[
    row("layer_norm", &[64, 512], &[512], |x, w, b| {
        x.layer_norm(&[512], w, b, 1e-5)
    }),
    row("layer_norm, long", &[16, 9000], &[9000], |x, w, b| {
        x.layer_norm(&[9000], w, b, 1e-5)
    }),
    row(
        "layer_norm, image",
        &[8, 4, 64, 64],
        &[4, 64, 64],
        |x, w, b| x.layer_norm(&[4, 64, 64], w, b, 1e-5),
    ),
    row("group_norm", &[16, 8, 10, 10], &[8], |x, w, b| {
        x.group_norm(2, w, b, 1e-5)
    }),
    row("group_norm, long", &[4, 8, 60, 60], &[8], |x, w, b| {
        x.group_norm(2, w, b, 1e-5)
    }),
    row("group_norm of columns", &[64, 60], &[60], |x, w, b| {
        x.group_norm(3, w, b, 1e-5)
    }),
    row("instance_norm", &[16, 8, 20, 20], &[8], |x, w, b| {
        x.instance_norm(w, b, 1e-5)
    }),
    row("instance_norm, long", &[4, 8, 100, 100], &[8], |x, w, b| {
        x.instance_norm(w, b, 1e-5)
    }),
    row(
        "instance_norm, one channel",
        &[4, 1, 20, 20],
        &[1],
        |x, w, b| x.instance_norm(w, b, 1e-5),
    ),
    row("rms_norm", &[64, 512], &[512], |x, w, _| {
        x.rms_norm(&[512], w, 1e-5)
    }),
    row("rms_norm, long", &[16, 9000], &[9000], |x, w, _| {
        x.rms_norm(&[9000], w, 1e-5)
    }),
    row("batch_norm", &[16, 8, 20, 20], &[8], |x, w, b| {
        x.batch_norm(w, b, 1e-5).y
    }),
    row("batch_norm of columns", &[128, 60], &[60], |x, w, b| {
        x.batch_norm(w, b, 1e-5).y
    }),
];

/// What is done with the result.
type After = fn(&Tensor) -> Tensor;

const AFTER: &[(&str, After)] = &[("alone", |y| y.clone()), ("relu", |y| y.relu())];

/// The plan of the norm of `x`, with the gradients of `x`, weight and bias if `backward`.
fn plan(row: &Row, after: After, affine: usize, backward: bool, caps: &Caps) -> Plan {
    let trace = Trace::new(&Params::new(0), true);
    let x = trace.input(TensorType::f32(row.shape.to_vec()));
    let up = trace.input(TensorType::f32(row.shape.to_vec()));
    let [w, b] = [0, 1].map(|k| {
        let t = trace.input(TensorType::f32(row.affine.to_vec()));
        (affine > k).then_some(t)
    });
    let y = after(&(row.norm)(&x, w.as_ref(), b.as_ref()));
    let mut results = vec![y.clone()];
    if backward {
        let loss = y.mul(&up).sum(&[], false);
        let by: Vec<&Tensor> = [&x].into_iter().chain(&w).chain(&b).collect();
        let all = trace.gradients(&loss, &by);
        let unused = usize::from(row.name.starts_with("rms_norm") && affine == 2);
        assert_eq!(all.iter().flatten().count(), 1 + affine - unused);
        results.extend(all.into_iter().flatten());
    }
    drop((x, up, w, b, y));
    Plan::compile(trace.finish(&results).unwrap().graph, caps).unwrap()
}

/// What a step's buffer holds, by where it comes from.
fn source(step: &Step, buf: Buf) -> Option<(usize, usize)> {
    match buf {
        Buf::Input(i) => step.sources[0].get(i).copied(),
        Buf::Prologue(i) => step.sources[1].get(i).copied(),
        Buf::Epilogue(i) => step.sources[2].get(i).copied(),
        Buf::Output(_) | Buf::Scratch(_) => None,
    }
}

/// Kernels that read what `of` is; on the CPU, steps.
fn reads(plan: &Plan, of: (usize, usize)) -> usize {
    let kernel = |step: &Step| -> usize {
        let dispatches = &step.kernels.dispatches;
        if dispatches.is_empty() {
            return usize::from(step.sources.iter().flatten().any(|s| *s == of));
        }
        let reads = |d: &&wgrad::kernel::Dispatch| {
            d.shader != READS_FEW && d.bindings.iter().any(|b| source(step, b.buf) == Some(of))
        };
        dispatches.iter().filter(reads).count()
    };
    plan.steps.iter().map(kernel).sum()
}

/// The first argument, as steps name it.
fn input(plan: &Plan) -> (usize, usize) {
    let at = plan.inputs[0].1;
    let found = plan.steps.iter().find_map(|s| {
        let sources = s.sources.iter().flatten();
        let regions = (s.regions.inputs.iter())
            .chain(&s.regions.prologue)
            .chain(&s.regions.epilogue);
        let mut pairs = sources.zip(regions);
        pairs.find_map(|(source, r)| {
            (r.place == Place::Upload && r.offset == at.offset).then_some(*source)
        })
    });
    found.unwrap()
}

/// The gradient of the norm's result, and its product with the weight where that is a step, as the steps of the norm's
/// backward take them.
fn incoming(plan: &Plan) -> Vec<(usize, usize)> {
    const STEPS: [&str; 3] = ["norm_sums", "row_norm_grad", "norm_columns"];
    let steps = plan.steps.iter().filter(|s| STEPS.contains(&s.op.name()));
    let all: Vec<_> = steps.map(|s| s.sources[0][1]).collect();
    assert!(!all.is_empty(), "{plan}");
    all
}

#[test]
fn inputs_are_read_at_most_twice() {
    let software = Caps {
        software: true,
        iterations: 65_535,
        ..Caps::default()
    };
    for (device, caps) in [
        ("hardware", Caps::default()),
        ("software", software),
        ("CPU", Caps::cpu()),
    ] {
        for row in ROWS {
            for (then, after) in AFTER {
                for affine in 0..=2 {
                    let name = format!("{}, {then}, {affine} parameters, {device}", row.name);
                    let forward = plan(row, *after, affine, false, &caps);
                    let whole = plan(row, *after, affine, true, &caps);
                    let first = reads(&forward, input(&forward));
                    assert!(
                        (1..=2).contains(&first),
                        "{name}: {first} forward\n{forward}"
                    );
                    let both = reads(&whole, input(&whole));
                    assert!(both <= first + 2, "{name}: {both} in all\n{whole}");
                    for up in incoming(&whole) {
                        let up = reads(&whole, up);
                        assert!(up <= 2, "{name}: {up} of the gradient\n{whole}");
                    }
                }
            }
        }
    }
}
