// The time loop of a recurrent layer. A lane of an RNN is four units, of the other cells the gates of one unit.

override THREADS: u32 = 64u;

struct Params {
    n: u32, steps: u32, hidden: u32,
    lanes: u32,
    tiles: u32, // of four sequences
    first: u32, end: u32, // turns of this launch: turn k takes step k
    reverse: u32, // 1: time runs from the last valid step to the first
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>; // [hidden, lanes]
@group(0) @binding(2) var<storage, read> x: array<f32>; // [n, steps, GATES, hidden]
@group(0) @binding(3) var<storage, read> start: array<f32>; // [STATES, n, hidden]
@group(0) @binding(4) var<storage, read> lengths: array<i32>; // [n]
@group(0) @binding(6) var<storage, read_write> last: array<f32>; // [STATES, n, hidden]

fn inner() -> u32 { return p.hidden; }

fn valid(row: u32) -> u32 { return u32(clamp(lengths[row], 0, i32(p.steps))); }

// Where step k of a sequence lies.
fn position(row: u32, k: u32) -> u32 {
    let length = valid(row);
    return row * p.steps + select(k, length - 1u - k, p.reverse == 1u && k < length);
}

// Where the vector of turn k lies: the hidden states before step k.
fn place(row: u32, k: u32) -> u32 {
    if (k == 0u) {
        return row * p.hidden;
    }
    return position(row, k - 1u) * p.hidden;
}

fn element(place: u32, j: u32, k: u32) -> f32 {
    if (k == 0u) {
        return start[place + j];
    }
    return state(place + j);
}

fn four(place: u32, j: u32, k: u32) -> vec4<f32> {
    if (k == 0u) {
        let at = place + j;
        return vec4<f32>(start[at], start[at + 1u], start[at + 2u], start[at + 3u]);
    }
    return four_states(place + j);
}

fn finish(tile: u32, lane: u32, k: u32, sums_of: mat4x4<f32>) {
    var sums = sums_of;
    for (var r = 0u; r < min(4u, p.n - tile * 4u); r++) {
        let row = tile * 4u + r;
        if (GATES > 1u) {
            unit_step(row, lane, k, sums[r]);
        } else {
            for (var i = 0u; i < min(4u, p.hidden - lane * 4u); i++) {
                unit_step(row, lane * 4u + i, k, vec4<f32>(sums[r][i], 0.0, 0.0, 0.0));
            }
        }
    }
}

fn unit_step(row: u32, unit: u32, k: u32, sum: vec4<f32>) {
    let length = valid(row);
    let at = position(row, k);
    let end = row * p.hidden + unit;
    let second = (p.n + row) * p.hidden + unit; // of an LSTM
    if (k >= length) {
        store_state(at * p.hidden + unit, 0.0);
        for (var i = 0u; i < KEPT; i++) {
            keep((at * KEPT + i) * p.hidden + unit, 0.0);
        }
        if (k == 0u) {
            last[end] = start[end];
            if (STATES > 1u) {
                last[second] = start[second];
            }
        }
        return;
    }
    var input = vec4<f32>();
    var z = sum;
    for (var g = 0u; g < GATES; g++) {
        input[g] = x[(at * GATES + g) * p.hidden + unit];
        z[g] += biased(g * p.hidden + unit);
    }
    var c = 0.0;
    if (STATES > 1u) {
        if (k == 0u) {
            c = start[second];
        } else {
            c = kept_at((position(row, k - 1u) * KEPT + KEPT - 1u) * p.hidden + unit);
        }
    }
    var h = 0.0;
    if (CELL == 3u) {
        h = element(place(row, k), unit, k);
    }
    let next = cell_step(input, z, h, c);
    store_state(at * p.hidden + unit, next.h);
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
