// A number for each row of a block, each thread's own.

override HELD: u32 = THREADS * BLOCK;
var<workgroup> held_x: array<f32, HELD>;
var<workgroup> held_y: array<f32, HELD>;

fn slot(thread: u32, k: u32) -> u32 { return k * THREADS + thread; }
