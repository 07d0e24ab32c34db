//! Convolution and pooling: gradients of gradients, special values, what misuses say.

#![expect(clippy::unwrap_used, reason = "test helpers may fail loudly")]

use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
use wgrad::ops::pool::PoolOptions;
use wgrad::rng::Rng;
use wgrad::{Array, Params, Session, Tensor, Trace};

fn session(kind: DeviceKind, max_workgroups: Option<u32>) -> Session {
    let options = DeviceOptions {
        kind: Some(kind),
        default_limits: max_workgroups.is_some(),
        max_workgroups,
        ..Default::default()
    };
    Session::with_options(&Params::new(0), &options).unwrap()
}

/// A session on the CPU, one in lockstep with a GPU, and one with a GPU of one workgroup at a time.
fn sessions() -> [Session; 3] {
    [
        session(DeviceKind::Cpu, None),
        session(DeviceKind::Lockstep, None),
        session(DeviceKind::Lockstep, Some(1)),
    ]
}

fn random(shape: &[usize], name: &str) -> Array {
    let mut rng = Rng::new(3, name);
    let n = shape.iter().product();
    Array::new(shape, (0..n).map(|_| rng.normal()).collect::<Vec<f32>>()).unwrap()
}

/// A function that is linear in `x`: its value, and `x` times its gradient, which is the same.
fn twice(g: &Trace, value: &Tensor, x: &Tensor) -> [Tensor; 2] {
    let grad = g.gradients(value, &[x])[0].clone().unwrap();
    [value.clone(), grad.mul(x).sum(&[], false)]
}

#[test]
fn gradients_have_gradients() {
    type Op = fn(&Tensor, &Tensor) -> Tensor;
    let ops: [(&str, Op); 4] = [
        ("conv2d", |x, w| {
            let options = ConvOptions {
                stride: vec![2, 1],
                padding: Padding::Explicit(vec![1]),
                ..Default::default()
            };
            x.conv2d(w, None, options)
        }),
        ("conv_transpose2d", |x, w| {
            let options = ConvTransposeOptions {
                stride: vec![2],
                padding: vec![1],
                groups: 2,
                ..Default::default()
            };
            x.conv_transpose2d(w, None, options)
        }),
        ("max_pool2d", |x, _| {
            let padding = vec![1];
            x.max_pool2d_with(PoolOptions {
                stride: Some(vec![2]),
                padding,
                ..PoolOptions::new([3])
            })
        }),
        ("avg_pool2d", |x, _| {
            x.avg_pool2d_with(PoolOptions {
                stride: Some(vec![1]),
                ceil_mode: true,
                ..PoolOptions::new([2])
            })
        }),
    ];
    for mut session in [
        session(DeviceKind::Cpu, None),
        session(DeviceKind::Lockstep, None),
    ] {
        for (name, op) in ops {
            let out = session.eval(|g| {
                let random = |shape: &[usize], name: &str| g.constant(random(shape, name));
                let (x, w) = (random(&[2, 4, 7, 6], "x"), random(&[4, 4, 3, 3], "w"));
                let y = op(&x, &w);
                let k = random(y.shape(), "k");
                let value = y.mul(&k).sum(&[], false);
                let dx = g.gradients(&value, &[&x])[0].clone().unwrap();
                let h = random(x.shape(), "h");
                let second = dx.mul(&h).sum(&[], false);
                let dk = g.gradients(&second, &[&k])[0].clone().unwrap();
                let third = dk.mul(&random(y.shape(), "m")).sum(&[], false);
                let mut pairs = vec![twice(g, &second, &k), twice(g, &third, &h)];
                if name.starts_with("conv") {
                    let dw = g.gradients(&value, &[&w])[0].clone().unwrap();
                    let of_w = dw.mul(&random(w.shape(), "v")).sum(&[], false);
                    pairs.extend([
                        twice(g, &second, &w),
                        twice(g, &of_w, &x),
                        twice(g, &of_w, &k),
                    ]);
                }
                pairs.concat()
            });
            for pair in out.unwrap().chunks(2) {
                let (a, b) = (pair[0].item(), pair[1].item());
                assert!(
                    a != 0.0 && (a - b).abs() < 1e-4 * a.abs().max(1.0),
                    "{name}: {a} and {b}"
                );
            }
        }
    }
}

#[test]
fn same_padding_keeps_the_size() {
    let mut sessions = sessions();
    for session in &mut sessions {
        let out = session.eval(|g| {
            let x = g.constant(Array::new([1, 1, 5], vec![1.0f32, 2.0, 3.0, 4.0, 5.0]).unwrap());
            let w = g.constant(Array::new([1, 1, 4], vec![1.0f32, 10.0, 100.0, 1000.0]).unwrap());
            let options = ConvOptions {
                padding: Padding::Same,
                ..Default::default()
            };
            vec![x.conv1d(&w, None, options)]
        });
        let want = [3210.0, 4321.0, 5432.0, 543.0, 54.0];
        assert_eq!(out.unwrap()[0].as_slice::<f32>().unwrap(), want);
    }
}

