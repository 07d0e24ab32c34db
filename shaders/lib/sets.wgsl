// The elements of a set of [outer, sets, inner] one after the other.

struct Walk { at: u32, i: u32 }

// Element `j` of the set.
fn walk_from(j: u32, which: u32) -> Walk {
    let i = j % p.inner;
    return Walk((j / p.inner * p.sets + which) * p.inner + i, i);
}

// TEAM elements on.
fn walk_on(w: Walk) -> Walk {
    var on = Walk(w.at + TEAM, w.i + TEAM);
    while (on.i >= p.inner) {
        on.i -= p.inner;
        on.at += (p.sets - 1u) * p.inner;
    }
    return on;
}
