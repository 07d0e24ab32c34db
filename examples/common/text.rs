//! Film reviews as padded batches of word numbers.

use super::Options;
use std::collections::HashMap;
use std::path::Path;
use wgrad::data::{
    CsvOptions, DataLoader, DataLoaderOptions, Sample, SampleDataset, SplitOptions, Table, Texts,
    split_indices,
};
use wgrad::{Array, Result};

/// Words by number: 0 fills up, 1 is for words that are not known.
pub struct Vocabulary(HashMap<String, i32>);

impl Vocabulary {
    /// The words that come at least twice, the most frequent first.
    pub fn new<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = HashMap::<&str, usize>::new();
        words.for_each(|w| *counts.entry(w).or_default() += 1);
        let mut words: Vec<_> = counts.into_iter().filter(|(_, n)| *n > 1).collect();
        words.sort_by_key(|(word, n)| (usize::MAX - n, *word));
        let numbered = words
            .iter()
            .zip(2..)
            .map(|((w, _), id)| (w.to_string(), id));
        Self(numbered.collect())
    }

    /// Numbers in use.
    pub fn len(&self) -> usize {
        self.0.len() + 2
    }

    /// The number of a word.
    pub fn id(&self, word: &str) -> i32 {
        self.0.get(word).copied().unwrap_or(1)
    }
}

/// A text in lower case as words and punctuation marks.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word = String::new();
    for c in text.replace("<br />", " ").to_lowercase().chars() {
        if c.is_alphanumeric() || c == '\'' {
            word.push(c);
            continue;
        }
        words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        words.extend((!c.is_whitespace()).then(|| c.to_string()));
    }
    words.extend((!word.is_empty()).then_some(word));
    words.truncate(128);
    words
}

/// Batches `[ids [n, t], lengths [n], ...]` of samples whose arrays of rank 1 differ in length, which are filled up to a
/// multiple of 8: with 0, labels, which come last, with -100, which losses pass over.
pub fn pad(samples: Vec<Sample>) -> Result<Vec<Array>> {
    let lengths: Vec<i32> = samples.iter().map(|s| s[0].numel() as i32).collect();
    let longest = lengths.iter().max().copied().unwrap_or(0) as usize;
    let steps = longest.next_multiple_of(8).max(8);
    let mut batch = vec![];
    for k in 0..samples[0].len() {
        let mut column = vec![];
        for sample in &samples {
            column.extend_from_slice(sample[k].as_slice::<i32>()?);
            if sample[k].shape().rank() == 1 {
                let fill = if k + 1 == samples[0].len() { -100 } else { 0 };
                column.resize(column.len().next_multiple_of(steps), fill);
            }
        }
        batch.push(match samples[0][k].shape().rank() {
            1 => Array::new([samples.len(), steps], column)?,
            _ => Array::vector(column),
        });
    }
    batch.insert(1, Array::vector(lengths));
    Ok(batch)
}

/// Loaders of padded batches to train on and to evaluate.
pub fn loaders(
    train: SampleDataset,
    held_out: SampleDataset,
    batch_size: usize,
    seed: u64,
) -> Result<(DataLoader, DataLoader)> {
    let options = DataLoaderOptions {
        batch_size,
        shuffle: true,
        seed,
        ..Default::default()
    };
    let train = DataLoader::new(train, options)?.collate(pad);
    let options = DataLoaderOptions {
        batch_size: 64.min(wgrad::data::Dataset::len(&held_out)),
        ..Default::default()
    };
    Ok((train, DataLoader::new(held_out, options)?.collate(pad)))
}

/// Reviews to train on and held out: the sentence polarity data set (`rt-polarity.neg`, `rt-polarity.pos`), or IMDB as
/// `train.csv` and `test.csv` (columns `review`, `sentiment`; 5,000 of the test set are drawn) or as folders `train` and
/// `test` of `neg` and `pos`.
fn texts(dir: &Path) -> Result<(Texts, Texts)> {
    let polarity = ["neg", "pos"].map(|class| dir.join(format!("rt-polarity.{class}")));
    let all = if polarity[0].exists() {
        Texts::lines(&polarity, "windows-1252")?
    } else {
        let open = |part: &str| {
            let files = [format!("{part}.csv"), format!("{part}.csv.gz")];
            match files.map(|name| dir.join(name)).iter().find(|f| f.exists()) {
                Some(file) => {
                    let table = Table::csv(file, &CsvOptions::default())?;
                    Texts::table(&table, "review", "sentiment")
                }
                None => Texts::folders(dir.join(part), "utf-8"),
            }
        };
        let test = open("test")?;
        let share = 5_000.0 / test.len().max(5_001) as f64;
        return Ok((open("train")?, split(&test, share)?.1));
    };
    split(&all, 0.1)
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

/// Loaders of reviews `[ids [n, t], lengths [n], labels [n]]` to train on and held out, and the size of the vocabulary.
pub fn reviews(options: &Options, batch_size: usize) -> Result<(DataLoader, DataLoader, usize)> {
    let (train, held_out) = texts(&options.folder("rt-polarity"))?;
    println!(
        "data: {} to train, {} held out",
        train.len(),
        held_out.len()
    );
    let known: Vec<String> = train.texts.iter().flat_map(|text| words(text)).collect();
    let vocabulary = Vocabulary::new(known.iter().map(String::as_str));
    let encode = |text: &str| Ok(words(text).iter().map(|w| vocabulary.id(w)).collect());
    let (train, held_out) = (train.encode(encode)?, held_out.encode(encode)?);
    let (train, held_out) = loaders(train, held_out, batch_size, options.seed)?;
    Ok((train, held_out, vocabulary.len()))
}
