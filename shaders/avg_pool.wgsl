// The mean of each window: one thread a window, or a workgroup a large one.

override THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let start = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var at = start; at < p.n; at += step) {
        let o = position(at, p.d.output, p.h.output, p.w.output);
        let plane = o.x * p.d.input;
        let depths = elements(p.d, o.y);
        let rows = elements(p.h, o.z);
        let columns = elements(p.w, o.w);
        var sum = 0.0;
        if (TEAM == 1u) {
            for (var d = depths.x; d < depths.y; d++) {
                for (var h = rows.x; h < rows.y; h++) {
                    let row = ((plane + d) * p.h.input + h) * p.w.input;
                    for (var w = columns.x; w < columns.y; w++) {
                        sum += x[row + w];
                    }
                }
            }
        } else {
            let size = sizes(depths, rows, columns, vec3<u32>(1u));
            for (var k = member; k < size.x * size.y * size.z; k += TEAM) {
                let c = place(k, size) + vec3<u32>(depths.x, rows.x, columns.x);
                sum += x[((plane + c.x) * p.h.input + c.y) * p.w.input + c.z];
            }
            sum = team_sum(sum, member);
        }
        let padded = p.padded != 0u;
        let count = extent(p.d, o.y, padded) * extent(p.h, o.z, padded) * extent(p.w, o.w, padded);
        if (member == 0u) {
            epilogue(at, sum / f32(count));
        }
    }
}
