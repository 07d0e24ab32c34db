//! Normalisation: against compositions where finite differences see nothing, far from 0, and what layers keep.

use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::parity::near;
use wgrad::nn::{BatchNorm1d, BatchNorm2d, InstanceNorm1d, Module};
use wgrad::optim::Sgd;
use wgrad::rng::Rng;
use wgrad::{Array, Mode, Params, Session, Tensor, TensorType};

fn values(shape: &[usize], scale: f32, offset: f32) -> Array {
    let mut rng = Rng::new(7, "norm");
    let n = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..n).map(|_| rng.normal() * scale + offset).collect();
    Array::new(shape.to_vec(), values).unwrap()
}

/// Results and gradients of both of `of` agree.
fn same(pass: &Pass, inputs: &[Array], of: [fn(&[Tensor]) -> Tensor; 2]) {
    let Some(mut session) = pass.open(&Params::new(0)) else {
        return;
    };
    let types: Vec<TensorType> = inputs.iter().map(TensorType::of).collect();
    let inputs: Vec<&Array> = inputs.iter().collect();
    let mut run = |f: fn(&[Tensor]) -> Tensor| {
        let mut f = session
            .compile(Mode::Train, &types, |g, a| {
                let y = f(a);
                let weights = a[0].sin();
                let mut all = vec![y.clone()];
                let by: Vec<&Tensor> = a.iter().collect();
                let loss = (&(&y.square() + &y) * &weights.detach()).sum(&[], false);
                all.extend(g.gradients(&loss, &by).into_iter().flatten());
                all
            })
            .unwrap();
        session.run(&mut f, &inputs).unwrap()
    };
    let [got, want] = of.map(&mut run);
    assert_eq!(got.len(), inputs.len() + 1);
    assert_eq!(near(&got, &want), Ok(()), "{}", pass.name);
}

fn composed(x: &Tensor, dims: &[isize]) -> Tensor {
    let off = x.sub(&x.mean(dims, true));
    let var = off.square().mean(dims, true);
    off.mul(&var.add_scalar(1e-5).rsqrt())
}

#[test]
fn as_compositions() {
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        let x = values(&[2, 90, 95], 1.0, 0.5);
        let affine = [values(&[90, 95], 1.0, 0.0), values(&[90, 95], 0.3, 1.0)];
        let [w, b] = affine.clone();
        same(
            &pass,
            &[x.clone(), w.clone(), b],
            [
                |x| x[0].layer_norm(&[90, 95], Some(&x[1]), Some(&x[2]), 1e-5),
                |x| composed(&x[0], &[1, 2]).mul(&x[1]).add(&x[2]),
            ],
        );
        same(
            &pass,
            &[x, w],
            [
                |x| x[0].rms_norm(&[90, 95], Some(&x[1]), 1e-5),
                |x| {
                    let square = x[0].square().mean(&[1, 2], true);
                    x[0].mul(&square.add_scalar(1e-5).rsqrt()).mul(&x[1])
                },
            ],
        );
        let x = values(&[2, 10, 33, 31], 1.0, 0.5);
        let [w, b] = [values(&[10], 1.0, 0.0), values(&[10], 0.3, 1.0)];
        let inputs = [x, w, b];
        fn along(t: &Tensor) -> Tensor {
            t.reshape(&[1, 10, 1, 1])
        }
        same(
            &pass,
            &inputs,
            [
                |x| x[0].group_norm(1, Some(&x[1]), Some(&x[2]), 1e-5),
                |x| {
                    composed(&x[0], &[1, 2, 3])
                        .mul(&along(&x[1]))
                        .add(&along(&x[2]))
                },
            ],
        );
        same(
            &pass,
            &inputs,
            [
                |x| x[0].batch_norm(Some(&x[1]), Some(&x[2]), 1e-5).y,
                |x| {
                    composed(&x[0], &[0, 2, 3])
                        .mul(&along(&x[1]))
                        .add(&along(&x[2]))
                },
            ],
        );
    }
}

