// A thread's share of a turn: the vectors of four sequences by the weights of a lane.

fn turn(tile: u32, lane: u32, k: u32) {
    var sums = mat4x4<f32>();
    for (var j = 0u; j < inner(); j++) {
        let x = vector(tile, j, k);
        let w = weight[j * p.lanes + lane];
        sums[0] += x.x * w;
        sums[1] += x.y * w;
        sums[2] += x.z * w;
        sums[3] += x.w * w;
    }
    for (var r = 0u; r < min(4u, p.n - tile * 4u); r++) {
        finish(tile * 4u + r, lane, k, sums[r]);
    }
}

// A lane's four sums are those of a unit's gates, or of neighbouring units.
fn finish(row: u32, lane: u32, k: u32, four_sums: vec4<f32>) {
    var four = four_sums;
    var sums = array<F, SUMS>();
    if (SUMS > 1u) {
        for (var g = 0u; g < SUMS; g++) {
            sums[g] = four[g];
        }
        unit_step(row, lane, k, sums);
    } else {
        for (var i = 0u; i < min(4u, p.hidden - lane * 4u); i++) {
            sums[0] = four[i];
            unit_step(row, lane * 4u + i, k, sums);
        }
    }
}

// An element of the vectors of turn k of a tile's sequences; what lies past the last sequence is not used.
fn fetch(tile: u32, j: u32, k: u32) -> vec4<f32> {
    var x = vec4<f32>();
    for (var r = 0u; r < 4u; r++) {
        x[r] = element(place(min(tile * 4u + r, p.n - 1u), k), j, k);
    }
    return x;
}
