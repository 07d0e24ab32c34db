// Sums over the parts of sets, x and grad being [outer, sets, inner]: of grad, and of grad * (x - mean) * rstd. Neighbouring
// sets share statistics, which each row of outer has of its own where BY_ROW is 1.

override THREADS: u32 = 64u;
override BY_ROW: u32 = 0u;

struct Params {
    sets: u32,
    inner: u32,
    size: u32,   // elements of a set
    parts: u32,  // parts that a set is cut into
    length: u32, // elements of a part
    per: u32,    // sets that share statistics
    across: u32, // statistics of a row of outer
    unused: u32,
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
        let share = which / p.per;
        var m = mean[share];
        var r = rstd[share];
        var j = start + member;
        var w = walk_from(j, which);
        // Two levels, so that the sum of a long part loses little.
        while (j < end) {
            var a = 0.0;
            var b = 0.0;
            for (var n = 0u; j < end && n < 256u; n++) {
                if (BY_ROW == 1u) {
                    let at = w.row * p.across + share;
                    m = mean[at];
                    r = rstd[at];
                }
                let g = grad[w.at];
                a += g;
                b += g * ((x[w.at] - m) * r);
                w = walk_on(w);
                j += TEAM;
            }
            plain += a;
            hat += b;
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