/// A mean that is ten thousand deviations away: the variance keeps its digits.
#[test]
fn far_from_zero() {
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        let x = values(&[64, 96], 1.0, 1e4);
        let exact = x.to_f32().into_iter().map(f64::from);
        let exact: Vec<f64> = exact.collect();
        let norm = |at: Vec<usize>| {
            let n = at.len() as f64;
            let mean = at.iter().map(|&i| exact[i]).sum::<f64>() / n;
            let var = at.iter().map(|&i| (exact[i] - mean).powi(2)).sum::<f64>() / n;
            (mean, (var + 1e-5).sqrt())
        };
        let rows: Vec<_> = (0..64)
            .map(|r| norm((r * 96..r * 96 + 96).collect()))
            .collect();
        let columns: Vec<_> = (0..96)
            .map(|c| norm((0..64).map(|r| r * 96 + c).collect()))
            .collect();
        let got = session
            .eval(|g| {
                let x = g.constant(x.clone());
                let batch = x.batch_norm(None, None, 1e-5);
                vec![x.layer_norm(&[96], None, None, 1e-5), batch.y, batch.var]
            })
            .unwrap();
        let deviations: Vec<f64> = got[2].to_f32().iter().map(|v| f64::from(*v)).collect();
        for (c, v) in deviations.iter().enumerate() {
            let want = columns[c].1.powi(2) - 1e-5;
            assert!(
                (v / want - 1.0).abs() < 1e-4,
                "{}: variance {v}, want {want}",
                pass.name
            );
        }
        for (i, x) in exact.iter().enumerate() {
            // The mean itself is rounded to 1e-3 deviations.
            for (got, (mean, std)) in [(&got[0], rows[i / 96]), (&got[1], columns[i % 96])] {
                let (y, want) = (f64::from(got.to_f32()[i]), (x - mean) / std);
                assert!((y - want).abs() < 1.5e-3, "{}: {y}, want {want}", pass.name);
            }
        }
    }
}

/// A session that trains `module` on `x` for some steps, with the layers' statistics below "bn".
fn trained(module: &dyn Module, params: &Params, batches: &[Array], learn: bool) -> Session {
    let mut session = cpu().open(params).unwrap();
    let mut f = session
        .compile(Mode::Train, &[TensorType::of(&batches[0])], |g, a| {
            let loss = module.forward(&a[0]).square().mean(&[], false);
            if learn {
                g.minimize(&loss, &Sgd::new(0.1));
            }
            vec![loss]
        })
        .unwrap();
    for batch in batches {
        session.run(&mut f, &[batch]).unwrap();
    }
    drop(f);
    session
}

fn batches() -> Vec<Array> {
    [(1.0, 0.0), (2.0, 3.0), (0.5, -1.0)]
        .map(|(s, o)| values(&[4, 2, 3], s, o))
        .to_vec()
}

/// Mean and unbiased variance of channel `c` of `x [n, 2, l]`.
fn channel(x: &Array, c: usize) -> (f64, f64) {
    let all = x.to_f32();
    let own = |i: &usize| i / 3 % 2 == c;
    let own: Vec<f64> = (0..all.len())
        .filter(own)
        .map(|i| f64::from(all[i]))
        .collect();
    let mean = own.iter().sum::<f64>() / own.len() as f64;
    let squares = own.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    (mean, squares / (own.len() as f64 - 1.0))
}

#[test]
fn without_momentum_the_average() {
    let params = Params::new(0);
    let bn = BatchNorm1d::new(2).momentum(None).build(&params.at("bn"));
    let mut session = trained(&bn, &params, &batches(), true);
    for c in 0..2 {
        let each = batches();
        let each: Vec<(f64, f64)> = each.iter().map(|x| channel(x, c)).collect();
        let mean = each.iter().map(|e| e.0).sum::<f64>() / 3.0;
        let var = each.iter().map(|e| e.1).sum::<f64>() / 3.0;
        let got = |s: &mut Session, p: &str| f64::from(s.get(p).unwrap().to_f32()[c]);
        assert!((got(&mut session, "bn.running_mean") - mean).abs() < 1e-5);
        assert!((got(&mut session, "bn.running_var") - var).abs() < 1e-5);
    }
    let count = session.get("bn.num_batches_tracked").unwrap();
    assert_eq!(count, Array::new([], vec![3i32]).unwrap());
}

