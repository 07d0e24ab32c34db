// The gradient of attention's queries. A thread owns a query and the gradient of its result, and goes along the keys.

override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let blocks = (p.t + THREADS - 1u) / THREADS;
    for (var task = (group.z * groups.y + group.y) * groups.x + group.x; task < p.heads * blocks;
         task += groups.x * groups.y * groups.z) {
        let head = task / blocks;
        let n = head / p.h;
        let h = head % p.h;
        let top = task % blocks * THREADS;
        let i = min(top + thread, p.t - 1u);
        let at = place(p.out_x, n, h, i);
        let rows = p.heads * p.t;
        let row = (n * p.t + i) * p.h + h;
        let most = stats[row];
        let inverse = stats[rows + row];
        let shift = stats[2u * rows + row];
        take_x(place(p.own_x, n, h, i));
        take_y(place(p.own_y, n, h, i));
        clear_x();
        if (p.first > 0u) {
            resume_x(at);
        }
        var end = p.last;
        if (p.causal == 1u) {
            end = min(end, top + THREADS);
        }
        let keys = place(p.tile_x, n, h, 0u);
        let values = place(p.tile_y, n, h, 0u);
        for (var begin = p.first; begin < end; begin += TILE) {
            stage(keys, values, begin, end, thread);
            let stop = min(min(end, begin + TILE), select(end, i + 1u, p.causal == 1u));
            for (var j = begin; j < stop; j++) {
                let score = dot_x(j) * p.scale + bias(n, h, i, j);
                let weight = weight_of(score - most) * inverse;
                let kept = keep((head * p.t + i) * p.s + j);
                add_x(j, weight * (kept * dot_y(j) - shift) * p.scale);
            }
        }
        if (top + thread < p.t) {
            store_x(at);
        }
    }
}
