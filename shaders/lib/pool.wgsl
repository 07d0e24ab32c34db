// What the shaders of pooling share: their `Params`, and where windows lie along one dimension.

struct Params {
    n: u32,
    padded: u32, // for means: whether elements on the padding count
    unused: vec2<u32>,
    d: Dim, h: Dim, w: Dim,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;

struct Dim {
    input: u32, output: u32, kernel: u32, stride: u32,
    padding: u32, dilation: u32, adaptive: u32, unused: u32,
}

// The coordinates of element `at` of planes of these sizes (depth, height, width), after the number of its plane.
fn position(at: u32, depth: u32, height: u32, width: u32) -> vec4<u32> {
    let row = quotient(at, width);
    let sheet = quotient(row, height);
    let plane = quotient(sheet, depth);
    return vec4<u32>(plane, sheet - plane * depth, row - sheet * height, at - row * width);
}

// The elements of window `o`: the first one, and where they end; they lie a dilation apart.
fn elements(d: Dim, o: u32) -> vec2<u32> {
    if (d.adaptive != 0u) {
        return vec2<u32>(o * d.input / d.output, ((o + 1u) * d.input + d.output - 1u) / d.output);
    }
    let start = o * d.stride;
    var first = start;
    if (start < d.padding) {
        first += (d.padding - start + d.dilation - 1u) / d.dilation * d.dilation;
    }
    let end = min(start + (d.kernel - 1u) * d.dilation + 1u, d.input + d.padding);
    return vec2<u32>(first, max(first, end)) - d.padding;
}

// How many elements window `o` counts; those on the padding only where `padded`.
fn extent(d: Dim, o: u32, padded: bool) -> u32 {
    if (padded && d.adaptive == 0u) {
        return min(o * d.stride + d.kernel, d.input + 2u * d.padding) - o * d.stride;
    }
    let range = elements(d, o);
    return range.y - range.x;
}

// The windows that reach over element `i`: the first one, and where they end.
fn windows(d: Dim, i: u32) -> vec2<u32> {
    if (d.adaptive != 0u) {
        return vec2<u32>(i * d.output / d.input, ((i + 1u) * d.output + d.input - 1u) / d.input);
    }
    let at = i + d.padding;
    let reach = (d.kernel - 1u) * d.dilation;
    var first = 0u;
    if (at > reach) {
        first = quotient(at - reach + d.stride - 1u, d.stride);
    }
    return vec2<u32>(first, min(quotient(at, d.stride) + 1u, d.output));
}

// How many elements lie in the ranges (first, end) by these steps.
fn sizes(depths: vec2<u32>, rows: vec2<u32>, columns: vec2<u32>, steps: vec3<u32>) -> vec3<u32> {
    let first = vec3<u32>(depths.x, rows.x, columns.x);
    return (vec3<u32>(depths.y, rows.y, columns.y) - first + steps - 1u) / steps;
}

// The coordinates of the k-th of them.
fn place(k: u32, size: vec3<u32>) -> vec3<u32> {
    return vec3<u32>(k / (size.y * size.z), k / size.z % size.y, k % size.z);
}
