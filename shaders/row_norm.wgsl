// Rows less their mean, divided by their deviation, times a weight, plus a bias. Two passes over a row; a cache serves the second.
// Means are counted from the row's first element, so that a large one costs no digits.

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,        // elements of a row
    stride: u32,   // 1
    groups: u32,   // rows after which weights repeat
    channels: u32, // weights of a row
    inner: u32,    // elements that share a weight
    last: u32,     // last weight
    centred: u32,  // 0: the mean counts as 0
    eps: f32,
    last_bias: u32,
    unused: vec2<u32>,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;

// The position of the element's weight and bias.
fn channel_of(row: u32, k: u32) -> u32 {
    var channel = k;
    if (p.inner != 1u) {
        channel = k / p.inner;
    }
    return row % p.groups * p.channels + channel;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let first = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var row = first; row < p.rows; row += step) {
        let base = row * p.n;
        var shift = 0.0;
        if (p.centred == 1u) {
            shift = x[base];
        }
        var m = Moments(0.0, 0.0, 0.0);
        for (var block = member; block < p.n; block += 16u * TEAM) {
            var n = 0.0;
            var sum = 0.0;
            var squares = 0.0;
            for (var k = block; k < min(block + 16u * TEAM, p.n); k += TEAM) {
                let d = x[base + k] - shift - m.mean;
                n += 1.0;
                sum += d;
                squares += d * d;
            }
            if (p.centred == 1u) {
                m = absorbed(m, n, sum, squares);
            } else {
                m.n += n;
                m.squares += squares;
            }
        }
        m = team_moments(m, f32(p.n), member);
        let r = 1.0 / sqrt(max_f(m.squares / f32(p.n), 0.0) + p.eps);
        for (var k = member; k < p.n; k += TEAM) {
            let channel = channel_of(row, k);
            let y = (x[base + k] - shift - m.mean) * r * weight[min(channel, p.last)];
            epilogue(base + k, y + bias[min(channel, p.last_bias)]);
        }
        if (member == 0u) {
            mean[row] = shift + m.mean;
            rstd[row] = r;
        }
    }
}
