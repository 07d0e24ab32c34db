// Products of matrices for hardware: one workgroup of 256 threads a tile of 64 by 64, staged 16 deep in workgroup
// memory, 4 by 4 a thread in registers. 2 * 64 * 64 * 16 operations for 2 * 64 * 16 loads: 16 operations a load.

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

const TILE = 64u;
const DEPTH = 16u;
const PITCH = 68u; // a row of a staged tile, padded against bank conflicts

var<workgroup> stage_a: array<f32, DEPTH * PITCH>;
var<workgroup> stage_b: array<f32, DEPTH * PITCH>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let across = (p.n + TILE - 1u) / TILE;
    let down = (p.m + TILE - 1u) / TILE;
    let tiles = p.batch * SPLIT * across * down;
    let depth = ((p.k + SPLIT - 1u) / SPLIT + DEPTH - 1u) / DEPTH * DEPTH;
    // Neighbouring threads load neighbouring words, whichever way an operand lies.
    let a_along_k = p.a.y == 1u;
    let b_along_k = p.b.x == 1u;
    let long = vec2<u32>(thread / 64u, thread % 64u); // (depth, along the tile)
    let deep = vec2<u32>(thread % 16u, thread / 16u);
    let at_a = select(long, deep, a_along_k);
    let at_b = select(long, deep, b_along_k);
    let step_a = select(vec2<u32>(4u, 0u), vec2<u32>(0u, 16u), a_along_k);
    let step_b = select(vec2<u32>(4u, 0u), vec2<u32>(0u, 16u), b_along_k);
    let my_row = thread / 16u * 4u;
    let my_column = thread % 16u * 4u;
    for (var tile = (group.z * groups.y + group.y) * groups.x + group.x; tile < tiles; tile += groups.x * groups.y * groups.z) {
        let column = tile % across * TILE;
        let row = tile / across % down * TILE;
        let part = tile / (across * down);
        let batch = part % p.batch;
        let first = part / p.batch * depth;
        let last = min(first + depth, p.k);
        var sum = mat4x4<f32>();
        for (var k = first; k < last; k += DEPTH) {
            for (var i = 0u; i < 4u; i++) {
                let s = at_a + i * step_a;
                var value = 0.0;
                if (k + s.x < last && row + s.y < p.m) {
                    value = a[batch * p.a.z + (row + s.y) * p.a.x + (k + s.x) * p.a.y];
                }
                stage_a[s.x * PITCH + s.y] = value;
                let t = at_b + i * step_b;
                value = 0.0;
                if (k + t.x < last && column + t.y < p.n) {
                    value = b[batch * p.b.z + (k + t.x) * p.b.x + (column + t.y) * p.b.y];
                }
                stage_b[t.x * PITCH + t.y] = value;
            }
            workgroupBarrier();
            for (var d = 0u; d < DEPTH; d++) {
                let x = d * PITCH + my_row;
                let y = d * PITCH + my_column;
                let v = vec4<f32>(stage_b[y], stage_b[y + 1u], stage_b[y + 2u], stage_b[y + 3u]);
                sum[0] += stage_a[x] * v;
                sum[1] += stage_a[x + 1u] * v;
                sum[2] += stage_a[x + 2u] * v;
                sum[3] += stage_a[x + 3u] * v;
            }
            workgroupBarrier();
        }
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                let i = row + my_row + r;
                let j = column + my_column + c;
                if (i < p.m && j < p.n) {
                    epilogue((part * p.m + i) * p.n + j, sum[r][c]);
                }
            }
        }
    }
}
