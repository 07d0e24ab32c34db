// A reduction, one workgroup a chunk of a row: each thread strides over the chunk, then a tree in workgroup memory.

override THREADS: u32 = 128u;

struct Params {
    rows: u32,
    columns: u32,
    chunks: u32, // parts that a row is cut into
    length: u32, // columns of a part
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;

var<workgroup> tree: array<C, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = (group.z * groups.y + group.y) * groups.x + group.x;
    let tasks = p.rows * p.chunks;
    for (var task = first; task < tasks; task += groups.x * groups.y * groups.z) {
        let row = task % p.rows;
        let start = task / p.rows * p.length;
        let end = min(start + p.length, p.columns);
        var sum = initial();
        for (var column = start + thread; column < end; column += THREADS) {
            sum = combine(sum, prologue(row, column));
        }
        tree[thread] = sum;
        workgroupBarrier();
        for (var half = THREADS / 2u; half > 0u; half /= 2u) {
            if (thread < half) {
                tree[thread] = combine(tree[thread], tree[thread + half]);
            }
            workgroupBarrier();
        }
        if (thread == 0u) {
            epilogue(task, tree[0]);
        }
        workgroupBarrier();
    }
}