/// Applied twice in a step, it moves twice.
#[test]
fn a_shared_layer_moves_twice() {
    let run = |times: usize| {
        let params = Params::new(0);
        let bn = BatchNorm1d::new(2).build(&params.at("bn"));
        let module = move |x: &Tensor| {
            let y = bn.forward(x);
            if times == 2 { bn.forward(x).add(&y) } else { y }
        };
        let each = vec![values(&[4, 2, 3], 1.0, 2.0); 2 / times];
        let mut session = trained(&module, &params, &each, false);
        ["running_mean", "running_var", "num_batches_tracked"]
            .map(|n| session.get(&format!("bn.{n}")).unwrap())
    };
    assert_eq!(run(2), run(1));
}

#[test]
fn a_frozen_one_does_not_move() {
    for affine in [true, false] {
        let params = Params::new(0);
        let bn = BatchNorm1d::new(2).affine(affine).build(&params.at("bn"));
        let scale = params.parameter("scale", [1], |_, n| vec![1.5; n]);
        params.at("bn").set_trainable(false);
        let module = move |x: &Tensor| bn.forward(&x.mul(&x.trace().param(&scale)));
        let mut session = trained(&module, &params, &batches(), true);
        let start: Vec<_> = params.at("bn").list();
        assert_eq!(start.len(), if affine { 5 } else { 3 });
        for s in start {
            assert_eq!(session.get(&s.path).unwrap(), *s.init, "{}", s.path);
        }
        assert_ne!(session.get("scale").unwrap().to_f32(), [1.5]);
    }
}

#[test]
fn evaluation_takes_the_running_statistics_and_keeps_them() {
    let params = Params::new(0);
    let bn = BatchNorm1d::new(2).build(&params.at("bn"));
    let mut session = cpu().open(&params).unwrap();
    let x = values(&[4, 2, 3], 2.0, 3.0);
    session
        .set("bn.running_mean", &Array::vector(vec![1.0f32, -2.0]))
        .unwrap();
    session
        .set("bn.running_var", &Array::vector(vec![4.0f32, 0.25]))
        .unwrap();
    let mut f = session
        .compile(Mode::Eval, &[TensorType::of(&x)], |_, a| {
            vec![bn.forward(&a[0])]
        })
        .unwrap();
    let got = session.run(&mut f, &[&x]).unwrap();
    let want: Vec<f32> = (x.to_f32().iter().enumerate())
        .map(|(i, x)| match i / 3 % 2 {
            0 => (x - 1.0) / 4.00001f32.sqrt(),
            _ => (x + 2.0) / 0.25001f32.sqrt(),
        })
        .collect();
    assert_eq!(near(&got, &[Array::new([4, 2, 3], want).unwrap()]), Ok(()));
    assert_eq!(
        session.get("bn.running_mean").unwrap().to_f32(),
        [1.0, -2.0]
    );
}

/// The mean over the batch of each sample's statistics, as PyTorch.
#[test]
fn instance_norm_tracks() {
    let params = Params::new(0);
    let norm = InstanceNorm1d::new(2)
        .track_running_stats(true)
        .build(&params.at("norm"));
    let x = values(&[4, 2, 3], 2.0, 3.0);
    let mut session = trained(&norm, &params, std::slice::from_ref(&x), false);
    let all = x.to_f32();
    for c in 0..2 {
        let (mut mean, mut var) = (0.0, 0.0);
        for n in 0..4 {
            let own = &all[(n * 2 + c) * 3..][..3];
            let m = own.iter().sum::<f32>() / 3.0;
            mean += m / 4.0;
            var += own.iter().map(|x| (x - m).powi(2)).sum::<f32>() / 2.0 / 4.0;
        }
        let got = |s: &mut Session, p: &str| s.get(p).unwrap().to_f32()[c];
        assert!((got(&mut session, "norm.running_mean") - 0.1 * mean).abs() < 1e-5);
        assert!((got(&mut session, "norm.running_var") - (0.9 + 0.1 * var)).abs() < 1e-5);
    }
    let count = session.get("norm.num_batches_tracked").unwrap();
    assert_eq!(count, Array::new([], vec![0i32]).unwrap());
}

