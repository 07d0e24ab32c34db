//! What the examples share: options of the command line, and where data are.
#![allow(dead_code, reason = "each example uses a part of it")]

pub mod chars;
pub mod numbers;
pub mod text;
pub mod words;

use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use wgrad::data::{
    DataLoader, DataLoaderOptions, Dataset, ImageDataset, Sample, SampleDataset, Subset,
};
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::train::{History, IntervalStrategy, TrainingArguments};
use wgrad::{Array, Params, Session};

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
        self.data.clone().unwrap_or_else(|| sample(name))
    }

    /// Refuse `--data` where the example has no use for it.
    pub fn makes_its_data(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.data.is_none(),
            "--data: this example makes its own data"
        );
        Ok(())
    }

    /// Refuse the options that say how to train where the example does not follow them.
    pub fn takes_none_of_training(&self) -> anyhow::Result<()> {
        let given = self.epochs.or(self.lr).is_some() || self.batch_size.is_some();
        anyhow::ensure!(
            !given && self.output.is_none(),
            "this example takes --seed, --device and --smoke alone"
        );
        self.makes_its_data()
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

/// The folder `name` in `examples/data`.
pub fn sample(name: &str) -> PathBuf {
    let here = Path::new("examples/data").join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(&here);
    if here.exists() { here } else { source }
}

/// The files in `dir` whose names have `part` in them, in order: one at least.
pub fn files(dir: &Path, part: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(|e| wgrad::Error::io(dir, e))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let fits = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|n| n.to_string_lossy().contains(part))
    };
    let mut found: Vec<PathBuf> = names.filter(fits).collect();
    found.sort();
    anyhow::ensure!(!found.is_empty(), "no file {part}* in {}", dir.display());
    Ok(found)
}

/// The last and the best accuracy of a training on held-out data, and where its files are.
pub fn closing(history: &History, args: &TrainingArguments) {
    let all = history.evaluations("eval_accuracy");
    let best = all.iter().fold(0.0, |a: f64, b| a.max(*b));
    let last = all.last().copied().unwrap_or(0.0);
    println!(
        "held-out accuracy: {:.2} %, at best {:.2} %",
        100.0 * last,
        100.0 * best
    );
    if let Some(dir) = &args.output_dir {
        println!("model, curves and report: {}", dir.display());
    }
}

/// Loaders of batches that `collate` makes of samples of different lengths, to train on and to evaluate.
pub fn loaders(
    train: SampleDataset,
    held_out: SampleDataset,
    batch_size: usize,
    seed: u64,
    collate: impl Fn(Vec<Sample>) -> wgrad::Result<Vec<Array>> + Clone + Send + Sync + 'static,
) -> wgrad::Result<(DataLoader, DataLoader)> {
    let shuffled = DataLoaderOptions {
        batch_size,
        shuffle: true,
        seed,
        ..Default::default()
    };
    let batch_size = 64.min(held_out.len());
    let in_order = DataLoaderOptions {
        batch_size,
        ..Default::default()
    };
    Ok((
        DataLoader::new(train, shuffled)?.collate(collate.clone()),
        DataLoader::new(held_out, in_order)?.collate(collate),
    ))
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
    // The repository has the test file alone.
    let (train, test, first) = match options.data {
        Some(_) => (open(true)?, open(false)?, 0),
        None => (open(false)?, open(false)?, 8_000),
    };
    let n = if first == 0 { train.len() } else { first };
    let end = options.size(test.len(), test.len().min(first + 200));
    Ok((
        train.subset(0..options.size(n, n.min(500)))?,
        test.subset(first..end)?,
    ))
}
