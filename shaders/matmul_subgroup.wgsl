// Products of matrices where workgroup memory is dear but subgroups of 8 are not: a subgroup makes a tile of ROWS rows, each
// thread the columns of one load. Each thread loads an eighth of the rows and hands it to the others, so that no element is
// loaded twice for a tile. Sizes along vectors are multiples of a load.

override SPLIT: u32 = 1u; // parts that the inner dimension is cut into: each is a batch of its own
override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;

const WIDTH = 4u * PARTS; // columns of a thread, and elements of the inner dimension that a turn takes
const ACROSS = 8u * WIDTH;

struct Params {
    batch: u32, m: u32, k: u32, n: u32,
    a: vec4<u32>, // strides of rows, columns, batches
    b: vec4<u32>,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Load>;
@group(0) @binding(2) var<storage, read> b: array<Load>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let across = (p.n + ACROSS - 1u) / ACROSS;
    let down = (p.m + ROWS - 1u) / ROWS;
    let tiles = p.batch * SPLIT * across * down;
    let depth = ((p.k + SPLIT - 1u) / SPLIT + WIDTH - 1u) / WIDTH * WIDTH;
    for (var tile = (group.z * groups.y + group.y) * groups.x + group.x; tile < tiles; tile += groups.x * groups.y * groups.z) {
        let column = tile % across * ACROSS + lane * WIDTH;
        let row = tile / across % down * ROWS;
        let part = tile / (across * down);
        let batch = part % p.batch;
        let first = part / p.batch * depth;
        // Past the last row and column the last ones are read again, and not stored.
        var rows = array<u32, ROWS / 8u>();
        for (var i = 0u; i < ROWS / 8u; i++) {
            if (TRANSPOSE_A) {
                let along = min(row + 8u * i + lane / WIDTH * WIDTH, p.m - WIDTH);
                rows[i] = (along + (first + lane % WIDTH) * p.a.y + batch * p.a.z) / WIDTH;
            } else {
                rows[i] = (min(row + 8u * i + lane, p.m - 1u) * p.a.x + first + batch * p.a.z) / WIDTH;
            }
        }
        let start = min(column, p.n - WIDTH);
        var at = (start + first * p.b.x + batch * p.b.z) / WIDTH;
        if (TRANSPOSE_B) {
            at = (start * p.b.y + first + batch * p.b.z) / WIDTH;
        }
        let next = select(p.b.x, p.b.y, TRANSPOSE_B) / WIDTH;
        var sums = array<mat4x4<f32>, ROWS / 4u * PARTS>(); // of each row, four of the thread's columns
        for (var k = first; k < min(first + depth, p.k); k += WIDTH) {
            var y = array<mat4x4<f32>, PARTS * PARTS>(); // by four of the inner dimension, four columns
            for (var q = 0u; q < PARTS; q++) {
                let y0 = parts(b[at + 4u * q * next]);
                let y1 = parts(b[at + (4u * q + 1u) * next]);
                let y2 = parts(b[at + (4u * q + 2u) * next]);
                let y3 = parts(b[at + (4u * q + 3u) * next]);
                for (var c = 0u; c < PARTS; c++) {
                    let block = mat4x4<f32>(y0[c], y1[c], y2[c], y3[c]);
                    if (TRANSPOSE_B) {
                        y[c * PARTS + q] = transpose(block);
                    } else {
                        y[q * PARTS + c] = block;
                    }
                }
            }
            for (var i = 0u; i < ROWS / 8u; i++) {
                let x = parts(a[rows[i]]);
                for (var q = 0u; q < PARTS; q++) {
                    let low = from_lanes(x[q], false);
                    let high = from_lanes(x[q], true);
                    for (var c = 0u; c < PARTS; c++) {
                        let s = 2u * i * PARTS + c;
                        if (TRANSPOSE_A && PARTS == 2u) {
                            // The load's vectors are rows; the halves of the subgroup have parts of the inner dimension.
                            sums[s + q * PARTS] += y[c] * transpose(low) + y[PARTS + c] * transpose(high);
                        } else if (TRANSPOSE_A) {
                            sums[s] += y[c] * transpose(low);
                            sums[s + PARTS] += y[c] * transpose(high);
                        } else {
                            sums[s] += y[q * PARTS + c] * low;
                            sums[s + PARTS] += y[q * PARTS + c] * high;
                        }
                    }
                }
                rows[i] += select(WIDTH, WIDTH * p.a.y, TRANSPOSE_A) / WIDTH;
            }
            at += select(WIDTH * p.b.x, WIDTH, TRANSPOSE_B) / WIDTH;
        }
        // Sums move up to where they are stored from: an array that is indexed by a variable lies in memory.
        for (var q = 0u; q < ROWS / 4u * PARTS; q++) {
            var four = sums[0];
            for (var r = q / PARTS * 4u; r < q / PARTS * 4u + 4u; r++) {
                if (row + r < p.m && column < p.n) {
                    epilogue(((part * p.m + row + r) * p.n + column) / 4u + q % PARTS, four[0]);
                }
                four = mat4x4<f32>(four[1], four[2], four[3], four[0]);
            }
            for (var i = 1u; i < ROWS / 4u * PARTS; i++) {
                sums[i - 1u] = sums[i];
            }
        }
    }
}
