// Mean, variance and its inverse root of each set, from those of its parts.

override THREADS: u32 = 64u;

struct Params {
    sets: u32,
    inner: u32,
    size: u32,    // elements of a set
    parts: u32,   // parts that a set is cut into
    length: u32,  // elements of a part
    centred: u32, // 0: distances are from 0
    eps: f32,
    unused: u32,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> partial: array<f32>;
@group(0) @binding(3) var<storage, read_write> variance: array<f32>;
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;

fn share(part: u32) -> f32 {
    let start = min(part * p.length, p.size);
    return f32(min(start + p.length, p.size) - start);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var which = first; which < p.sets; which += groups.x * groups.y * groups.z * THREADS) {
        let n = f32(p.size);
        var mean = 0.0;
        for (var part = 0u; part < p.parts; part++) {
            mean += partial[2u * (part * p.sets + which)] * (share(part) / n);
        }
        var squares = 0.0;
        for (var part = 0u; part < p.parts; part++) {
            let at = 2u * (part * p.sets + which);
            let off = partial[at] - mean;
            squares += partial[at + 1u] + off * off * share(part);
        }
        var v = squares / n;
        v = select(v, 0.0, v < 0.0);
        variance[which] = v;
        rstd[which] = 1.0 / sqrt(v + p.eps);
        var shift = 0.0;
        if (p.centred == 1u) {
            shift = x[which * p.inner];
        }
        epilogue(which, shift + mean);
    }
}
