// A thread's sum of rows, which lies in memory but for the PART vectors that a block of rows is added to; for x, as it is
// for y.

fn clear_x(at: u32) {
    for (var c = 0u; c < VECTORS_x; c++) {
        sum_x_store(at, c, vec4<f32>());
    }
}

fn scale_x(at: u32, by: f32) {
    for (var c = 0u; c < VECTORS_x; c++) {
        sum_x_store(at, c, by * sum_x_load(at, c));
    }
}

// What was summed counts `shrink` times.
fn add_x(at: u32, rows: u32, begin: u32, stop: u32, shrink: f32, thread: u32) {
    for (var c = 0u; c < VECTORS_x; c += PART_x) {
        var part: array<vec4<f32>, PART_x>;
        for (var k = 0u; k < PART_x; k++) {
            part[k] = shrink * sum_x_load(at, c + k);
        }
        for (var j = begin; j < stop; j++) {
            let weight = held_x[slot(thread, j - begin)];
            for (var k = 0u; k < PART_x; k++) {
                part[k] += weight * tile_x_load(rows + j * p.tile_x.w, c + k);
            }
        }
        for (var k = 0u; k < PART_x; k++) {
            sum_x_store(at, c + k, part[k]);
        }
    }
}
