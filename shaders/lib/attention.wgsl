// What the kernels of attention share. A thread owns a row (own_x of e elements, own_y of ev) and goes along rows of the
// same head (tile_x, tile_y), from `first` to `last` in this launch.

struct Params {
    heads: u32, h: u32, t: u32, s: u32, // heads of all samples, of one; queries; keys
    first: u32, last: u32, causal: u32, scale: f32,
    own_x: vec4<u32>, // offset; distances of samples, heads, rows
    own_y: vec4<u32>,
    tile_x: vec4<u32>,
    tile_y: vec4<u32>,
    out_x: vec4<u32>,
    out_y: vec4<u32>,
    mask: vec4<u32>, // distances of samples, heads, queries, keys
    threshold: u32, stream: u32, kept: f32, unused: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

fn place(rows: vec4<u32>, n: u32, h: u32, row: u32) -> u32 {
    return rows.x + n * rows.y + h * rows.z + row * rows.w;
}

// From the distance to the largest score, which was computed elsewhere: rounded there in another way, a large score would be
// above it by a unit in its last place, and so many times too large. NaN stays.
fn weight_of(distance: f32) -> f32 { return exp(select(distance, 0.0, distance > 0.0)); }
