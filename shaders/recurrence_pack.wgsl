// A weight in the order in which the loops over time read it: for each element and each lane, four.

override THREADS: u32 = 64u;

struct Params {
    count: u32,  // elements times lanes
    lanes: u32,
    all: u32,    // there are so many of what the four are: gates or units
    across: u32, // that is how many a lane moves on
    four: u32, lane: u32, element: u32, // strides of the weight
    unused: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.count; at += groups.x * groups.y * groups.z * THREADS) {
        let lane = at % p.lanes;
        var four = vec4<f32>();
        for (var i = 0u; i < 4u; i++) {
            if (i + lane * p.across < p.all) {
                four[i] = weight[i * p.four + lane * p.lane + at / p.lanes * p.element];
            }
        }
        packed[at] = four;
    }
}
