// The mean of each window: one thread a window.

override THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let start = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = start; at < p.n; at += groups.x * groups.y * groups.z * THREADS) {
        let o = position(at, p.d.output, p.h.output, p.w.output);
        let plane = o.x * p.d.input;
        let depths = elements(p.d, o.y);
        let rows = elements(p.h, o.z);
        let columns = elements(p.w, o.w);
        var sum = 0.0;
        for (var d = depths.x; d < depths.y; d++) {
            for (var h = rows.x; h < rows.y; h++) {
                let row = ((plane + d) * p.h.input + h) * p.w.input;
                for (var w = columns.x; w < columns.y; w++) {
                    sum += x[row + w];
                }
            }
        }
        let padded = p.padded != 0u;
        let count = extent(p.d, o.y, padded) * extent(p.h, o.z, padded) * extent(p.w, o.w, padded);
        epilogue(at, sum / f32(count));
    }
}
