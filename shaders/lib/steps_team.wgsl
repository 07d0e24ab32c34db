// All steps in one launch: a workgroup takes four sequences through time and holds their vectors.

fn vector(tile: u32, j: u32, k: u32) -> vec4<f32> { return held[j]; }

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = (group.z * groups.y + group.y) * groups.x + group.x;
    for (var tile = first; tile < p.tiles; tile += groups.x * groups.y * groups.z) {
        for (var k = p.first; k < p.end; k++) {
            for (var j = thread; j < inner(); j += THREADS) {
                held[j] = fetch(tile, j, k);
            }
            workgroupBarrier();
            for (var lane = thread; lane < p.lanes; lane += THREADS) {
                turn(tile, lane, k);
            }
            storageBarrier();
        }
    }
}
