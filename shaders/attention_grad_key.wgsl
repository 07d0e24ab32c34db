// The gradients of attention's keys and values. A thread owns a key with its value and goes along the queries.

override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let blocks = (p.s + THREADS - 1u) / THREADS;
    for (var task = (group.z * groups.y + group.y) * groups.x + group.x; task < p.heads * blocks;
         task += groups.x * groups.y * groups.z) {
        let head = task / blocks;
        let n = head / p.h;
        let h = head % p.h;
        let top = task % blocks * THREADS;
        let j = min(top + thread, p.s - 1u);
        let at_x = place(p.out_x, n, h, j);
        let at_y = place(p.out_y, n, h, j);
        take_x(place(p.own_x, n, h, j));
        take_y(place(p.own_y, n, h, j));
        clear_x();
        clear_y();
        if (p.first > 0u) {
            resume_x(at_x);
            resume_y(at_y);
        }
        var start = p.first;
        if (p.causal == 1u) {
            start = max(start, top);
        }
        let rows = p.heads * p.t;
        let queries = place(p.tile_x, n, h, 0u);
        let grads = place(p.tile_y, n, h, 0u);
        for (var begin = start; begin < p.last; begin += TILE) {
            stage(queries, grads, begin, p.last, thread);
            let stop = min(p.last, begin + TILE);
            for (var i = max(begin, select(0u, j, p.causal == 1u)); i < stop; i++) {
                let row = (n * p.t + i) * p.h + h;
                let score = dot_x(i) * p.scale + bias(n, h, i, j);
                let weight = weight_of(score - stats[row]) * stats[rows + row];
                let kept = keep((head * p.t + i) * p.s + j);
                add_y(i, weight * kept);
                add_x(i, weight * (kept * dot_y(i) - stats[2u * rows + row]) * p.scale);
            }
        }
        if (top + thread < p.s) {
            store_x(at_x);
            store_y(at_y);
        }
    }
}
