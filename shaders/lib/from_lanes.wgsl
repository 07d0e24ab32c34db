// The vectors of four lanes: a row each, or a column.
fn from_lanes(x: vec4<f32>, high: bool) -> mat4x4<f32> {
    if (high) {
        return mat4x4<f32>(subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u));
    }
    return mat4x4<f32>(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
}
