// Rows handled by one workgroup each: what all threads know is combined in workgroup memory, and every thread gets it.

override TEAM: u32 = THREADS;
fn team_row(group: u32, thread: u32) -> u32 { return group; }
fn team_step(groups: u32) -> u32 { return groups; }
fn team_member(thread: u32) -> u32 { return thread; }

var<workgroup> tree: array<f32, THREADS>;
var<workgroup> firsts: array<u32, THREADS>;

// The largest; NaN where any is.
fn team_max(x: f32, member: u32) -> f32 {
    tree[member] = x;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (member < half) {
            tree[member] = max_f(tree[member], tree[member + half]);
        }
        workgroupBarrier();
    }
    let largest = tree[0];
    workgroupBarrier();
    return largest;
}

fn team_sum(x: f32, member: u32) -> f32 {
    tree[member] = x;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (member < half) {
            tree[member] += tree[member + half];
        }
        workgroupBarrier();
    }
    let sum = tree[0];
    workgroupBarrier();
    return sum;
}

// The smallest index.
fn team_first(i: u32, member: u32) -> u32 {
    firsts[member] = i;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (member < half) {
            firsts[member] = min(firsts[member], firsts[member + half]);
        }
        workgroupBarrier();
    }
    let first = firsts[0];
    workgroupBarrier();
    return first;
}
