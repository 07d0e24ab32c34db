// The time loop of a recurrent layer, on units or on vectors of four neighbouring ones: F. In the first case a lane of an
// RNN is four units, of the other cells the gates of one; in the second it is a vector.

override THREADS: u32 = 64u;

struct Params {
    n: u32, steps: u32,
    hidden: u32, // in units or vectors, as all that is indexed by it
    lanes: u32,
    tiles: u32, // of four sequences
    first: u32, end: u32, // turns of this launch: turn k takes step k
    reverse: u32, // 1: time runs from the last valid step to the first
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> weight: array<Load>;
@group(0) @binding(2) var<storage, read> x: array<F>; // [n, steps, GATES, hidden]
@group(0) @binding(3) var<storage, read> start: array<F>; // [STATES, n, hidden]
@group(0) @binding(4) var<storage, read> lengths: array<i32>; // [n]
@group(0) @binding(5) var<storage, read_write> states: array<F>; // [n, steps, hidden]
@group(0) @binding(6) var<storage, read_write> last: array<F>; // [STATES, n, hidden]

fn inner() -> u32 { return p.hidden; }

fn valid(row: u32) -> u32 { return u32(clamp(lengths[row], 0, i32(p.steps))); }

// Where step k of a sequence lies.
fn position(row: u32, length: u32, k: u32) -> u32 {
    return row * p.steps + select(k, length - 1u - k, p.reverse == 1u && k < length);
}

// Where the vector of turn k lies: the hidden states before step k.
fn place(row: u32, k: u32) -> u32 {
    if (k == 0u) {
        return row * p.hidden;
    }
    return position(row, valid(row), k - 1u) * p.hidden;
}

fn element(place: u32, j: u32, k: u32) -> F {
    if (k == 0u) {
        return start[place + j];
    }
    return states[place + j];
}

fn unit_step(row: u32, unit: u32, k: u32, sums: array<F, SUMS>) {
    let length = valid(row);
    let at = position(row, length, k);
    let end = row * p.hidden + unit;
    let second = (p.n + row) * p.hidden + unit; // of an LSTM
    if (k >= length) {
        states[at * p.hidden + unit] = F(0.0);
        for (var i = 0u; i < KEPT; i++) {
            keep((at * KEPT + i) * p.hidden + unit, F(0.0));
        }
        if (k == 0u) {
            last[end] = start[end];
            if (STATES > 1u) {
                last[second] = start[second];
            }
        }
        return;
    }
    var product = sums;
    var input = array<F, 4>();
    var z = array<F, 4>();
    for (var g = 0u; g < GATES; g++) {
        input[g] = x[(at * GATES + g) * p.hidden + unit];
        z[g] = product[g] + biased(g * p.hidden + unit);
    }
    var c = F(0.0);
    if (STATES > 1u) {
        if (k == 0u) {
            c = start[second];
        } else {
            c = kept_at((position(row, length, k - 1u) * KEPT + KEPT - 1u) * p.hidden + unit);
        }
    }
    var h = F(0.0);
    if (CELL == 3u) {
        h = element(place(row, k), unit, k);
    }
    let next = cell_step(input, z, h, c);
    states[at * p.hidden + unit] = next.h;
    var kept_values = next.kept;
    for (var i = 0u; i < KEPT; i++) {
        keep((at * KEPT + i) * p.hidden + unit, kept_values[i]);
    }
    if (k + 1u == length) {
        last[end] = next.h;
        if (STATES > 1u) {
            last[second] = next.c;
        }
    }
}
