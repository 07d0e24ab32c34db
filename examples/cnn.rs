//! LeNet learns handwritten digits.
//!
//! `cargo run --release --example cnn` trains on the 10,000 digits of MNIST's test file, which are part of this
//! repository: 8,000 to train, 2,000 held out. `--data DIR` takes MNIST's four files, gzipped or not.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use wgrad::data::{Dataset, ImageDataset, Subset};
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::nn::{Conv2d, Linear, Module};
use wgrad::train::{Trainer, TrainingArguments};
use wgrad::{Params, Session, Tensor};

/// Train LeNet on MNIST.
#[derive(Parser)]
#[command(version, allow_negative_numbers = true)]
struct Args {
    /// Folder with MNIST's four IDX files, gzipped or not [default: the digits in the repository]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Passes over the training digits
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// Digits in a step
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Learning rate of AdamW
    #[arg(long, default_value_t = 1e-3)]
    lr: f64,
    /// Seed of initial weights and of the order of digits
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Device [default: WGRAD_DEVICE, else a hardware GPU if there is one, else the CPU]
    #[arg(long)]
    device: Option<Kind>,
    /// Folder for the model, the history and the curves
    #[arg(long, value_name = "DIR", default_value = "runs/cnn")]
    output: PathBuf,
    /// A few steps on a few digits, to see that everything works
    #[arg(long)]
    smoke: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Cpu,
    Gpu,
    /// Both, compared step by step
    Lockstep,
}

struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl LeNet {
    fn new(p: &Params) -> Self {
        Self {
            conv1: Conv2d::new(1, 6, 5).build(&p.at("conv1")),
            conv2: Conv2d::new(6, 16, 3).build(&p.at("conv2")),
            fc1: Linear::new(16 * 6 * 6, 120).build(&p.at("fc1")),
            fc2: Linear::new(120, 84).build(&p.at("fc2")),
            fc3: Linear::new(84, 10).build(&p.at("fc3")),
        }
    }
}

impl Module for LeNet {
    /// `x [n, 1, 32, 32]` to logits `[n, 10]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu().max_pool2d(2);
        let x = self.conv2.forward(&x).relu().max_pool2d(2).flatten(1);
        let x = self.fc1.forward(&x).relu();
        let x = self.fc2.forward(&x).relu();
        self.fc3.forward(&x)
    }
}

/// Digits to train on and digits held out.
fn digits(args: &Args) -> wgrad::Result<(Subset<ImageDataset>, Subset<ImageDataset>)> {
    let open = |dir: PathBuf, train| {
        ImageDataset::mnist(dir, train)?
            .pad(2)
            .normalize(&[0.1307], &[0.3081])
    };
    let (train, test, split) = match &args.data {
        Some(dir) => (open(dir.clone(), true)?, open(dir.clone(), false)?, None),
        None => {
            let here = PathBuf::from("examples/data/mnist");
            let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&here);
            let all = open(if here.exists() { here } else { source }, false)?;
            (all.clone(), all, Some(8_000))
        }
    };
    let (mut n, first) = (split.unwrap_or(train.len()), split.unwrap_or(0));
    let mut end = test.len();
    if args.smoke {
        (n, end) = (n.min(256), end.min(first + 64));
    }
    Ok((train.subset(0..n)?, test.subset(first..end)?))
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (train, held_out) = digits(&args)?;
    let params = Params::new(args.seed);
    let model = LeNet::new(&params);
    let kind = args.device.map(|kind| match kind {
        Kind::Cpu => DeviceKind::Cpu,
        Kind::Gpu => DeviceKind::Gpu,
        Kind::Lockstep => DeviceKind::Lockstep,
    });
    let device = DeviceOptions {
        kind,
        ..Default::default()
    };
    let mut session = Session::with_options(&params, &device)?;
    println!("{}", session.banner());
    println!(
        "data: {} digits to train, {} held out",
        train.len(),
        held_out.len()
    );
    let training = TrainingArguments {
        learning_rate: args.lr,
        num_train_epochs: args.epochs as f64,
        train_batch_size: args.batch_size,
        seed: args.seed,
        output_dir: Some(args.output.clone()),
        overwrite_output_dir: true,
        save_total_limit: Some(1),
        max_steps: args.smoke.then_some(3),
        ..Default::default()
    };
    let mut trainer = Trainer::classifier(&mut session, &model, training);
    println!("\n{}\n", trainer.summary(&train)?);
    let history = trainer.fit(train, held_out)?;
    let accuracy = history.last("val_accuracy").unwrap_or(0.0);
    println!("held-out accuracy: {:.2} %", 100.0 * accuracy);
    println!(
        "written to {}: model.safetensors, history.json, curves.svg, report.html, checkpoints",
        args.output.display()
    );
    Ok(())
}
