// What one step of a recurrent layer computes for a unit, or a vector of them.
// CELL: 0 tanh, 1 relu, 2 LSTM (i, f, g, o), 3 GRU (r, z, n).

struct Step {
    h: F,
    c: F,
    kept: array<F, 5>,
}

fn sigmoid(x: F) -> F { return F(1.0) / (F(1.0) + exp_(-x)); }

// x: what comes from the input, by gates; z: from the state; h, c: the states before.
fn cell_step(x: array<F, 4>, z: array<F, 4>, h: F, c: F) -> Step {
    if (CELL == 0u) {
        return Step(tanh_(x[0] + z[0]), F(0.0), array<F, 5>());
    }
    if (CELL == 1u) {
        return Step(max_f(x[0] + z[0], F(0.0)), F(0.0), array<F, 5>());
    }
    if (CELL == 2u) {
        let i = sigmoid(x[0] + z[0]);
        let f = sigmoid(x[1] + z[1]);
        let g = tanh_(x[2] + z[2]);
        let o = sigmoid(x[3] + z[3]);
        let next = f * c + i * g;
        return Step(o * tanh_(next), next, array<F, 5>(i, f, g, o, next));
    }
    let r = sigmoid(x[0] + z[0]);
    let u = sigmoid(x[1] + z[1]);
    let n = tanh_(x[2] + r * z[2]);
    return Step(n + u * (h - n), F(0.0), array<F, 5>(r, u, n, z[2], h));
}

struct StepGrad {
    x: array<F, 4>, // of what comes from the input
    z: array<F, 4>, // of what comes from the state
    h: F, // of the states before, but for what comes through z
    c: F,
}

fn one_gate(d: F) -> StepGrad {
    let all = array<F, 4>(d, F(0.0), F(0.0), F(0.0));
    return StepGrad(all, all, F(0.0), F(0.0));
}

// kept: what cell_step kept, or the hidden state of an RNN; c: the state before; dh, dc: gradients of the new states.
fn cell_grad(kept: array<F, 5>, c: F, dh: F, dc: F) -> StepGrad {
    let a = kept[0];
    let one = F(1.0);
    if (CELL == 0u) {
        return one_gate(dh * (one - a * a));
    }
    if (CELL == 1u) {
        return one_gate(select(dh, F(0.0), a <= F(0.0)));
    }
    if (CELL == 2u) {
        let f = kept[1];
        let g = kept[2];
        let o = kept[3];
        let t = tanh_(kept[4]);
        let s = dc + dh * o * (one - t * t);
        let d = array<F, 4>(s * g * a * (one - a), s * c * f * (one - f), s * a * (one - g * g), dh * t * o * (one - o));
        return StepGrad(d, d, F(0.0), s * f);
    }
    let u = kept[1];
    let n = kept[2];
    let dn = dh * (one - u) * (one - n * n);
    let du = dh * (kept[4] - n) * u * (one - u);
    let dr = dn * kept[3] * a * (one - a);
    return StepGrad(array<F, 4>(dr, du, dn, F(0.0)), array<F, 4>(dr, du, dn * a, F(0.0)), dh * u, F(0.0));
}
