// Attention. A thread owns a query and goes along the keys: the largest score so far, the sum of exponentials relative
// to it and the sum of values weighted by them. A launch that is not the first goes on from the sums so far.

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
        let top = task % blocks * THREADS;
        let i = min(top + thread, p.t - 1u);
        let at = place(p.out_y, n, h, i);
        let rows = p.heads * p.t;
        let row = (n * p.t + i) * p.h + h;
        take_x(place(p.own_x, n, h, i));
        clear_y();
        var most = -infinity;
        var sum = 0.0;
        if (p.first > 0u) {
            most = kept[row];
            sum = kept[rows + row];
            resume_y(at);
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
                if (score > most || is_nan(score)) {
                    let shrink = exp(most - score);
                    sum *= shrink;
                    scale_y(shrink);
                    most = score;
                }
                // By the bits: -infinity takes no part, also where there is nothing else.
                let weight = select(exp(score - most), 0.0, bitcast<u32>(score) == 0xff800000u);
                sum += weight;
                add_y(j, weight * keep((head * p.t + i) * p.s + j));
            }
        }
        if (top + thread < p.t) {
            // What is not the last part leaves sums as they are, for the next one to go on from.
            let none = bitcast<u32>(most) == 0xff800000u;
            if (p.last == p.s) {
                sum = select(1.0 / sum, 0.0, none);
                most = select(most, infinity, none);
                scale_y(sum);
                if (none) {
                    clear_y();
                }
            }
            store_y(at);
            kept[row] = most;
            kept[rows + row] = sum;
        }
    }
}
