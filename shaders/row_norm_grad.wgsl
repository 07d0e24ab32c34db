// The gradient of what row_norm normalised. Two passes over a row; a cache serves the second.

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
    unused0: u32, unused1: u32, unused2: u32,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> rstd: array<f32>;

fn weight_of(row: u32, k: u32) -> f32 {
    var channel = k;
    if (p.inner != 1u) {
        channel = k / p.inner;
    }
    return weight[min(row % p.groups * p.channels + channel, p.last)];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let first = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var row = first; row < p.rows; row += step) {
        let base = row * p.n;
        let m = mean[row];
        let r = rstd[row];
        var plain = 0.0;
        var along = 0.0;
        // Two levels, so that the sum of a long row loses little.
        for (var block = member; block < p.n; block += 256u * TEAM) {
            var a = 0.0;
            var b = 0.0;
            for (var k = block; k < min(block + 256u * TEAM, p.n); k += TEAM) {
                let up = grad[base + k] * weight_of(row, k);
                a += up;
                b += up * ((x[base + k] - m) * r);
            }
            plain += a;
            along += b;
        }
        plain = team_sum(plain, member) / f32(p.n);
        plain = select(0.0, plain, p.centred == 1u);
        along = team_sum(along, member) / f32(p.n);
        for (var k = member; k < p.n; k += TEAM) {
            let up = grad[base + k] * weight_of(row, k);
            epilogue(base + k, (up - plain - (x[base + k] - m) * r * along) * r);
        }
    }
}
