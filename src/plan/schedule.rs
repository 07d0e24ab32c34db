//! Groups in an order in which each comes after what it needs.

use super::fuse::Groups;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Of the groups that are ready, the one that was traced first goes first: short lives of what is in between, and
/// gradients used up as they come.
pub fn schedule(groups: &Groups) -> Vec<usize> {
    let n = groups.groups.len();
    let before: Vec<Vec<usize>> = (0..n).map(|g| groups.before(g)).collect();
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut after = vec![Vec::new(); n];
    for (g, before) in before.iter().enumerate() {
        before.iter().for_each(|&b| after[b].push(g));
    }
    let first = |g: usize| {
        let group = &groups.groups[g];
        group
            .core
            .into_iter()
            .chain(group.members.iter().copied())
            .min()
            .unwrap_or(0)
    };
    let mut ready: BinaryHeap<Reverse<(usize, usize)>> = (0..n)
        .filter(|&g| missing[g] == 0)
        .map(|g| Reverse((first(g), g)))
        .collect();
    let mut order = Vec::with_capacity(n);
    while let Some(Reverse((_, g))) = ready.pop() {
        order.push(g);
        for &a in &after[g] {
            missing[a] -= 1;
            if missing[a] == 0 {
                ready.push(Reverse((first(a), a)));
            }
        }
    }
    debug_assert_eq!(order.len(), n, "groups wait for each other in a circle");
    let empty = |g: usize| groups.groups[g].core.is_none() && groups.groups[g].members.is_empty();
    order.retain(|&g| !empty(g));
    order
}
