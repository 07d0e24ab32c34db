// Running sums along rows, one thread a row.

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,      // elements of a row
    inner: u32,  // distance of neighbours in a row
    reverse: u32, // 1: from the end
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var row = first; row < p.rows; row += groups.x * groups.y * groups.z * THREADS) {
        let base = (row / p.inner) * p.n * p.inner + row % p.inner;
        var sum = 0.0;
        for (var k = 0u; k < p.n; k++) {
            let at = base + select(k, p.n - 1u - k, p.reverse == 1u) * p.inner;
            sum += x[at];
            epilogue(at, sum);
        }
    }
}
