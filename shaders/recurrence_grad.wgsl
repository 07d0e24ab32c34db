// The gradient of a recurrence, through time the other way, on units or on vectors of four neighbouring ones: F. A lane is
// four units either way.

override THREADS: u32 = 64u;

struct Params {
    n: u32, steps: u32,
    hidden: u32, // in units or vectors, as all that is indexed by it
    lanes: u32,
    tiles: u32, // of four sequences
    first: u32, end: u32, // turns of this launch: turn k takes step steps - 1 - k, the last one gives the initial states
    reverse: u32, // 1: time ran from the last valid step to the first
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> weight: array<Load>;
@group(0) @binding(2) var<storage, read> kept: array<F>; // [n, steps, KEPT, hidden], or the hidden states of an RNN
@group(0) @binding(3) var<storage, read> lengths: array<i32>; // [n]
@group(0) @binding(4) var<storage, read> grad: array<F>; // [n, steps, hidden]
@group(0) @binding(5) var<storage, read> grad_last: array<F>; // [STATES, n, hidden]
@group(0) @binding(6) var<storage, read_write> input_grads: array<F>; // [n, steps, GATES, hidden]
@group(0) @binding(7) var<storage, read_write> dstart: array<F>; // [STATES, n, hidden]; until the last turn what is carried

fn inner() -> u32 { return GATES * p.hidden; }

fn valid(row: u32) -> u32 { return u32(clamp(lengths[row], 0, i32(p.steps))); }

// Where step s of a sequence lies.
fn position(row: u32, length: u32, s: u32) -> u32 {
    return row * p.steps + select(s, length - 1u - s, p.reverse == 1u && s < length);
}

const NOWHERE = 0xffffffffu;

// Where the vector of turn k lies: gradients of what came from the state one step later; 0 past the valid steps.
fn place(row: u32, k: u32) -> u32 {
    let later = p.steps - k;
    let length = valid(row);
    if (later < length) {
        return position(row, length, later) * inner();
    }
    return NOWHERE;
}

fn element(place: u32, j: u32, k: u32) -> F {
    if (place == NOWHERE) {
        return F(0.0);
    }
    return product(place + j);
}

fn unit_step(row: u32, unit: u32, k: u32, sums: array<F, SUMS>) {
    let sum = sums[0];
    let length = valid(row);
    let end = row * p.hidden + unit;
    let second = (p.n + row) * p.hidden + unit; // of an LSTM
    if (k == p.steps) {
        if (length == 0u) {
            dstart[end] = grad_last[end];
            if (STATES > 1u) {
                dstart[second] = grad_last[second];
            }
        } else {
            dstart[end] += sum;
        }
        return;
    }
    let s = p.steps - 1u - k;
    let at = position(row, length, s);
    let to = at * GATES * p.hidden + unit;
    if (s >= length) {
        for (var g = 0u; g < GATES; g++) {
            input_grads[to + g * p.hidden] = F(0.0);
            store_product(to + g * p.hidden, F(0.0));
        }
        return;
    }
    var dh = grad[at * p.hidden + unit];
    var dc = F(0.0);
    var c = F(0.0);
    if (s + 1u == length) {
        dh += grad_last[end];
        if (STATES > 1u) {
            dc = grad_last[second];
        }
    } else {
        dh += sum + dstart[end];
        if (STATES > 1u) {
            dc = dstart[second];
        }
    }
    if (STATES > 1u) {
        if (s == 0u) {
            c = started(second);
        } else {
            c = kept[(position(row, length, s - 1u) * KEPT + KEPT - 1u) * p.hidden + unit];
        }
    }
    var values = array<F, 5>();
    for (var i = 0u; i < max(KEPT, 1u); i++) {
        values[i] = kept[(at * max(KEPT, 1u) + i) * p.hidden + unit];
    }
    var d = cell_grad(values, c, dh, dc);
    for (var g = 0u; g < GATES; g++) {
        input_grads[to + g * p.hidden] = d.x[g];
        store_product(to + g * p.hidden, d.z[g]);
    }
    dstart[end] = d.h;
    if (STATES > 1u) {
        dstart[second] = d.c;
    }
}
