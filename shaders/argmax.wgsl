// Where a row has its largest (or smallest) element first, or its first NaN.

override THREADS: u32 = 64u;

struct Params {
    rows: u32,
    n: u32,     // elements of a row
    inner: u32, // distance of neighbours in a row
    flip: u32,  // bits that turn the search for the largest into one for the smallest
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let first = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var row = first; row < p.rows; row += step) {
        let base = (row / p.inner) * p.n * p.inner + row % p.inner;
        var most = from_bits(0xff800000u);
        var at = 0xffffffffu;
        for (var k = member; k < p.n; k += TEAM) {
            let v = bitcast<f32>(bitcast<u32>(x[base + k * p.inner]) ^ p.flip);
            if (at == 0xffffffffu || v > most || (is_nan(v) && !is_nan(most))) {
                most = v;
                at = k;
            }
        }
        let best = team_max(most, member);
        let hit = most == best || (is_nan(most) && is_nan(best));
        at = team_first(select(0xffffffffu, at, hit), member);
        if (member == 0u) {
            y[row] = at;
        }
    }
}
