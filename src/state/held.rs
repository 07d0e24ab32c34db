//! Data that stay on a device for runs to take rows of.

use super::{Initial, Params, Segment, State, StateKind};
use crate::array::Array;
use crate::error::{Error, Result, Site};
use crate::graph::{StateRange, TensorType};
use crate::tensor::{Tensor, Trace};
use std::sync::Arc;

/// An array that a session holds on its device, see [`Session::hold`](crate::Session::hold). Clones are the same array.
#[derive(Debug, Clone)]
pub struct Held {
    pub(crate) path: Arc<str>,
    pub(crate) range: StateRange,
    ty: TensorType,
}

impl Held {
    /// Shape and dtype of the array.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }
}

impl Params {
    /// A state of kind [`StateKind::Data`] for `array`, in a segment of its own.
    pub(crate) fn hold_data(&self, array: &Array) -> Result<Held> {
        let (shape, len) = (array.shape().clone(), array.numel());
        if len == 0 {
            let fault = "has no elements";
            return Err(Error::argument(format!("hold: an array {shape} {fault}")));
        }
        let mut store = self.lock();
        let empty = |s: &Segment| s.kind == StateKind::Data && s.len == 0;
        let segment = store.segments.iter().position(empty);
        let segment = segment.unwrap_or_else(|| {
            store.segments.push(Segment {
                kind: StateKind::Data,
                len: 0,
                slot: String::new(),
            });
            store.segments.len() - 1
        });
        store.segments[segment].len = len;
        store.data += 1;
        let path: Arc<str> = format!("data/{}", store.data).into();
        let range = StateRange {
            segment,
            offset: 0,
            len,
        };
        let ty = TensorType::of(array);
        store.insert(State {
            path: path.clone(),
            shape,
            dtype: array.dtype(),
            kind: StateKind::Data,
            range,
            // The values go to the device alone.
            init: Initial::kept(Array::zeros([0])),
            starts_as: None,
            trainable: false,
        });
        Ok(Held { path, range, ty })
    }

    /// Forget a state that [`Params::hold_data`] made, and whether it was there.
    pub(crate) fn release_data(&self, held: &Held) -> bool {
        let mut store = self.lock();
        let Some(at) = store.by_path.get(&held.path).copied() else {
            return false;
        };
        store.states.remove(at);
        let paths = store.states.iter().enumerate();
        store.by_path = paths.map(|(i, s)| (s.path.clone(), i)).collect();
        store.segments[held.range.segment].len = 0;
        store.held = store.held.min(store.states.len());
        true
    }
}

impl Trace {
    /// The array that a session holds as `held`, to take rows of: `g.held(&images).index_select(0, &index)`. A held array
    /// that was released is an error of `compile`.
    #[track_caller]
    pub fn held(&self, held: &Held) -> Tensor {
        let known = self.params().get(&held.path);
        match known.filter(|s| s.range == held.range) {
            Some(_) => self.state(held.range, held.ty.clone()),
            None => {
                let message = "takes an array that the session of this function holds: this one was released, or is another's";
                self.misuse("held", message, Site::here())
            }
        }
    }
}
