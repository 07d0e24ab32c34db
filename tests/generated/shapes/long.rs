//! Sizes past what one thread of a software adapter may loop over: what it does not finish is silently missing.

use super::{Draw, sweep};
use crate::cases::{Case, Fill, Input};
use crate::draws::between;
use wgrad::Tensor;
use wgrad::ops::conv::ConvOptions;
use wgrad::rng::Rng;

fn long(rng: &mut Rng) -> Draw {
    let n = match rng.below(4) {
        0 => between(rng, 1_000_000, 3_000_000),
        _ => between(rng, 17_000, 400_000),
    };
    // A row alone, two of them, or two side by side.
    let (shape, dim) = match rng.below(3) {
        0 => (vec![n], 0),
        1 => (vec![2, n], 1),
        _ => (vec![n, 2], 0),
    };
    let d = dim as isize;
    let positive = || vec![Input::range(&shape, 0.1, 1.0)];
    let distinct = || vec![Input::filled(&shape, Fill::Distinct)];
    let scale = 1.0 / n as f32;
    let rows = shape.iter().product::<usize>() / n;
    match rng.below(16) {
        0 => Case::new("sum", positive(), move |x| {
            x[0].square().sum(&[d], false).mul_scalar(scale)
        }),
        1 => Case::new("mean", positive(), |x| x[0].mean(&[], false)),
        2 => Case::new("amax", distinct(), move |x| x[0].amax(&[d], true)),
        3 => Case::new("argmax", distinct(), move |x| x[0].argmax(d, false)),
        4 => Case::new("argmin", distinct(), move |x| x[0].argmin(d, false)),
        5 => Case::new("cumsum", positive(), move |x| {
            x[0].cumsum(d).mul_scalar(scale)
        }),
        6 => Case::new("logsumexp", positive(), move |x| {
            x[0].logsumexp(&[d], false)
        }),
        7 => Case::new("log_softmax", positive(), move |x| x[0].log_softmax(d)),
        8 => Case::new("var", positive(), move |x| x[0].var(&[d], 1, false)),
        9 => Case::new("layer_norm", positive(), |x| {
            x[0].layer_norm(&x[0].shape().clone(), None, None, 1e-5)
        }),
        10 => Case::new("batch_norm", vec![Input::new(&[n, 2])], |x| {
            x[0].batch_norm(None, None, 1e-5).y
        }),
        11 => {
            let inputs = vec![
                Input::range(&[3, n], 0.1, 1.0),
                Input::range(&[n, 4], 0.1, 1.0),
            ];
            Case::new("matmul", inputs, move |x| {
                x[0].matmul(&x[1]).mul_scalar(scale)
            })
        }
        12 => {
            let inputs = vec![
                Input::range(&[1, 2, n / 4], 0.1, 1.0),
                Input::new(&[3, 2, 3]),
            ];
            Case::new("conv1d", inputs, move |x| {
                x[0].conv1d(&x[1], None, ConvOptions::default())
                    .mul_scalar(scale)
            })
        }
        13 => Case::new(
            "adaptive_avg_pool1d",
            vec![Input::range(&[1, 2, n], 0.1, 1.0)],
            |x| x[0].adaptive_avg_pool1d([3]),
        ),
        14 => Case::new(
            "adaptive_max_pool1d",
            vec![Input::filled(&[1, rows, n], Fill::Distinct)],
            |x| x[0].adaptive_max_pool1d([2]),
        ),
        _ => {
            let ids = Input::filled(&[n], Fill::Below(3));
            Case::new("embedding", vec![Input::new(&[3, 2]), ids], move |x| {
                let rows: Tensor = x[1].embedding(&x[0], None);
                rows.mul_scalar(scale)
            })
        }
    }
    .into()
}

#[test]
fn long_loops() {
    sweep("long loops", 6, long);
}
