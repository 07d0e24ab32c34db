// The gradient of a recurrence, through time the other way. A lane is four units.

override THREADS: u32 = 64u;

struct Params {
    n: u32, steps: u32, hidden: u32,
    lanes: u32,
    tiles: u32, // of four sequences
    first: u32, end: u32, // turns of this launch: turn k takes step steps - 1 - k, the last one gives the initial states
    reverse: u32, // 1: time ran from the last valid step to the first
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [GATES * hidden, lanes]
@group(0) @binding(2) var<storage, read> kept: array<f32>; // [n, steps, KEPT, hidden], or the hidden states of an RNN
@group(0) @binding(3) var<storage, read> lengths: array<i32>; // [n]
@group(0) @binding(4) var<storage, read> grad: array<f32>; // [n, steps, hidden]
@group(0) @binding(5) var<storage, read> grad_last: array<f32>; // [STATES, n, hidden]
@group(0) @binding(7) var<storage, read_write> dstart: array<f32>; // [STATES, n, hidden]; until the last turn what is carried

fn inner() -> u32 { return GATES * p.hidden; }

fn valid(row: u32) -> u32 { return u32(clamp(lengths[row], 0, i32(p.steps))); }

// Where step s of a sequence lies.
fn position(row: u32, s: u32) -> u32 {
    let length = valid(row);
    return row * p.steps + select(s, length - 1u - s, p.reverse == 1u && s < length);
}

const NOWHERE = 0xffffffffu;

// Where the vector of turn k lies: gradients of what came from the state one step later; 0 past the valid steps.
fn place(row: u32, k: u32) -> u32 {
    let later = p.steps - k;
    if (later < valid(row)) {
        return position(row, later) * inner();
    }
    return NOWHERE;
}

fn element(place: u32, j: u32, k: u32) -> f32 {
    if (place == NOWHERE) {
        return 0.0;
    }
    return product(place + j);
}

fn four(place: u32, j: u32, k: u32) -> vec4<f32> {
    if (place == NOWHERE) {
        return vec4<f32>();
    }
    return four_products(place + j);
}

fn finish(tile: u32, lane: u32, k: u32, sums_of: mat4x4<f32>) {
    var sums = sums_of;
    for (var r = 0u; r < min(4u, p.n - tile * 4u); r++) {
        for (var i = 0u; i < min(4u, p.hidden - lane * 4u); i++) {
            unit_step(tile * 4u + r, lane * 4u + i, k, sums[r][i]);
        }
    }
}

fn unit_step(row: u32, unit: u32, k: u32, sum: f32) {
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
    let at = position(row, s);
    let to = at * GATES * p.hidden + unit;
    if (s >= length) {
        for (var g = 0u; g < GATES; g++) {
            store_input_grad(to + g * p.hidden, 0.0);
            store_product(to + g * p.hidden, 0.0);
        }
        return;
    }
    var dh = grad[at * p.hidden + unit];
    var dc = 0.0;
    var c = 0.0;
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
            c = kept[(position(row, s - 1u) * KEPT + KEPT - 1u) * p.hidden + unit];
        }
    }
    var values = array<f32, 5>();
    for (var i = 0u; i < max(KEPT, 1u); i++) {
        values[i] = kept[(at * max(KEPT, 1u) + i) * p.hidden + unit];
    }
    let d = cell_grad(values, c, dh, dc);
    for (var g = 0u; g < GATES; g++) {
        store_input_grad(to + g * p.hidden, d.x[g]);
        store_product(to + g * p.hidden, d.z[g]);
    }
    dstart[end] = d.h;
    if (STATES > 1u) {
        dstart[second] = d.c;
    }
}
