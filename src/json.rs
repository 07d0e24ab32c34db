//! JSON that others wrote, weighed before it is read.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Bytes of memory that a text may take once it is read, for each of its own and besides. A number of two bytes takes some
/// 64, but an object of seven takes a node of a tree, which is more than 600.
const MOST: (usize, usize) = (40, 1 << 16);
/// Bytes of a value in a list that grows.
const VALUE: usize = 64;
/// Bytes of an object, and of each entry of a large one.
const OBJECT: usize = 640;
const ENTRY: usize = 128;

/// Refuses what is no JSON, and what would take far more memory than its text.
///
/// # Errors
/// What is wrong, with line and column.
pub(crate) fn weigh(json: &[u8]) -> serde_json::Result<()> {
    let mut room = MOST.0.saturating_mul(json.len()).saturating_add(MOST.1);
    let mut from = serde_json::Deserializer::from_slice(json);
    Weigh(&mut room).deserialize(&mut from)?;
    from.end()
}

/// What may still be taken.
struct Weigh<'a>(&'a mut usize);

impl Weigh<'_> {
    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        *self.0 = self
            .0
            .checked_sub(bytes)
            .ok_or_else(|| E::custom("far more objects than a text of this size is read with"))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Weigh<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Weigh<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.take(VALUE)
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.take(VALUE)
    }

    fn visit_u64<E: Error>(mut self, _: u64) -> Result<(), E> {
        self.take(VALUE)
    }

    fn visit_i64<E: Error>(mut self, _: i64) -> Result<(), E> {
        self.take(VALUE)
    }

    fn visit_f64<E: Error>(mut self, _: f64) -> Result<(), E> {
        self.take(VALUE)
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.take(VALUE + text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut all: A) -> Result<(), A::Error> {
        self.take(VALUE)?;
        while all.next_element_seed(Weigh(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut all: A) -> Result<(), A::Error> {
        self.take(VALUE + OBJECT)?;
        let mut entries = 0;
        while all.next_key_seed(Weigh(self.0))?.is_some() {
            entries += 1;
            // the first few lie in the object's own node
            if entries > OBJECT / ENTRY {
                self.take(ENTRY)?;
            }
            all.next_value_seed(Weigh(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_far_more_than_its_text_is_refused() {
        let list = |item: &str, n: usize| format!("[{}]", vec![item; n].join(","));
        for item in ["0", "\"a\"", "[]", "{\"epoch\": 1.5, \"loss\": 0.25}"] {
            weigh(list(item, 20_000).as_bytes()).unwrap();
        }
        weigh(list("{\"\":0}", 90).as_bytes()).unwrap();
        let error = weigh(list("{\"\":0}", 20_000).as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("far more objects"), "{error}");
        assert!(weigh(b"{\"a\":1} x").unwrap_err().is_syntax());
        assert!(weigh(b"[1").unwrap_err().is_eof());
    }
}
