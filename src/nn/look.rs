//! Options as PyTorch prints them.

use crate::ops::interpolate::InterpolateMode;
use crate::scalar::GeluApprox;

/// `(5, 5)`; one number is `(5,)`.
pub(crate) fn tuple(sizes: &[usize]) -> String {
    match sizes {
        [one] => format!("({one},)"),
        _ => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            format!("({})", sizes.join(", "))
        }
    }
}

/// [`tuple`] of a size for each of `dims` dimensions, of which one may stand for all.
pub(crate) fn spread(sizes: &[usize], dims: usize) -> String {
    match sizes {
        [one] => tuple(&vec![*one; dims]),
        _ => tuple(sizes),
    }
}

/// `5` where all are the same, else `(3, 5)`.
pub(crate) fn short(sizes: &[usize]) -> String {
    match sizes.split_first() {
        Some((first, rest)) if rest.iter().all(|s| s == first) => first.to_string(),
        _ => tuple(sizes),
    }
}

/// `, name=value` where it is not what it is by default.
pub(crate) fn unless(default: bool, name: &str, value: impl Python) -> String {
    match default {
        true => String::new(),
        false => format!(", {name}={}", value.python()),
    }
}

/// A value in Python's notation.
pub(crate) trait Python {
    /// Its text.
    fn python(&self) -> String;
}

impl Python for bool {
    fn python(&self) -> String {
        if *self { "True" } else { "False" }.to_owned()
    }
}

/// The shortest digits, with an exponent below 1e-4 and from 1e16.
impl Python for f32 {
    fn python(&self) -> String {
        let scientific = format!("{self:e}");
        match scientific.split_once('e') {
            Some((digits, exponent)) => match exponent.parse::<i32>() {
                Ok(e) if e < -4 => format!("{digits}e-{:02}", -e),
                Ok(e) if e >= 16 => format!("{digits}e+{e:02}"),
                _ => format!("{self:?}"),
            },
            None => format!("{self}"),
        }
    }
}

impl Python for Option<f32> {
    fn python(&self) -> String {
        self.map_or("None".to_owned(), |x| x.python())
    }
}

impl Python for isize {
    fn python(&self) -> String {
        self.to_string()
    }
}

impl Python for usize {
    fn python(&self) -> String {
        self.to_string()
    }
}

impl Python for String {
    fn python(&self) -> String {
        self.clone()
    }
}

impl Python for GeluApprox {
    fn python(&self) -> String {
        match self {
            Self::None => "'none'",
            Self::Tanh => "'tanh'",
        }
        .to_owned()
    }
}

impl Python for InterpolateMode {
    fn python(&self) -> String {
        format!("'{self:?}'").to_lowercase()
    }
}

/// `Display` of layers that hold the handle of their place: the tree below it.
macro_rules! printed {
    ($([$($generic:tt)*] $layer:ty;)*) => {$(
        /// As PyTorch prints it.
        impl<$($generic)*> std::fmt::Display for $layer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self.scope.params(), f)
            }
        }
    )*};
}

printed! {
    [] super::Linear;
    [] super::Bilinear;
    [] super::Embedding;
    [] super::Prelu;
    [] super::LayerNorm;
    [] super::RmsNorm;
    [] super::GroupNorm;
    [] super::MultiheadAttention;
    [] super::SinusoidalPositions;
    [] super::LearnedPositions;
    [] super::Sequential;
    [] super::Transformer;
    [] super::TransformerEncoder;
    [] super::TransformerEncoderLayer;
    [] super::TransformerDecoder;
    [] super::TransformerDecoderLayer;
    [const D: usize] super::Conv<D>;
    [const D: usize] super::ConvTranspose<D>;
    [const D: usize] super::BatchNorm<D>;
    [const D: usize] super::InstanceNorm<D>;
    [M] super::ModuleList<M>;
    [K] super::Recurrent<K>;
}
