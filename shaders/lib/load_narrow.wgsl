// Loads of four elements.

alias Load = vec4<f32>;
const PARTS = 1u; // vectors that a load holds

fn parts(x: Load) -> array<vec4<f32>, PARTS> { return array<vec4<f32>, PARTS>(x); }
