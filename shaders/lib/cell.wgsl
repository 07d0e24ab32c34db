// What one step of a recurrent layer computes for a unit; CELL: 0 tanh, 1 relu, 2 LSTM (i, f, g, o), 3 GRU (r, z, n).

struct Step {
    h: f32,
    c: f32,
    kept: array<f32, 5>,
}

fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }

// x: what comes from the input, a gate each; z: from the state; h, c: the states before.
fn cell_step(x: vec4<f32>, z: vec4<f32>, h: f32, c: f32) -> Step {
    if (CELL == 0u) {
        return Step(tanh_(x.x + z.x), 0.0, array<f32, 5>());
    }
    if (CELL == 1u) {
        return Step(max_f(x.x + z.x, 0.0), 0.0, array<f32, 5>());
    }
    if (CELL == 2u) {
        let a = x + z;
        let i = sigmoid(a.x);
        let f = sigmoid(a.y);
        let g = tanh_(a.z);
        let o = sigmoid(a.w);
        let next = f * c + i * g;
        return Step(o * tanh_(next), next, array<f32, 5>(i, f, g, o, next));
    }
    let r = sigmoid(x.x + z.x);
    let u = sigmoid(x.y + z.y);
    let n = tanh_(x.z + r * z.z);
    return Step(n + u * (h - n), 0.0, array<f32, 5>(r, u, n, z.z, h));
}

struct StepGrad {
    x: vec4<f32>, // of what comes from the input
    z: vec4<f32>, // of what comes from the state
    h: f32,       // of the states before, but for what comes through z
    c: f32,
}

// kept: what cell_step kept, or the hidden state of an RNN; c: the state before; dh, dc: gradients of the new states.
fn cell_grad(kept: array<f32, 5>, c: f32, dh: f32, dc: f32) -> StepGrad {
    let a = kept[0];
    if (CELL == 0u) {
        let d = vec4<f32>(dh * (1.0 - a * a));
        return StepGrad(d, d, 0.0, 0.0);
    }
    if (CELL == 1u) {
        let d = vec4<f32>(select(dh, 0.0, a <= 0.0));
        return StepGrad(d, d, 0.0, 0.0);
    }
    if (CELL == 2u) {
        let f = kept[1];
        let g = kept[2];
        let o = kept[3];
        let t = tanh_(kept[4]);
        let s = dc + dh * o * (1.0 - t * t);
        let d = vec4<f32>(s * g * a * (1.0 - a), s * c * f * (1.0 - f), s * a * (1.0 - g * g), dh * t * o * (1.0 - o));
        return StepGrad(d, d, 0.0, s * f);
    }
    let u = kept[1];
    let n = kept[2];
    let dn = dh * (1.0 - u) * (1.0 - n * n);
    let du = dh * (kept[4] - n) * u * (1.0 - u);
    let dr = dn * kept[3] * a * (1.0 - a);
    return StepGrad(vec4<f32>(dr, du, dn, 0.0), vec4<f32>(dr, du, dn * a, 0.0), dh * u, 0.0);
}
