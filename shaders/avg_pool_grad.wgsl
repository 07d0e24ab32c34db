// The gradient of a mean over windows: one thread an element, or a workgroup one in many
// windows, which adds up its shares of the windows over it.

override THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> grad: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let start = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var at = start; at < p.n; at += step) {
        let i = position(at, p.d.input, p.h.input, p.w.input);
        let plane = i.x * p.d.output;
        let depths = windows(p.d, i.y);
        let rows = windows(p.h, i.z);
        let columns = windows(p.w, i.w);
        let padded = p.padded != 0u;
        var sum = 0.0;
        if (TEAM == 1u) {
            for (var d = depths.x; d < depths.y; d++) {
                for (var h = rows.x; h < rows.y; h++) {
                    let row = ((plane + d) * p.h.output + h) * p.w.output;
                    let lines = extent(p.d, d, padded) * extent(p.h, h, padded);
                    for (var w = columns.x; w < columns.y; w++) {
                        sum += grad[row + w] / f32(lines * extent(p.w, w, padded));
                    }
                }
            }
        } else {
            let size = sizes(depths, rows, columns, vec3<u32>(1u));
            for (var k = member; k < size.x * size.y * size.z; k += TEAM) {
                let c = place(k, size) + vec3<u32>(depths.x, rows.x, columns.x);
                let count = extent(p.d, c.x, padded) * extent(p.h, c.y, padded) * extent(p.w, c.z, padded);
                sum += grad[((plane + c.x) * p.h.output + c.y) * p.w.output + c.z] / f32(count);
            }
            sum = team_sum(sum, member);
        }
        if (member == 0u) {
            epilogue(at, sum);
        }
    }
}
