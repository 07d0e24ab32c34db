//! Vocabularies from one's own texts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, Trainer,
};

use super::Tokenizer;
use super::tokenizer::{SPECIAL, bert_normalizer, fault};
use crate::error::{Error, Result};

/// Most single characters of a WordPiece vocabulary.
const ALPHABET: usize = 1000;

/// How a vocabulary is made; defaults as Hugging Face's `BertWordPieceTokenizer.train`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// Most tokens, special ones and single characters among them; 30,000 by default.
    pub vocab_size: usize,
    /// How often a pair of tokens has to come to be joined; 2 by default.
    pub min_frequency: u64,
    /// Whether texts are put in lower case, and for WordPiece accents taken off; false by default.
    pub lowercase: bool,
    /// First tokens of the vocabulary; by default `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]`.
    pub special_tokens: Vec<String>,
}

impl Default for TokenizerOptions {
    fn default() -> Self {
        Self {
            vocab_size: 30_000,
            min_frequency: 2,
            lowercase: false,
            special_tokens: SPECIAL.map(str::to_owned).to_vec(),
        }
    }
}

impl TokenizerOptions {
    fn check(&self, least: usize) -> Result<()> {
        let special = self.special_tokens.len();
        if self.vocab_size < least + special {
            return Err(Error::argument(format!(
                "vocab_size {}: {special} special tokens and {least} single characters need more",
                self.vocab_size
            )));
        }
        Ok(())
    }

    fn special(&self) -> Vec<AddedToken> {
        let names = self.special_tokens.iter();
        names.map(|t| AddedToken::from(t.as_str(), true)).collect()
    }
}

impl Tokenizer {
    /// A WordPiece vocabulary of `texts`, cut as BERT does: at white space and punctuation, `[CLS]` before and `[SEP]`
    /// behind, where these are among the special tokens. The same texts give the same vocabulary.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no text, where `[UNK]` is not among the special tokens, and where
    /// `vocab_size` has no place beside them.
    pub fn train_word_piece<S: AsRef<str> + Sync>(
        texts: &[S],
        options: &TokenizerOptions,
    ) -> Result<Self> {
        options.check(2)?;
        if !options.special_tokens.iter().any(|t| t == "[UNK]") {
            return Err(Error::argument(
                "special_tokens without [UNK]: WordPiece needs it for what it cannot cut",
            ));
        }
        let (special, room) = (options.special_tokens.len(), options.vocab_size);
        let words = words(texts, options.lowercase, ALPHABET.min((room - special) / 2))?;
        if words.is_empty() {
            return Err(Error::argument("a vocabulary of no text"));
        }
        // The trainer numbers what continues a word in the order of a hash table: these tokens come to it in theirs.
        let inner: BTreeSet<char> = words.keys().flat_map(|w| w.chars().skip(1)).collect();
        let inner = inner
            .into_iter()
            .map(|c| AddedToken::from(format!("##{c}"), true));
        let mut trainer = WordPieceTrainer::builder()
            .vocab_size(room)
            .min_frequency(options.min_frequency)
            .special_tokens(options.special().into_iter().chain(inner).collect())
            .show_progress(false)
            .build();
        let all = words.iter().flat_map(|(w, n)| std::iter::repeat_n(w, *n));
        let fed = trainer.feed(all, |word| Ok(vec![word.to_owned()]));
        fed.map_err(|e| fault(&e))?;
        let mut model = WordPiece::default();
        trainer.train(&mut model).map_err(|e| fault(&e))?;
        let mut tokenizer = Self::bert(model, options.lowercase)?;
        let added = tokenizer.inner().add_special_tokens(options.special());
        added.map_err(|e| fault(&e))?;
        Ok(tokenizer)
    }

    /// A byte-level BPE vocabulary of `texts`, as GPT-2's: any text can be cut into it and is had back exactly, and no
    /// special tokens are put around it.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no text, and where `vocab_size` is below 256 and the special tokens.
    pub fn train_bpe<S: AsRef<str> + Sync>(
        texts: &[S],
        options: &TokenizerOptions,
    ) -> Result<Self> {
        options.check(256)?;
        let trainer = BpeTrainer::builder()
            .vocab_size(options.vocab_size)
            .min_frequency(options.min_frequency)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(options.special())
            .show_progress(false)
            .build();
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        if options.lowercase {
            inner
                .with_normalizer(Some(Lowercase))
                .map_err(|e| fault(&e))?;
        }
        inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        inner.with_decoder(Some(ByteLevel::default()));
        if texts.iter().all(|t| t.as_ref().trim().is_empty()) {
            return Err(Error::argument("a vocabulary of no text"));
        }
        let mut trainer = TrainerWrapper::from(trainer);
        let trained = inner.train(&mut trainer, texts.iter().map(AsRef::as_ref));
        trained.map(drop).map_err(|e| fault(&e))?;
        Ok(Self::of(inner))
    }
}

/// How often each word comes, cut as BERT cuts, of the `limit` most frequent characters alone: others are left out of
/// the words, as the trainer would.
fn words<S: AsRef<str>>(
    texts: &[S],
    lowercase: bool,
    limit: usize,
) -> Result<BTreeMap<String, usize>> {
    let normalizer = bert_normalizer(lowercase);
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        let mut text = NormalizedString::from(text.as_ref());
        normalizer.normalize(&mut text).map_err(|e| fault(&e))?;
        let mut parts = PreTokenizedString::from(text);
        let cut = BertPreTokenizer.pre_tokenize(&mut parts);
        cut.map_err(|e| fault(&e))?;
        for (word, ..) in parts.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for (word, n) in &words {
        word.chars()
            .for_each(|c| *counts.entry(c).or_default() += n);
    }
    let mut order: Vec<(char, usize)> = counts.into_iter().collect();
    order.sort_by_key(|&(c, n)| (Reverse(n), c));
    let kept: BTreeSet<char> = order.iter().take(limit).map(|&(c, _)| c).collect();
    let mut filtered = BTreeMap::new();
    for (word, n) in words {
        let word: String = word.chars().filter(|c| kept.contains(c)).collect();
        if !word.is_empty() {
            *filtered.entry(word).or_default() += n;
        }
    }
    Ok(filtered)
}
