//! Sizes that are empty, odd, or larger than a counter: right values, or an error that says which.

use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use wgrad::nn::{Linear, Module};
use wgrad::ops::conv::ConvOptions;
use wgrad::ops::pool::PoolOptions;
use wgrad::optim::Sgd;
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType, Trace};

fn passes() -> [Pass; 3] {
    [cpu(), gpu(), gpu_hardware_kernels()]
}

fn each(mut test: impl FnMut(&'static str, &mut Session)) {
    for pass in passes() {
        if let Some(mut session) = pass.open(&Params::new(0)) {
            test(pass.name, &mut session);
        }
    }
}

fn values(shape: &[usize], of: &[f32]) -> Array {
    Array::new(shape.to_vec(), of.to_vec()).unwrap()
}

/// `0, 1, 2, …`, some of them negative.
fn counted(shape: &[usize]) -> Array {
    let n = shape.iter().product::<usize>();
    let value = |i: usize| (i % 7) as f32 - 2.0 * (i % 3) as f32;
    values(shape, &(0..n).map(value).collect::<Vec<_>>())
}

/// Input channels are cut into blocks of which the last one is short: their weight's gradient is that of single products.
#[test]
fn gradients_of_weights_of_any_channels() {
    let shapes = [
        ([1, 65, 8, 8], [8, 65, 3, 3]),
        ([2, 100, 5, 5], [300, 100, 3, 3]),
        ([4, 72, 4, 4], [500, 72, 3, 3]),
        ([32, 72, 1, 1], [24, 72, 1, 1]),
        ([1, 130, 3, 3], [256, 130, 3, 3]),
    ];
    let mut session = cpu().open(&Params::new(0)).unwrap();
    for (x_shape, w_shape) in shapes {
        let [n, cin, h, w] = x_shape;
        let [cout, _, k, _] = w_shape;
        let (x, up) = (counted(&x_shape), counted(&[n, cout, h, w]));
        let got = session.eval(|g| {
            let weight = g.constant(Array::zeros(w_shape));
            let options = ConvOptions {
                padding: wgrad::ops::conv::Padding::Same,
                ..ConvOptions::default()
            };
            let y = g.constant(x.clone()).conv2d(&weight, None, options);
            let loss = y.mul(&g.constant(up.clone())).sum(&[], false);
            vec![g.grad(&loss, &weight)]
        });
        let (x, up) = (x.to_f32(), up.to_f32());
        let mut want = vec![0.0f32; cout * cin * k * k];
        for (at, want) in want.iter_mut().enumerate() {
            let (o, c, r, s) = (at / (cin * k * k), at / (k * k) % cin, at / k % k, at % k);
            for (b, i, j) in (0..n * h * w).map(|q| (q / (h * w), q / w % h, q % w)) {
                let (y, z) = ((i + r).wrapping_sub(k / 2), (j + s).wrapping_sub(k / 2));
                if y < h && z < w {
                    *want +=
                        up[((b * cout + o) * h + i) * w + j] * x[((b * cin + c) * h + y) * w + z];
                }
            }
        }
        let verdict = near(&got.unwrap(), &[values(&w_shape, &want)]);
        assert_eq!(verdict, Ok(()), "{x_shape:?} {w_shape:?}");
    }
}

#[test]
fn products_of_nothing_are_zero() {
    each(|name, session| {
        for (m, n) in [(8, 8), (16, 32), (4, 4), (1, 8), (3, 5), (64, 64)] {
            for batch in [&[][..], &[3], &[2, 1]] {
                let shape = |a: usize, b: usize| [batch, &[a, b]].concat();
                let out = session.eval(|g| {
                    let of = |shape: Vec<usize>| g.constant(Array::zeros(shape));
                    let (a, b) = (of(shape(m, 0)), of(shape(0, n)));
                    let (at, bt) = (of(shape(0, m)), of(shape(n, 0)));
                    vec![
                        a.matmul(&b),
                        at.t().matmul(&bt.t()),
                        at.t().matmul(&b).add_scalar(2.0),
                        a.matmul(&of(vec![0, n])),
                    ]
                });
                for (k, got) in out.unwrap().iter().enumerate() {
                    let want = if k == 2 { 2.0 } else { 0.0 };
                    assert_eq!(got.shape()[..], shape(m, n), "{name}");
                    assert!(got.to_f32().iter().all(|v| *v == want), "{name} {m} {n}");
                }
            }
        }
    });
}

/// Nothing at the end of a buffer: what is bound for it must lie inside.
#[test]
fn nothing_is_taken_from_the_end() {
    each(|name, session| {
        let out = session.eval(|g| {
            let x = g.uniform([64]);
            let none = x.narrow(0, 64, 0);
            vec![
                none.reshape(&[8, 0]).matmul(&none.reshape(&[0, 8])),
                Tensor::cat(&[&none, &x.narrow(0, 0, 3).mul_scalar(0.0)], 0),
                none.reshape(&[0, 4]).softmax(1).sum(&[], false),
            ]
        });
        let out = out.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(out.iter().all(|y| y.to_f32().iter().all(|v| *v == 0.0)));
    });
}

#[test]
fn a_step_on_a_batch_of_nothing() {
    for pass in passes() {
        let params = Params::new(0);
        let layer = Linear::new(8, 8).build(&params.at("layer"));
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let before = session.get("layer.weight").unwrap();
        let types = [TensorType::f32([0, 8])];
        let mut f = session
            .compile(Mode::Train, &types, |g, a| {
                let loss = layer.forward(&a[0]).square().sum(&[], false);
                g.minimize(&loss, &Sgd::new(1.0));
                vec![loss]
            })
            .unwrap();
        let none = Array::zeros([0, 8]);
        let out = session.run(&mut f, &[&none]).unwrap();
        assert_eq!(out[0].item(), 0.0, "{}", pass.name);
        assert_eq!(
            session.get("layer.weight").unwrap(),
            before,
            "{}",
            pass.name
        );
    }
}

/// Parameters without elements, in products and alone.
#[test]
fn parameters_without_elements() {
    for (inputs, outputs) in [(0, 8), (8, 0), (0, 0)] {
        for pass in passes() {
            let params = Params::new(0);
            let weight = params.parameter("weight", [inputs, outputs], |_, _| vec![]);
            let rest = params.parameter("rest", [3], |_, _| vec![1.0; 3]);
            let Some(mut session) = pass.open(&params) else {
                continue;
            };
            let types = [TensorType::f32([4, inputs])];
            let of = format!("{inputs} to {outputs} on {}", pass.name);
            let mut f = session
                .compile(Mode::Train, &types, |g, a| {
                    let w = g.param(&weight);
                    let y = a[0].matmul(&w);
                    let loss = y.sum(&[], false).add(&w.square().sum(&[], false));
                    let loss = loss.add(&g.param(&rest).sum(&[], false));
                    g.minimize(&loss, &Sgd::new(0.5));
                    vec![y, w.mul_scalar(2.0)]
                })
                .unwrap_or_else(|e| panic!("{of}: {e}"));
            let out = session.run(&mut f, &[&Array::zeros([4, inputs])]);
            let out = out.unwrap_or_else(|e| panic!("{of}: {e}"));
            assert_eq!(out[0], Array::zeros([4, outputs]), "{of}");
            assert_eq!(out[1], Array::zeros([inputs, outputs]), "{of}");
            assert_eq!(session.get("rest").unwrap().to_f32(), [0.5; 3], "{of}");
            assert_eq!(session.get("weight").unwrap().numel(), 0, "{of}");
        }
    }
}

/// A reduction does not hold what it reduces: there may be more than a 32-bit index counts.
#[test]
fn reductions_of_more_than_32_bits_count() {
    fn differences(g: &Trace) -> Tensor {
        // From -1 to 1 and from 0 to 1.
        let line = |n: usize| g.arange(n).to_f32().mul_scalar(1.0 / (n - 1) as f32);
        let a = line(66_001).mul_scalar(2.0).add_scalar(-1.0);
        a.unsqueeze(1).sub(&line(66_001).unsqueeze(0))
    }
    let Some(mut session) = gpu().open(&Params::new(0)) else {
        return;
    };
    let mean = session.eval(|g| vec![differences(g).mean(&[], false)]);
    let mean = mean.unwrap()[0].item();
    assert!((mean + 0.5).abs() < 1e-5, "{mean}");
}

#[test]
fn sizes_that_nothing_holds_are_errors() {
    let most = usize::MAX;
    type Body = Box<dyn Fn(&Trace) -> Tensor + Sync>;
    let rows: Vec<(&str, Body)> = vec![
        (
            "expand",
            Box::new(move |g| g.scalar(1.0f32).expand([most / 2, 4]).sum(&[], false)),
        ),
        (
            "expand",
            Box::new(move |g| g.scalar(1.0f32).expand([most, most, 0])),
        ),
        ("expand", Box::new(move |g| g.uniform([1 << 30, 1 << 30]))),
        (
            "reshape",
            Box::new(move |g| g.uniform([4]).reshape(&[isize::MAX, 2, 2])),
        ),
        (
            "expand",
            Box::new(move |g| g.uniform([4]).repeat(&[most / 2])),
        ),
        (
            "expand",
            Box::new(move |g| g.uniform([4]).repeat_interleave(most / 2, 0)),
        ),
        (
            "pad",
            Box::new(move |g| g.uniform([4]).pad(&[most / 2, most / 2 + 9], 0.0)),
        ),
        (
            "narrow",
            Box::new(move |g| g.uniform([4]).narrow(0, 2, most)),
        ),
        ("arange", Box::new(move |g| g.arange(1 << 31))),
        ("arange", Box::new(move |g| g.arange(3).one_hot(1 << 40))),
        (
            "add",
            Box::new(move |g| {
                let x = g.scalar(1.0f32);
                x.expand([1 << 30, 1]).add(&x.expand([1, 1 << 30]))
            }),
        ),
        (
            "matmul",
            Box::new(move |g| {
                let x = g.scalar(1.0f32);
                x.expand([1 << 30, 1]).matmul(&x.expand([1, 1 << 30]))
            }),
        ),
        (
            "conv1d",
            Box::new(move |g| {
                let options = ConvOptions {
                    padding: wgrad::ops::conv::Padding::Explicit(vec![most / 2]),
                    ..ConvOptions::default()
                };
                g.uniform([1, 1, 4])
                    .conv1d(&g.uniform([1, 1, 2]), None, options)
            }),
        ),
        (
            "conv_transpose1d",
            Box::new(move |g| {
                let options = wgrad::ops::conv::ConvTransposeOptions {
                    stride: vec![most / 2],
                    ..Default::default()
                };
                g.uniform([1, 1, 4])
                    .conv_transpose1d(&g.uniform([1, 1, 2]), None, options)
            }),
        ),
        (
            "max_pool1d",
            Box::new(move |g| {
                let stride = Some(vec![most]);
                g.uniform([1, 1, 4]).max_pool1d_with(PoolOptions {
                    stride,
                    ..PoolOptions::new([2])
                })
            }),
        ),
        (
            "interpolate",
            Box::new(move |g| {
                g.uniform([1, 1, 4])
                    .interpolate(&wgrad::ops::interpolate::InterpolateOptions::scale(1e18))
            }),
        ),
    ];
    let mut session = cpu().open(&Params::new(0)).unwrap();
    for (name, body) in rows {
        let refused = session.eval(|g| vec![body(g)]).map(drop);
        let message = refused
            .err()
            .unwrap_or_else(|| panic!("{name} is taken"))
            .to_string();
        assert!(message.contains(name), "{name}: {message}");
    }
    // The CPU counts in 64 bits, kernels do not.
    for pass in [gpu(), gpu_hardware_kernels()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        let sum = session.eval(|g| vec![g.scalar(1.0f32).expand([1 << 33]).sum(&[], false)]);
        let message = sum.map(drop).unwrap_err().to_string();
        assert!(message.contains("8589934592 elements"), "{message}");
    }
}

/// Software adapters end a thread that loops for long, and leave out what it would have done.
#[test]
fn what_a_thread_may_not_finish_is_cut() {
    let place = 16_777_215;
    let mut line = vec![0.5f32; 17_000_000];
    line[place] = 1.0;
    let line = values(&[17_000_000], &line);
    let Some(mut session) = gpu().open(&Params::new(0)) else {
        return;
    };
    let types = [TensorType::of(&line)];
    let mut f = session
        .compile(Mode::Eval, &types, |g, a| {
            let x = &a[0];
            vec![
                x.argmax(0, false),
                x.neg().argmin(0, false),
                x.amax(&[], false),
                x.sum(&[], false),
                x.cumsum(0).narrow(0, 16_999_999, 1),
                g.scalar(1.0f32).expand([33_000, 33_000]).sum(&[], false),
            ]
        })
        .unwrap();
    let out = session.run(&mut f, &[&line]).unwrap();
    let index = |k: usize| out[k].as_slice::<i32>().unwrap()[0] as usize;
    assert_eq!((index(0), index(1)), (place, place));
    assert_eq!(out[2].item(), 1.0);
    for (k, want) in [(3, 8_500_000.5f32), (4, 8_500_000.5), (5, 1.089e9)] {
        let got = out[k].to_f32()[0];
        assert!((got - want).abs() <= 1e-5 * want, "result {k}: {got}");
    }
    session.forget(f);
    // What is not cut is refused.
    let refused = session.compile(Mode::Eval, &types, |_, a| vec![a[0].softmax(0)]);
    let message = refused.map(drop).unwrap_err().to_string();
    assert!(message.contains("softmax takes 199221 turns"), "{message}");
}

#[test]
fn vectors_and_matrices_multiply_as_in_pytorch() {
    let shapes: [(&[usize], &[usize], &[usize]); 12] = [
        (&[3], &[3], &[]),
        (&[3], &[3, 4], &[4]),
        (&[2, 3], &[3], &[2]),
        (&[3], &[5, 3, 4], &[5, 4]),
        (&[5, 2, 3], &[3], &[5, 2]),
        (&[3], &[6, 5, 3, 1], &[6, 5, 1]),
        (&[6, 5, 1, 3], &[3], &[6, 5, 1]),
        (&[1], &[1], &[]),
        (&[2, 3], &[5, 3, 4], &[5, 2, 4]),
        (&[6, 1, 2, 3], &[5, 3, 4], &[6, 5, 2, 4]),
        (&[0], &[0], &[]),
        (&[3], &[0, 3, 4], &[0, 4]),
    ];
    each(|name, session| {
        for (a, b, shape) in shapes {
            let (x, y) = (counted(a), counted(b));
            let out = session.eval(|g| {
                let (x, y) = (g.constant(x.clone()), g.constant(y.clone()));
                let z = x.matmul(&y);
                let sum = z.sum(&[], false);
                vec![z, g.grad(&sum, &x), g.grad(&sum, &y)]
            });
            let out = out.unwrap_or_else(|e| panic!("{a:?} {b:?} on {name}: {e}"));
            assert_eq!(out[0].shape()[..], *shape, "{a:?} {b:?} on {name}");
            assert_eq!((&out[1].shape()[..], &out[2].shape()[..]), (a, b));
        }
        // x = [0, -1, 2 - 4], which is [0, -1, -2] by `counted`.
        let dot = session.eval(|g| {
            let x = g.constant(counted(&[3]));
            vec![x.matmul(&x), g.constant(counted(&[2, 3])).matmul(&x)]
        });
        let dot = dot.unwrap();
        assert_eq!((dot[0].item(), dot[1].to_f32()), (5.0, vec![5.0, -4.0]));
        for (a, b) in [
            (&[3][..], &[4][..]),
            (&[2, 3], &[2]),
            (&[], &[3]),
            (&[4], &[2, 3, 4]),
        ] {
            let refused = session.eval(|g| vec![g.uniform(a).matmul(&g.uniform(b))]);
            let message = refused.map(drop).unwrap_err().to_string();
            let text = |s: &[usize]| format!("{s:?}").replace(' ', "");
            let both = format!("matmul {} x {}: ", text(a), text(b));
            assert!(message.contains(&both), "{message}");
        }
    });
}

/// PyTorch 2.15's answers to `max_pool1d` and `avg_pool1d` of 1, 2, 3 … with `ceil_mode`: kernel, stride, padding, size,
/// then both results; none where it refuses.
#[test]
fn rounded_up_a_window_may_be_larger_than_the_input() {
    type Row = ([usize; 4], Option<(&'static [f32], &'static [f32])>);
    let rows: [Row; 10] = [
        ([5, 5, 0, 3], Some((&[3.0], &[2.0]))),
        ([5, 3, 0, 3], Some((&[3.0], &[2.0]))),
        ([5, 2, 0, 3], None),
        ([5, 1, 0, 3], None),
        ([4, 4, 1, 1], Some((&[1.0], &[0.33333334]))),
        ([3, 3, 1, 1], Some((&[1.0], &[0.33333334]))),
        ([7, 6, 0, 2], Some((&[2.0], &[1.5]))),
        ([6, 3, 3, 1], Some((&[1.0, 1.0], &[0.16666667, 0.25]))),
        ([3, 2, 1, 5], Some((&[2.0, 4.0, 5.0], &[1.0, 3.0, 3.0]))),
        ([9, 4, 2, 4], Some((&[4.0], &[1.25]))),
    ];
    each(|name, session| {
        for ([kernel, stride, padding, n], want) in rows {
            let got = session.eval(|g| {
                let x = g.arange(n).to_f32().add_scalar(1.0).reshape(&[1, 1, -1]);
                let options = PoolOptions {
                    stride: Some(vec![stride]),
                    padding: vec![padding],
                    ceil_mode: true,
                    ..PoolOptions::new([kernel])
                };
                let both = [
                    x.max_pool1d_with(options.clone()),
                    x.avg_pool1d_with(options),
                ];
                let sum = both[0].add(&both[1]).sum(&[], false);
                let grad = g.grad(&sum, &x).sum(&[], false);
                both.into_iter().chain([grad]).collect()
            });
            let of = format!("kernel {kernel}, stride {stride}, padding {padding}, {n} on {name}");
            let Some((max, avg)) = want else {
                let message = got.map(drop).unwrap_err().to_string();
                assert!(
                    message.contains("larger than the padded input"),
                    "{of}: {message}"
                );
                continue;
            };
            let want = [max, avg].map(|v| values(&[1, 1, v.len()], v));
            let got = got.unwrap_or_else(|e| panic!("{of}: {e}"));
            assert_eq!(near(&got[..2], &want), Ok(()), "{of}");
        }
    });
}

/// What changes nothing gives a value of its own, so that a gradient by it is not one by its source; plans have no step
/// for it.
#[test]
fn what_changes_nothing_is_a_value_of_its_own() {
    type Same = fn(&Tensor) -> Tensor;
    use wgrad::ops::interpolate::{InterpolateMode, InterpolateOptions};
    let rows: [(&str, Same); 24] = [
        ("reshape", |x| x.reshape(&[2, 3, 4])),
        ("reshape -1", |x| x.reshape(&[2, -1, 4])),
        ("expand", |x| x.expand([2, 3, 4])),
        ("flatten", |x| x.flatten(2)),
        ("permute", |x| x.permute(&[0, 1, 2])),
        ("transpose", |x| x.transpose(1, 1)),
        ("squeeze", |x| x.squeeze(1)),
        ("narrow", |x| x.narrow(1, 0, 3)),
        ("slice", |x| x.slice(2, 0, 4, 1)),
        ("flip", |x| x.flip(&[])),
        ("pad", |x| x.pad(&[], 0.0)),
        ("pad 0", |x| x.pad(&[0, 0, 0, 0], 1.0)),
        ("cat", |x| Tensor::cat(&[x], 1)),
        ("split", |x| x.split(9, 1).remove(0)),
        ("chunk", |x| x.chunk(1, 0).remove(0)),
        ("repeat", |x| x.repeat(&[1, 1, 1])),
        ("repeat_interleave", |x| x.repeat_interleave(1, 1)),
        ("to", |x| x.to_f32()),
        ("dropout", |x| x.dropout(0.0)),
        ("feature_dropout", |x| x.feature_dropout(0.0)),
        ("interpolate", |x| {
            x.interpolate(&InterpolateOptions::scale(1.0))
        }),
        ("interpolate linear", |x| {
            let size = InterpolateOptions::size([4]);
            x.interpolate(&size.mode(InterpolateMode::Linear))
        }),
        ("einsum", |x| Tensor::einsum("abc->abc", &[x])),
        ("reduction none", |x| {
            wgrad::ops::reduction::Reduction::None.of(x)
        }),
    ];
    let mut session = cpu().open(&Params::new(0)).unwrap();
    let types = [TensorType::f32([2, 3, 4])];
    let x = counted(&[2, 3, 4]);
    let plain = session.compile(Mode::Train, &types, |_, a| {
        vec![a[0].mul_scalar(2.0).tanh()]
    });
    let steps = plain.unwrap().plan().unwrap().steps.len();
    for (name, same) in rows {
        let mut f = session
            .compile(Mode::Train, &types, |g, a| {
                let y = same(&a[0]);
                let loss = y.mul_scalar(3.0).add(&a[0].mul_scalar(5.0)).sum(&[], false);
                vec![y.clone(), g.grad(&loss, &y), g.grad(&loss, &a[0])]
            })
            .unwrap();
        let out = session.run(&mut f, &[&x]).unwrap();
        assert_eq!(out[0], x, "{name}");
        let all = |a: &Array, of: f32| a.to_f32().iter().all(|v| *v == of);
        assert!(all(&out[1], 3.0) && all(&out[2], 8.0), "{name}: {out:?}");
        let alone = session.compile(Mode::Train, &types, |_, a| {
            vec![same(&a[0].mul_scalar(2.0)).tanh()]
        });
        assert_eq!(alone.unwrap().plan().unwrap().steps.len(), steps, "{name}");
    }
    // A scalar has no dimension to repeat.
    let out = session.eval(|g| {
        let x = g.scalar(1.0f32);
        let y = x.repeat(&[]);
        vec![g.grad(&y.add(&x), &y)]
    });
    assert_eq!(out.unwrap()[0].item(), 1.0);
    // In evaluation nothing is dropped.
    let mut f = session
        .compile(Mode::Eval, &types, |g, a| {
            let y = a[0].dropout(0.5);
            vec![g.grad(&y.add(&a[0]).sum(&[], false), &y)]
        })
        .unwrap();
    let out = session.run(&mut f, &[&x]).unwrap();
    assert!(out[0].to_f32().iter().all(|v| *v == 1.0));
}
