// Sums over the parts of sets, x and grad being [outer, sets, inner]: of grad, and of grad * (x - mean) * rstd.

override THREADS: u32 = 64u;

struct Params {
    sets: u32,
    inner: u32,
    size: u32,   // elements of a set
    parts: u32,  // parts that a set is cut into
    length: u32, // elements of a part
    unused0: u32, unused1: u32, unused2: u32,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let first = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var task = first; task < p.sets * p.parts; task += step) {
        let which = task % p.sets;
        let start = task / p.sets * p.length;
        let end = min(start + p.length, p.size);
        var plain = 0.0;
        var hat = 0.0;
        var j = start + member;
        var w = walk_from(j, which);
        // Two levels, so that the sum of a long part loses little.
        while (j < end) {
            var a = 0.0;
            var b = 0.0;
            for (var n = 0u; j < end && n < 256u; n++) {
                let g = grad[w.at];
                a += g;
                b += g * (x[w.at] - mean[which]);
                w = walk_on(w);
                j += TEAM;
            }
            plain += a;
            hat += b * rstd[which];
        }
        plain = team_sum(plain, member);
        hat = team_sum(hat, member);
        if (member == 0u) {
            let at = 2u * (task - which) + which;
            epilogue(at, plain);
            epilogue(at + p.sets, hat);
        }
    }
}
