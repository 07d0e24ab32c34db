//! A GRU forecasts a monthly series, such as airline passengers: trend and season from two years to the next month.
//!
//! `cargo run --release --example time_series` makes a series of 144 months; `--data DIR` takes `airline-passengers.csv`
//! (`Month,Passengers`, Box & Jenkins) in DIR. The last two years are forecast, each month from those before it.
//! It reaches a mean error of 2.5 % on the series made here (seeds 0, 1, 2; the noise is 2 %, the value of a year ago is 10.8 %
//! off), and of 2.9, 2.9 and 2.8 % on the airline passengers (10.5 %; PyTorch's GRU 2.8 %), in less than a second.

mod common;

use clap::Parser;
use wgrad::data::{CsvOptions, Dataset, Table, TensorDataset};
use wgrad::nn::{Gru, Linear, Module};
use wgrad::ops::reduction::Reduction;
use wgrad::rng::Rng;
use wgrad::train::{Outcome, Trainer, TrainingArguments};
use wgrad::{Array, Params, Tensor};

/// Months that the model sees, and months that are held out.
const WINDOW: usize = 24;
const HELD_OUT: usize = 24;

struct Forecaster {
    gru: Gru,
    head: Linear,
}

impl Forecaster {
    fn new(p: &Params) -> Self {
        Self {
            gru: Gru::new(1, 32).batch_first(true).build(&p.at("gru")),
            head: Linear::new(32, 1).build(&p.at("head")),
        }
    }

    /// `x [n, 24, 1]` to the next value `[n, 1]`: the one a year before it, and the growth since, which follows from that of
    /// the last twelve months.
    fn forward(&self, x: &Tensor) -> Tensor {
        let growth = x
            .narrow(1, 12, WINDOW - 12)
            .sub(&x.narrow(1, 0, WINDOW - 12));
        let (_, last) = self.gru.forward_with(&growth, None, None);
        let year_ago = x.narrow(1, WINDOW - 12, 1).squeeze(1);
        self.head.forward(&last.squeeze(0)).add(&year_ago)
    }
}

/// A series that grows, swings with the year in proportion, and is noisy.
fn made_up(seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed, "series");
    let month = |t: usize| {
        let year = t as f32 / 12.0;
        let season = 1.0 + 0.2 * (year * std::f32::consts::TAU).sin();
        let level = 110.0 * (0.12 * year).exp() * season;
        f64::from(level * (1.0 + 0.02 * rng.normal()))
    };
    (0..144).map(month).collect()
}

/// Mean absolute error in percent.
fn error(forecast: &[f64], series: &[f64]) -> f64 {
    let relative = forecast
        .iter()
        .zip(series)
        .map(|(f, s)| (f / s - 1.0).abs());
    100.0 * relative.sum::<f64>() / series.len() as f64
}

fn main() -> anyhow::Result<()> {
    let options = common::Options::parse();
    let series = match &options.data {
        Some(dir) => Table::csv(dir.join("airline-passengers.csv"), &CsvOptions::default())?
            .numbers("Passengers")?,
        None => made_up(1),
    };
    anyhow::ensure!(
        series.len() > WINDOW + 2 * HELD_OUT,
        "a series of {} months: more than {} are needed",
        series.len(),
        WINDOW + 2 * HELD_OUT
    );
    // Logarithms, since it grows and swings in proportion; centred and scaled by what is not held out.
    let known = series.len() - HELD_OUT;
    let logs: Vec<f64> = series.iter().map(|x| x.ln()).collect();
    let mean = logs[..known].iter().sum::<f64>() / known as f64;
    let square = |x: &f64| (x - mean).powi(2);
    let deviation = (logs[..known].iter().map(square).sum::<f64>() / known as f64).sqrt();
    let scaled = logs.iter().map(|x| ((x - mean) / deviation) as f32);
    let scaled: Vec<f32> = scaled.collect();

    let n = scaled.len() - WINDOW;
    let windows: Vec<f32> = (0..n)
        .flat_map(|i| scaled[i..i + WINDOW].to_vec())
        .collect();
    let next = Array::new([n, 1], scaled[WINDOW..].to_vec())?;
    let data = TensorDataset::new(vec![Array::new([n, WINDOW, 1], windows)?, next])?;
    let train = data.clone().subset(0..n - HELD_OUT)?;
    let held_out = data.subset(n - HELD_OUT..n)?;
    println!(
        "data: {} months to forecast in training, {HELD_OUT} held out",
        train.len()
    );

    let params = Params::new(options.seed);
    let model = Forecaster::new(&params);
    let mut session = options.session(&params)?;
    let task = |_: &_, batch: &[Tensor]| {
        let forecast = model.forward(&batch[0]);
        Outcome::new(forecast.mse_loss(&batch[1], Reduction::Mean)).predictions(forecast)
    };
    let default = TrainingArguments {
        learning_rate: 3e-3,
        train_batch_size: 16,
        num_train_epochs: 60.0,
        eval_strategy: wgrad::train::IntervalStrategy::Steps,
        eval_steps: Some(0.1),
        save_strategy: wgrad::train::SaveStrategy::No,
        ..Default::default()
    };
    let args = options.arguments("time_series", default);
    let mut trainer = Trainer::new(&mut session, task, args);
    trainer.fit(train, held_out.clone())?;

    let predicted = trainer.predict(held_out)?.predictions;
    let value = |x: &f32| (f64::from(*x) * deviation + mean).exp();
    let forecast: Vec<f64> = predicted.as_slice::<f32>()?.iter().map(value).collect();
    let truth = &series[known..];
    for month in (0..HELD_OUT).step_by(4) {
        let (f, t) = (forecast[month], truth[month]);
        println!(
            "month {:3}: forecast {f:6.1}, was {t:6.1}",
            known + month + 1
        );
    }
    let year_ago = &series[known - 12..series.len() - 12];
    println!(
        "mean error: {:.1} % ({:.1} % for the value of a year ago)",
        error(&forecast, truth),
        error(year_ago, truth)
    );
    Ok(())
}
