//! One case: a file.

use crate::common::worst;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use wgrad::weights::Reader;
use wgrad::{Array, Result};

/// See `tests/conformance/README.md`.
pub struct Case {
    /// The file's stem.
    pub name: String,
    /// PyTorch's name of what it does.
    pub op: String,
    attrs: Value,
    tensors: BTreeMap<String, Array>,
    /// The learning rate at each step.
    pub lrs: Vec<f64>,
}

impl Case {
    /// Read a file.
    ///
    /// # Errors
    /// It is no safetensors file, or lacks what a case has.
    pub fn read(path: &Path) -> Result<Self> {
        let file = Reader::open(path)?;
        let entry = |key: &str| {
            let value = file.metadata().get(key).cloned();
            value.ok_or_else(|| wgrad::Error::file(path, None, format!("no {key} in the metadata")))
        };
        let attrs = serde_json::from_str(&entry("attrs")?)
            .map_err(|e| wgrad::Error::file(path, None, format!("attrs: {e}")))?;
        Ok(Self {
            name: entry("case")?,
            op: entry("op")?,
            attrs,
            lrs: match file.shape("lrs") {
                Some(_) => file.read_f64("lrs")?,
                None => Vec::new(),
            },
            tensors: file.read_all()?.into_iter().collect(),
        })
    }

    /// The tensor `name`.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.tensors.get(name)
    }

    /// Names and tensors that begin with `prefix`, without it, in order of the names.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Array)> {
        let cut =
            move |(name, array): (&'a String, &'a Array)| Some((name.strip_prefix(prefix)?, array));
        self.tensors.iter().filter_map(cut)
    }

    /// `PREFIX.0`, `PREFIX.1`, …
    pub fn numbered(&self, prefix: &str) -> Vec<&Array> {
        (0..)
            .map_while(|n| self.get(&format!("{prefix}.{n}")))
            .collect()
    }

    fn attr(&self, key: &str) -> Option<&Value> {
        self.attrs.get(key).filter(|v| !v.is_null())
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attr(key)?.as_str()
    }

    /// A truth value, `default` if there is none.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.attr(key).map_or(default, |v| {
            v.as_bool()
                .unwrap_or_else(|| panic!("{}: {key} is {v}", self.name))
        })
    }

    /// A number, if there is one.
    pub fn number(&self, key: &str) -> Option<f64> {
        let value = self.attr(key)?;
        Some(
            value
                .as_f64()
                .unwrap_or_else(|| panic!("{}: {key} is {value}", self.name)),
        )
    }

    /// A number, `default` if there is none.
    pub fn f32(&self, key: &str, default: f32) -> f32 {
        self.number(key).map_or(default, |x| x as f32)
    }

    /// A whole number that must be there.
    pub fn int(&self, key: &str) -> isize {
        let value = self.number(key);
        value.unwrap_or_else(|| panic!("{}: no {key}", self.name)) as isize
    }

    /// A list of whole numbers, or one alone; empty if there is none.
    pub fn ints(&self, key: &str) -> Vec<isize> {
        match self.attr(key) {
            Some(Value::Array(list)) => list
                .iter()
                .filter_map(|v| Some(v.as_i64()? as isize))
                .collect(),
            Some(value) => value.as_i64().map(|v| v as isize).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// A list of sizes, or one alone; `default` if there is none.
    pub fn sizes(&self, key: &str, default: usize) -> Vec<usize> {
        let list: Vec<usize> = self.ints(key).into_iter().map(|v| v as usize).collect();
        if list.is_empty() { vec![default] } else { list }
    }

    /// A list of numbers; empty if there is none.
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        let list = self.attr(key).and_then(Value::as_array);
        list.map_or_else(Vec::new, |l| l.iter().filter_map(Value::as_f64).collect())
    }

    /// Two numbers, if there are two.
    pub fn pair(&self, key: &str) -> Option<(f64, f64)> {
        let list = self.attr(key)?.as_array()?;
        Some((list.first()?.as_f64()?, list.get(1)?.as_f64()?))
    }

    /// What is wrong with `got` for the tensor `name`, if anything.
    pub fn compare(&self, name: &str, got: &Array) -> Option<String> {
        let Some(want) = self.get(name) else {
            return Some(format!("{name}: not in the case"));
        };
        let (rtol, atol) = match self.op.as_str() {
            "training" | "optimizer" => (1e-3, 1e-4),
            _ => (1e-4, 1e-5),
        };
        match worst(got, want, rtol, atol) {
            Err(why) => Some(format!("{name}: {why}")),
            Ok(Some(w)) if w.excess > 1.0 => Some(format!(
                "{name} {}: element {}: got {}, want {} ({:.3e} times the bound)",
                want.shape(),
                w.at,
                w.got,
                w.want,
                w.excess
            )),
            Ok(_) => None,
        }
    }
}
