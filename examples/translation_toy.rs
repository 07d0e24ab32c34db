//! An encoder-decoder Transformer translates numbers into English: `4217` becomes `four thousand two hundred seventeen`.
//!
//! `cargo run --release --example translation_toy` learns from 4,000 of the numbers below 10,000 and translates 500 others.
//! It reaches 99.0, 99.0 and 98.8 % of the held-out numbers (seeds 0, 1, 2), right in every word.

mod common;

use clap::Parser;
use common::numbers::{DIGITS, LONGEST, data, digits, words};
use wgrad::data::Dataset;
use wgrad::nn::{Embedding, Linear, Masks, Module, SinusoidalPositions};
use wgrad::nn::{Transformer, TransformerMasks};
use wgrad::train::{Outcome, SchedulerType, Trainer, TrainingArguments};
use wgrad::{Array, Mode, Params, Result, Session, Tensor, TensorType};

const SIZE: usize = 64;

struct Translator {
    source: Embedding,
    target: Embedding,
    positions: SinusoidalPositions,
    transformer: Transformer,
    head: Linear,
}

impl Translator {
    fn new(p: &Params) -> Self {
        let transformer = Transformer::new(SIZE, 4)
            .num_encoder_layers(2)
            .num_decoder_layers(2)
            .dim_feedforward(128)
            .batch_first(true);
        Self {
            source: Embedding::new(11, SIZE).build(&p.at("source")),
            target: Embedding::new(words().len(), SIZE).build(&p.at("target")),
            positions: SinusoidalPositions::new().build(&p.at("positions")),
            transformer: transformer.build(&p.at("transformer")),
            head: Linear::new(SIZE, words().len()).build(&p.at("head")),
        }
    }

    /// Digits `[n, 4]` and the words so far `[n, t]` to logits `[n, t, words]` of the next ones.
    fn forward(&self, source: &Tensor, target: &Tensor) -> Tensor {
        let filled = source.eq(&source.trace().constant(Array::scalar(10i32)));
        let masks = TransformerMasks {
            src: Masks::padding(&filled),
            tgt: Masks::causal(),
            memory: Masks::padding(&filled),
        };
        let source = self.positions.forward(&self.source.forward(source));
        let target = self.positions.forward(&self.target.forward(target));
        self.head
            .forward(&self.transformer.forward(&source, &target, &masks))
    }
}

/// Cross entropy over the words of targets, and how many of the targets are right as a whole.
fn task(model: &Translator, batch: &[Tensor]) -> Outcome {
    let logits = model.forward(&batch[0], &batch[1]);
    let pad = batch[2].trace().constant(Array::scalar(0i32));
    let ignored = batch[2].trace().constant(Array::scalar(-100i32));
    let labels = batch[2].eq(&pad).where_(&ignored, &batch[2]);
    let right = logits.argmax(-1, false).eq(&batch[2]).to_f32();
    let right = right
        .mul(&batch[2].gt(&pad).to_f32())
        .add(&batch[2].eq(&pad).to_f32());
    Outcome::new(logits.transpose(1, 2).cross_entropy(&labels))
        .correct(right.amin(&[-1], false).sum(&[], false))
}

/// Each of `numbers` in English, word by word: the most likely one, until the end.
fn translate(session: &mut Session, model: &Translator, numbers: &[usize]) -> Result<Vec<String>> {
    let n = numbers.len();
    let source = Array::new(
        [n, DIGITS],
        numbers.iter().flat_map(|&n| digits(n)).collect::<Vec<_>>(),
    )?;
    let types = [TensorType::of(&source), TensorType::i32([n, LONGEST])];
    let mut best = session.compile(Mode::Eval, &types, |_, x| {
        vec![model.forward(&x[0], &x[1]).argmax(-1, false)]
    })?;
    let mut target = vec![0; n * LONGEST];
    target
        .iter_mut()
        .step_by(LONGEST)
        .for_each(|start| *start = 1);
    for at in 0..LONGEST - 1 {
        let so_far = Array::new([n, LONGEST], target.clone())?;
        let next = session.run(&mut best, &[&source, &so_far])?.remove(0);
        for row in 0..n {
            target[row * LONGEST + at + 1] = next.as_slice::<i32>()?[row * LONGEST + at];
        }
    }
    let text = |row: &[i32]| {
        let row = row[1..].iter().take_while(|&&id| id != 2);
        row.map(|&id| words()[id as usize])
            .collect::<Vec<_>>()
            .join(" ")
    };
    Ok(target.chunks(LONGEST).map(text).collect())
}

fn main() -> anyhow::Result<()> {
    let options = common::Options::parse();
    options.makes_its_data()?;
    // 7,919 and 10,000 have no common divisor: this visits each number once, out of order.
    let order: Vec<usize> = (0..10_000).map(|i| i * 7_919 % 10_000).collect();
    let train = data()?.subset(order[..options.size(4_000, 64)].to_vec())?;
    let held_out = data()?.subset(order[9_500..options.size(10_000, 9_532)].to_vec())?;
    let params = Params::new(options.seed);
    let model = Translator::new(&params);
    let mut session = options.session(&params)?;
    let default = TrainingArguments {
        learning_rate: 2e-3,
        train_batch_size: 64,
        num_train_epochs: 6.0,
        warmup_steps: 0.1,
        lr_scheduler_type: SchedulerType::Cosine,
        ..Default::default()
    };
    let args = options.arguments("translation_toy", default);
    let history = Trainer::new(&mut session, |_, batch| task(&model, batch), args.clone())
        .fit(train, held_out)?;
    common::closing(&history, &args);

    let numbers = &order[9_500..9_505];
    for (n, text) in numbers
        .iter()
        .zip(translate(&mut session, &model, numbers)?)
    {
        println!("{n}: {text}");
    }
    Ok(())
}
