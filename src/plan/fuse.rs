//! Items to groups: elementwise items join the operator whose result they take (its epilogue), the reduction that
//! takes theirs (its prologue), or each other. A group becomes a step.

use super::lower::{Dest, Item, Items, Operand, Source, Work};
use crate::caps::Caps;
use crate::fused::Load;
use crate::graph::{Leaf, StateRange};
use crate::op::OpDef;
use crate::scalar::Expr;
use crate::shape::Layout;
use std::sync::Arc;

/// Items that become one step.
#[derive(Debug, Default, Clone)]
pub struct Group {
    /// The operator; a group of elementwise items has none.
    pub core: Option<usize>,
    /// Elementwise items on its result, or on each other's, in order.
    pub members: Vec<usize>,
}

/// An expression over sources, each seen through a layout.
#[derive(Debug, Clone)]
pub struct Flat {
    /// The expression; operand slot `k + 1` is `loads[k]`.
    pub expr: Expr,
    /// What it loads.
    pub loads: Vec<(Source, Load)>,
}

/// The groups, and what is needed to make steps of them.
#[derive(Debug)]
pub struct Groups {
    /// The lowered graph.
    pub items: Items,
    /// The groups, in the order of their first items.
    pub groups: Vec<Group>,
    /// The group that computes an item, if one does.
    pub group_of: Vec<Option<usize>>,
    /// For items computed inside of their only consumer: the views from their shape to the consumer's.
    inlined: Vec<Option<Vec<Arc<dyn OpDef>>>>,
    users: Vec<Vec<usize>>,
    /// What each item loads, once it is known what is inlined.
    loaded: Vec<Loaded>,
    limit: usize,
    /// Whether what an assign takes counts as written in place before the assign has its group.
    trusting: bool,
}

/// Sources, and whether each is loaded whole and in order.
type Loaded = (Vec<Source>, Vec<bool>);

/// See the module.
pub fn fuse(items: Items, caps: &Caps) -> Groups {
    let n = items.items.len();
    let mut users = vec![Vec::new(); n];
    for (at, item) in items.items.iter().enumerate() {
        item.operands
            .iter()
            .for_each(|o| users[o.source.0].push(at));
    }
    let mut g = Groups {
        items,
        groups: Vec::new(),
        group_of: vec![None; n],
        inlined: vec![None; n],
        users,
        loaded: Vec::new(),
        limit: caps.storage_buffers,
        trusting: false,
    };
    g.inline();
    g.loaded = (0..n).map(|at| g.collect_sources(at)).collect();
    // Assigns are ends: once everything else has a group, all readers of a state are known.
    let is_assign = |item: &Item| matches!(item.work, Work::Map(_, Some(Dest::State(_))));
    let (ends, rest): (Vec<usize>, Vec<usize>) =
        (0..n).partition(|&at| is_assign(&g.items.items[at]));
    // What an assign takes counts as written in place before the assign has its group. Where one then cannot join, and the
    // kernel would bind too many buffers, each counts as a result.
    for trusting in [true, false] {
        g.trusting = trusting;
        g.groups.clear();
        g.group_of.fill(None);
        rest.iter().chain(&ends).for_each(|&at| g.place(at));
        g.trusting = false;
        if g.groups.iter().all(|group| g.bindings(group) <= g.limit) {
            break;
        }
    }
    g
}

impl Groups {
    fn item(&self, at: usize) -> &Item {
        &self.items.items[at]
    }

    /// Elementwise items with one consumer, an elementwise item that sees them through views or a reduction, are
    /// computed inside of it.
    fn inline(&mut self) {
        for at in (0..self.items.items.len()).rev() {
            let Work::Map(expr, None) = &self.item(at).work else {
                continue;
            };
            let &[user] = &self.users[at][..] else {
                continue;
            };
            if self.items.outputs.iter().any(|o| o.0 == at) {
                continue;
            }
            let operand = &self.item(user).operands[self
                .item(user)
                .operands
                .iter()
                .position(|o| o.source.0 == at)
                .unwrap_or(0)];
            let plain = is_identity(operand, self.item(at));
            let mut chain = operand.chain.clone();
            match &self.item(user).work {
                Work::Reduce(_) => {}
                // What replaces a state must be seen as it is, to know whether it can be written in place.
                Work::Map(_, Some(Dest::State(_))) => continue,
                Work::Map(..) => chain.extend(self.inlined[user].iter().flatten().cloned()),
                _ => continue,
            }
            // The position that an expression speaks of must stay its own.
            let moved = !plain
                || self.inlined[user].is_some()
                || matches!(self.item(user).work, Work::Reduce(_));
            if expr.uses_index() && moved {
                continue;
            }
            let fits = |o: &Operand| view_through(&o.layout, &chain).is_some();
            if !self.item(at).operands.iter().all(fits) || self.item(at).operands.is_empty() {
                continue;
            }
            self.inlined[at] = Some(chain);
            let root = self.root(at);
            let (sources, _) = self.collect_sources(root);
            if sources.len() + 3 > self.limit {
                self.inlined[at] = None;
            }
        }
    }

