// Some inputs beside each other, into a range of the columns of the result: `load(row, column)` finds the element.

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    width: u32, // columns of these inputs
    start: u32, // the first of them in the result
    total: u32, // columns of the result
    ends: array<vec4<u32>, 2>, // column after each input's last
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.rows * p.width; at += groups.x * groups.y * groups.z * THREADS) {
        let row = at / p.width;
        let column = at % p.width;
        y[row * p.total + p.start + column] = load(row, column);
    }
}
