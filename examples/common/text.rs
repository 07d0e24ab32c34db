//! Film reviews as padded batches of word pieces.

use super::Options;
use std::path::{Path, PathBuf};
use wgrad::data::{
    CsvOptions, DataLoader, Dataset, SampleDataset, SplitOptions, Table, Texts, split_indices,
};
use wgrad::text::{DataCollatorWithPadding, Tokenizer};
use wgrad::train::{IntervalStrategy, Outcome, SaveStrategy, TrainingArguments};
use wgrad::{Array, Result, Tensor};

/// Word pieces of a review at most, `[CLS]` and `[SEP]` among them.
const LONGEST: usize = 128;

/// Reviews with a class each, negative or positive, to train on and held out.
pub struct Reviews {
    train: Texts,
    held_out: Texts,
    tokenizer: Tokenizer,
    few: usize,
    whole: bool,
}

impl Reviews {
    /// The sentence polarity data set (`rt-polarity.neg`, `rt-polarity.pos`), one in ten held out; or IMDB as `train.csv`
    /// and `test.csv` (columns `review`, `sentiment`) or as folders `train` and `test` of `neg` and `pos`, of whose test
    /// part 5,000 are drawn.
    pub fn open(options: &Options) -> anyhow::Result<Self> {
        let dir = options.folder("rt-polarity");
        let polarity = ["neg", "pos"].map(|class| dir.join(format!("rt-polarity.{class}")));
        let whole = !polarity.iter().any(|file| file.exists());
        let (train, held_out) = if whole {
            let [train, test] = ["train", "test"].map(|part| imdb(&dir, part));
            let (train, test) = (train?, test?);
            let drawn = match test.len() {
                n @ 5_001.. => split(&test, 5_000.0 / n as f64)?.1,
                _ => test,
            };
            (train, drawn)
        } else {
            split(&Texts::lines(&polarity, "windows-1252")?, 0.1)?
        };
        let vocabulary = super::sample("bert-base-cased").join("vocab.txt");
        Ok(Self {
            train,
            held_out,
            tokenizer: Tokenizer::from_bert_vocab(vocabulary, false)?,
            few: options.size(usize::MAX, 256),
            whole,
        })
    }

    /// Word pieces in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    /// AdamW, the best of evaluations every 500 steps: 1,500 steps of 32 sentences, or 2,500 steps of 8 of IMDB's reviews.
    pub fn arguments(&self) -> TrainingArguments {
        let (max_steps, train_batch_size) = if self.whole { (2_500, 8) } else { (1_500, 32) };
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

    /// Loaders of batches `[ids [n, t], lengths [n], mask [n, t], labels [n]]`, `t` a multiple of 8, to train on and held out.
    pub fn loaders(&self, args: &TrainingArguments) -> Result<(DataLoader, DataLoader)> {
        let (train, held_out) = (self.encode(&self.train)?, self.encode(&self.held_out)?);
        println!(
            "data: {} reviews to train, {} held out",
            train.len(),
            held_out.len()
        );
        let collator = DataCollatorWithPadding {
            pad_id: self.tokenizer.pad_id().unwrap_or(0),
            pad_to_multiple_of: Some(8),
        };
        let collate = move |samples| collator.collate(samples);
        super::loaders(train, held_out, args.train_batch_size, args.seed, collate)
    }

    fn encode(&self, texts: &Texts) -> Result<SampleDataset> {
        let n = texts.len().min(self.few);
        let ids = self
            .tokenizer
            .encode_batch(&texts.texts[..n], Some(LONGEST))?;
        let samples = ids.into_iter().zip(&texts.labels);
        let samples = samples.map(|(ids, label)| vec![Array::vector(ids), Array::scalar(*label)]);
        Ok(SampleDataset::new(samples.collect::<Vec<_>>()))
    }
}

/// A part of IMDB, `train` or `test`.
fn imdb(dir: &Path, part: &str) -> anyhow::Result<Texts> {
    let files = ["csv", "csv.gz"].map(|ending| dir.join(format!("{part}.{ending}")));
    if let Some(file) = files.iter().find(|file| file.exists()) {
        let table = Table::csv(file, &CsvOptions::default())?;
        return Ok(Texts::table(&table, "review", "sentiment")?);
    }
    let folder: PathBuf = dir.join(part);
    anyhow::ensure!(
        folder.is_dir(),
        "no rt-polarity.neg, {part}.csv or folder {part} in {}",
        dir.display()
    );
    Ok(Texts::folders(folder, "utf-8")?)
}

/// A stratified split; the same for every seed, so that accuracies compare.
fn split(all: &Texts, test_size: f64) -> Result<(Texts, Texts)> {
    let options = SplitOptions {
        test_size,
        stratify: true,
        ..Default::default()
    };
    let (train, test) = split_indices(all.len(), Some(&all.labels), &options)?;
    let part = |indices: &[usize]| Texts {
        texts: indices.iter().map(|&i| all.texts[i].clone()).collect(),
        labels: indices.iter().map(|&i| all.labels[i]).collect(),
        classes: all.classes.clone(),
    };
    Ok((part(&train), part(&test)))
}

/// Cross entropy and accuracy of logits `[n, classes]` with labels `[n]`.
pub fn classification(logits: &Tensor, labels: &Tensor) -> Outcome {
    let hits = logits.argmax(-1, false).eq(labels).to_f32();
    Outcome::new(logits.cross_entropy(labels))
        .correct(hits.sum(&[], false))
        .predictions(logits.clone())
        .label_ids(labels.clone())
}
