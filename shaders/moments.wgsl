// Mean and sum of squared distances from it of the parts of sets, x being [outer, sets, inner]: for each part two words.
// Means are counted from the set's first element, so that a large one costs no digits.

override THREADS: u32 = 64u;

struct Params {
    sets: u32,
    inner: u32,
    size: u32,    // elements of a set
    parts: u32,   // parts that a set is cut into
    length: u32,  // elements of a part
    centred: u32, // 0: distances are from 0
    unused: vec2<u32>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

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
        var m = Moments(0.0, 0.0, 0.0);
        var j = start + member;
        var w = walk_from(j, which);
        if (p.centred == 1u) {
            let shift = x[which * p.inner];
            while (j < end) {
                var n = 0.0;
                var sum = 0.0;
                var squares = 0.0;
                for (; j < end && n < 16.0; j += TEAM) {
                    let d = x[w.at] - shift - m.mean;
                    n += 1.0;
                    sum += d;
                    squares += d * d;
                    w = walk_on(w);
                }
                m = absorbed(m, n, sum, squares);
            }
        } else {
            while (j < end) {
                var n = 0.0;
                var squares = 0.0;
                for (; j < end && n < 256.0; j += TEAM) {
                    n += 1.0;
                    squares += x[w.at] * x[w.at];
                    w = walk_on(w);
                }
                m.n += n;
                m.squares += squares;
            }
        }
        // The last parts of a set may have no elements.
        m = team_moments(m, max(f32(end) - f32(min(start, end)), 1.0), member);
        if (member == 0u) {
            partial[2u * task] = m.mean;
            partial[2u * task + 1u] = m.squares;
        }
    }
}
