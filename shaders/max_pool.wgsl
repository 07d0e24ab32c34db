// The largest element of each window, and its index within the plane: one thread a window, or a workgroup a
// large one.

override THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let start = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var at = start; at < p.n; at += step) {
        let o = position(at, p.d.output, p.h.output, p.w.output);
        let plane = o.x * p.d.input * p.h.input * p.w.input;
        let depths = elements(p.d, o.y);
        let rows = elements(p.h, o.z);
        let columns = elements(p.w, o.w);
        var most = from_bits(0xff800000u);
        var index = -1;
        if (TEAM == 1u) {
            for (var d = depths.x; d < depths.y; d += p.d.dilation) {
                for (var h = rows.x; h < rows.y; h += p.h.dilation) {
                    let row = (d * p.h.input + h) * p.w.input;
                    for (var w = columns.x; w < columns.y; w += p.w.dilation) {
                        let v = x[plane + row + w];
                        if (v > most || is_nan(v) || index < 0) {
                            most = v;
                            index = i32(row + w);
                        }
                    }
                }
            }
        } else {
            let dilation = vec3<u32>(p.d.dilation, p.h.dilation, p.w.dilation);
            let size = sizes(depths, rows, columns, dilation);
            for (var k = member; k < size.x * size.y * size.z; k += TEAM) {
                let c = place(k, size) * dilation + vec3<u32>(depths.x, rows.x, columns.x);
                let here = (c.x * p.h.input + c.y) * p.w.input + c.z;
                let v = x[plane + here];
                if (v > most || is_nan(v) || index < 0) {
                    most = v;
                    index = i32(here);
                }
            }
            // The first of equal ones, the last NaN.
            let largest = team_max(most, member);
            let hit = index >= 0 && (most == largest || (is_nan(most) && is_nan(largest)));
            let turned = select(0u, 0xffffffffu, is_nan(largest));
            index = i32(team_first(select(0xffffffffu, u32(index) ^ turned, hit), member) ^ turned);
            most = largest;
        }
        if (member == 0u) {
            indices[at] = index;
            epilogue(at, most);
        }
    }
}
