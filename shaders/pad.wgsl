// A constant around and between the elements of a tensor: one thread an element of the result.

override THREADS: u32 = 64u;

struct Params {
    n: u32,
    rank: u32,
    value: u32, // bits
    unused: u32,
    dims: array<vec4<u32>, 8>, // size, elements before, distance of neighbours, size of the input
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.n; at += groups.x * groups.y * groups.z * THREADS) {
        var rest = at;
        var source = 0u;
        var stride = 1u;
        var inside = true;
        for (var k = p.rank; k > 0u; k--) {
            let dim = p.dims[k - 1u];
            let c = rest % dim.x - dim.y; // wraps to a large number before the first
            rest /= dim.x;
            inside = inside && c % dim.z == 0u && c / dim.z < dim.w;
            source += c / dim.z * stride;
            stride *= dim.w;
        }
        var value = bitcast<T>(p.value);
        if (inside) {
            value = x[source];
        }
        epilogue(at, value);
    }
}
