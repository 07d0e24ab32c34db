//! Recurrent layers.

use super::look::unless;
use super::{Build, Module, Scope, init};
use crate::ops::recurrence::{Cell, Recurrence};
use crate::state::{Param, Params};
use crate::tensor::Tensor;
use std::marker::PhantomData;

/// Layers one after the other that run through time: `x [t, n, in]` (`[n, t, in]` with
/// [`batch_first`](RecurrentBuilder::batch_first)) to `[t, n, directions * hidden]`, as `torch.nn.RNN`, `LSTM`, `GRU`.
#[derive(Debug, Clone)]
pub struct Recurrent<K> {
    /// The weights of each layer, of the reverse direction after those of the forward one.
    pub weights: Vec<RecurrentWeights>,
    cell: Cell,
    inputs: usize,
    hidden: usize,
    directions: usize,
    batch_first: bool,
    dropout: f32,
    pub(crate) scope: Scope,
    kind: PhantomData<K>,
}

/// The weights of one layer in one direction. An LSTM has 4 gates (i, f, g, o), a GRU 3 (r, z, n), an RNN 1.
#[derive(Debug, Clone)]
pub struct RecurrentWeights {
    /// `[gates * hidden, in]`
    pub weight_ih: Param,
    /// `[gates * hidden, hidden]`
    pub weight_hh: Param,
    /// Both `[gates * hidden]`.
    pub biases: Option<[Param; 2]>,
}

/// What kind of recurrent layer.
pub trait RecurrentKind: Send + Sync + 'static {
    /// Its name in PyTorch.
    const NAME: &'static str;
    /// Its step.
    const CELL: Cell;
}

/// Kinds whose only state is the hidden one.
pub trait OneState: RecurrentKind {}

/// The kind of [`Rnn`].
#[derive(Debug, Clone, Copy)]
pub struct RnnKind;

/// The kind of [`Lstm`].
#[derive(Debug, Clone, Copy)]
pub struct LstmKind;

/// The kind of [`Gru`].
#[derive(Debug, Clone, Copy)]
pub struct GruKind;

impl RecurrentKind for RnnKind {
    const NAME: &'static str = "RNN";
    const CELL: Cell = Cell::Tanh;
}

impl RecurrentKind for LstmKind {
    const NAME: &'static str = "LSTM";
    const CELL: Cell = Cell::Lstm;
}

impl RecurrentKind for GruKind {
    const NAME: &'static str = "GRU";
    const CELL: Cell = Cell::Gru;
}

impl OneState for RnnKind {}
impl OneState for GruKind {}

/// `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, as `torch.nn.RNN`.
pub type Rnn = Recurrent<RnnKind>;
/// Long short-term memory (Hochreiter and Schmidhuber, 1997), as `torch.nn.LSTM`.
pub type Lstm = Recurrent<LstmKind>;
/// Gated recurrent units (Cho et al., 2014), as `torch.nn.GRU`.
pub type Gru = Recurrent<GruKind>;

/// The description of a [`Recurrent`] layer.
#[derive(Debug, Clone)]
pub struct RecurrentBuilder<K> {
    inputs: usize,
    hidden: usize,
    cell: Cell,
    num_layers: usize,
    bidirectional: bool,
    batch_first: bool,
    bias: bool,
    dropout: f32,
    kind: PhantomData<K>,
}

impl<K: RecurrentKind> Recurrent<K> {
    /// From `inputs` features to `hidden` units.
    pub fn new(inputs: usize, hidden: usize) -> RecurrentBuilder<K> {
        RecurrentBuilder {
            inputs,
            hidden,
            cell: K::CELL,
            num_layers: 1,
            bidirectional: false,
            batch_first: false,
            bias: true,
            dropout: 0.0,
            kind: PhantomData,
        }
    }
}

impl RecurrentBuilder<RnnKind> {
    /// `relu` in place of `tanh`, as `nonlinearity="relu"`; `tanh` by default.
    pub fn relu(mut self, relu: bool) -> Self {
        self.cell = if relu { Cell::Relu } else { Cell::Tanh };
        self
    }
}

impl<K: RecurrentKind> RecurrentBuilder<K> {
    /// Layers, each taking the output of the one before; 1 by default.
    pub fn num_layers(mut self, layers: usize) -> Self {
        self.num_layers = layers;
        self
    }

