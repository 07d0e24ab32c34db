//! Numbers by name.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Numbers by name, in Hugging Face's names: `loss`, `grad_norm`, `learning_rate`, `epoch`, `step`; of an evaluation
/// `eval_loss`, `eval_accuracy`, `eval_runtime`, `eval_samples_per_second`, `eval_steps_per_second` and what
/// `compute_metrics` adds; at the end `train_loss`, `train_runtime`, `train_samples_per_second`, `train_steps_per_second`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Json", into = "Json")]
pub struct Logs(BTreeMap<String, f64>);

/// JSON has no numbers that are not finite.
type Json = BTreeMap<String, Option<f64>>;

impl From<Json> for Logs {
    fn from(json: Json) -> Self {
        let number = |(name, x): (String, Option<f64>)| (name, x.unwrap_or(f64::NAN));
        Self(json.into_iter().map(number).collect())
    }
}

impl From<Logs> for Json {
    fn from(logs: Logs) -> Self {
        let json = |(name, x): (String, f64)| (name, x.is_finite().then_some(x));
        logs.0.into_iter().map(json).collect()
    }
}

/// A number of a state, `null` in JSON where it is not finite.
pub(super) mod number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(x: &f64, to: S) -> Result<S::Ok, S::Error> {
        x.is_finite().then_some(*x).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
    }
}

impl Logs {
    /// The number called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Have `name` be `value`.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Names and numbers, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, x)| (name.as_str(), *x))
    }

    /// The same numbers under names with `prefix` in front.
    pub(super) fn prefixed(&self, prefix: &str) -> Self {
        let longer = self.iter().map(|(name, x)| (format!("{prefix}{name}"), x));
        Self(longer.collect())
    }

    /// The numbers of `other` too.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What [`Logs::iter`] names, for messages.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

impl<N: Into<String>, const K: usize> From<[(N, f64); K]> for Logs {
    fn from(numbers: [(N, f64); K]) -> Self {
        numbers.into_iter().collect()
    }
}

impl<N: Into<String>> FromIterator<(N, f64)> for Logs {
    fn from_iter<I: IntoIterator<Item = (N, f64)>>(numbers: I) -> Self {
        Self(numbers.into_iter().map(|(n, x)| (n.into(), x)).collect())
    }
}

/// `{'eval_accuracy': 0.9735, 'eval_loss': 0.082}`.
impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self
            .iter()
            .map(|(name, x)| format!("'{name}': {}", short(x)));
        write!(f, "{{{}}}", numbers.collect::<Vec<_>>().join(", "))
    }
}

/// Four digits, in whichever form is shorter.
pub(super) fn short(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || x.fract() == 0.0 && size < 1e9 {
        format!("{x}")
    } else if (1e-3..1e6).contains(&size) {
        format!("{x:.4}")
    } else {
        format!("{x:.3e}")
    }
}
