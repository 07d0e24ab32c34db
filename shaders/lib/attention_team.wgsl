// Rows that a workgroup goes along, TILE at a time in workgroup memory.

var<workgroup> staged_x: array<vec4<f32>, TILE * WX>;
var<workgroup> staged_y: array<vec4<f32>, TILE * WY>;
var<private> staged_from: u32;

fn stage(x: u32, y: u32, begin: u32, end: u32, thread: u32) {
    workgroupBarrier();
    for (var i = thread; i < TILE * WX; i += THREADS) {
        if (begin + i / WX < end) {
            staged_x[i] = tile_x_load(x + (begin + i / WX) * p.tile_x.w, i % WX);
        }
    }
    for (var i = thread; i < TILE * WY; i += THREADS) {
        if (begin + i / WY < end) {
            staged_y[i] = tile_y_load(y + (begin + i / WY) * p.tile_y.w, i % WY);
        }
    }
    staged_from = begin;
    workgroupBarrier();
}

fn tile_x(row: u32, c: u32) -> vec4<f32> { return staged_x[(row - staged_from) * WX + c]; }
fn tile_y(row: u32, c: u32) -> vec4<f32> { return staged_y[(row - staged_from) * WY + c]; }
