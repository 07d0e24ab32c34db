//! Operators around indices, rows and losses: PyTorch's cases, one device against the other, shaders, edges.

#![expect(clippy::unwrap_used, reason = "test helpers may fail loudly")]

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

mod programs;

use programs::{close, integers, numbers};

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
        (
            "cat f32 [4,6] and i32 [4]: the dtypes differ: convert the second with to_f32()",
            |_, x, i| Tensor::cat(&[x, i], 0),
        ),
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