    /// The item inside of which `at` is computed.
    fn root(&self, at: usize) -> usize {
        if self.inlined[at].is_some() {
            self.root(self.users[at][0])
        } else {
            at
        }
    }

    /// The sources that an item loads, inlined items expanded, and whether each is loaded whole and in order.
    fn collect_sources(&self, at: usize) -> Loaded {
        let mut sources = Vec::new();
        let mut plain = Vec::new();
        let mut note = |source: Source, whole: bool| match sources.iter().position(|s| *s == source)
        {
            Some(k) => plain[k] &= whole,
            None => {
                sources.push(source);
                plain.push(whole);
            }
        };
        match &self.item(at).work {
            Work::Kernel(_) => self
                .item(at)
                .operands
                .iter()
                .for_each(|o| note(o.source, false)),
            Work::Leaf(_) | Work::Scalars(_) | Work::Pack => {}
            Work::Reduce(_) | Work::Map(..) => {
                let numel = self.item(at).outputs[0].numel();
                for (source, load) in self.flat(at).loads {
                    let size = self.item(source.0).outputs[source.1].numel();
                    let whole =
                        load.layout.offset == 0 && load.layout.is_contiguous() && size == numel;
                    note(source, whole && matches!(self.item(at).work, Work::Map(..)));
                }
            }
        }
        (sources, plain)
    }

    /// What an elementwise item, or the operand of a reduction, computes from sources.
    pub fn flat(&self, at: usize) -> Flat {
        let mut loads = Vec::new();
        let item = self.item(at);
        let expr = match &item.work {
            Work::Map(expr, _) => expr.clone(),
            _ => Expr::load(1, item.operands[0].dtype),
        };
        let expr = self.expand(&expr, &item.operands, &[], &mut loads);
        Flat { expr, loads }
    }

    /// The names of an item and of what is computed inside of it, in order.
    pub fn names(&self, at: usize) -> Vec<&str> {
        let inner = self
            .item(at)
            .operands
            .iter()
            .map(|o| o.source.0)
            .filter(|o| self.inlined[*o].is_some());
        let mut names: Vec<&str> = inner.flat_map(|o| self.names(o)).collect();
        let part = matches!(self.item(at).work, Work::Map(_, Some(_)));
        if !part {
            names.push(&self.item(at).name);
        }
        names
    }

    fn expand(
        &self,
        expr: &Expr,
        operands: &[Operand],
        through: &[Arc<dyn OpDef>],
        loads: &mut Vec<(Source, Load)>,
    ) -> Expr {
        let values: Vec<Expr> = operands
            .iter()
            .map(|o| {
                let at = o.source.0;
                if let (Some(chain), Work::Map(inner, _)) = (&self.inlined[at], &self.item(at).work)
                {
                    return self.expand(inner, &self.item(at).operands, chain, loads);
                }
                let layout = view_through(&o.layout, through).unwrap_or_else(|| o.layout.clone());
                let load = (
                    o.source,
                    Load {
                        operand: 0,
                        layout,
                        dtype: o.dtype,
                    },
                );
                let slot = loads.iter().position(|l| *l == load).unwrap_or_else(|| {
                    loads.push(load);
                    loads.len() - 1
                });
                Expr::load(slot + 1, o.dtype)
            })
            .collect();
        expr.substitute(&mut |slot, _| values[slot - 1].clone())
    }

    /// Give an item its group.
    fn place(&mut self, at: usize) {
        match &self.item(at).work {
            Work::Leaf(_) | Work::Scalars(_) | Work::Pack => {}
            _ if self.inlined[at].is_some() => {}
            Work::Kernel(_) | Work::Reduce(_) => {
                self.group_of[at] = Some(self.groups.len());
                self.groups.push(Group {
                    core: Some(at),
                    members: Vec::new(),
                });
            }
            Work::Map(..) => {
                let group = self.join(at).unwrap_or_else(|| {
                    self.groups.push(Group::default());
                    self.groups.len() - 1
                });
                self.groups[group].members.push(at);
                self.group_of[at] = Some(group);
            }
        }
    }

