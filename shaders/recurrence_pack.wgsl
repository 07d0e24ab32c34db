// A weight in the order in which the loops over time read it: for each element, each of `sums`, and each lane, four; those
// of `parts` elements lie together.

override THREADS: u32 = 64u;

struct Params {
    count: u32,  // vectors of four
    lanes: u32,
    sums: u32,   // vectors of a lane: gates, or 1
    parts: u32,
    all: u32,    // there are so many of what the four are: gates or units
    across: u32, // that is how many a lane moves on
    four: u32, sum: u32, lane: u32, element: u32, // strides of the weight
    unused: vec2<u32>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var at = first; at < p.count; at += groups.x * groups.y * groups.z * THREADS) {
        let lane = at / p.parts % p.lanes;
        let row = at / p.parts / p.lanes;
        let element = row / p.sums * p.parts + at % p.parts;
        let start = row % p.sums * p.sum + lane * p.lane + element * p.element;
        var four = vec4<f32>();
        for (var i = 0u; i < 4u; i++) {
            if (i + lane * p.across < p.all) {
                four[i] = weight[start + i * p.four];
            }
        }
        packed[at] = four;
    }
}
