// One step in a launch where workgroup memory is dear but subgroups of 8 are not: a subgroup takes ROWS sequences, each
// thread a vector of units. Each thread loads the vectors of some sequences, four elements at a time, and hands them to the
// others. See matmul_subgroup.wgsl.

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) thread: u32) {
    let across = (p.lanes + 7u) / 8u;
    let down = (p.n + ROWS - 1u) / ROWS;
    let k = p.first;
    let first = (group.z * groups.y + group.y) * groups.x + group.x;
    for (var at = first; at < across * down; at += groups.x * groups.y * groups.z) {
        let lane = at % across * 8u + thread;
        let row = at / across * ROWS;
        // Past the last sequence and lane the last ones are read again, and not stored.
        var places = array<u32, ROWS / 8u>();
        for (var i = 0u; i < ROWS / 8u; i++) {
            places[i] = place(min(row + 8u * i + thread, p.n - 1u), k);
        }
        var next = min(lane, p.lanes - 1u);
        var sums = array<mat4x4<f32>, ROWS / 4u * SUMS>(); // of each sequence, for each sum the vector of units
        for (var j = 0u; j < inner(); j++) {
            var w = array<mat4x4<f32>, SUMS>();
            for (var g = 0u; g < SUMS; g++) {
                for (var q = 0u; q < 4u; q += PARTS) {
                    let load = parts(weight[next + (q / PARTS * SUMS + g) * p.lanes]);
                    for (var c = 0u; c < PARTS; c++) {
                        w[g][q + c] = load[c];
                    }
                }
            }
            next += 4u / PARTS * SUMS * p.lanes;
            for (var i = 0u; i < ROWS / 8u; i++) {
                let x = element(places[i], j, k);
                let low = from_lanes(x, false);
                let high = from_lanes(x, true);
                for (var g = 0u; g < SUMS; g++) {
                    sums[2u * i * SUMS + g] += w[g] * low;
                    sums[(2u * i + 1u) * SUMS + g] += w[g] * high;
                }
            }
        }
        // Sums move up to where they are taken from: an array that is indexed by a variable lies in memory.
        for (var q = 0u; q < ROWS / 4u; q++) {
            for (var r = row + 4u * q; r < row + 4u * q + 4u; r++) {
                var unit_sums = array<F, SUMS>();
                for (var g = 0u; g < SUMS; g++) {
                    let four = sums[g];
                    unit_sums[g] = four[0];
                    sums[g] = mat4x4<f32>(four[1], four[2], four[3], four[0]);
                }
                if (lane < p.lanes && r < p.n) {
                    unit_step(r, lane, k, unit_sums);
                }
            }
            for (var i = SUMS; i < ROWS / 4u * SUMS; i++) {
                sums[i - SUMS] = sums[i];
            }
        }
    }
}
