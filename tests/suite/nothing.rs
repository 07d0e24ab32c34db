//! Every dimension of every operator, empty: the same on all devices, or an error in words.

use crate::common::{cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use crate::run::Faults;
use wgrad::ops::attention::AttentionOptions;
use wgrad::ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
use wgrad::ops::interpolate::InterpolateOptions;
use wgrad::ops::pool::PoolOptions;
use wgrad::ops::recurrence::{Cell, Recurrence};
use wgrad::{Array, Error, Params, Session, Tensor, Trace};

type Body = fn(&Tensor) -> Tensor;

fn ones(x: &Tensor, shape: &[usize]) -> Tensor {
    x.trace().scalar(1.0f32).expand(shape.to_vec())
}

/// Of `x` of four dimensions.
const BODIES: [(&str, Body); 34] = [
    ("sum", |x| x.sum(&[2], false)),
    ("mean", |x| x.mean(&[3], true)),
    ("amax", |x| x.amax(&[1], false)),
    ("var", |x| x.var(&[0, 2], 1, false)),
    ("logsumexp", |x| x.logsumexp(&[3], false)),
    ("cumsum", |x| x.cumsum(1)),
    ("softmax", |x| x.softmax(2)),
    ("log_softmax", |x| x.log_softmax(-1)),
    ("argmax", |x| x.argmax(1, false)),
    ("cross_entropy", |x| {
        let [a, b, c] = [x.size(0), x.size(2), x.size(3)];
        let labels = x.trace().constant(Array::full([a, b, c], 0i32));
        x.cross_entropy(&labels)
    }),
    ("layer_norm", |x| {
        x.layer_norm(&x.shape()[2..], None, None, 0.1)
    }),
    ("layer_norm, weighted", |x| {
        let w = ones(x, &x.shape()[3..]);
        x.layer_norm(&x.shape()[3..], Some(&w), Some(&w), 0.1)
    }),
    ("rms_norm", |x| x.rms_norm(&x.shape()[3..], None, 0.1)),
    ("group_norm", |x| x.group_norm(2, None, None, 0.1)),
    ("instance_norm", |x| x.instance_norm(None, None, 0.1)),
    ("batch_norm", |x| x.batch_norm(None, None, 0.1).y),
    ("conv2d", |x| {
        let w = ones(x, &[3, x.size(1), 3, 3]);
        let options = ConvOptions {
            padding: Padding::Explicit(vec![2]),
            ..ConvOptions::default()
        };
        x.conv2d(&w, None, options)
    }),
    ("conv2d of few", |x| {
        x.conv2d(
            &ones(x, &[1, x.size(1), 1, 1]),
            None,
            ConvOptions::default(),
        )
    }),
    ("conv_transpose2d", |x| {
        x.conv_transpose2d(
            &ones(x, &[x.size(1), 3, 2, 2]),
            None,
            ConvTransposeOptions::default(),
        )
    }),
    ("max_pool2d", |x| x.max_pool2d(2)),
    ("avg_pool2d", |x| {
        x.avg_pool2d_with(PoolOptions {
            padding: vec![1],
            ceil_mode: true,
            ..PoolOptions::new([3])
        })
    }),
    ("adaptive_avg_pool2d", |x| x.adaptive_avg_pool2d([2, 3])),
    ("adaptive_max_pool2d", |x| x.adaptive_max_pool2d([1, 1])),
    ("interpolate", |x| {
        x.interpolate(&InterpolateOptions::size([3]))
    }),
    ("matmul", |x| x.matmul(&x.t())),
    ("matmul of a matrix", |x| {
        x.matmul(&ones(x, &[x.size(3), 8]))
    }),
    ("einsum", |x| Tensor::einsum("abcd,abce->de", &[x, x])),
    ("attention", |x| {
        x.scaled_dot_product_attention(x, x, &AttentionOptions::default())
    }),
    ("lstm", |x| recurrent(x, Cell::Lstm)),
    ("gru", |x| recurrent(x, Cell::Gru)),
    ("rnn", |x| recurrent(x, Cell::Tanh)),
    ("index_select", |x| {
        x.index_select(1, &x.trace().constant(Array::vector(vec![0i32; 40])))
    }),
    ("cat", |x| Tensor::cat(&[x, &x.narrow(3, 0, 0), x], 3)),
    ("repeat", |x| {
        x.repeat(&[2, 1, 0, 3]).pad(&[1, 0, 2, 1], 0.5)
    }),
];

/// `[n, t]` by units of the last dimension.
fn recurrent(x: &Tensor, cell: Cell) -> Tensor {
    let (n, t, h) = (x.size(0), x.size(1), x.size(3));
    let gates = cell.gates();
    let x = x
        .narrow(2, 0, x.size(2).min(1))
        .reshape(&[n as isize, t as isize, -1]);
    let x = Tensor::cat(&vec![&x; gates], 2);
    let (w, b) = (ones(&x, &[gates * h, h]), ones(&x, &[gates * h]));
    let bias = cell.has_bias().then_some(&b);
    let reverse = false;
    x.recurrence(Recurrence { cell, reverse }, &w, bias, None, None)
        .0
}

/// The value and its gradient.
fn run(session: &mut Session, shape: &[usize], body: Body) -> wgrad::Result<Vec<Array>> {
    session.eval(|g: &Trace| {
        let n = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..n).map(|i| (i * 7 % 11) as f32 * 0.1).collect();
        let x = g.constant(Array::new(shape.to_vec(), values).unwrap());
        let y = body(&x);
        if !y.dtype().is_float() {
            return vec![y];
        }
        let loss = y.square().sum(&[], false);
        let gradient = g.gradients(&loss, &[&x]).remove(0);
        std::iter::once(y).chain(gradient).collect()
    })
}

#[test]
fn in_any_dimension() {
    let params = Params::new(0);
    let passes = [gpu(), gpu_hardware_kernels()];
    let mut sessions: Vec<Session> = passes.iter().filter_map(|p| p.open(&params)).collect();
    let mut reference = cpu().open(&params).unwrap();
    let faults = Faults::default();
    for mask in 0..16 {
        let sizes = [2, 4, 6, 8].into_iter().enumerate();
        let shape: Vec<usize> = sizes
            .map(|(d, n)| if mask >> d & 1 == 1 { 0 } else { n })
            .collect();
        for (name, body) in BODIES {
            let of = format!("{name} of {shape:?}");
            let all = std::panic::AssertUnwindSafe(|| {
                let want = run(&mut reference, &shape, body);
                if let Err(error) = &want {
                    assert!(matches!(error, Error::Graph(_)) && mask > 0, "{error}");
                }
                for session in &mut sessions {
                    match (run(session, &shape, body), &want) {
                        (Ok(got), Ok(want)) => assert_eq!(near(&got, want), Ok(())),
                        (Err(Error::Graph(_)), Err(Error::Graph(_))) => {}
                        (got, want) => panic!("{:?} and {:?}", got.err(), want.as_ref().err()),
                    }
                }
            });
            if std::panic::catch_unwind(all).is_err() {
                faults.add(of);
            }
        }
    }
    faults.end();
}
