//! A generator and a discriminator in turn: a GAN in the form of DCGAN (Radford et al., 2015) learns to write digits.
//!
//! `cargo run --release --example gan` trains on 8,000 digits of MNIST's test file and writes what the generator makes of the
//! same noise after each epoch to `runs/gan`; `--data DIR` takes MNIST's four files, gzipped or not.
//!
//! The two are two functions over one session, each with an optimizer of its own over its part of the parameters. As in
//! PyTorch's tutorial, the generator's batch norm sees each batch of noise once: in its own step, which makes the same images
//! again, `keep_statistics` leaves the running statistics alone. `tests/suite/gan.rs` holds them against PyTorch's.

mod common;

use anyhow::Context;
use clap::Parser;
use wgrad::data::{DataLoader, DataLoaderOptions};
use wgrad::nn::init::Init;
use wgrad::nn::{
    BatchNorm2d, Conv2d, ConvTranspose2d, LeakyRelu, Module, Reduction, Relu, Sequential, Tanh,
};
use wgrad::optim::{Adam, MinimizeOptions};
use wgrad::rng::Rng;
use wgrad::train::TrainingArguments;
use wgrad::{Array, Mode, Params, Tensor, TensorType, Trace};

/// Numbers that an image is made of.
const NOISE: usize = 32;
/// Channels of the widest images inside, by 4.
const WIDTH: usize = 16;
/// Images of the picture, in a square.
const ROW: usize = 8;

/// Noise `[n, NOISE, 1, 1]` to images `[n, 1, 28, 28]` from -1 to 1.
fn generator(p: &Params) -> Sequential {
    let conv = |from, to| {
        ConvTranspose2d::new(from, to, 4)
            .stride(2)
            .padding(1)
            .bias(false)
    };
    Sequential::new(p)
        .add(ConvTranspose2d::new(NOISE, 4 * WIDTH, 7).bias(false)) // [n, 4 WIDTH, 7, 7]
        .add(BatchNorm2d::new(4 * WIDTH))
        .add(Relu)
        .add(conv(4 * WIDTH, 2 * WIDTH)) // [n, 2 WIDTH, 14, 14]
        .add(BatchNorm2d::new(2 * WIDTH))
        .add(Relu)
        .add(conv(2 * WIDTH, 1))
        .add(Tanh)
}

/// Images `[n, 1, 28, 28]` to the logit of each, `[n, 1, 1, 1]`, that it is a real one.
fn discriminator(p: &Params) -> Sequential {
    let conv = |from, to| Conv2d::new(from, to, 4).stride(2).padding(1).bias(false);
    let leaky = || LeakyRelu {
        negative_slope: 0.2,
    };
    Sequential::new(p)
        .add(conv(1, WIDTH)) // [n, WIDTH, 14, 14]
        .add(leaky())
        .add(conv(WIDTH, 2 * WIDTH)) // [n, 2 WIDTH, 7, 7]
        .add(BatchNorm2d::new(2 * WIDTH))
        .add(leaky())
        .add(Conv2d::new(2 * WIDTH, 1, 7).bias(false))
}

/// The mean loss of logits that should all say `real`.
fn loss(g: &Trace, logits: &Tensor, real: bool) -> Tensor {
    let logits = logits.flatten(0);
    let target = g
        .scalar(f32::from(u8::from(real)))
        .expand(logits.shape().clone());
    logits.binary_cross_entropy_with_logits(&target, Reduction::Mean)
}

fn noise(rng: &mut Rng, n: usize) -> wgrad::Result<Array> {
    let values: Vec<f32> = (0..n * NOISE).map(|_| rng.normal()).collect();
    Array::new([n, NOISE, 1, 1], values)
}

