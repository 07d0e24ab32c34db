// For each element of the result [outer, n, inner] the sum of g [outer, m, inner] over the indices that name it, in
// order: each thread looks at all m indices, or at a part of them.

override THREADS: u32 = 64u;

struct Params {
    count: u32, // elements of the result, or vectors of four
    n: u32,
    inner: u32, // as count
    m: u32,
    index: vec4<u32>, // distances of neighbouring indices along outer, m, inner; the index that is left out
    part: vec4<u32>,  // elements or vectors of a part of the result, indices that it is the sum over
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<C>;
@group(0) @binding(2) var<storage, read> index: array<i32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.count; at += groups.x * groups.y * groups.z * THREADS) {
        let i = at % p.inner;
        let row = at / p.inner % p.n;
        let o = at % p.part.x / p.inner / p.n;
        let begin = at / p.part.x * p.part.y;
        var sum = C();
        for (var k = begin; k < min(begin + p.part.y, p.m); k++) {
            let to = min(u32(index[o * p.index.x + k * p.index.y + i * p.index.z]), p.n - 1u);
            if (to == row && to != p.index.w) {
                sum += g[(o * p.m + k) * p.inner + i];
            }
        }
        epilogue(at, sum);
    }
}
