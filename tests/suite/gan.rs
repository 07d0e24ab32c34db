//! A GAN of the DCGAN form, as two functions that take turns: PyTorch's weights, running statistics and losses in
//! `tests/fixtures/gan.json`, which `tests/interop/make_gan.py` writes.

use crate::common::{cpu, gpu};
use serde_json::Value;
use wgrad::nn::{
    BatchNorm2d, Conv2d, ConvTranspose2d, LeakyRelu, Module, Reduction, Relu, Sequential, Tanh,
};
use wgrad::optim::{Adam, MinimizeOptions};
use wgrad::{Array, Mode, Params, Shape, Tensor, TensorType, Trace};

const N: usize = 5;
const NOISE: usize = 3;

fn wave(shape: impl Into<Shape>, seed: usize, scale: f64) -> Array {
    let shape = shape.into();
    let at = (0..shape.numel()).map(|i| scale * (i as f64 * 1.7 + seed as f64 * 0.9).sin());
    Array::new(shape.clone(), at.map(|x| x as f32).collect::<Vec<_>>()).unwrap()
}

fn generator(p: &Params) -> Sequential {
    Sequential::new(p)
        .add(ConvTranspose2d::new(NOISE, 4, 4).bias(false))
        .add(BatchNorm2d::new(4))
        .add(Relu)
        .add(
            ConvTranspose2d::new(4, 1, 4)
                .stride(2)
                .padding(1)
                .bias(false),
        )
        .add(Tanh)
}

fn discriminator(p: &Params) -> Sequential {
    let conv = |from, to| Conv2d::new(from, to, 4).stride(2).padding(1).bias(false);
    Sequential::new(p)
        .add(conv(1, 4))
        .add(LeakyRelu {
            negative_slope: 0.2,
        })
        .add(conv(4, 6))
        .add(BatchNorm2d::new(6))
        .add(LeakyRelu {
            negative_slope: 0.2,
        })
        .add(Conv2d::new(6, 1, 2).bias(false))
}

/// The mean loss of logits that should say `real`.
fn loss(g: &Trace, logits: &Tensor, real: bool) -> Tensor {
    let logits = logits.flatten(0);
    let target = g
        .scalar(f32::from(u8::from(real)))
        .expand(logits.shape().clone());
    logits.binary_cross_entropy_with_logits(&target, Reduction::Mean)
}

#[test]
fn as_pytorch_trains_it() {
    let steps: Vec<Value> = serde_json::from_str(include_str!("../fixtures/gan.json")).unwrap();
    for pass in [cpu(), gpu()] {
        let params = Params::new(0);
        let of_generator = generator(&params.at("generator"));
        let of_discriminator = discriminator(&params.at("discriminator"));
        let Some(mut session) = pass.open(&params) else {
            continue;
        };
        let parameters = params.list().into_iter();
        let parameters = parameters.filter(|s| s.kind == wgrad::state::StateKind::Parameter);
        for (k, s) in parameters.enumerate() {
            if s.shape.rank() > 1 {
                session
                    .set(&s.path, &wave(s.shape.clone(), k, 0.4))
                    .unwrap();
            }
        }
        let adam = Adam {
            betas: (0.5, 0.999),
            ..Adam::new(0.01)
        };
        let noise = TensorType::f32([N, NOISE, 1, 1]);
        let types = [TensorType::f32([N, 1, 8, 8]), noise.clone()];
        let mut discriminate = session
            .compile(Mode::Train, &types, |g, a| {
                let real = loss(g, &of_discriminator.forward(&a[0]), true);
                let made = of_generator.forward(&a[1]).detach();
                let both = real.add(&loss(g, &of_discriminator.forward(&made), false));
                let part = MinimizeOptions::part("discriminator", 0);
                g.minimize_with(&both, &adam, &part);
                vec![both]
            })
            .unwrap();
        let mut generate = session
            .compile(Mode::Train, &[noise], |g, a| {
                // The same images: their statistics have been counted.
                let made = g.keep_statistics(|| of_generator.forward(&a[0]));
                let loss = loss(g, &of_discriminator.forward(&made), true);
                g.minimize_with(&loss, &adam, &MinimizeOptions::part("generator", 1));
                vec![loss]
            })
            .unwrap();
        for (step, want) in steps.iter().enumerate() {
            let real = wave([N, 1, 8, 8], 10 + step, 0.8);
            let noise = wave([N, NOISE, 1, 1], 50 + step, 1.5);
            let first = session.run(&mut discriminate, &[&real, &noise]).unwrap();
            let second = session.run(&mut generate, &[&noise]).unwrap();
            let losses = [first[0].item(), second[0].item()].map(f64::from);
            let near = |what: &str, got: &[f64], want: &[f64]| {
                assert_eq!(got.len(), want.len(), "{what}");
                for (got, want) in got.iter().zip(want) {
                    assert!(
                        (got - want).abs() <= 2e-5 + 2e-4 * want.abs(),
                        "{}, step {step}: {what} {got}, PyTorch's {want}",
                        pass.name
                    );
                }
            };
            let numbers = |of: &Value| serde_json::from_value::<Vec<f64>>(of.clone()).unwrap();
            near("losses", &losses, &numbers(&want["losses"]));
            for (path, want) in want["state"].as_object().unwrap() {
                let got = session.get(path).unwrap().to_f32();
                let got: Vec<f64> = got.into_iter().map(f64::from).collect();
                near(path, &got, &numbers(want));
            }
        }
        // One update of the generator's statistics a step, three of the discriminator's.
        let updates = |path: &str, session: &mut wgrad::Session| {
            session
                .get(&format!("{path}.num_batches_tracked"))
                .unwrap()
                .item() as usize
        };
        assert_eq!(updates("generator.1", &mut session), steps.len());
        assert_eq!(updates("discriminator.3", &mut session), 3 * steps.len());
    }
}