    /// The group that an elementwise item may join, if there is one. Elementwise groups that only this item keeps apart
    /// become one first.
    fn join(&mut self, at: usize) -> Option<usize> {
        let (sources, plain) = self.loaded[at].clone();
        let mut candidates: Vec<usize> =
            sources.iter().filter_map(|s| self.group_of[s.0]).collect();
        candidates.sort_unstable();
        candidates.dedup();
        while let Some(group) = candidates.pop() {
            for &other in candidates.iter().rev() {
                let apart = !self.depends(group, other) && !self.depends(other, group);
                if self.groups[other].core.is_none() && apart {
                    let before = (self.groups.clone(), self.group_of.clone());
                    let moved = std::mem::take(&mut self.groups[other].members);
                    moved.iter().for_each(|&m| self.group_of[m] = Some(group));
                    self.groups[group].members.extend(moved);
                    self.groups[group].members.sort_unstable();
                    if !self.same_size(group) || !self.may_join(at, group, &sources, &plain) {
                        (self.groups, self.group_of) = before;
                    }
                }
            }
            if self.may_join(at, group, &sources, &plain) {
                return Some(group);
            }
        }
        None
    }

    fn same_size(&self, group: usize) -> bool {
        let g = &self.groups[group];
        let mut sizes = g
            .core
            .iter()
            .chain(&g.members)
            .map(|&m| self.item(m).outputs[0].numel());
        sizes.next().is_none_or(|first| sizes.all(|n| n == first))
    }

    fn may_join(&self, at: usize, group: usize, sources: &[Source], plain: &[bool]) -> bool {
        let g = &self.groups[group];
        let first = g.core.or(g.members.first().copied()).unwrap_or(at);
        if self.item(first).outputs[0].numel() != self.item(at).outputs[0].numel()
            || self.item(at).outputs[0].numel() == 0
        {
            return false;
        }
        let takes = |core: usize| match &self.item(core).work {
            Work::Kernel(op) => op.takes_epilogue(),
            _ => true,
        };
        if !g.core.is_none_or(takes) {
            return false;
        }
        // What it takes from the group, it must take position by position, from the first output.
        let inside = |s: &Source| self.group_of[s.0] == Some(group);
        if sources
            .iter()
            .zip(plain)
            .any(|(s, plain)| inside(s) && !(*plain && s.1 == 0))
        {
            return false;
        }
        if sources.iter().any(|s| {
            !inside(s)
                && self
                    .producers(*s)
                    .any(|p| p == group || self.depends(p, group))
        }) {
            return false;
        }
        if let Work::Map(_, Some(Dest::State(to))) = self.item(at).work {
            let readers = (0..self.groups.len()).filter(|&r| r != group && self.reads(r, to));
            if readers.into_iter().any(|r| self.depends(r, group))
                || !self.in_place_or_apart(group, to)
            {
                return false;
            }
        }
        let mut joined = g.clone();
        joined.members.push(at);
        self.bindings(&joined) <= self.limit
    }

