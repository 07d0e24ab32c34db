// Where a row has its largest (or smallest) element first, or its first NaN: of all its elements, of the parts that it is cut
// into, or of those elements whose places an earlier launch found.

override THREADS: u32 = 64u;
override PARTED: bool = false; // whether rows are cut in parts

struct Params {
    rows: u32,
    n: u32,     // elements to look at, in each part
    inner: u32, // distance of neighbours in a row
    flip: u32,  // bits that turn the search for the largest into one for the smallest
    length: u32, // elements of a row
    parts: u32,
    unused: vec2<u32>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>; // [parts, rows]

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let first = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var task = first; task < p.rows * p.parts; task += step) {
        var row = task;
        var start = 0u;
        if (PARTED) {
            row = task % p.rows;
            start = task / p.rows * p.n;
        }
        let base = (row / p.inner) * p.length * p.inner + row % p.inner;
        let end = min(start + p.n, p.length);
        var most = from_bits(0xff800000u);
        var at = 0xffffffffu;
        for (var k = start + member; k < end; k += TEAM) {
            let here = place(row, k);
            let v = bitcast<f32>(bitcast<u32>(x[base + here * p.inner]) ^ p.flip);
            if (at == 0xffffffffu || v > most || (is_nan(v) && !is_nan(most))) {
                most = v;
                at = here;
            }
        }
        let best = team_max(most, member);
        let hit = most == best || (is_nan(most) && is_nan(best));
        at = team_first(select(0xffffffffu, at, hit), member);
        if (member == 0u) {
            y[task] = at;
        }
    }
}
