// Loads of eight elements, as 64-bit integers: a load costs the same whatever its width where each lane loads by itself.

alias Load = vec4<u64>;
const PARTS = 2u; // vectors that a load holds

fn parts(x: Load) -> array<vec4<f32>, PARTS> {
    let even = bitcast<vec4<f32>>(vec4<u32>(x));
    let odd = bitcast<vec4<f32>>(vec4<u32>(x >> vec4<u32>(32u)));
    return array<vec4<f32>, PARTS>(vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w));
}
