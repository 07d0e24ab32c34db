// The gradient of a maximum pooling: one thread an element, which adds up the gradients of the windows that chose it.

override THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read> indices: array<i32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let start = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = start; at < p.n; at += groups.x * groups.y * groups.z * THREADS) {
        let i = position(at, p.d.input, p.h.input, p.w.input);
        let plane = i.x * p.d.output * p.h.output * p.w.output;
        let depths = windows(p.d, i.y);
        let rows = windows(p.h, i.z);
        let columns = windows(p.w, i.w);
        let index = i32((i.y * p.h.input + i.z) * p.w.input + i.w);
        var sum = 0.0;
        for (var d = depths.x; d < depths.y; d++) {
            for (var h = rows.x; h < rows.y; h++) {
                let row = plane + (d * p.h.output + h) * p.w.output;
                for (var w = columns.x; w < columns.y; w++) {
                    if (indices[row + w] == index) {
                        sum += grad[row + w];
                    }
                }
            }
        }
        epilogue(at, sum);
    }
}