    /// Whether each layer also runs from the last step to the first; its output has both, the reverse one behind. False by
    /// default.
    pub fn bidirectional(mut self, bidirectional: bool) -> Self {
        self.bidirectional = bidirectional;
        self
    }

    /// Whether the input and the output are `[n, t, …]`, not `[t, n, …]`; false by default. The states are
    /// `[layers * directions, n, hidden]` either way.
    pub fn batch_first(mut self, batch_first: bool) -> Self {
        self.batch_first = batch_first;
        self
    }

    /// Whether there are biases; true by default.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Probability of dropout on the output of each layer but the last, in training; 0 by default.
    pub fn dropout(mut self, p: f32) -> Self {
        self.dropout = p;
        self
    }

    /// The layer, its parameters (`weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, `weight_ih_l0_reverse`, …)
    /// drawn uniformly within `1 / sqrt(hidden)`. Sizes of 0, no layers and a dropout outside of 0 to 1 are errors that
    /// [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Recurrent<K> {
        let (i, h, layers, p) = (self.inputs, self.hidden, self.num_layers, self.dropout);
        let scope = Scope::new(params, K::NAME).detail(format!(
            "{i}, {h}{}{}{}{}{}",
            unless(layers == 1, "num_layers", layers),
            unless(self.bias, "bias", self.bias),
            unless(!self.batch_first, "batch_first", self.batch_first),
            unless(p == 0.0, "dropout", p),
            unless(!self.bidirectional, "bidirectional", self.bidirectional),
        ));
        scope.refuse(
            params,
            &[
                (
                    i == 0 || h == 0,
                    format!("from {i} features to {h} units: both must be 1 or more"),
                ),
                (layers == 0, "num_layers is 0: takes 1 or more".to_owned()),
                (
                    !(0.0..=1.0).contains(&p),
                    format!("dropout is {p}: a probability, 0 to 1"),
                ),
            ],
        );
        let directions = 1 + usize::from(self.bidirectional);
        let rows = self.cell.gates().saturating_mul(h);
        let weights = (0..layers * directions).map(|at| {
            let (layer, reverse) = (at / directions, at % directions == 1);
            let inputs = if layer == 0 { i } else { directions * h };
            let parameter = |name: &str, shape: &[usize]| {
                let suffix = if reverse { "_reverse" } else { "" };
                params.drawn(&format!("{name}_l{layer}{suffix}"), shape, init::bias(h))
            };
            RecurrentWeights {
                weight_ih: parameter("weight_ih", &[rows, inputs]),
                weight_hh: parameter("weight_hh", &[rows, h]),
                biases: self
                    .bias
                    .then(|| ["bias_ih", "bias_hh"].map(|name| parameter(name, &[rows]))),
            }
        });
        Recurrent {
            weights: weights.collect(),
            cell: self.cell,
            inputs: i,
            hidden: h,
            directions,
            batch_first: self.batch_first,
            dropout: p,
            scope,
            kind: PhantomData,
        }
    }
}

impl<K: OneState> Recurrent<K> {
    /// The output and the last hidden states `[layers * directions, n, hidden]`, from the initial ones `h0` of that shape
    /// (zeros by default).
    ///
    /// With `lengths`, `i32` `[n]`, what a packed sequence gives: past a sequence's length the output is 0, its last state
    /// is that at its last valid step, and its reverse direction starts there. A length of 0 leaves the initial state.
    pub fn forward_with(
        &self,
        x: &Tensor,
        h0: Option<&Tensor>,
        lengths: Option<&Tensor>,
    ) -> (Tensor, Tensor) {
        let (y, mut last) = self.run(x, h0.as_slice(), lengths);
        let last = last.pop().unwrap_or_else(|| x.trace().poison());
        (y, last)
    }
}

impl Lstm {
    /// The output and the last hidden and cell states, both `[layers * directions, n, hidden]`, from the initial ones of
    /// that shape (zeros by default).
    ///
    /// With `lengths`, `i32` `[n]`, what a packed sequence gives: past a sequence's length the output is 0, its last states
    /// are those at its last valid step, and its reverse direction starts there. A length of 0 leaves the initial states.
    pub fn forward_with(
        &self,
        x: &Tensor,
        states: Option<(&Tensor, &Tensor)>,
        lengths: Option<&Tensor>,
    ) -> (Tensor, (Tensor, Tensor)) {
        let states = states.map(|(h, c)| [h, c]);
        let (y, last) = self.run(x, states.as_ref().map_or(&[], |s| s), lengths);
        match &last[..] {
            [h, c] => (y, (h.clone(), c.clone())),
            _ => (y, (x.trace().poison(), x.trace().poison())),
        }
    }
}

