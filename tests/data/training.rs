//! Data on their way into a training loop.

use crate::Place;
use wgrad::data::Texts;
use wgrad::data::{DataLoader, DataLoaderOptions, Sample, WeightedRandomSampler};
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::nn::{Embedding, Linear, Module};
use wgrad::train::metrics::{ConfusionMatrix, EvalPrediction};
use wgrad::train::{Progress, Trainer, TrainingArguments};
use wgrad::{Array, Result};
use wgrad::{Mode, Params, Session, Tensor, TensorType};

struct Bag {
    embedding: Embedding,
    linear: Linear,
}

impl Module for Bag {
    /// `ids [n, t]` to logits `[n, 2]`
    fn forward(&self, ids: &Tensor) -> Tensor {
        let words = self.embedding.forward(ids).sum(&[1], false);
        self.linear.forward(&words)
    }
}

/// Ids padded with 0 to the longest of the batch.
fn pad(samples: Vec<Sample>) -> Result<Vec<Array>> {
    let longest = samples.iter().map(|s| s[0].numel()).max().unwrap_or(0);
    let (mut ids, mut labels) = (Vec::new(), Vec::new());
    for (i, sample) in samples.iter().enumerate() {
        ids.extend_from_slice(sample[0].as_slice::<i32>()?);
        ids.resize((i + 1) * longest, 0);
        labels.extend_from_slice(sample[1].as_slice::<i32>()?);
    }
    Ok(vec![
        Array::new([samples.len(), longest], ids)?,
        Array::vector(labels),
    ])
}

/// Sentences of unequal length and classes of unequal size, padded by batch and drawn by weight.
#[test]
fn learns_texts_that_are_padded_and_balanced() {
    let place = Place::new();
    let line = |i: usize, word: &str| {
        format!(
            "{}{word}{}\n",
            "film ".repeat(i % 5),
            " of it".repeat(i % 3)
        )
    };
    let bad: String = (0..120).map(|i| line(i, "dull")).collect();
    let good: String = (0..12).map(|i| line(i, "bright")).collect();
    let files = [place.file("neg", bad), place.file("pos", good)];
    let texts = Texts::lines(&files, "utf-8").unwrap();
    let words = ["<pad>", "film", "of", "it", "dull", "bright"];
    let ids = texts.encode(|text| {
        let id = |word| words.iter().position(|w| *w == word).unwrap_or(0) as i32;
        Ok(text.split(' ').map(id).collect())
    });
    let ids = ids.unwrap();
    let options = DataLoaderOptions {
        batch_size: 12,
        num_workers: 2,
        ..DataLoaderOptions::default()
    };
    let loader = |options| DataLoader::new(ids.clone(), options).unwrap().collate(pad);
    let balanced = WeightedRandomSampler::balanced(&texts.labels, 0).unwrap();
    let train = loader(options.clone()).sampler(balanced).unwrap();
    let valid = loader(options);

    let params = Params::new(0);
    let model = Bag {
        embedding: Embedding::new(words.len(), 4).build(&params.at("embedding")),
        linear: Linear::new(4, 2).build(&params.at("linear")),
    };
    let device = DeviceOptions {
        kind: Some(DeviceKind::Cpu),
        ..DeviceOptions::default()
    };
    let mut session = Session::with_options(&params, &device).unwrap();
    let args = TrainingArguments {
        num_train_epochs: 12.0,
        progress: Progress::Silent,
        ..TrainingArguments::default()
    };
    let mut trainer =
        Trainer::classifier(&mut session, &model, args).optimizer(wgrad::optim::Adam::new(0.03));
    let history = trainer.fit(&train, &valid).unwrap();
    assert_eq!(history.last("val_accuracy"), Some(1.0));
    assert_eq!(
        trainer.evaluate(&valid).unwrap().get("eval_accuracy"),
        Some(1.0)
    );
    drop(trainer);

    let types = [TensorType::i32([12, 7])];
    let mut predict = session
        .compile(Mode::Eval, &types, |_, x| vec![model.forward(&x[0])])
        .unwrap();
    let batches = valid.epoch(0).map(|batch| {
        let batch = batch?;
        let logits = session.run(&mut predict, &[&batch[0]])?.remove(0);
        Ok((logits, batch[1].clone()))
    });
    let batches: Vec<(Array, Array)> = batches.collect::<Result<_>>().unwrap();
    let eval = EvalPrediction::of_batches(&batches).unwrap();
    let labels = eval.labels.as_slice().unwrap();
    let matrix = ConfusionMatrix::new(&eval.classes().unwrap(), labels, None).unwrap();
    assert_eq!((matrix.count(0, 0), matrix.count(1, 1)), (120, 12));
}
