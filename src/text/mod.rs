//! Tokenizers, and batches of texts: from strings to ids, padded to the longest of a batch.
//!
//! ```no_run
//! # fn main() -> wgrad::Result<()> {
//! use wgrad::text::{DataCollatorWithPadding, Tokenizer};
//! let tokenizer = Tokenizer::from_file("tokenizer.json")?;
//! let ids = tokenizer.encode_batch(&["A fine film.", "Not so fine a film."], Some(256))?;
//! let pad_id = tokenizer.pad_id().unwrap_or(0);
//! let collator = DataCollatorWithPadding { pad_id, pad_to_multiple_of: Some(8) };
//! let batch = collator.pad(&ids)?;
//! println!("{} with lengths {:?}", batch.ids.shape(), batch.lengths);
//! # Ok(()) }
//! ```

mod bucket;
mod collate;
mod tokenizer;
mod train;

pub use bucket::LengthSampler;
pub use collate::{DataCollatorWithPadding, TextBatch};
pub use tokenizer::{Encoding, Tokenizer};
pub use train::TokenizerOptions;
