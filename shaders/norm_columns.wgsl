// Of long rows whose elements each have a weight of their own: the gradient of what was normalised, and the sums over rows of
// grad and of grad * (x - mean) * rstd. One thread goes down a column; both inputs are read once.

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    columns: u32,
    per: u32,     // columns that share statistics
    groups: u32,  // statistics of a row
    last: u32,    // last weight
    centred: u32, // 0: the mean counts as 0
    unused: vec2<u32>,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> rstd: array<f32>;
@group(0) @binding(6) var<storage, read> sums: array<f32>; // over each row: of grad * weight, then of that * (x - mean) * rstd
@group(0) @binding(7) var<storage, read_write> of_columns: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    let step = groups.x * groups.y * groups.z * THREADS;
    let n = f32(p.per);
    for (var column = first; column < p.columns; column += step) {
        let w = weight[min(column, p.last)];
        var plain = 0.0;
        var hat = 0.0;
        // Two levels, so that the sum of a long column loses little.
        for (var block = 0u; block < p.rows; block += 256u) {
            var a = 0.0;
            var b = 0.0;
            for (var row = block; row < min(block + 256u, p.rows); row++) {
                let at = row * p.columns + column;
                let share = row * p.groups + column / p.per;
                let r = rstd[share];
                let h = (x[at] - mean[share]) * r;
                let g = grad[at];
                a += g;
                b += g * h;
                let off = select(0.0, sums[share] / n, p.centred == 1u);
                epilogue(at, (g * w - off - h * (sums[p.rows * p.groups + share] / n)) * r);
            }
            plain += a;
            hat += b;
        }
        of_columns[column] = plain;
        of_columns[p.columns + column] = hat;
    }
}