impl<K: RecurrentKind> Recurrent<K> {
    /// The output and each last state, from initial ones, if any.
    fn run(
        &self,
        x: &Tensor,
        initial: &[&Tensor],
        lengths: Option<&Tensor>,
    ) -> (Tensor, Vec<Tensor>) {
        let mut last = Vec::new();
        let y = self.scope.run(x, || {
            if let Some(message) = self.fault(x, initial) {
                return x
                    .trace()
                    .misuse(K::NAME, message, crate::error::Site::here());
            }
            let mut y = if self.batch_first {
                x.clone()
            } else {
                x.transpose(0, 1)
            };
            let mut lasts = Vec::new();
            let layers = self.weights.chunks(self.directions);
            for (layer, weights) in layers.enumerate() {
                if layer > 0 && self.dropout > 0.0 {
                    y = y.dropout(self.dropout);
                }
                let mut outputs = Vec::new();
                for (direction, weights) in weights.iter().enumerate() {
                    let start = (!initial.is_empty()).then(|| {
                        let at = layer * self.directions + direction;
                        join(initial.iter().map(|s| s.narrow(0, at, 1)).collect(), 0)
                    });
                    let op = Recurrence {
                        cell: self.cell,
                        reverse: direction == 1,
                    };
                    let (output, last) = weights.run(&y, op, start.as_ref(), lengths);
                    outputs.push(output);
                    lasts.push(last);
                }
                y = join(outputs, 2);
            }
            let state = |s| join(lasts.iter().map(|l| l.narrow(0, s, 1)).collect(), 0);
            last = (0..self.cell.states()).map(state).collect();
            if self.batch_first {
                y
            } else {
                y.transpose(0, 1)
            }
        });
        (y, last)
    }

    /// What does not fit, if anything.
    fn fault(&self, x: &Tensor, initial: &[&Tensor]) -> Option<String> {
        let poisoned = x.is_poisoned() || initial.iter().any(|t| t.is_poisoned());
        let (layout, batch) = if self.batch_first {
            ("[n, t, ", 0)
        } else {
            ("[t, n, ", 1)
        };
        if poisoned {
            return None;
        }
        if x.rank() != 3 || x.shape()[2] != self.inputs {
            let wanted = format!("takes {layout}{}]", self.inputs);
            return Some(format!("input {}: {wanted}", x.shape()));
        }
        let state = [self.weights.len(), x.shape()[batch], self.hidden];
        let other = initial.iter().find(|t| t.shape()[..] != state)?;
        Some(format!(
            "initial state {}: takes [layers * directions, n, hidden], {state:?}",
            other.shape()
        ))
    }
}

impl RecurrentWeights {
    /// `x [n, t, in]` to the hidden states and the last states.
    fn run(
        &self,
        x: &Tensor,
        op: Recurrence,
        start: Option<&Tensor>,
        lengths: Option<&Tensor>,
    ) -> (Tensor, Tensor) {
        let of = |param: &Param| x.trace().param(param);
        let product = x.matmul(&of(&self.weight_ih).t());
        let weight = of(&self.weight_hh);
        let Some([ih, hh]) = self.biases.as_ref().map(|b| [of(&b[0]), of(&b[1])]) else {
            return product.recurrence(op, &weight, None, start, lengths);
        };
        if op.cell.has_bias() {
            return product
                .add(&ih)
                .recurrence(op, &weight, Some(&hh), start, lengths);
        }
        let product = product.add(&ih.add(&hh));
        product.recurrence(op, &weight, None, start, lengths)
    }
}

fn join(mut tensors: Vec<Tensor>, dim: isize) -> Tensor {
    match tensors.len() {
        1 => tensors.remove(0),
        _ => Tensor::cat(&tensors.iter().collect::<Vec<_>>(), dim),
    }
}

impl<K: RecurrentKind> Build for RecurrentBuilder<K> {
    type Layer = Recurrent<K>;

    #[track_caller]
    fn build(self, params: &Params) -> Recurrent<K> {
        RecurrentBuilder::build(self, params)
    }
}

/// The output, from zeros and with all steps valid.
impl<K: RecurrentKind> Module for Recurrent<K> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.run(x, &[], None).0
    }
}
