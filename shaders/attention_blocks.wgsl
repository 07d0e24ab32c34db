// Attention, for vectors of any length. A thread owns a query and goes along the keys, BLOCK at a time: their scores, the
// largest so far, the sum of exponentials relative to it and, in the result's memory, the sum of values weighted by them.
// A launch that is not the first goes on from the sums so far.

override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let blocks = (p.t + THREADS - 1u) / THREADS;
    let infinity = from_bits(0x7f800000u);
    for (var task = (group.z * groups.y + group.y) * groups.x + group.x; task < p.heads * blocks;
         task += groups.x * groups.y * groups.z) {
        let head = task / blocks;
        let n = head / p.h;
        let h = head % p.h;
        let i = task % blocks * THREADS + thread;
        if (i >= p.t) {
            continue;
        }
        let at = place(p.out_y, n, h, i);
        let own = place(p.own_x, n, h, i);
        let keys = place(p.tile_x, n, h, 0u);
        let values = place(p.tile_y, n, h, 0u);
        let rows = p.heads * p.t;
        let row = (n * p.t + i) * p.h + h;
        var most = -infinity;
        var sum = 0.0;
        if (p.first > 0u) {
            most = kept[row];
            sum = kept[rows + row];
        } else {
            clear_y(at);
        }
        let end = min(p.last, select(p.last, i + 1u, p.causal == 1u));
        for (var begin = p.first; begin < end; begin += BLOCK) {
            let stop = min(end, begin + BLOCK);
            products_x(own, keys, begin, stop, thread);
            var largest = most;
            for (var j = begin; j < stop; j++) {
                let score = held_x[slot(thread, j - begin)] * p.scale + bias(n, h, i, j);
                held_x[slot(thread, j - begin)] = score;
                if (score > largest || is_nan(score)) {
                    largest = score;
                }
            }
            let shrink = select(exp(most - largest), 1.0, bitcast<u32>(most) == bitcast<u32>(largest));
            most = largest;
            sum *= shrink;
            for (var j = begin; j < stop; j++) {
                let score = held_x[slot(thread, j - begin)];
                // By the bits: -infinity takes no part, also where there is nothing else.
                let weight = select(exp(score - most), 0.0, bitcast<u32>(score) == 0xff800000u);
                sum += weight;
                held_y[slot(thread, j - begin)] = weight * keep((head * p.t + i) * p.s + j);
            }
            add_y(at, values, begin, stop, shrink, thread);
        }
        // What is not the last part leaves sums as they are, for the next one to go on from.
        if (p.last == p.s) {
            if (bitcast<u32>(most) == 0xff800000u) {
                most = infinity;
                sum = 0.0;
                clear_y(at);
            } else {
                sum = 1.0 / sum;
                scale_y(at, sum);
            }
        }
        kept[row] = most;
        kept[rows + row] = sum;
    }
}
