//! A network that knows the digits 0 to 4 learns 5 to 9 from few examples: its convolutions stay as they are.
//!
//! `cargo run --release --example fine_tune` first trains a LeNet on the digits 0 to 4 of MNIST's test file, writes it to a
//! file and reads that into a second network, which learns from 200 of the digits 5 to 9; `--model FILE` reads another
//! trained LeNet, say `runs/cnn/model.safetensors`, `--data DIR` takes MNIST's four files.
//! It reaches 93.2, 95.8 and 92.5 % on 5 to 9 (seeds 0, 1, 2).

mod common;

use clap::Parser;
use std::path::{Path, PathBuf};
use wgrad::data::{Dataset, ImageDataset, Subset};
use wgrad::nn::{Conv2d, Linear, Module};
use wgrad::train::{Trainer, TrainingArguments};
use wgrad::{Params, Tensor};

#[derive(Parser)]
struct Args {
    /// A trained LeNet, as `cnn` writes it [default: one is trained]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    options: common::Options,
}

struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    head: Linear,
}

impl LeNet {
    /// The last layer is at the path `head`.
    fn new(p: &Params, head: &str) -> Self {
        Self {
            conv1: Conv2d::new(1, 6, 5).build(&p.at("conv1")),
            conv2: Conv2d::new(6, 16, 3).build(&p.at("conv2")),
            fc1: Linear::new(16 * 6 * 6, 120).build(&p.at("fc1")),
            fc2: Linear::new(120, 84).build(&p.at("fc2")),
            head: Linear::new(84, 5).build(&p.at(head)),
        }
    }
}

impl Module for LeNet {
    /// `x [n, 1, 32, 32]` to logits `[n, 5]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu().max_pool2d(2);
        let x = self.conv2.forward(&x).relu().max_pool2d(2).flatten(1);
        let x = self.fc1.forward(&x).relu();
        let x = self.fc2.forward(&x).relu();
        self.head.forward(&x)
    }
}

/// The digits from `first` to `first + 4`, at most `n` of them, with labels from 0.
fn digits(
    data: &Subset<ImageDataset>,
    first: i32,
    n: usize,
) -> wgrad::Result<impl Dataset + use<>> {
    let labels = data.labels()?;
    let five = (0..labels.len()).filter(|&i| (first..first + 5).contains(&labels[i]));
    let five = data.clone().subset(five.take(n).collect::<Vec<_>>())?;
    Ok(five.map(move |mut sample| {
        sample[1] = wgrad::Array::scalar(sample[1].as_slice::<i32>()?[0] - first);
        Ok(sample)
    }))
}

/// Train on 0 to 4 and write the model to `file`.
fn pretrain(options: &common::Options, file: &Path) -> anyhow::Result<()> {
    let (train, held_out) = common::digits(options, 2)?;
    let params = Params::new(options.seed);
    let model = LeNet::new(&params, "fc3");
    let mut session = options.session(&params)?;
    let args = TrainingArguments {
        train_batch_size: 64,
        max_steps: options.smoke.then_some(4),
        seed: options.seed,
        ..Default::default()
    };
    let n = train.len();
    Trainer::classifier(&mut session, &model, args)
        .fit(digits(&train, 0, n)?, digits(&held_out, 0, n)?)?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(session.save(file)?)
}

fn main() -> anyhow::Result<()> {
    let Args { model, options } = Args::parse();
    let default = TrainingArguments {
        train_batch_size: 20,
        num_train_epochs: 20.0,
        eval_strategy: wgrad::train::IntervalStrategy::Steps,
        eval_steps: Some(50.0),
        ..Default::default()
    };
    let args = options.arguments("fine_tune/5-to-9", default);
    args.check()?;
    let trained = options.output("fine_tune").join("0-to-4.safetensors");
    if model.is_none() {
        println!("a LeNet learns 0 to 4");
        pretrain(&options, &trained)?;
    }
    let (train, held_out) = common::digits(&options, 2)?;
    let few = digits(&train, 5, 200)?;

    println!(
        "\nanother goes on from there with 5 to 9, of which it sees {}",
        few.len()
    );
    let params = Params::new(options.seed + 1);
    let lenet = LeNet::new(&params, "new");
    let mut session = options.session(&params)?;
    let report = session.load_partial(model.unwrap_or(trained))?;
    println!("{report}");
    println!("frozen: {} parameters", params.freeze("conv*")?);
    let mut trainer = Trainer::classifier(&mut session, &lenet, args.clone());
    println!("\n{}\n", trainer.summary(&few)?);
    let history = trainer.fit(few, digits(&held_out, 5, held_out.len())?)?;
    common::closing(&history, &args);
    Ok(())
}
