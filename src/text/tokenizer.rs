//! A tokenizer: strings to ids and back.

use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::tokenizer::{AddedToken, PostProcessor};
use tokenizers::utils::truncation::{TruncationParams, truncate_encodings};
use tokenizers::{ModelWrapper, decoders};

use crate::atomic::write_atomic;
use crate::error::{Error, Result};

/// The token that fills up shorter texts.
pub(super) const PAD: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const CLASS: &str = "[CLS]";
const SEPARATOR: &str = "[SEP]";
const MASK: &str = "[MASK]";
/// The special tokens of BERT, in the order in which a new vocabulary has them.
pub(super) const SPECIAL: [&str; 5] = [PAD, UNKNOWN, CLASS, SEPARATOR, MASK];

/// Cuts texts into tokens of a vocabulary: ids are `i32` from 0 to below [`Tokenizer::vocab_size`].
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

/// Two texts as one sequence, as Hugging Face's `BatchEncoding` of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// Ids of the tokens, special ones among them.
    pub ids: Vec<i32>,
    /// Of each id which text it is of: 0 or 1.
    pub token_type_ids: Vec<i32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, as Hugging Face's tokenizers write it. Truncation and padding that it sets are not
    /// kept: [`Tokenizer::encode`] and the collator say what they do.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::File`] where it is no such file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let fault = |e: &dyn std::fmt::Display| {
            Error::file(path, None, format!("not a tokenizer.json: {e}"))
        };
        crate::json::weigh(&bytes).map_err(|e| fault(&e))?;
        // The crate is made for whole files and may panic on damaged ones.
        let read = catch_unwind(AssertUnwindSafe(|| {
            tokenizers::Tokenizer::from_bytes(&bytes)
        }));
        let mut inner = match read {
            Ok(read) => read.map_err(|e| fault(&e))?,
            Err(_) => return Err(fault(&"it is damaged and cannot be decoded")),
        };
        inner.with_padding(None);
        let none = inner.with_truncation(None).map(drop);
        none.map_err(|e| Error::file(path, None, e.to_string()))?;
        Ok(Self { inner })
    }

    /// Reads the `vocab.txt` of a BERT, one token a line, and cuts as BERT does: WordPiece, `[CLS]` before and `[SEP]`
    /// behind. `lowercase` is whether the model is an uncased one.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::File`] where it is not UTF-8, where a token comes twice, and
    /// where one of `[PAD]`, `[UNK]`, `[CLS]` and `[SEP]` is missing.
    pub fn from_bert_vocab(path: impl AsRef<Path>, lowercase: bool) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            Error::file(path, e.valid_up_to() as u64, "not a vocabulary: not UTF-8")
        })?;
        let mut vocab = std::collections::BTreeMap::new();
        let mut at = 0;
        for (line, token) in text.split_inclusive('\n').enumerate() {
            let trimmed = token.trim_end();
            if let Some(first) = vocab.insert(trimmed.to_owned(), line as u32) {
                let message = format!(
                    "not a vocabulary: line {} is '{trimmed}' again, as line {}",
                    line + 1,
                    first + 1
                );
                return Err(Error::file(path, at, message));
            }
            at += token.len() as u64;
        }
        for token in [PAD, UNKNOWN, CLASS, SEPARATOR] {
            if !vocab.contains_key(token) {
                let message = format!("not the vocabulary of a BERT: no line is {token}");
                return Err(Error::file(path, None, message));
            }
        }
        let vocab = WordPiece::read_bytes(&bytes).map_err(|e| fault(&e))?;
        let model = WordPiece::builder().vocab(vocab).build();
        let model = model.map_err(|e| fault(&e))?;
        Self::bert(model, lowercase)
    }

    /// The tokenizer of a BERT around `model`, its special tokens those of the vocabulary.
    pub(super) fn bert(model: impl Into<ModelWrapper>, lowercase: bool) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::new(model);
        let normalizer = bert_normalizer(lowercase);
        inner
            .with_normalizer(Some(normalizer))
            .map_err(|e| fault(&e))?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.with_decoder(Some(decoders::wordpiece::WordPiece::default()));
        let mut tokenizer = Self { inner };
        tokenizer.frame()?;
        Ok(tokenizer)
    }

    /// Have texts begin with `[CLS]` and end with `[SEP]`, where the vocabulary has them.
    fn frame(&mut self) -> Result<()> {
        let known = |t: &&str| self.inner.token_to_id(t).is_some();
        let special = SPECIAL.into_iter().filter(known);
        let special: Vec<_> = special.map(|t| AddedToken::from(t, true)).collect();
        self.inner
            .add_special_tokens(special)
            .map_err(|e| fault(&e))?;
        let find = |t: &str| Some((t.to_owned(), self.inner.token_to_id(t)?));
        if let (Some(separator), Some(class)) = (find(SEPARATOR), find(CLASS)) {
            let processing = BertProcessing::new(separator, class);
            self.inner.with_post_processor(Some(processing));
        }
        Ok(())
    }

    pub(super) fn inner(&mut self) -> &mut tokenizers::Tokenizer {
        &mut self.inner
    }

    pub(super) fn of(inner: tokenizers::Tokenizer) -> Self {
        Self { inner }
    }

    /// Writes it as `tokenizer.json`, atomically, as [`Tokenizer::from_file`] and Hugging Face's tokenizers read it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let text = self.inner.to_string(true).map_err(|e| fault(&e))?;
        write_atomic(path, text.as_bytes())
    }

    /// The ids of a text, special tokens such as `[CLS]` and `[SEP]` among them, at most `max_length` of them: the text
    /// is cut at its end, special tokens stay.
    ///
    /// # Errors
    /// [`Error::Argument`] where `max_length` leaves no place beside the special tokens.
    pub fn encode(&self, text: &str, max_length: Option<usize>) -> Result<Vec<i32>> {
        Ok(self.framed(text, None, max_length)?.ids)
    }

    /// The ids of two texts as one, for models that are given pairs: BERT's are `[CLS] text [SEP] pair [SEP]`, with the
    /// token types 0 up to the first `[SEP]` and 1 after it. At most `max_length` of them, special tokens included: the
    /// longer of the two texts is cut at its end first, as Hugging Face's `truncation="longest_first"`.
    ///
    /// # Errors
    /// [`Error::Argument`] where `max_length` leaves no place beside the special tokens.
    pub fn encode_pair(
        &self,
        text: &str,
        pair: &str,
        max_length: Option<usize>,
    ) -> Result<Encoding> {
        self.framed(text, Some(pair), max_length)
    }

    /// The ids of each pair of texts, as [`Tokenizer::encode_pair`], on all cores.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_pair`].
    pub fn encode_pairs<S: AsRef<str> + Sync>(
        &self,
        pairs: &[(S, S)],
        max_length: Option<usize>,
    ) -> Result<Vec<Encoding>> {
        let all = pairs.par_iter();
        all.map(|(a, b)| self.encode_pair(a.as_ref(), b.as_ref(), max_length))
            .collect()
    }

    /// One text or two, cut to `max_length` with what the post-processor puts around them.
    fn framed(
        &self,
        text: &str,
        pair: Option<&str>,
        max_length: Option<usize>,
    ) -> Result<Encoding> {
        let bare = |text: &str| self.inner.encode_fast(text, false).map_err(|e| fault(&e));
        let (mut first, mut second) = (bare(text)?, pair.map(bare).transpose()?);
        if let Some(max_length) = max_length {
            let special = self.inner.get_post_processor();
            let special = special.map_or(0, |p| p.added_tokens(pair.is_some()));
            if max_length <= special {
                return Err(Error::argument(format!(
                    "max_length {max_length}: {special} special tokens and one of the text need more"
                )));
            }
            let cut = TruncationParams {
                max_length: max_length - special,
                ..TruncationParams::default()
            };
            (first, second) = truncate_encodings(first, second, &cut).map_err(|e| fault(&e))?;
            drop(first.take_overflowing());
            second.iter_mut().for_each(|s| drop(s.take_overflowing()));
        }
        let whole = self.inner.post_process(first, second, true);
        let whole = whole.map_err(|e| fault(&e))?;
        let numbers = |all: &[u32]| all.iter().map(|&id| id as i32).collect();
        Ok(Encoding {
            ids: numbers(whole.get_ids()),
            token_type_ids: numbers(whole.get_type_ids()),
        })
    }

    /// The ids of each text, as [`Tokenizer::encode`], on all cores.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_batch<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        max_length: Option<usize>,
    ) -> Result<Vec<Vec<i32>>> {
        let all = texts.par_iter();
        all.map(|t| self.encode(t.as_ref(), max_length)).collect()
    }

    /// The text of ids, special tokens left out.
    ///
    /// # Errors
    /// [`Error::Argument`] for an id that is not in the vocabulary.
    pub fn decode(&self, ids: &[i32]) -> Result<String> {
        let known = |&id: &i32| {
            let id = u32::try_from(id).ok();
            id.filter(|id| self.inner.id_to_token(*id).is_some())
        };
        if let Some(id) = ids.iter().find(|id| known(id).is_none()) {
            let size = self.vocab_size();
            return Err(Error::argument(format!(
                "id {id} is not in the vocabulary of {size} tokens"
            )));
        }
        let ids: Vec<u32> = ids.iter().filter_map(known).collect();
        self.inner.decode(&ids, true).map_err(|e| fault(&e))
    }

    /// Number of tokens, special ones among them: `num_embeddings` of an embedding of its ids.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a token, if it is in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<i32> {
        self.inner.token_to_id(token).map(|id| id as i32)
    }

    /// The token of an id, if it is in the vocabulary.
    pub fn id_to_token(&self, id: i32) -> Option<String> {
        self.inner.id_to_token(u32::try_from(id).ok()?)
    }

    /// The id of the token for padding: `[PAD]`, `<pad>` or `<|endoftext|>`, the first that is in the vocabulary.
    pub fn pad_id(&self) -> Option<i32> {
        let names = [PAD, "<pad>", "<|endoftext|>"];
        names.iter().find_map(|name| self.token_to_id(name))
    }
}

/// Clean text, Chinese characters apart, accents off where it is put in lower case.
pub(super) fn bert_normalizer(lowercase: bool) -> BertNormalizer {
    BertNormalizer::new(true, true, None, lowercase)
}

/// What the tokenizers crate says of arguments.
pub(super) fn fault(error: &tokenizers::Error) -> Error {
    Error::argument(format!("the tokenizer: {error}"))
}
