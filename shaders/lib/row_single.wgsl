// Rows handled by one thread each.

const TEAM: u32 = 1u;
fn team_row(group: u32, thread: u32) -> u32 { return group * THREADS + thread; }
fn team_step(groups: u32) -> u32 { return groups * THREADS; }
fn team_member(thread: u32) -> u32 { return 0u; }
fn team_max(x: f32, member: u32) -> f32 { return x; }
fn team_sum(x: f32, member: u32) -> f32 { return x; }
fn team_first(i: u32, member: u32) -> u32 { return i; }
