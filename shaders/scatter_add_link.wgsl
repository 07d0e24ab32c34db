// The indices that name each row, as lists: the first one of each row, then for each index the next one that names the
// same row; END where there is none.
//
// Each thread owns a few rows and looks at the indices in order, so the lists ascend and no two threads meet. The
// indices are cut in parts with lists of their own.

override THREADS: u32 = 64u;

struct Params {
    n: u32,      // rows
    m: u32,      // indices
    skip: u32,   // the row that is left out
    parts: u32,
    length: u32, // indices of a part
    owned: u32,  // rows of a thread
    owners: u32, // threads for a part
    unused: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> lists: array<u32>; // first [parts, n], next [m]
@group(0) @binding(3) var<storage, read_write> last: array<u32>;  // [parts, n]

const END: u32 = 0xffffffffu;

// What is out of range (negative ones are large) names the last row.
fn row_of(k: u32) -> u32 { return min(u32(index[k]), p.n - 1u); }

// Put index k at the end of the list of `row`; `heads` is where the part's lists begin.
fn link(k: u32, row: u32, heads: u32) {
    if (row == p.skip) {
        return;
    }
    let next = p.parts * p.n;
    let before = last[heads + row];
    lists[select(next + before, heads + row, before == END)] = k;
    lists[next + k] = END;
    last[heads + row] = k;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let begin = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
    for (var task = begin; task < p.parts * p.owners; task += groups.x * groups.y * groups.z * THREADS) {
        let part = task / p.owners;
        let heads = part * p.n;
        let start = min((task % p.owners) * p.owned, p.n);
        let count = min(p.owned, p.n - start);
        for (var row = start; row < start + count; row++) {
            lists[heads + row] = END;
            last[heads + row] = END;
        }
        let end = min((part + 1u) * p.length, p.m);
        var k = part * p.length;
        for (; k + 4u <= end; k += 4u) {
            let rows = vec4<u32>(row_of(k), row_of(k + 1u), row_of(k + 2u), row_of(k + 3u));
            let mine = (rows - start) < vec4<u32>(count); // rows before `start` wrap to large numbers
            if (any(mine)) {
                if (mine.x) { link(k, rows.x, heads); }
                if (mine.y) { link(k + 1u, rows.y, heads); }
                if (mine.z) { link(k + 2u, rows.z, heads); }
                if (mine.w) { link(k + 3u, rows.w, heads); }
            }
        }
        for (; k < end; k++) {
            if (row_of(k) - start < count) {
                link(k, row_of(k), heads);
            }
        }
    }
}
