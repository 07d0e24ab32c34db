// Convolution, and the gradient of its input, as a product of matrices whose right side is gathered while it runs.
// A workgroup handles CHANNELS output channels at 4 * THREADS positions, a thread 4 of them; nothing is shared.
//
// out[n, a, q] = sum over b, k of weight[a, b, k] * x[n, b, c], c = (q * step + k * dilation + start) / phases where
// that is whole and inside. The positions of a phase have the same remainder by `phases`, so that all threads of a
// workgroup see the same taps.

override THREADS: u32 = 64u;
override CHANNELS: u32 = 8u; // 1, 4 or 8
override PHASED: bool = true; // whether any of the phases is more than 1
override PARTED: bool = false; // whether the sums are cut in parts, each a whole output

struct Params {
    n: u32, groups: u32, a: u32, b: u32, // channels a group
    input: vec4<u32>, // sizes, their product
    output: vec4<u32>,
    cells: vec4<u32>, // positions of one phase
    kernel: vec4<u32>,
    step: vec3<u32>, length: u32, // input channels of a part
    dilation: vec4<i32>,
    start: vec4<i32>,
    phases: vec4<u32>,
    weight: vec3<u32>, parts: u32, // distances of groups, a, b
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;

fn quotients(a: vec4<u32>, n: u32) -> vec4<u32> {
    return vec4<u32>(quotient(a.x, n), quotient(a.y, n), quotient(a.z, n), quotient(a.w, n));
}

fn weights(at: vec4<u32>) -> vec4<f32> {
    if (CHANNELS == 1u) {
        return vec4<f32>(weight[at.x], 0.0, 0.0, 0.0);
    }
    return vec4<f32>(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
}

// Four channels from `channel` of a group, at the output's index `at` for channel 0.
fn store(at: u32, channel: u32, values: vec4<f32>) {
    let first = at + channel * p.output.w;
    if (channel < p.a) {
        epilogue(first, values.x);
    }
    if (CHANNELS > 1u) {
        if (channel + 1u < p.a) {
            epilogue(first + p.output.w, values.y);
        }
        if (channel + 2u < p.a) {
            epilogue(first + 2u * p.output.w, values.z);
        }
        if (channel + 3u < p.a) {
            epilogue(first + 3u * p.output.w, values.w);
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let blocks = (p.n * p.cells.w + 4u * THREADS - 1u) / (4u * THREADS);
    let rows = (p.a + CHANNELS - 1u) / CHANNELS;
    let tasks = p.parts * p.groups * p.phases.w * rows * blocks;
    for (var task = (group.z * groups.y + group.y) * groups.x + group.x; task < tasks;
         task += groups.x * groups.y * groups.z) {
        let channel = task % rows * CHANNELS;
        let block = task / rows % blocks;
        let part = task / (rows * blocks) % p.groups;
        var remainder = task / (rows * blocks * p.groups);
        var share = 0u;
        var start = 0u; // the part's first input channel
        var channels = p.b;
        if (PARTED) {
            share = remainder / p.phases.w;
            remainder %= p.phases.w;
            start = share * p.length;
            channels = min(p.length, p.b - start);
        }
        let phase = vec3<u32>(remainder / (p.phases.y * p.phases.z), remainder / p.phases.z % p.phases.y,
                              remainder % p.phases.z);

        // Coordinates of the thread's four positions within the phase.
        var at = block * 4u * THREADS + thread + vec4<u32>(0u, 1u, 2u, 3u) * THREADS;
        var live = at < vec4<u32>(p.n * p.cells.w);
        at = min(at, vec4<u32>(p.n * p.cells.w - 1u));
        let row = quotients(at, p.cells.z);
        let sheet = quotients(row, p.cells.y);
        let sample = quotients(sheet, p.cells.x);
        let qw = at - row * p.cells.z;
        let qh = row - sheet * p.cells.y;
        let qd = sheet - sample * p.cells.x;
        let image = ((sample * p.groups + part) * p.b + start) * p.input.w;

        let low_rows = min(channel + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.a - 1u));
        let high_rows = min(channel + vec4<u32>(4u, 5u, 6u, 7u), vec4<u32>(p.a - 1u));
        var low = mat4x4<f32>();
        var high = mat4x4<f32>();
        for (var kd = 0u; kd < p.kernel.x; kd++) {
            let ed = i32(phase.x) + i32(kd) * p.dilation.x + p.start.x;
            if (PHASED && ed % i32(p.phases.x) != 0) { continue; }
            let cd = vec4<u32>(vec4<i32>(qd * p.step.x) + select(ed, ed / i32(p.phases.x), PHASED));
            let in_depth = live & (cd < vec4<u32>(p.input.x));
            for (var kh = 0u; kh < p.kernel.y; kh++) {
                let eh = i32(phase.y) + i32(kh) * p.dilation.y + p.start.y;
                if (PHASED && eh % i32(p.phases.y) != 0) { continue; }
                let ch = vec4<u32>(vec4<i32>(qh * p.step.y) + select(eh, eh / i32(p.phases.y), PHASED));
                let in_row = in_depth & (ch < vec4<u32>(p.input.y));
                let line = (cd * p.input.y + ch) * p.input.z;
                for (var kw = 0u; kw < p.kernel.z; kw++) {
                    let ew = i32(phase.z) + i32(kw) * p.dilation.z + p.start.z;
                    if (PHASED && ew % i32(p.phases.z) != 0) { continue; }
                    let cw = vec4<u32>(vec4<i32>(qw * p.step.z) + select(ew, ew / i32(p.phases.z), PHASED));
                    let inside = in_row & (cw < vec4<u32>(p.input.z));
                    var seen = image + select(vec4<u32>(0u), line + cw, inside);
                    let tap = part * p.weight.x + start * p.weight.z + (kd * p.kernel.y + kh) * p.kernel.z + kw;
                    var low_at = tap + low_rows * p.weight.y;
                    var high_at = tap + high_rows * p.weight.y;
                    for (var b = 0u; b < channels; b++) {
                        let v = select(vec4<f32>(0.0), vec4<f32>(x[seen.x], x[seen.y], x[seen.z], x[seen.w]), inside);
                        let w = weights(low_at);
                        low[0] += v.x * w;
                        low[1] += v.y * w;
                        low[2] += v.z * w;
                        low[3] += v.w * w;
                        low_at += p.weight.z;
                        if (CHANNELS > 4u) {
                            let w = weights(high_at);
                            high[0] += v.x * w;
                            high[1] += v.y * w;
                            high[2] += v.z * w;
                            high[3] += v.w * w;
                            high_at += p.weight.z;
                        }
                        seen += p.input.w;
                    }
                }
            }
        }

        let od = qd * p.phases.x + phase.x;
        let oh = qh * p.phases.y + phase.y;
        let ow = qw * p.phases.z + phase.z;
        live = live & (od < vec4<u32>(p.output.x)) & (oh < vec4<u32>(p.output.y)) & (ow < vec4<u32>(p.output.z));
        let plane = (share * p.n + sample) * p.groups + part;
        let first = plane * p.a * p.output.w + (od * p.output.y + oh) * p.output.z + ow;
        if (live.x) { store(first.x, channel, low[0]); }
        if (live.y) { store(first.y, channel, low[1]); }
        if (live.z) { store(first.z, channel, low[2]); }
        if (live.w) { store(first.w, channel, low[3]); }
        if (CHANNELS > 4u) {
            if (live.x) { store(first.x, channel + 4u, high[0]); }
            if (live.y) { store(first.y, channel + 4u, high[1]); }
            if (live.z) { store(first.z, channel + 4u, high[2]); }
            if (live.w) { store(first.w, channel + 4u, high[3]); }
        }
    }
}
