//! First values of states. What draws them is kept in place of the values, where they can be drawn again.

use crate::DType;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::shape::Shape;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Words that a constant is written by.
const PIECE: usize = (1 << 20) / DType::SIZE;

/// The first value of a state, as an [`Array`]: drawn when it is first looked at, and kept by this handle alone. Clones draw
/// anew.
pub struct Initial {
    source: Source,
    shape: Shape,
    drawn: OnceLock<Array>,
}

/// What draws the values of a parameter, from a generator of its own.
pub(super) type Draw = Arc<dyn Fn(&mut Rng, &Shape) -> Result<Vec<f32>, String> + Send + Sync>;

#[derive(Clone)]
enum Source {
    Kept(Arc<Array>),
    Fill(f32),
    Drawn(u64, Arc<str>, Draw),
    /// Values for the one session that takes them next, then others.
    Carried(Arc<Array>, f32),
}

impl Initial {
    fn of(source: Source, shape: Shape) -> Self {
        Self {
            source,
            shape,
            drawn: OnceLock::new(),
        }
    }

    /// These values, kept unless they are all one `f32`.
    pub(super) fn kept(array: Array) -> Self {
        let shape = array.shape().clone();
        let words = array.words();
        let source = match (words.first(), array.dtype()) {
            (Some(first), DType::F32) if words.iter().all(|w| w == first) => {
                Source::Fill(f32::from_bits(*first))
            }
            _ => Source::Kept(Arc::new(array)),
        };
        Self::of(source, shape)
    }

    /// Every element `value`.
    pub(super) fn fill(shape: Shape, value: f32) -> Self {
        Self::of(Source::Fill(value), shape)
    }

    /// `array` for the session that takes it next, then every element `value`.
    pub(super) fn carried(array: Arc<Array>, value: f32) -> Self {
        let shape = array.shape().clone();
        Self::of(Source::Carried(array, value), shape)
    }

    /// What `draw` draws for the parameter at `path`.
    pub(super) fn drawn(seed: u64, path: Arc<str>, shape: Shape, draw: Draw) -> Self {
        Self::of(Source::Drawn(seed, path, draw), shape)
    }

    /// Whether it waits for the session that takes it next.
    pub(crate) fn is_carried(&self) -> bool {
        matches!(self.source, Source::Carried(..))
    }

    /// A session has taken the value.
    pub(super) fn taken(&mut self) {
        if let Source::Carried(_, value) = self.source {
            self.source = Source::Fill(value);
        }
    }

    /// Bytes of values that are kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        match &self.source {
            Source::Kept(array) | Source::Carried(array, _) => (array.numel() * DType::SIZE) as u64,
            Source::Fill(_) | Source::Drawn(..) => 0,
        }
    }

    /// Hand the value over in pieces, each with the number of words before it.
    pub(crate) fn write(&self, mut to: impl FnMut(usize, &[u32]) -> Result<()>) -> Result<()> {
        match &self.source {
            Source::Kept(array) | Source::Carried(array, _) => to(0, array.words()),
            Source::Fill(value) => {
                let n = self.shape.numel();
                let piece = vec![value.to_bits(); n.min(PIECE)];
                let mut starts = (0..n).step_by(PIECE);
                starts.try_for_each(|at| to(at, &piece[..PIECE.min(n - at)]))
            }
            Source::Drawn(seed, path, draw) => {
                let values = draw(&mut Rng::new(*seed, path), &self.shape);
                let values = values.map_err(|why| Error::argument(format!("{path}: {why}")))?;
                to(0, Array::of(self.shape.clone(), values).words())
            }
        }
    }
}

impl Deref for Initial {
    type Target = Array;

    fn deref(&self) -> &Array {
        let draw = |values: Vec<f32>| Array::of(self.shape.clone(), values);
        match &self.source {
            Source::Kept(array) | Source::Carried(array, _) => array,
            Source::Fill(value) => self
                .drawn
                .get_or_init(|| draw(vec![*value; self.shape.numel()])),
            Source::Drawn(seed, path, of) => self.drawn.get_or_init(|| {
                let values = of(&mut Rng::new(*seed, path), &self.shape);
                // What cannot be drawn for the shape was refused when the state was made.
                draw(values.unwrap_or_else(|_| vec![f32::NAN; self.shape.numel()]))
            }),
        }
    }
}

impl Clone for Initial {
    fn clone(&self) -> Self {
        Self::of(self.source.clone(), self.shape.clone())
    }
}

impl PartialEq for Initial {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Initial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Kept(_) => write!(f, "kept {}", self.shape),
            Source::Fill(value) => write!(f, "{value} {}", self.shape),
            Source::Drawn(seed, path, _) => write!(f, "drawn {} by {seed} and {path}", self.shape),
            Source::Carried(..) => write!(f, "carried {}", self.shape),
        }
    }
}
