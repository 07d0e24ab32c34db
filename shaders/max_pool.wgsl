// The largest element of each window, and its index within the plane: one thread a window.

override THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let start = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = start; at < p.n; at += groups.x * groups.y * groups.z * THREADS) {
        let o = position(at, p.d.output, p.h.output, p.w.output);
        let plane = o.x * p.d.input * p.h.input * p.w.input;
        let depths = elements(p.d, o.y);
        let rows = elements(p.h, o.z);
        let columns = elements(p.w, o.w);
        var most = from_bits(0xff800000u);
        var index = -1;
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
        indices[at] = index;
        epilogue(at, most);
    }
}
