// Softmax along rows, or its logarithm. Three passes over a row, of which a cache serves the last two.

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,     // elements of a row
    inner: u32, // distance of neighbours in a row
    log: u32,   // 1: the logarithm
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let first = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var row = first; row < p.rows; row += step) {
        let base = (row / p.inner) * p.n * p.inner + row % p.inner;
        var most = from_bits(0xff800000u);
        for (var k = member; k < p.n; k += TEAM) {
            most = max_f(most, x[base + k * p.inner]);
        }
        most = team_max(most, member);
        // Two levels, so that the sum of a long row loses little.
        var sum = 0.0;
        for (var block = member; block < p.n; block += 256u * TEAM) {
            var part = 0.0;
            for (var k = block; k < min(block + 256u * TEAM, p.n); k += TEAM) {
                part += exp(x[base + k * p.inner] - most);
            }
            sum += part;
        }
        sum = team_sum(sum, member);
        // Of a row whose largest is infinite or NaN all are NaN, whatever a device makes of the exponential of NaN.
        sum = select(sum, from_bits(0x7fc00000u), endless(most));
        let shift = select(log(sum), sum, endless(most));
        for (var k = member; k < p.n; k += TEAM) {
            let at = base + k * p.inner;
            let d = x[at] - most;
            if (p.log == 1u) {
                epilogue(at, d - shift);
            } else {
                epilogue(at, exp(d) / sum);
            }
        }
    }
}
