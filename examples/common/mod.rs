//! What the examples share: options of the command line, and where data are.
#![allow(dead_code, reason = "each example uses a part of it")]

pub mod chars;
pub mod numbers;
pub mod text;

use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use wgrad::data::{Dataset, ImageDataset, Subset};
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::train::{History, IntervalStrategy, Outcome, SaveStrategy, TrainingArguments};
use wgrad::{Params, Session, Tensor};

/// Train the model of this example.
#[derive(Parser)]
#[command(version, allow_negative_numbers = true)]
pub struct Options {
    /// Folder with the full data [default: the sample in the repository]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Passes over the training data [default: the example's]
    #[arg(long)]
    epochs: Option<f64>,
    /// Samples in a step [default: the example's]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Learning rate [default: the example's]
    #[arg(long)]
    lr: Option<f64>,
    /// Seed of initial weights and of the order of samples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Device [default: WGRAD_DEVICE, else a hardware GPU if there is one, else the CPU]
    #[arg(long)]
    device: Option<Kind>,
    /// Folder for what is written [default: one below runs/ with the example's name]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// A few steps on little data, to see that everything works
    #[arg(long)]
    pub smoke: bool,
    /// No bar and no table while it trains
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Cpu,
    Gpu,
    /// Both, compared step by step
    Lockstep,
}

impl Options {
    /// `--data`, or the folder `name` in `examples/data`.
    pub fn folder(&self, name: &str) -> PathBuf {
        let sample = || {
            let here = Path::new("examples/data").join(name);
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(&here);
            if here.exists() { here } else { source }
        };
        self.data.clone().unwrap_or_else(sample)
    }

    /// `few` for a smoke run, else `all`.
    pub fn size<T>(&self, all: T, few: T) -> T {
        if self.smoke { few } else { all }
    }

    /// The folder for what is written.
    pub fn output(&self, example: &str) -> PathBuf {
        let default = || Path::new("runs").join(example);
        self.output.clone().unwrap_or_else(default)
    }

    /// A session on the chosen device.
    pub fn session(&self, params: &Params) -> wgrad::Result<Session> {
        let kind = self.device.map(|kind| match kind {
            Kind::Cpu => DeviceKind::Cpu,
            Kind::Gpu => DeviceKind::Gpu,
            Kind::Lockstep => DeviceKind::Lockstep,
        });
        let device = DeviceOptions {
            kind,
            ..Default::default()
        };
        let session = Session::with_options(params, &device)?;
        println!("{}", session.banner());
        Ok(session)
    }

    /// The arguments of `example` with what the command line says.
    pub fn arguments(&self, example: &str, default: TrainingArguments) -> TrainingArguments {
        let mut args = TrainingArguments {
            train_batch_size: self.batch_size.unwrap_or(default.train_batch_size),
            learning_rate: self.lr.unwrap_or(default.learning_rate),
            seed: self.seed,
            output_dir: Some(self.output(example)),
            overwrite_output_dir: true,
            save_total_limit: Some(1),
            ..default
        };
        if let Some(epochs) = self.epochs {
            (args.num_train_epochs, args.max_steps) = (epochs, None);
        }
        if self.quiet {
            args.progress = wgrad::train::Progress::Silent;
        }
        if self.smoke {
            args.max_steps = Some(4);
            if args.eval_strategy == IntervalStrategy::Steps {
                (args.eval_steps, args.save_steps) = (Some(2.0), 2.0);
            }
        }
        args
    }
}

/// The settings that the examples on film reviews share: steps, the best of evaluations every 500.
pub fn by_steps(max_steps: u64, train_batch_size: usize) -> TrainingArguments {
    TrainingArguments {
        learning_rate: 1e-3,
        weight_decay: 0.01,
        train_batch_size,
        max_steps: Some(max_steps),
        eval_strategy: IntervalStrategy::Steps,
        eval_steps: Some(500.0),
        save_strategy: SaveStrategy::Steps,
        save_steps: 500.0,
        load_best_model_at_end: true,
        metric_for_best_model: Some("accuracy".into()),
        ..Default::default()
    }
}

/// Cross entropy and accuracy of logits `[n, classes]` with labels `[n]`.
pub fn classification(logits: &Tensor, labels: &Tensor) -> Outcome {
    let hits = logits.argmax(-1, false).eq(labels).to_f32();
    Outcome::new(logits.cross_entropy(labels))
        .correct(hits.sum(&[], false))
        .predictions(logits.clone())
        .label_ids(labels.clone())
}

/// The best accuracy of a training on held-out data, and where its files are.
pub fn closing(history: &History, args: &TrainingArguments) {
    let best = history.evaluations("eval_accuracy").iter();
    let best = best.fold(0.0, |a: f64, b| a.max(*b));
    println!("best held-out accuracy: {:.2} %", 100.0 * best);
    if let Some(dir) = &args.output_dir {
        println!("model, curves and report: {}", dir.display());
    }
}

/// MNIST's digits with `padding` pixels on each side, to train on and held out.
pub fn digits(
    options: &Options,
    padding: usize,
) -> wgrad::Result<(Subset<ImageDataset>, Subset<ImageDataset>)> {
    let dir = options.folder("mnist");
    let open = |train| {
        let digits = ImageDataset::mnist(&dir, train)?.pad(padding);
        digits.normalize(&[0.1307], &[0.3081])
    };
    let test = open(false)?;
    // The repository has the test file alone.
    let (train, n, first) = match options.data {
        Some(_) => (open(true)?, 60_000, 0),
        None => (test.clone(), 8_000, 8_000),
    };
    let n = n.min(train.len());
    let end = options.size(test.len(), first + 200);
    Ok((
        train.subset(0..options.size(n, 500))?,
        test.subset(first..end)?,
    ))
}