fn main() -> anyhow::Result<()> {
    let options = common::Options::parse();
    let (digits, _) = common::digits(&options, 0)?;
    let default = TrainingArguments {
        learning_rate: 2e-4,
        train_batch_size: 64,
        num_train_epochs: 10.0,
        ..Default::default()
    };
    let args = options.arguments("gan", default);
    args.check()?;
    let batches = DataLoaderOptions {
        batch_size: args.train_batch_size,
        shuffle: true,
        drop_last: true,
        seed: options.seed,
        ..Default::default()
    };
    let digits = DataLoader::new(digits, batches)?;

    let params = Params::new(options.seed);
    let of_generator = generator(&params.at("generator"));
    let of_discriminator = discriminator(&params.at("discriminator"));
    // As the paper has it: normal numbers of a deviation of 0.02, around 1 for the weights of normalisations.
    params.init("*.weight", Init::normal(0.0, 0.02))?;
    params.init(
        "{generator.1,generator.4,discriminator.3}.weight",
        Init::normal(1.0, 0.02),
    )?;
    let mut session = options.session(&params)?;

    let n = args.train_batch_size;
    let adam = Adam {
        betas: (0.5, 0.999),
        ..Adam::new(args.learning_rate)
    };
    let of_noise = TensorType::f32([n, NOISE, 1, 1]);
    let types = [TensorType::f32([n, 1, 28, 28]), of_noise.clone()];
    let mut discriminate = session.compile(Mode::Train, &types, |g, batch| {
        // The digits are normalised; the generator's images are from -1 to 1.
        let real = batch[0]
            .mul_scalar(2.0 * 0.3081)
            .add_scalar(2.0 * 0.1307 - 1.0);
        let made = of_generator.forward(&batch[1]).detach();
        let right = loss(g, &of_discriminator.forward(&real), true);
        let both = right.add(&loss(g, &of_discriminator.forward(&made), false));
        let part = MinimizeOptions::part("discriminator", 0);
        g.minimize_with(&both, &adam, &part);
        vec![both]
    })?;
    let mut generate = session.compile(Mode::Train, &[of_noise], |g, noise| {
        let made = g.keep_statistics(|| of_generator.forward(&noise[0]));
        let loss = loss(g, &of_discriminator.forward(&made), true);
        g.minimize_with(&loss, &adam, &MinimizeOptions::part("generator", 1));
        vec![loss]
    })?;
    let square = TensorType::f32([ROW * ROW, NOISE, 1, 1]);
    let mut show = session.compile(Mode::Eval, &[square], |_, noise| {
        vec![of_generator.forward(&noise[0])]
    })?;

    let folder = options.output("gan");
    std::fs::create_dir_all(&folder)?;
    let mut rng = Rng::new(options.seed, "noise");
    let shown = noise(&mut Rng::new(options.seed, "shown"), ROW * ROW)?;
    let epochs = options.size(args.num_train_epochs.ceil() as u64, 1);
    for epoch in 0..epochs {
        let mut losses = [0.0; 2];
        for batch in digits.epoch(epoch) {
            let noise = noise(&mut rng, n)?;
            let first = session.run(&mut discriminate, &[&batch?[0], &noise])?;
            let second = session.run(&mut generate, &[&noise])?;
            losses[0] += first[0].item();
            losses[1] += second[0].item();
        }
        let [first, second] = losses.map(|sum| sum / digits.len() as f32);
        println!(
            "epoch {}: discriminator {first:.4}, generator {second:.4}",
            epoch + 1
        );
        let images = session.run(&mut show, &[&shown])?;
        let file = folder.join(format!("epoch-{}.pgm", epoch + 1));
        std::fs::write(&file, picture(&images[0].to_f32()))
            .with_context(|| file.display().to_string())?;
    }
    session.save(folder.join("model.safetensors"))?;
    println!("written: {}", folder.display());
    Ok(())
}

/// Images of 28 x 28 in a square, as a file in the format PGM.
fn picture(images: &[f32]) -> Vec<u8> {
    let side = ROW * 28;
    let mut file = format!("P5\n{side} {side}\n255\n").into_bytes();
    for y in 0..side {
        for x in 0..side {
            let image = (y / 28) * ROW + x / 28;
            let pixel = images[image * 784 + (y % 28) * 28 + x % 28];
            file.push((127.5 * (pixel + 1.0)) as u8);
        }
    }
    file
}
