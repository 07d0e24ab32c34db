// The gradient of a convolution's weight: weight[a, b, k] = sum over n, q of grad[n, a, q] * x[n, b, c] where
// c = q * stride + k * dilation - padding is inside. A thread handles CHANNELS channels a by 4 of the columns (b, k) over
// one part of the rows (n, depth, height, part of a line) of positions.

override THREADS: u32 = 64u;
override CHANNELS: u32 = 8u; // 1, 4 or 8
override CUT: bool = false; // whether a row is a part of a line of positions

struct Params {
    rows: u32, groups: u32, a: u32, b: u32, // channels a group
    input: vec4<u32>, // sizes, their product
    output: vec4<u32>,
    kernel: vec4<u32>,
    stride: vec3<u32>, parts: u32,
    dilation: vec3<u32>, length: u32, // rows of a part
    padding: vec3<u32>, count: u32, // elements of the weight
    cuts: u32, span: u32, // parts of a line, positions of a part
    unused: vec2<u32>,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;

fn grads(at: vec4<u32>) -> vec4<f32> {
    if (CHANNELS == 1u) {
        return vec4<f32>(grad[at.x], 0.0, 0.0, 0.0);
    }
    return vec4<f32>(grad[at.x], grad[at.y], grad[at.z], grad[at.w]);
}

// Four channels from `channel` of one column; `at` is the index for channel 0.
fn store(at: u32, channel: u32, values: vec4<f32>) {
    let distance = p.b * p.kernel.w;
    let first = at + channel * distance;
    if (channel < p.a) {
        epilogue(first, values.x);
    }
    if (CHANNELS > 1u) {
        if (channel + 1u < p.a) {
            epilogue(first + distance, values.y);
        }
        if (channel + 2u < p.a) {
            epilogue(first + 2u * distance, values.z);
        }
        if (channel + 3u < p.a) {
            epilogue(first + 3u * distance, values.w);
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let columns = p.b * p.kernel.w;
    let across = (columns + 3u) / 4u;
    let down = (p.a + CHANNELS - 1u) / CHANNELS;
    let tasks = p.parts * p.groups * down * across;
    for (var task = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread; task < tasks;
         task += groups.x * groups.y * groups.z * THREADS) {
        let left = task % across * 4u;
        let channel = task / across % down * CHANNELS;
        let group = task / (across * down) % p.groups;
        let part = task / (across * down * p.groups);

        let column = min(left + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(columns - 1u));
        let k = column % p.kernel.w;
        let kw = vec4<i32>(k % p.kernel.z * p.dilation.z) - i32(p.padding.z);
        let kh = vec4<i32>(k / p.kernel.z % p.kernel.y * p.dilation.y) - i32(p.padding.y);
        let kd = vec4<i32>(k / (p.kernel.z * p.kernel.y) * p.dilation.x) - i32(p.padding.x);
        let plane = column / p.kernel.w;
        let low_rows = min(channel + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.a - 1u));
        let high_rows = min(channel + vec4<u32>(4u, 5u, 6u, 7u), vec4<u32>(p.a - 1u));

        var low = mat4x4<f32>();
        var high = mat4x4<f32>();
        for (var row = part * p.length; row < min((part + 1u) * p.length, p.rows); row++) {
            var line_at = row;
            var start = 0u;
            var end = p.output.z;
            if (CUT) {
                line_at = row / p.cuts;
                start = row % p.cuts * p.span;
                end = min(start + p.span, end);
            }
            let qh = line_at % p.output.y;
            let qd = line_at / p.output.y % p.output.x;
            let sample = line_at / (p.output.y * p.output.x);
            let cd = vec4<u32>(kd + i32(qd * p.stride.x));
            let ch = vec4<u32>(kh + i32(qh * p.stride.y));
            let in_row = (cd < vec4<u32>(p.input.x)) & (ch < vec4<u32>(p.input.y));
            let line = ((sample * p.groups + group) * p.b + plane) * p.input.w + (cd * p.input.y + ch) * p.input.z;
            let first = (sample * p.groups + group) * p.a * p.output.w + (qd * p.output.y + qh) * p.output.z + start;
            var low_at = first + low_rows * p.output.w;
            var high_at = first + high_rows * p.output.w;
            // Two levels, so that the sum of many positions loses little.
            var low_sum = mat4x4<f32>();
            var high_sum = mat4x4<f32>();
            for (var q = start; q < end; q++) {
                let cw = vec4<u32>(kw + i32(q * p.stride.z));
                let inside = in_row & (cw < vec4<u32>(p.input.z));
                let seen = select(vec4<u32>(0u), line + cw, inside);
                let v = select(vec4<f32>(0.0), vec4<f32>(x[seen.x], x[seen.y], x[seen.z], x[seen.w]), inside);
                let g = grads(low_at);
                low_sum[0] += v.x * g;
                low_sum[1] += v.y * g;
                low_sum[2] += v.z * g;
                low_sum[3] += v.w * g;
                low_at += 1u;
                if (CHANNELS > 4u) {
                    let g = grads(high_at);
                    high_sum[0] += v.x * g;
                    high_sum[1] += v.y * g;
                    high_sum[2] += v.z * g;
                    high_sum[3] += v.w * g;
                    high_at += 1u;
                }
            }
            low += low_sum;
            high += high_sum;
        }

        let at = part * p.count + group * p.a * columns + column;
        store(at.x, channel, low[0]);
        if (left + 1u < columns) { store(at.y, channel, low[1]); }
        if (left + 2u < columns) { store(at.z, channel, low[2]); }
        if (left + 3u < columns) { store(at.w, channel, low[3]); }
        if (CHANNELS > 4u) {
            store(at.x, channel + 4u, high[0]);
            if (left + 1u < columns) { store(at.y, channel + 4u, high[1]); }
            if (left + 2u < columns) { store(at.z, channel + 4u, high[2]); }
            if (left + 3u < columns) { store(at.w, channel + 4u, high[3]); }
        }
    }
}