/// The counter is an I64 in a file, as PyTorch's, and comes back.
#[test]
fn a_checkpoint_holds_the_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bn.safetensors");
    let params = Params::new(0);
    let bn = BatchNorm1d::new(2).build(&params.at("bn"));
    let mut session = trained(&bn, &params, &batches(), true);
    session.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let count = &header["bn.num_batches_tracked"];
    assert_eq!(count["dtype"], "I64");
    assert_eq!(count["shape"], serde_json::json!([]));
    let start = count["data_offsets"][0].as_u64().unwrap();
    assert!(start.is_multiple_of(8), "at {start}");
    let other = Params::new(0);
    let _bn = BatchNorm1d::new(2).build(&other.at("bn"));
    let mut fresh = cpu().open(&other).unwrap();
    fresh.load(&path).unwrap();
    for s in params.list() {
        let values = [&mut session, &mut fresh].map(|x| x.get(&s.path).unwrap());
        assert_eq!(values[0], values[1], "{}", s.path);
    }
}

/// A training step of a batch norm and what follows: no step that a composition would need, forward and backward.
#[test]
fn few_steps() {
    let params = Params::new(0);
    let bn = BatchNorm2d::new(8).build(&params.at("bn"));
    let mut session = cpu().open(&params).unwrap();
    let f = session
        .compile(Mode::Train, &[TensorType::f32([4, 8, 6, 6])], |g, a| {
            let [loss] = [bn.forward(&a[0]).relu().sum(&[], false)];
            g.minimize(&loss, &Sgd::new(0.1));
            vec![loss]
        })
        .unwrap();
    let plan = f.plan().unwrap().to_string();
    let steps = |name: &str| plan.matches(name).count();
    assert_eq!((steps("moments"), steps("norm_sums")), (1, 1), "{plan}");
}

/// Files from before PyTorch 0.4.1, and safetensors without counters: PyTorch's strict load takes them and leaves the counter.
#[test]
fn a_file_without_counters_is_loaded_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bn.safetensors");
    let params = Params::new(0);
    let bn = BatchNorm1d::new(2).build(&params.at("bn"));
    let mut session = trained(&bn, &params, &batches(), true);
    let count = session.get("bn.num_batches_tracked").unwrap();
    let names = ["weight", "bias", "running_mean", "running_var"];
    let tensors: Vec<(String, Array)> = names
        .iter()
        .enumerate()
        .map(|(i, n)| (format!("bn.{n}"), Array::full([2], i as f32)))
        .collect();
    let metadata = std::collections::BTreeMap::new();
    wgrad::weights::write(&path, &tensors, &metadata).unwrap();
    session.load(&path).unwrap();
    for (path, value) in &tensors {
        assert_eq!(session.get(path).unwrap(), *value, "{path}");
    }
    assert_eq!(session.get("bn.num_batches_tracked").unwrap(), count);
    assert_ne!(count, Array::new([], vec![0i32]).unwrap());
    // Nothing else may be missing.
    wgrad::weights::write(&path, &tensors[1..], &metadata).unwrap();
    let error = session.load(&path).unwrap_err().to_string();
    assert!(error.ends_with("missing: bn.weight"), "{error}");
}

/// The last tensor that is read holds a number beyond 32 bits: nothing of the file is taken.
#[test]
fn a_file_that_breaks_at_its_end_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bn.safetensors");
    let params = Params::new(0);
    let bn = BatchNorm1d::new(2).build(&params.at("bn"));
    let mut session = trained(&bn, &params, &batches(), true);
    session.save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[data + 7] = 1; // the counter lies first
    std::fs::write(&path, bytes).unwrap();
    let marks = Array::vector(vec![5.0f32, 6.0]);
    session.set("bn.weight", &marks).unwrap();
    for error in [
        session.load(&path).unwrap_err(),
        session.load_partial(&path).map(drop).unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("does not fit in 32 bits"),
            "{error}"
        );
    }
    assert_eq!(session.get("bn.weight").unwrap(), marks);
}
