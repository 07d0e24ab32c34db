//! Ctrl-C: the first asks the running loop to end, the second ends the process.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static INSTALL: Once = Once::new();
static LOOPS: AtomicUsize = AtomicUsize::new(0);
static PRESSED: AtomicBool = AtomicBool::new(false);

/// What shells report for a process that Ctrl-C ended.
const ENDED: i32 = 130;

/// While it lives, Ctrl-C is taken note of instead of ending the process. Where the program has a handler of its own,
/// that one stays.
pub(super) struct Guard(());

impl Guard {
    pub(super) fn new() -> Self {
        if LOOPS.fetch_add(1, Ordering::SeqCst) == 0 {
            PRESSED.store(false, Ordering::SeqCst);
        }
        INSTALL.call_once(|| {
            // An error means that the program has a handler: it is to decide.
            let _ = ctrlc::try_set_handler(|| {
                if LOOPS.load(Ordering::SeqCst) == 0 || PRESSED.swap(true, Ordering::SeqCst) {
                    std::process::exit(ENDED);
                }
            });
        });
        Self(())
    }

    /// Whether Ctrl-C was pressed.
    pub(super) fn pressed(&self) -> bool {
        PRESSED.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        LOOPS.fetch_sub(1, Ordering::SeqCst);
    }
}
