// One step in a launch where workgroup memory is dear but subgroups of 8 are not: a subgroup takes 16 sequences by 8 lanes.
// Each thread loads the vectors of two sequences, four elements at a time, and hands them to the others. Their length is a
// multiple of 4. See matmul_subgroup.wgsl.

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) thread: u32) {
    let across = (p.lanes + 7u) / 8u;
    let down = (p.n + 15u) / 16u;
    let k = p.first;
    let first = (group.z * groups.y + group.y) * groups.x + group.x;
    for (var at = first; at < across * down; at += groups.x * groups.y * groups.z) {
        let lane = at % across * 8u + thread;
        let row = at / across * 16u;
        // Past the last sequence and lane the last ones are read again, and not stored.
        let low_place = place(min(row + thread, p.n - 1u), k);
        let high_place = place(min(row + 8u + thread, p.n - 1u), k);
        var next = min(lane, p.lanes - 1u);
        var s0 = mat4x4<f32>(); // of each sequence, the lane's four sums
        var s1 = mat4x4<f32>();
        var s2 = mat4x4<f32>();
        var s3 = mat4x4<f32>();
        for (var j = 0u; j < inner(); j += 4u) {
            let low = four(low_place, j, k);
            let high = four(high_place, j, k);
            let w = mat4x4<f32>(weight[next], weight[next + p.lanes], weight[next + 2u * p.lanes], weight[next + 3u * p.lanes]);
            s0 += w * mat4x4<f32>(subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u));
            s1 += w * mat4x4<f32>(subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u));
            s2 += w * mat4x4<f32>(subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u));
            s3 += w * mat4x4<f32>(subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u));
            next += 4u * p.lanes;
        }
        for (var q = 0u; q < 4u; q++) {
            let tile = row / 4u + q;
            if (lane < p.lanes && tile < p.tiles) {
                finish(tile, lane, k, s0);
            }
            s0 = s1;
            s1 = s2;
            s2 = s3;
        }
    }
}
