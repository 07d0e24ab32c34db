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
    finish(tile, lane, k, sums);
}

// An element of the vectors of turn k of a tile's sequences; what lies past the last sequence is not used.
fn fetch(tile: u32, j: u32, k: u32) -> vec4<f32> {
    var x = vec4<f32>();
    for (var r = 0u; r < 4u; r++) {
        x[r] = element(place(min(tile * 4u + r, p.n - 1u), k), j, k);
    }
    return x;
}
