//! Vocabularies from one's own texts.

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::AddedToken;

use super::Tokenizer;
use super::tokenizer::{SPECIAL, fault};
use crate::error::{Error, Result};

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
        options.check(1)?;
        if !options.special_tokens.iter().any(|t| t == "[UNK]") {
            return Err(Error::argument(
                "special_tokens without [UNK]: WordPiece needs it for what it cannot cut",
            ));
        }
        let trainer = WordPieceTrainer::builder()
            .vocab_size(options.vocab_size)
            .min_frequency(options.min_frequency)
            .limit_alphabet(1000.min(options.vocab_size - options.special_tokens.len()))
            .special_tokens(options.special())
            .show_progress(false)
            .build();
        let mut tokenizer = Self::bert(WordPiece::default(), options.lowercase)?;
        tokenizer.fit(trainer.into(), texts)?;
        tokenizer.frame()?;
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
        let mut tokenizer = Self::of(inner);
        tokenizer.fit(trainer.into(), texts)?;
        Ok(tokenizer)
    }

    fn fit<S: AsRef<str> + Sync>(
        &mut self,
        mut trainer: TrainerWrapper,
        texts: &[S],
    ) -> Result<()> {
        if texts.iter().all(|t| t.as_ref().trim().is_empty()) {
            return Err(Error::argument("a vocabulary of no text"));
        }
        let all = texts.iter().map(AsRef::as_ref);
        let trained = self.inner().train(&mut trainer, all).map(drop);
        trained.map_err(|e| fault(&e))
    }
}
