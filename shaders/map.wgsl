// Every elementwise step: `epilogue(at, core)` is the fused expression, with no operator's result to go through.

override THREADS: u32 = 64u;

struct Params {
    n: u32, // elements, or vectors of four
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    let step = groups.x * groups.y * groups.z * THREADS;
    for (var at = first; at < p.n; at += step) {
        epilogue(at, C());
    }
}
