// Elements of x [outer, n, inner] at indices along its middle dimension: one thread an element, or four, of the result.

override THREADS: u32 = 64u;

struct Params {
    count: u32, // elements of the result, or vectors of four
    n: u32,
    inner: u32, // as count
    m: u32,     // indices of a column
    index: vec4<u32>, // distances of neighbouring indices along outer, m, inner
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<C>;
@group(0) @binding(2) var<storage, read> index: array<i32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.count; at += groups.x * groups.y * groups.z * THREADS) {
        let row = quotient(at, p.inner);
        let i = at - row * p.inner;
        let o = quotient(row, p.m);
        let k = row - o * p.m;
        // What is out of range (negative ones are large) takes the last element.
        let source = min(u32(index[o * p.index.x + k * p.index.y + i * p.index.z]), p.n - 1u);
        epilogue(at, x[(o * p.n + source) * p.inner + i]);
    }
}
