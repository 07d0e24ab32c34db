//! What one step of a recurrent layer computes: the formulas, in the terms of `torch.nn`.

use crate::scalar::elementary::{sigmoid, tanh};

/// The kind of a recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// `h = tanh(x + z)`, as `torch.nn.RNN`.
    Tanh,
    /// `h = relu(x + z)`, as `torch.nn.RNN(nonlinearity="relu")`.
    Relu,
    /// Long short-term memory (Hochreiter and Schmidhuber, 1997), as `torch.nn.LSTM`: gates i, f, g, o.
    Lstm,
    /// Gated recurrent unit (Cho et al., 2014), as `torch.nn.GRU`: gates r, z, n.
    Gru,
}

/// The gates, at most.
pub(super) const GATES: usize = 4;
/// What is kept of a step for its gradient, at most.
pub(super) const KEPT: usize = 5;

/// Gradients below it count as 0: far back in time they would be subnormal numbers, on which processors take many times
/// longer, and so would what is computed of them.
const TINY: f32 = 1e-30;

/// One element for each unit of each sequence.
pub(super) type Plane = Vec<f32>;

impl Cell {
    /// Rows of the weights for each unit.
    pub const fn gates(self) -> usize {
        match self {
            Self::Tanh | Self::Relu => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }

    /// States: the hidden one, and the cell state of an LSTM.
    pub const fn states(self) -> usize {
        match self {
            Self::Lstm => 2,
            _ => 1,
        }
    }

    /// Values for each unit and step that the gradient needs besides the hidden state.
    pub const fn kept(self) -> usize {
        match self {
            Self::Tanh | Self::Relu => 0,
            Self::Lstm | Self::Gru => KEPT,
        }
    }

    /// Whether the product of the hidden state has a bias of its own: that of a GRU is multiplied by a gate.
    pub const fn has_bias(self) -> bool {
        matches!(self, Self::Gru)
    }

    /// A step. `z` are the sums of what comes from the input and from the state (for the last gate of a GRU from the
    /// state alone, what comes from the input being `x`), `h` and `c` the states, which become the new ones; `z` becomes
    /// what is kept, in its order, but for the states: `c` of an LSTM, the old `h` of a GRU.
    #[inline(always)]
    pub(super) fn forward(self, z: &mut [Plane; GATES], x: &[f32], h: &mut [f32], c: &mut [f32]) {
        let [z0, z1, z2, z3] = z;
        match self {
            Self::Tanh => h.iter_mut().zip(z0).for_each(|(h, z)| *h = tanh(*z)),
            Self::Relu => {
                let relu = |z: f32| if z < 0.0 { 0.0 } else { z };
                h.iter_mut().zip(z0).for_each(|(h, z)| *h = relu(*z));
            }
            Self::Lstm => {
                for gate in [&mut *z0, &mut *z1, &mut *z3] {
                    gate.iter_mut().for_each(|z| *z = sigmoid(*z));
                }
                z2.iter_mut().for_each(|z| *z = tanh(*z));
                let gates = z0.iter().zip(&*z1).zip(&*z2);
                (c.iter_mut().zip(gates)).for_each(|(c, ((i, f), g))| *c = f * *c + i * g);
                let gates = z3.iter().zip(&*c);
                (h.iter_mut().zip(gates)).for_each(|(h, (o, c))| *h = o * tanh(*c));
            }
            Self::Gru => {
                for gate in [&mut *z0, &mut *z1] {
                    gate.iter_mut().for_each(|z| *z = sigmoid(*z));
                }
                // The kept order is r, z, n, what comes from the state for n.
                z3.copy_from_slice(z2);
                let gates = z0.iter().zip(x).zip(&*z3);
                (z2.iter_mut().zip(gates)).for_each(|(n, ((r, x), z))| *n = tanh(x + r * z));
                let gates = z1.iter().zip(&*z2);
                (h.iter_mut().zip(gates)).for_each(|(h, (z, n))| *h = n + z * (*h - n));
            }
        }
    }

    /// [`Cell::backward_exact`], without what is too small to matter.
    #[inline(always)]
    pub(super) fn backward(
        self,
        k: &mut [Plane; KEPT],
        c: &[f32],
        dh: &mut [f32],
        dc: &mut [f32],
        dz: &mut [f32],
    ) {
        self.backward_exact(k, c, dh, dc, dz);
        let flush = |plane: &mut [f32]| {
            let all = plane.iter_mut();
            all.for_each(|x| *x = if x.abs() < TINY { 0.0 } else { *x });
        };
        k.iter_mut().take(self.gates()).for_each(|k| flush(k));
        [dh, dc, dz].into_iter().for_each(flush);
    }

    /// The gradient of a step. `k` is what was kept (for an RNN the hidden state), `c` the cell state before the step;
    /// `dh` and `dc`, gradients of the new states, become what reaches the old ones besides the product; `k` becomes the
    /// gradients of what comes from the input, and `dz` of what comes from the state for the last gate of a GRU.
    #[inline(always)]
    fn backward_exact(
        self,
        k: &mut [Plane; KEPT],
        c: &[f32],
        dh: &mut [f32],
        dc: &mut [f32],
        dz: &mut [f32],
    ) {
        let [k0, k1, k2, k3, k4] = k;
        match self {
            Self::Tanh => {
                for (k, dh) in k0.iter_mut().zip(&mut *dh) {
                    *k = *dh * (1.0 - *k * *k);
                    *dh = 0.0;
                }
            }
            Self::Relu => {
                for (k, dh) in k0.iter_mut().zip(&mut *dh) {
                    *k = if *k <= 0.0 { 0.0 } else { *dh };
                    *dh = 0.0;
                }
            }
            Self::Lstm => {
                k4.iter_mut().for_each(|c| *c = tanh(*c));
                for ((dc, dh), (o, t)) in dc.iter_mut().zip(&mut *dh).zip(k3.iter_mut().zip(&*k4)) {
                    *dc += *dh * *o * (1.0 - t * t);
                    *o = *dh * t * *o * (1.0 - *o);
                    *dh = 0.0;
                }
                for ((i, g), dc) in k0.iter_mut().zip(k2).zip(&*dc) {
                    let di = dc * *g * *i * (1.0 - *i);
                    *g = dc * *i * (1.0 - *g * *g);
                    *i = di;
                }
                for ((f, c), dc) in k1.iter_mut().zip(c).zip(dc) {
                    let next = *dc * *f;
                    *f = *dc * c * *f * (1.0 - *f);
                    *dc = next;
                }
            }
            Self::Gru => {
                for (((z, n), h), dh) in k1.iter_mut().zip(&mut *k2).zip(&*k4).zip(dh) {
                    let dn = *dh * (1.0 - *z) * (1.0 - *n * *n);
                    let next = *dh * *z;
                    *z = *dh * (h - *n) * *z * (1.0 - *z);
                    *dh = next;
                    *n = dn;
                }
                for (((r, z), n), dz) in k0.iter_mut().zip(&*k3).zip(&*k2).zip(dz) {
                    *dz = n * *r;
                    *r = n * z * *r * (1.0 - *r);
                }
            }
        }
    }
}