#[test]
fn a_maximum_takes_the_first_of_equals_and_any_nan() {
    let mut sessions = sessions();
    let nan = f32::NAN;
    for session in &mut sessions {
        let out = session.eval(|g| {
            let x = g.constant(
                Array::new(
                    [1, 1, 2, 4],
                    vec![7.0f32, 7.0, 1.0, nan, 7.0, 7.0, 9.0, 2.0],
                )
                .unwrap(),
            );
            let y = x.max_pool2d(2);
            let grad = g.gradients(&y.narrow(3, 0, 1).sum(&[], false), &[&x])[0]
                .clone()
                .unwrap();
            vec![y, grad]
        });
        let out = out.unwrap();
        let y = out[0].as_slice::<f32>().unwrap();
        assert!(y[0] == 7.0 && y[1].is_nan());
        assert_eq!(out[1].as_slice::<f32>().unwrap()[..2], [1.0, 0.0]);
    }
}

#[test]
fn misuses_say_what_is_allowed() {
    let mut session = session(DeviceKind::Cpu, None);
    let mut message = |f: fn(&Tensor, &Tensor) -> Tensor| {
        let result = session.eval(|g| {
            let x = g.constant(Array::zeros([2, 6, 8, 8]));
            let w = g.constant(Array::zeros([4, 3, 3, 3]));
            vec![f(&x, &w)]
        });
        let text = result.err().unwrap().to_string();
        assert!(text.contains("tests/conv_pool.rs"), "{text}");
        text
    };
    let mut check = |f, wording: &str| {
        let text = message(f);
        assert!(text.contains(wording), "{text}");
    };
    check(
        |x, w| x.conv2d(w, None, ConvOptions::default()),
        "conv2d input [2,6,8,8], weight [4,3,3,3]: the weight takes 3 input channels (3 in each of 1 groups), 6 came",
    );
    check(
        |x, w| x.conv1d(w, None, ConvOptions::default()),
        "conv1d input [2,6,8,8], weight [4,3,3,3]: takes an input [n, c, l] and a weight of 3 dimensions",
    );
    check(
        |x, w| {
            x.conv2d(
                w,
                None,
                ConvOptions {
                    groups: 4,
                    ..Default::default()
                },
            )
        },
        "the number of groups, 4, must divide 6 input and 4 output channels",
    );
    check(
        |x, w| {
            x.conv2d(
                w,
                None,
                ConvOptions {
                    groups: 2,
                    stride: vec![0],
                    ..Default::default()
                },
            )
        },
        "strides and dilations are at least 1",
    );
    check(
        |x, w| {
            x.conv2d(
                w,
                None,
                ConvOptions {
                    groups: 2,
                    dilation: vec![5],
                    ..Default::default()
                },
            )
        },
        "dilation [5, 5] the kernel is larger than the padded input in spatial dimension 0",
    );
    check(
        |x, w| {
            x.conv2d(
                w,
                None,
                ConvOptions {
                    groups: 2,
                    stride: vec![1, 1, 1],
                    ..Default::default()
                },
            )
        },
        "stride [1, 1, 1]: takes 1 number or 2, one a spatial dimension",
    );
    check(
        |x, w| {
            let options = ConvOptions {
                groups: 2,
                stride: vec![2],
                padding: Padding::Same,
                ..Default::default()
            };
            x.conv2d(w, None, options)
        },
        "stride [2, 2]: Padding::Same takes a stride of 1",
    );
    check(
        |x, w| {
            x.conv2d(
                w,
                Some(&x.sum(&[], false)),
                ConvOptions {
                    groups: 2,
                    ..Default::default()
                },
            )
        },
        "bias []: takes one number an output channel, [4]",
    );
    check(
        |x, w| x.conv_transpose2d(w, None, ConvTransposeOptions::default()),
        "the weight takes 4 input channels, 6 came",
    );
    check(
        |x, w| {
            x.narrow(1, 0, 4).conv_transpose2d(
                w,
                None,
                ConvTransposeOptions {
                    output_padding: vec![1],
                    ..Default::default()
                },
            )
        },
        "output padding [1, 1]: must be less than the stride [1, 1] or the dilation [1, 1]",
    );
    check(
        |x, _| {
            x.max_pool2d_with(PoolOptions {
                padding: vec![2],
                ..PoolOptions::new([3])
            })
        },
        "max_pool2d padding [2, 2] of kernel [3, 3]: may be at most half the kernel's size",
    );
    check(
        |x, _| x.max_pool2d(9),
        "max_pool2d input [2,6,8,8], kernel [9, 9]: with stride",
    );
    check(
        |x, _| x.avg_pool3d(2),
        "avg_pool3d input [2,6,8,8]: takes an input [n, c, d, h, w]",
    );
    check(
        |x, _| {
            x.avg_pool2d_with(PoolOptions {
                dilation: vec![2],
                ..PoolOptions::new([2])
            })
        },
        "avg_pool2d dilation [2]: a mean takes 1",
    );
    check(
        |x, _| x.adaptive_avg_pool2d([0, 1]),
        "to [0, 1]: sizes are at least 1",
    );
}
