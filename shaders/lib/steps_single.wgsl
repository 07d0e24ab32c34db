// One step in a launch, one thread a lane of four sequences.

fn vector(tile: u32, j: u32, k: u32) -> vec4<f32> { return fetch(tile, j, k); }

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.tiles * p.lanes; at += groups.x * groups.y * groups.z * THREADS) {
        turn(at / p.lanes, at % p.lanes, p.first);
    }
}
