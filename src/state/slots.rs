//! What optimizers keep of each parameter: slots that lie as the parameters do.

use super::{ALIGN, Initial, Params, Segment, State, StateKind};
use crate::array::Array;
use crate::dtype::DType;
use crate::graph::StateRange;
use crate::shape::Shape;
use std::sync::Arc;

/// What the slots of an optimizer start with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SlotInit {
    /// Every element this.
    Fill(f32),
    /// The values of the parameters.
    Copy,
}

impl Params {
    /// The slot `slot` of an optimizer for consecutive parameters, laid out as they are.
    pub(crate) fn slots(&self, slot: &str, of: &[State], init: SlotInit) -> StateRange {
        let mut store = self.lock();
        let path = |s: &State| -> Arc<str> { format!("{slot}/{}", s.path).into() };
        let base = of.first().map_or(0, |s| s.range.offset);
        let known: Vec<Option<StateRange>> = of
            .iter()
            .map(|s| store.by_path.get(&path(s)).map(|&i| store.states[i].range))
            .collect();
        if let Some(&Some(first)) = known.first() {
            let in_order = of.iter().zip(&known).all(|(s, at)| {
                at.is_some_and(|at| {
                    at.segment == first.segment
                        && at.offset - first.offset.min(at.offset) == s.range.offset - base
                })
            });
            store.misplaced |= !in_order;
            return StateRange {
                len: span(of),
                ..first
            };
        }
        let range = store.allocate(StateKind::Optimizer, slot, span(of));
        if known.iter().any(Option::is_some) {
            // All are placed anew and the trace is repeated: until then, any range will do.
            store.misplaced = true;
            return range;
        }
        for s in of {
            let path = path(s);
            let carried = store.carried.remove(&path);
            let fill = match init {
                SlotInit::Fill(value) => value,
                SlotInit::Copy => 0.0,
            };
            let at = StateRange {
                segment: range.segment,
                offset: range.offset + s.range.offset - base,
                len: s.range.len,
            };
            store.insert(State {
                path,
                range: at,
                init: match carried {
                    Some(array) => Initial::carried(array, fill),
                    None => Initial::fill(s.shape.clone(), fill),
                },
                starts_as: (init == SlotInit::Copy).then(|| s.path.clone()),
                kind: StateKind::Optimizer,
                trainable: false,
                ..s.clone()
            });
        }
        range
    }

    /// A number that an optimizer keeps for all of its parameters together, by its first parameter group: 0 at first.
    pub(crate) fn slot_of_all(&self, slot: &str, first_group: usize) -> StateRange {
        let path: Arc<str> = format!("{slot}/{first_group}").into();
        let mut store = self.lock();
        if let Some(&at) = store.by_path.get(&path) {
            return store.states[at].range;
        }
        let range = store.allocate(StateKind::Optimizer, slot, 1);
        let carried = store.carried.remove(&path);
        store.insert(State {
            path,
            shape: [].into(),
            dtype: DType::F32,
            kind: StateKind::Optimizer,
            range,
            init: match carried {
                Some(array) => Initial::carried(array, 0.0),
                None => Initial::fill([].into(), 0.0),
            },
            starts_as: None,
            trainable: false,
        });
        range
    }

    /// Whether the slots of optimizers must be placed anew: the trainable parameters are others than when they were.
    pub(crate) fn misplaced(&self) -> bool {
        self.lock().misplaced
    }

    /// Forget where the slots of optimizers lie and keep `values` of them, until their parameters are trained again.
    pub(crate) fn lift_slots(&self, values: Vec<(Arc<str>, Array)>) {
        let mut store = self.lock();
        let values = values.into_iter().map(|(path, v)| (path, Arc::new(v)));
        store.carried.extend(values);
        store.states.retain(|s| s.kind != StateKind::Optimizer);
        let paths = store.states.iter().enumerate();
        store.by_path = paths.map(|(i, s)| (s.path.clone(), i)).collect();
        for s in &mut store.segments {
            if s.kind == StateKind::Optimizer {
                s.len = 0;
            }
        }
        store.misplaced = false;
    }

    /// Values of slots that wait for their parameters to be trained again, by path.
    pub(crate) fn waiting_slots(&self) -> Vec<(Arc<str>, Arc<Array>)> {
        let store = self.lock();
        let waiting = store.carried.iter();
        let mut all: Vec<_> = waiting.map(|(p, v)| (p.clone(), v.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Have `values` of slots wait for their parameters, and no others.
    pub(crate) fn wait_slots(&self, values: Vec<(Arc<str>, Array)>) {
        let values = values.into_iter().map(|(path, v)| (path, Arc::new(v)));
        self.lock().carried = values.collect();
    }

    /// The shape of the slot at `path` (`SLOT/PARAMETER`) of a frozen parameter, if an optimizer keeps such slots, or `any`.
    pub(crate) fn slot_of_frozen(&self, path: &str, any: bool) -> Option<Shape> {
        let (slot, parameter) = path.split_once('/')?;
        let store = self.lock();
        let kept = |s: &Segment| s.kind == StateKind::Optimizer && s.slot == slot;
        let state = &store.states[*store.by_path.get(parameter)?];
        let frozen = state.kind == StateKind::Parameter && !state.trainable;
        (frozen && (any || store.segments.iter().any(kept))).then(|| state.shape.clone())
    }
}

/// Elements from the first of consecutive states to where a next one would begin.
pub(crate) fn span(of: &[State]) -> usize {
    match (of.first(), of.last()) {
        (Some(a), Some(b)) => {
            (b.range.offset + b.range.len).next_multiple_of(ALIGN) - a.range.offset
        }
        _ => 0,
    }
}
