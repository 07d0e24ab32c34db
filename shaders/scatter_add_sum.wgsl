// The sums of g [outer, m, inner] over the lists of `scatter_add_link`: one thread some neighbours, or vectors of
// four, of a row of the result [groups, outer, n, inner], a group being the lists of some parts of the indices.

override THREADS: u32 = 64u;

struct Params {
    tasks: u32,
    n: u32,
    inner: u32, // elements, or vectors of four
    m: u32,
    outer: u32,
    parts: u32, // of all groups
    each: u32,  // parts of a group
    run: u32,   // elements or vectors of a task
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<C>;
@group(0) @binding(2) var<storage, read_write> lists: array<u32>; // only read, but it may share a buffer with the result

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let begin = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    let runs = (p.inner + p.run - 1u) / p.run;
    for (var task = begin; task < p.tasks; task += groups.x * groups.y * groups.z * THREADS) {
        let all = quotient(task, runs);
        let start = (task - all * runs) * p.run;
        let block = quotient(all, p.n);
        let row = all - block * p.n;
        let o = block % p.outer;
        let begins = block / p.outer * p.each;
        for (var i = start; i < min(start + p.run, p.inner); i++) {
            var sum = C();
            for (var part = begins; part < min(begins + p.each, p.parts); part++) {
                var k = lists[part * p.n + row];
                while (k != 0xffffffffu) {
                    sum += g[(o * p.m + k) * p.inner + i];
                    k = lists[p.parts * p.n + k];
                }
            }
            epilogue(all * p.inner + i, sum);
        }
    }
}
