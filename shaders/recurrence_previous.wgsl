// The hidden state before each step.

override THREADS: u32 = 64u;

struct Params {
    count: u32,
    steps: u32,
    hidden: u32,
    reverse: u32, // 1: time runs from the last valid step to the first
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> hidden: array<f32>; // [n, steps, hidden]
@group(0) @binding(2) var<storage, read> start: array<f32>; // [n, hidden]
@group(0) @binding(3) var<storage, read> lengths: array<i32>; // [n]

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.count; at += groups.x * groups.y * groups.z * THREADS) {
        let unit = at % p.hidden;
        let t = at / p.hidden % p.steps;
        let row = at / p.hidden / p.steps;
        let length = u32(clamp(lengths[row], 0, i32(p.steps)));
        var y = 0.0;
        if (t < length) {
            if (select(t == 0u, t + 1u == length, p.reverse == 1u)) {
                y = start[row * p.hidden + unit];
            } else {
                y = hidden[select(at - p.hidden, at + p.hidden, p.reverse == 1u)];
            }
        }
        epilogue(at, y);
    }
}
