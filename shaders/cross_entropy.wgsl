// Cross entropy of logits [n, c, inner] with class labels [n, inner]: the loss of each row, and what the gradient needs: its
// largest logit and the logarithm of the sum of e^(logit - largest).

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,      // classes
    inner: u32,  // distance of neighbours in a row
    ignore: u32, // label, as bits, of rows without a loss
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> largest: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_sum: array<f32>;

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
        if (member == 0u) {
            let label = labels[row];
            // What is out of range (negative ones are large) takes the last class.
            let chosen = x[base + min(label, p.n - 1u) * p.inner];
            // Of a row whose largest is infinite or NaN, whatever a device makes of the exponential of NaN.
            let log_of_sum = select(log(sum), from_bits(0x7fc00000u), endless(most));
            largest[row] = most;
            log_sum[row] = log_of_sum;
            epilogue(row, select(log_of_sum - (chosen - most), 0.0, label == p.ignore));
        }
    }
}
