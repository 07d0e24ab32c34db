//! The engine end to end: expressions, gradients, training, on each device.

#![expect(clippy::unwrap_used, reason = "test helpers may fail loudly")]

use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::optim::{Adam, Sgd};
use wgrad::{Array, Mode, Params, Session, TensorType};

fn session(params: &Params) -> Session {
    let kind = std::env::var("WGRAD_DEVICE").map_or(DeviceKind::Cpu, |d| d.parse().unwrap());
    Session::with_options(
        params,
        &DeviceOptions {
            kind: Some(kind),
            ..Default::default()
        },
    )
    .unwrap()
}

#[test]
fn expressions() {
    let mut s = session(&Params::new(0));
    let x = Array::new([2, 3], vec![1.0f32, -2.0, 3.0, 4.0, -5.0, 6.0]).unwrap();
    let out = s
        .eval(|g| {
            let t = g.constant(x.clone());
            let y = t.relu().sum(&[1], false);
            let z = t.t().matmul(&t);
            vec![
                y,
                z,
                t.mean(&[], false),
                t.permute(&[1, 0]).add(&g.scalar(1.0)),
                t.amax(&[0], true),
            ]
        })
        .unwrap();
    assert_eq!(out[0].as_slice::<f32>().unwrap(), [4.0, 10.0]);
    assert_eq!(
        out[1].as_slice::<f32>().unwrap(),
        [17.0, -22.0, 27.0, -22.0, 29.0, -36.0, 27.0, -36.0, 45.0]
    );
    assert!((out[2].item() - 7.0 / 6.0).abs() < 1e-6);
    assert_eq!(
        out[3].as_slice::<f32>().unwrap(),
        [2.0, 5.0, -1.0, -4.0, 4.0, 7.0]
    );
    assert_eq!(out[4].as_slice::<f32>().unwrap(), [4.0, -2.0, 6.0]);
}

#[test]
fn gradients_of_gradients() {
    let mut s = session(&Params::new(0));
    let out = s
        .eval(|g| {
            let x = g.constant(Array::vector(vec![0.5f32, -1.5]));
            let y = x.mul(&x).mul(&x).sum(&[], false);
            let d = g.gradients(&y, &[&x])[0].clone().unwrap();
            let dd = g.gradients(&d.sum(&[], false), &[&x])[0].clone().unwrap();
            vec![d, dd]
        })
        .unwrap();
    assert_eq!(out[0].as_slice::<f32>().unwrap(), [0.75, 6.75]);
    assert_eq!(out[1].as_slice::<f32>().unwrap(), [3.0, -9.0]);
}

#[test]
fn regression_learns() {
    for which in 0..3 {
        let params = Params::new(7);
        let w1 = params.parameter("w1", [2, 16], |rng, n| {
            (0..n).map(|_| rng.normal() * 0.5).collect()
        });
        let b1 = params.parameter("b1", [16], |_, n| vec![0.0; n]);
        let w2 = params.parameter("w2", [16, 1], |rng, n| {
            (0..n).map(|_| rng.normal() * 0.5).collect()
        });
        let mut s = session(&params);
        let n = 64;
        let mut f = s
            .compile(
                Mode::Train,
                &[TensorType::f32([n, 2]), TensorType::f32([n, 1])],
                |g, a| {
                    let h = a[0].matmul(&g.param(&w1)).add(&g.param(&b1)).tanh();
                    let loss = h.matmul(&g.param(&w2)).sub(&a[1]).square().mean(&[], false);
                    match which {
                        0 => g.minimize(&loss, &Adam::new(0.02)),
                        1 => g.minimize(
                            &loss,
                            &Sgd {
                                momentum: 0.9,
                                ..Sgd::new(0.05)
                            },
                        ),
                        _ => drop(g.minimize_clipped(&loss, &Adam::adamw(0.02), Some(1.0))),
                    }
                    vec![loss]
                },
            )
            .unwrap();
        let mut rng = wgrad::rng::Rng::new(1, "data");
        let x: Vec<f32> = (0..2 * n).map(|_| rng.normal()).collect();
        let y: Vec<f32> = x.chunks(2).map(|p| p[0] * p[1]).collect();
        let (x, y) = (
            Array::new([n, 2], x).unwrap(),
            Array::new([n, 1], y).unwrap(),
        );
        let first = s.run(&mut f, &[&x, &y]).unwrap()[0].item();
        let mut last = first;
        for _ in 0..300 {
            last = s.run(&mut f, &[&x, &y]).unwrap()[0].item();
        }
        if which == 0 {
            println!("{}", f.plan().unwrap());
        }
        assert!(last < 0.2 * first, "{which}: {first} -> {last}");
    }
}

/// The kernels for hardware, on whatever adapter there is: matrix tiles, split inner dimensions, trees.
#[test]
fn hardware_kernels_agree_with_the_cpu() {
    let run = |kind, software_kernels, max_workgroups| {
        let options = DeviceOptions {
            kind: Some(kind),
            software_kernels,
            max_workgroups,
            ..Default::default()
        };
        let mut s = Session::with_options(&Params::new(0), &options).unwrap();
        let mut rng = wgrad::rng::Rng::new(5, "tiles");
        let mut array = |r: usize, c: usize| {
            Array::new([r, c], (0..r * c).map(|_| rng.normal()).collect::<Vec<_>>()).unwrap()
        };
        let (a, b, c, d) = (
            array(130, 67),
            array(67, 65),
            array(64, 2000),
            array(33, 2000),
        );
        s.eval(move |g| {
            let (a, b, c, d) = (
                g.constant(a.clone()),
                g.constant(b.clone()),
                g.constant(c.clone()),
                g.constant(d.clone()),
            );
            let x = a.matmul(&b).relu();
            vec![
                x.clone(),
                b.t().matmul(&a.t()),
                c.matmul(&d.t()),
                c.sum(&[1], false),
                d.square().sum(&[], false),
                x.amax(&[0], false),
                c.amax(&[], false),
                c.amin(&[], false),
            ]
        })
        .unwrap()
    };
    let want = run(DeviceKind::Cpu, None, None);
    for limit in [None, Some(2)] {
        for (k, (w, g)) in want
            .iter()
            .zip(run(DeviceKind::Gpu, Some(false), limit))
            .enumerate()
        {
            for (w, g) in w
                .as_slice::<f32>()
                .unwrap()
                .iter()
                .zip(g.as_slice::<f32>().unwrap())
            {
                assert!(
                    (w - g).abs() <= 1e-4 + 1e-4 * w.abs(),
                    "{limit:?} {k}: {w} {g}"
                );
            }
        }
    }
}
