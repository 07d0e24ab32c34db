// Products of a thread's row with a block of rows, PART vectors at a time, which lie in registers; for x, as it is for y.

fn products_x(own: u32, rows: u32, begin: u32, stop: u32, thread: u32) {
    for (var j = begin; j < stop; j++) {
        held_x[slot(thread, j - begin)] = 0.0;
    }
    for (var c = 0u; c < VECTORS_x; c += PART_x) {
        var part: array<vec4<f32>, PART_x>;
        for (var k = 0u; k < PART_x; k++) {
            part[k] = own_x_load(own, c + k);
        }
        for (var j = begin; j < stop; j++) {
            var sum = 0.0;
            for (var k = 0u; k < PART_x; k++) {
                sum += dot(part[k], tile_x_load(rows + j * p.tile_x.w, c + k));
            }
            held_x[slot(thread, j - begin)] += sum;
        }
    }
}
