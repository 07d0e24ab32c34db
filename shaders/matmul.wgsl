// Products of matrices, one thread a tile of 4 by 4: right on every device, quick on none.

override THREADS: u32 = 64u;
override SPLIT: u32 = 1u; // parts that the inner dimension is cut into: each is a batch of its own

struct Params {
    batch: u32, m: u32, k: u32, n: u32,
    a: vec4<u32>, // strides of rows, columns, batches
    b: vec4<u32>,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    let across = (p.n + 3u) / 4u;
    let down = (p.m + 3u) / 4u;
    let tiles = p.batch * SPLIT * across * down;
    let depth = (p.k + SPLIT - 1u) / SPLIT;
    for (var tile = first; tile < tiles; tile += groups.x * groups.y * groups.z * THREADS) {
        let column = (tile % across) * 4u;
        let row = (tile / across % down) * 4u;
        let part = tile / (across * down);
        let batch = part % p.batch;
        let begin = min(part / p.batch * depth, p.k);
        var at_a = vec4<u32>(0u, 1u, 2u, 3u) + row;
        at_a = min(at_a, vec4<u32>(p.m - 1u)) * p.a.x + batch * p.a.z + begin * p.a.y;
        var at_b = vec4<u32>(0u, 1u, 2u, 3u) + column;
        at_b = min(at_b, vec4<u32>(p.n - 1u)) * p.b.y + batch * p.b.z + begin * p.b.x;
        var sum = mat4x4<f32>();
        for (var k = begin; k < min(begin + depth, p.k); k++) {
            let x = vec4<f32>(a[at_a.x], a[at_a.y], a[at_a.z], a[at_a.w]);
            let y = vec4<f32>(b[at_b.x], b[at_b.y], b[at_b.z], b[at_b.w]);
            sum[0] += x.x * y;
            sum[1] += x.y * y;
            sum[2] += x.z * y;
            sum[3] += x.w * y;
            at_a += p.a.y;
            at_b += p.b.x;
        }
        for (var r = 0u; r < min(4u, p.m - row); r++) {
            for (var c = 0u; c < min(4u, p.n - column); c++) {
                epilogue((part * p.m + row + r) * p.n + column + c, sum[r][c]);
            }
        }
    }
}
