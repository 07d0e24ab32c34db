// The gradient of attention's queries, for vectors of any length. A thread owns a query and the gradient of its result, and
// goes along the keys, BLOCK at a time; the sum is in the memory of its result.

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
        let i = task % blocks * THREADS + thread;
        if (i >= p.t) {
            continue;
        }
        let at = place(p.out_x, n, h, i);
        let own_x = place(p.own_x, n, h, i);
        let own_y = place(p.own_y, n, h, i);
        let keys = place(p.tile_x, n, h, 0u);
        let values = place(p.tile_y, n, h, 0u);
        let rows = p.heads * p.t;
        let row = (n * p.t + i) * p.h + h;
        let most = stats[row];
        let inverse = stats[rows + row];
        let shift = stats[2u * rows + row];
        if (p.first == 0u) {
            clear_x(at);
        }
        let end = min(p.last, select(p.last, i + 1u, p.causal == 1u));
        for (var begin = p.first; begin < end; begin += BLOCK) {
            let stop = min(end, begin + BLOCK);
            products_x(own_x, keys, begin, stop, thread);
            products_y(own_y, values, begin, stop, thread);
            for (var j = begin; j < stop; j++) {
                let k = slot(thread, j - begin);
                let score = held_x[k] * p.scale + bias(n, h, i, j);
                let weight = weight_of(score - most) * inverse;
                let kept = keep((head * p.t + i) * p.s + j);
                held_x[k] = weight * (kept * held_y[k] - shift) * p.scale;
            }
            add_x(at, keys, begin, stop, 1.0, thread);
        }
    }
}
