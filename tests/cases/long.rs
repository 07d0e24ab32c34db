//! Sizes at which a thread's loops would be longer than a software adapter lets them be: it ends a thread after 65,535
//! turns, and what is not added up is silently missing.

use super::{Case, Fill, Input};
use wgrad::ops::conv::ConvOptions;
use wgrad::ops::pool::PoolOptions;

pub fn cases() -> Vec<Case> {
    let one = |name: &str, shape: &[usize], build: fn(&wgrad::Tensor) -> wgrad::Tensor| {
        Case::new(name, vec![Input::new(shape)], move |x| build(&x[0]))
    };
    vec![
        one("mean", &[1024, 1024], |x| x.mean(&[], false)),
        one("mean of columns", &[200_000, 3], |x| x.mean(&[0], false)),
        one("mean of rows", &[3, 200_000], |x| x.mean(&[1], false)),
        one("amax", &[3, 200_000], |x| x.amax(&[1], false)),
        one("argmax", &[2, 200_000], |x| x.argmax(1, false)),
        one("cumsum", &[2, 200_000], |x| x.cumsum(1).mul_scalar(1e-2)),
        one("cumsum", &[2, 20_000, 3], |x| {
            x.flip(&[1]).cumsum(1).mul_scalar(1e-2)
        }),
        one("log_softmax", &[2, 200_000], |x| x.log_softmax(1)),
        one("logsumexp", &[2, 200_000], |x| x.logsumexp(&[1], false)),
        one("transpose", &[40_009, 257], |x| x.t().add_scalar(1.0)),
        one("cat", &[2, 200_000], |x| wgrad::Tensor::cat(&[x, x], 1)),
        one("pad", &[2, 200_000], |x| x.pad(&[3, 5], 0.5)),
        one("avg_pool", &[1, 1, 300, 300], |x| {
            x.adaptive_avg_pool2d([1, 1]).mul_scalar(100.0)
        }),
        one("avg_pool", &[1, 2, 100_003], |x| {
            x.adaptive_avg_pool1d([3]).mul_scalar(100.0)
        }),
        one(
            "avg_pool, many windows of one element",
            &[2, 1, 1, 1],
            |x| x.adaptive_avg_pool2d([300, 260]).mul_scalar(1e-2),
        ),
        Case::new(
            "max_pool",
            vec![Input::filled(&[1, 1, 300, 300], Fill::Distinct)],
            |x| x[0].adaptive_max_pool2d([1, 2]),
        ),
        Case::new(
            "max_pool, overlapping",
            vec![Input::filled(&[1, 1, 200, 200], Fill::Distinct)],
            |x| {
                let stride = Some(vec![9]);
                x[0].max_pool2d_with(PoolOptions {
                    stride,
                    ..PoolOptions::new([150])
                })
            },
        ),
        Case::new(
            "conv1d",
            vec![Input::new(&[2, 2, 40_000]), Input::new(&[3, 2, 3])],
            |x| {
                x[0].conv1d(&x[1], None, ConvOptions::default())
                    .mul_scalar(1e-3)
            },
        ),
        Case::new(
            "conv2d of many channels",
            vec![Input::new(&[1, 600, 8, 8]), Input::new(&[4, 600, 7, 7])],
            |x| {
                x[0].conv2d(&x[1], None, ConvOptions::default())
                    .mul_scalar(1e-2)
            },
        ),
        one("layer_norm", &[2, 200_000], |x| {
            x.layer_norm(&[200_000], None, None, 1e-5)
        }),
        one("rms_norm", &[3, 8192], |x| x.rms_norm(&[8192], None, 1e-5)),
        one("batch_norm", &[200_000, 2], |x| {
            x.batch_norm(None, None, 1e-5).y
        }),
        one("batch_norm", &[3, 2, 300, 300], |x| {
            x.batch_norm(None, None, 1e-5).y
        }),
        Case::new(
            "cross_entropy",
            vec![
                Input::new(&[2, 150_000]),
                Input::filled(&[2], Fill::Below(150_000)),
            ],
            |x| x[0].cross_entropy(&x[1]),
        ),
        Case::new(
            "matmul",
            vec![Input::new(&[1, 140_000]), Input::new(&[140_000, 1])],
            |x| x[0].matmul(&x[1]).mul_scalar(1e-5),
        ),
        Case::new(
            "matmul",
            vec![Input::new(&[4, 300_000]), Input::new(&[300_000, 8])],
            |x| x[0].matmul(&x[1]).mul_scalar(1e-5),
        ),
        Case::new(
            "conv2d",
            vec![Input::new(&[64, 8, 34, 34]), Input::new(&[3, 8, 3, 3])],
            |x| {
                x[0].conv2d(&x[1], None, ConvOptions::default())
                    .mul_scalar(1e-4)
            },
        ),
        Case::new(
            "embedding",
            vec![
                Input::new(&[2, 5]),
                Input::filled(&[140_000], Fill::Below(2)),
            ],
            |x| x[1].embedding(&x[0], None).mul_scalar(1e-5),
        ),
        Case::new(
            "scatter_add",
            vec![
                Input::new(&[3]),
                Input::filled(&[140_000], Fill::Below(3)),
                Input::new(&[140_000]),
            ],
            |x| x[0].scatter_add(0, &x[1], &x[2].mul_scalar(1e-5)),
        ),
    ]
}

/// More than 65,535 workgroups along one dimension, without lowered limits: vectors of four by 64 threads, and rows of a
/// workgroup each.
pub fn crossings() -> Vec<Case> {
    let pointwise = Case::new("neg", vec![Input::new(&[4100, 4100]).fixed()], |x| {
        x[0].neg()
    });
    let reduce = Case::new("sum", vec![Input::new(&[65_600, 64]).fixed()], |x| {
        x[0].sum(&[1], false)
    });
    vec![pointwise, reduce]
}
