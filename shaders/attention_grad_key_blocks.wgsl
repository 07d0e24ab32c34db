// The gradients of attention's keys and values, for vectors of any length. A thread owns a key with its value and goes along
// the queries, BLOCK at a time; the sums are in the memory of the results.

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
        let j = task % blocks * THREADS + thread;
        if (j >= p.s) {
            continue;
        }
        let at_x = place(p.out_x, n, h, j);
        let at_y = place(p.out_y, n, h, j);
        let own_x = place(p.own_x, n, h, j);
        let own_y = place(p.own_y, n, h, j);
        let queries = place(p.tile_x, n, h, 0u);
        let grads = place(p.tile_y, n, h, 0u);
        let rows = p.heads * p.t;
        if (p.first == 0u) {
            clear_x(at_x);
            clear_y(at_y);
        }
        let start = max(p.first, select(0u, j, p.causal == 1u));
        for (var begin = start; begin < p.last; begin += BLOCK) {
            let stop = min(p.last, begin + BLOCK);
            products_x(own_x, queries, begin, stop, thread);
            products_y(own_y, grads, begin, stop, thread);
            for (var i = begin; i < stop; i++) {
                let k = slot(thread, i - begin);
                let row = (n * p.t + i) * p.h + h;
                let score = held_x[k] * p.scale + bias(n, h, i, j);
                let weight = weight_of(score - stats[row]) * stats[rows + row];
                let kept = keep((head * p.t + i) * p.s + j);
                held_x[k] = weight * (kept * held_y[k] - stats[2u * rows + row]) * p.scale;
                held_y[k] = weight * kept;
            }
            add_x(at_x, queries, begin, stop, 1.0, thread);
            add_y(at_y, grads, begin, stop, 1.0, thread);
        }
    }
}
