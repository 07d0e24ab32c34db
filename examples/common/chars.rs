//! A text as windows of characters, and characters drawn from logits.

use super::Options;
use wgrad::data::{Dataset, Subset, TensorDataset};
use wgrad::rng::Rng;
use wgrad::train::Outcome;
use wgrad::{Array, Result, Tensor};

/// The characters of a text, by number.
pub struct Characters(pub Vec<char>);

impl Characters {
    /// The numbers of a text's characters.
    pub fn encode(&self, text: &str) -> Vec<i32> {
        let known = text.chars().filter_map(|c| self.0.binary_search(&c).ok());
        known.map(|i| i as i32).collect()
    }

    /// A character drawn by the logits of each, the sharper the lower the temperature.
    pub fn draw(&self, logits: &[f32], temperature: f32, rng: &mut Rng) -> usize {
        let highest = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let weights: Vec<f32> = logits
            .iter()
            .map(|x| ((x - highest) / temperature).exp())
            .collect();
        let mut left = rng.uniform() * weights.iter().sum::<f32>();
        let drawn = weights.iter().position(|w| {
            left -= w;
            left <= 0.0
        });
        drawn.unwrap_or(0)
    }
}

/// Windows of `length` characters and the same one further `[length]`, the first nine tenths of the text to train on, the
/// rest held out.
pub fn windows(
    options: &Options,
    length: usize,
) -> Result<(Characters, Subset<TensorDataset>, Subset<TensorDataset>)> {
    let dir = options.folder("tinyshakespeare");
    let [file, sample] = ["input.txt", "input.first.txt"].map(|name| dir.join(name));
    let file = if sample.exists() { &sample } else { &file };
    let text = std::fs::read_to_string(file).map_err(|e| wgrad::Error::io(file, e))?;
    let mut all: Vec<char> = text.chars().collect();
    all.sort_unstable();
    all.dedup();
    let characters = Characters(all);
    let ids = characters.encode(&text);
    // Two windows at least, one of them held out.
    if ids.len() < 2 * length + 2 {
        let message = format!("{} characters, {} are needed", ids.len(), 2 * length + 2);
        return Err(wgrad::Error::file(file, None, message));
    }
    let starts: Vec<usize> = (0..ids.len() - length - 1).step_by(length).collect();
    let column = |shift: usize| {
        let rows = starts.iter().map(|s| &ids[s + shift..s + shift + length]);
        Array::new([starts.len(), length], rows.collect::<Vec<_>>().concat())
    };
    let data = TensorDataset::new(vec![column(0)?, column(1)?])?;
    let (n, end) = (starts.len() * 9 / 10, starts.len());
    println!(
        "data: {} characters, {} different",
        ids.len(),
        characters.0.len()
    );
    let train = data.clone().subset(0..options.size(n, n.min(64)))?;
    let held_out = data.subset(n..options.size(end, end.min(n + 32)))?;
    Ok((characters, train, held_out))
}

/// Cross entropy of logits `[n, t, characters]` with the characters that follow `[n, t]`, and how many are right.
pub fn next_character(logits: &Tensor, next: &Tensor) -> Outcome {
    let count = next.trace().scalar(next.numel() as f32);
    let hits = logits.argmax(-1, false).eq(next).to_f32();
    Outcome::new(logits.transpose(1, 2).cross_entropy(next))
        .correct(hits.sum(&[], false))
        .counted(count)
}
