// The elements of a set of [outer, sets, inner] one after the other.

// Its position, that within `inner`, that along `outer`.
struct Walk { at: u32, i: u32, row: u32 }

// Element `j` of the set.
fn walk_from(j: u32, which: u32) -> Walk {
    let i = j % p.inner;
    let row = j / p.inner;
    return Walk((row * p.sets + which) * p.inner + i, i, row);
}

// TEAM elements on.
fn walk_on(w: Walk) -> Walk {
    var on = Walk(w.at + TEAM, w.i + TEAM, w.row);
    while (on.i >= p.inner) {
        on.i -= p.inner;
        on.at += (p.sets - 1u) * p.inner;
        on.row += 1u;
    }
    return on;
}
