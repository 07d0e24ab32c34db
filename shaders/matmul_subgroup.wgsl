// Products of matrices where workgroup memory is dear but subgroups of 8 are not: a subgroup makes a tile of 16 rows by 32
// columns, each thread 4 columns of it. Each thread loads an eighth of the rows and hands it to the others: 6 loads of
// vectors for 512 operations. Sizes along vectors are multiples of 4.

override SPLIT: u32 = 1u; // parts that the inner dimension is cut into: each is a batch of its own
override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;

struct Params {
    batch: u32, m: u32, k: u32, n: u32,
    a: vec4<u32>, // strides of rows, columns, batches
    b: vec4<u32>,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let across = (p.n + 31u) / 32u;
    let down = (p.m + 15u) / 16u;
    let tiles = p.batch * SPLIT * across * down;
    let depth = ((p.k + SPLIT - 1u) / SPLIT + 3u) / 4u * 4u;
    for (var tile = (group.z * groups.y + group.y) * groups.x + group.x; tile < tiles; tile += groups.x * groups.y * groups.z) {
        let column = tile % across * 32u + lane * 4u;
        let row = tile / across % down * 16u;
        let part = tile / (across * down);
        let batch = part % p.batch;
        let first = part / p.batch * depth;
        // Past the last row and column the last ones are read again, and not stored.
        var rows = min(vec2<u32>(row, row + 8u) + lane, vec2<u32>(p.m - 1u)) * p.a.x + first;
        var step_a = 1u;
        if (TRANSPOSE_A) {
            rows = min(vec2<u32>(row, row + 8u) + lane / 4u * 4u, vec2<u32>(p.m - 4u)) + (first + lane % 4u) * p.a.y;
            step_a = p.a.y;
        }
        rows = (rows + batch * p.a.z) / 4u;
        let start = min(column, p.n - 4u);
        var at = (start + first * p.b.x + batch * p.b.z) / 4u;
        var next = p.b.x / 4u;
        var step_b = p.b.x;
        if (TRANSPOSE_B) {
            at = (start * p.b.y + first + batch * p.b.z) / 4u;
            next = p.b.y / 4u;
            step_b = 1u;
        }
        var s0 = mat4x4<f32>(); // of each row, its 4 columns
        var s1 = mat4x4<f32>();
        var s2 = mat4x4<f32>();
        var s3 = mat4x4<f32>();
        for (var k = first; k < min(first + depth, p.k); k += 4u) {
            let low = a[rows.x];
            let high = a[rows.y];
            var y = mat4x4<f32>(b[at], b[at + next], b[at + 2u * next], b[at + 3u * next]);
            var x0 = mat4x4<f32>(subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u));
            var x1 = mat4x4<f32>(subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u));
            var x2 = mat4x4<f32>(subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u));
            var x3 = mat4x4<f32>(subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u));
            if (TRANSPOSE_B) {
                y = transpose(y);
            }
            if (TRANSPOSE_A) {
                x0 = transpose(x0);
                x1 = transpose(x1);
                x2 = transpose(x2);
                x3 = transpose(x3);
            }
            s0 += y * x0;
            s1 += y * x1;
            s2 += y * x2;
            s3 += y * x3;
            rows += step_a;
            at += step_b;
        }
        if (column < p.n) {
            store(part, row, column, s0);
            store(part, row + 4u, column, s1);
            store(part, row + 8u, column, s2);
            store(part, row + 12u, column, s3);
        }
    }
}

fn store(part: u32, row: u32, column: u32, sum: mat4x4<f32>) {
    for (var r = 0u; r < 4u; r++) {
        if (row + r < p.m) {
            epilogue(((part * p.m + row + r) * p.n + column) / 4u, sum[r]);
        }
    }
}
