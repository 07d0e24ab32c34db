//! An exercise with LeNet: other numbers of features, other kernels, another activation.
//!
//! 9 features by kernels of 3x3, 25 by kernels of 4x4, then 540, 54 and 10 units. `cargo run --release --example
//! lenet_exercise` trains on 8,000 digits of MNIST's test file and evaluates on 2,000; `--data DIR` takes MNIST's four
//! files, gzipped or not.
//! It reaches 97.5 % after three epochs.

mod common;

use clap::Parser;
use wgrad::nn::{Conv2d, Linear, Module};
use wgrad::train::{Trainer, TrainingArguments};
use wgrad::{Params, Tensor};

struct Net {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl Net {
    fn new(p: &Params) -> Self {
        Self {
            conv1: Conv2d::new(1, 9, 3).build(&p.at("conv1")),
            conv2: Conv2d::new(9, 25, 4).build(&p.at("conv2")),
            fc1: Linear::new(25 * 6 * 6, 540).build(&p.at("fc1")),
            fc2: Linear::new(540, 54).build(&p.at("fc2")),
            fc3: Linear::new(54, 10).build(&p.at("fc3")),
        }
    }
}

impl Module for Net {
    /// `x [n, 1, 32, 32]` to logits `[n, 10]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).elu(1.0).max_pool2d(2); // [n, 9, 15, 15]
        let x = self.conv2.forward(&x).elu(1.0).max_pool2d(2).flatten(1); // [n, 25 * 6 * 6]
        let x = self.fc1.forward(&x).elu(1.0);
        let x = self.fc2.forward(&x).elu(1.0);
        self.fc3.forward(&x)
    }
}

fn main() -> anyhow::Result<()> {
    let options = common::Options::parse();
    let (train, held_out) = common::digits(&options, 2)?;
    let params = Params::new(options.seed);
    let model = Net::new(&params);
    let mut session = options.session(&params)?;
    let default = TrainingArguments {
        train_batch_size: 64,
        num_train_epochs: 3.0,
        ..Default::default()
    };
    let args = options.arguments("lenet_exercise", default);
    let mut trainer = Trainer::classifier(&mut session, &model, args.clone());
    println!("\n{}\n", trainer.summary(&train)?);
    let history = trainer.fit(train, held_out)?;
    common::closing(&history, &args);
    Ok(())
}
