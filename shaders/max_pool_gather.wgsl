// The elements that a maximum pooling chose: one thread a window.

override THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> indices: array<i32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let start = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = start; at < p.n; at += groups.x * groups.y * groups.z * THREADS) {
        let plane = quotient(at, p.w.output * p.h.output * p.d.output) * p.d.input * p.h.input * p.w.input;
        let index = indices[at];
        var value = 0.0;
        if (index >= 0) {
            value = x[plane + u32(index)];
        }
        epilogue(at, value);
    }
}
