// A reduction, one thread a chunk of a row: for short rows, and where barriers are dear.

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    columns: u32,
    chunks: u32, // parts that a row is cut into
    length: u32, // columns of a part
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    let tasks = p.rows * p.chunks;
    for (var task = first; task < tasks; task += groups.x * groups.y * groups.z * THREADS) {
        let row = task % p.rows;
        let start = task / p.rows * p.length;
        let end = min(start + p.length, p.columns);
        // Two levels, so that the sum of a long chunk loses little.
        var total = initial();
        for (var block = start; block < end; block += 256u) {
            var sum = initial();
            for (var column = block; column < min(block + 256u, end); column++) {
                sum = combine(sum, prologue(row, column));
            }
            total = combine(total, sum);
        }
        epilogue(task, total);
    }
}
