//! The targets of `tests/fuzz`, for libFuzzer.

#[path = "../../tests/fuzz/alloc.rs"]
mod alloc;
#[path = "../../tests/fuzz/events.rs"]
mod events;
#[path = "../../tests/fuzz/targets.rs"]
pub mod targets;
#[path = "../../tests/fuzz/trained.rs"]
mod trained;

use std::cell::OnceCell;
use targets::Target;

#[global_allocator]
static HEAP: alloc::Counting = alloc::Counting;

thread_local! {
    static TARGET: OnceCell<Target> = const { OnceCell::new() };
}

/// Run a target on a file of these bytes.
pub fn check(name: &str, bytes: &[u8]) {
    TARGET.with(|target| {
        let target = target.get_or_init(|| {
            // libFuzzer ends at any panic; those that a reader catches itself are none
            std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
            targets::target(name)
        });
        target.check(bytes);
    });
}