    /// The groups that write a source.
    fn producers(&self, s: Source) -> Box<dyn Iterator<Item = usize> + '_> {
        match self.item(s.0).work {
            Work::Pack => {
                let part = move |i: &&Item| matches!(i.work, Work::Map(_, Some(Dest::Pack(p, _))) if p == s.0);
                let parts = self
                    .items
                    .items
                    .iter()
                    .enumerate()
                    .filter(move |(_, i)| part(i));
                Box::new(parts.filter_map(|(at, _)| self.group_of[at]))
            }
            _ => Box::new(self.group_of[s.0].into_iter()),
        }
    }

    /// The groups that must run before `group`: those whose results it loads, and the readers of states it replaces.
    pub fn before(&self, group: usize) -> Vec<usize> {
        let g = &self.groups[group];
        let mut before = Vec::new();
        for &at in g.core.iter().chain(&g.members) {
            for &s in &self.loaded[at].0 {
                before.extend(self.producers(s));
            }
            if let Work::Map(_, Some(Dest::State(to))) = self.item(at).work {
                before.extend((0..self.groups.len()).filter(|&r| self.reads(r, to)));
            }
        }
        before.sort_unstable();
        before.dedup();
        before.retain(|&b| b != group);
        before
    }

    fn depends(&self, group: usize, on: usize) -> bool {
        let mut seen = vec![false; self.groups.len()];
        let mut open = vec![group];
        while let Some(at) = open.pop() {
            for b in self.before(at) {
                if b == on {
                    return true;
                }
                if !std::mem::replace(&mut seen[b], true) {
                    open.push(b);
                }
            }
        }
        false
    }

    fn state(&self, s: Source) -> Option<StateRange> {
        match self.item(s.0).work {
            Work::Leaf(Leaf::State(range)) => Some(range),
            _ => None,
        }
    }

    fn reads(&self, group: usize, to: StateRange) -> bool {
        let g = &self.groups[group];
        let hits = |s: &Source| self.state(*s).is_some_and(|r| r.overlaps(&to));
        g.core
            .iter()
            .chain(&g.members)
            .any(|&at| self.loaded[at].0.iter().any(hits))
    }

    /// Whether the group reads the state that is to be written position by position, or nothing of its segment: one
    /// kernel may not see a buffer both as read-only and as written.
    fn in_place_or_apart(&self, group: usize, to: StateRange) -> bool {
        let g = &self.groups[group];
        g.core.iter().chain(&g.members).all(|&at| {
            let (sources, plain) = &self.loaded[at];
            sources
                .iter()
                .zip(plain)
                .all(|(s, plain)| match self.state(*s) {
                    Some(range) if range.segment == to.segment => {
                        range == to && *plain && Some(at) != g.core
                    }
                    _ => true,
                })
        })
    }

    /// Whether a source of the group is needed outside of it, or is where it is for its own sake.
    pub fn is_result(&self, group: &Group, source: Source) -> bool {
        let at = source.0;
        let inside = |u: usize| group.members.contains(&self.root(u));
        let dest = matches!(self.item(at).work, Work::Map(_, Some(_)));
        dest || self.items.outputs.contains(&source)
            || self.users[at]
                .iter()
                .any(|&u| !inside(u) && self.item(u).operands.iter().any(|o| o.source == source))
    }

    /// Storage buffers that the group's kernel binds.
    fn bindings(&self, group: &Group) -> usize {
        let mut loaded: Vec<Source> = Vec::new();
        let mut count = 0;
        if let Some(core) = group.core {
            count += self.loaded[core].0.len() + self.item(core).outputs.len() - 1;
            count += usize::from(self.is_result(group, (core, 0)));
        }
        for &at in &group.members {
            let own = |s: &Source| Some(s.0) == group.core || group.members.contains(&s.0);
            loaded.extend(self.loaded[at].0.iter().copied().filter(|s| !own(s)));
            let in_place = match self.item(at).work {
                Work::Map(_, Some(Dest::State(to))) => {
                    loaded.iter().any(|s| self.state(*s) == Some(to))
                }
                _ => false,
            };
            count += usize::from(!in_place && self.is_result(group, (at, 0)));
        }
        if self.trusting {
            let replaced = |&&at: &&usize| self.will_be_replaced(group, at, &loaded);
            count -= group.members.iter().filter(replaced).count();
        }
        loaded.sort_unstable();
        loaded.dedup();
        count + loaded.len()
    }

    /// Whether the only users of a member outside of its group are assigns that have no group yet, to states that the
    /// group loads.
    fn will_be_replaced(&self, group: &Group, at: usize, loaded: &[Source]) -> bool {
        let outside = |u: &&usize| !group.members.contains(&self.root(**u));
        let assigns = |&u: &usize| match self.item(u).work {
            Work::Map(_, Some(Dest::State(to))) => {
                self.group_of[u].is_none() && loaded.iter().any(|s| self.state(*s) == Some(to))
            }
            _ => false,
        };
        let mut users = self.users[at].iter().filter(outside).peekable();
        let mapped = matches!(self.item(at).work, Work::Map(_, None));
        let returned = self.items.outputs.contains(&(at, 0));
        mapped && !returned && users.peek().is_some() && users.all(assigns)
    }
}

/// Whether an operand is its whole source, in order.
fn is_identity(o: &Operand, of: &Item) -> bool {
    o.layout.offset == 0
        && o.layout.is_contiguous()
        && o.layout.shape.numel() == of.outputs[o.source.1].numel()
}

fn view_through(layout: &Layout, chain: &[Arc<dyn OpDef>]) -> Option<Layout> {
    chain.iter().try_fold(layout.clone(), |l, v| v.view(&l))
}
