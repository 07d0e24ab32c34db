// Running sums along rows, one thread a row, or a part of one where the sums before it are known.

override THREADS: u32 = 64u;
override PARTED: bool = false;

struct Params {
    rows: u32,
    n: u32,      // elements of a row
    inner: u32,  // distance of neighbours in a row
    reverse: u32, // 1: from the end
    parts: u32,
    length: u32, // elements of a part
    unused: vec2<u32>,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var task = first; task < p.rows * p.parts; task += groups.x * groups.y * groups.z * THREADS) {
        var row = task;
        var start = 0u;
        var end = p.n;
        var total = 0.0;
        if (PARTED) {
            let part = task / p.rows;
            row = task % p.rows;
            start = min(part * p.length, p.n);
            end = min(start + p.length, p.n);
            if (p.reverse == 1u && part + 1u < p.parts) {
                total = sum_to(task + p.rows);
            } else if (p.reverse == 0u && part > 0u) {
                total = sum_to(task - p.rows);
            }
        }
        let base = (row / p.inner) * p.n * p.inner + row % p.inner;
        // Two levels, so that the sum of a long row loses little.
        for (var block = start; block < end; block += 256u) {
            var sum = 0.0;
            for (var k = block; k < min(block + 256u, end); k++) {
                let at = base + select(k, end - 1u - (k - start), p.reverse == 1u) * p.inner;
                sum += x[at];
                epilogue(at, total + sum);
            }
            total += sum;
        }
    }
}
