// Rows that a thread goes along, from memory.

var<private> base_x: u32;
var<private> base_y: u32;

fn stage(x: u32, y: u32, begin: u32, end: u32, thread: u32) {
    base_x = x;
    base_y = y;
}

fn tile_x(row: u32, c: u32) -> vec4<f32> { return tile_x_load(base_x + row * p.tile_x.w, c); }
fn tile_y(row: u32, c: u32) -> vec4<f32> { return tile_y_load(base_y + row * p.tile_y.w, c); }
