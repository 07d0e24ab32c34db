//! Every case of `tests/conformance/` on every device: what PyTorch computes.
//!
//! `WGRAD_CONFORMANCE=DIR` runs another folder of the format of `tests/conformance/README.md`, `WGRAD_DEVICE` one device.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

#[path = "common/devices.rs"]
mod common;
#[path = "conformance/harness/mod.rs"]
mod harness;

use common::{Pass, cpu, gpu, gpu_default_limits, lockstep, poisoned, say};
use harness::{Folder, Report};
use std::path::Path;

#[test]
fn conformance() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let chosen = std::env::var("WGRAD_CONFORMANCE").ok();
    let folder = match chosen.filter(|d| !d.is_empty()) {
        Some(other) => Folder::open(Path::new(&other)),
        None => Folder::open(&own),
    };
    let folder = folder.unwrap();
    let passes: Vec<Pass> = match std::env::var("WGRAD_DEVICE").as_deref() {
        Ok("cpu") => vec![cpu(), poisoned(cpu())],
        Ok("gpu") => vec![poisoned(gpu()), gpu_default_limits()],
        Ok("lockstep") => vec![lockstep()],
        Ok("") | Err(_) => vec![
            cpu(),
            poisoned(cpu()),
            poisoned(gpu()),
            gpu_default_limits(),
        ],
        Ok(other) => panic!("WGRAD_DEVICE={other}: cpu, gpu or lockstep"),
    };
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let folder = &folder;
        let start = |pass| scope.spawn(move || folder.run(pass));
        let running: Vec<_> = passes.iter().map(start).collect();
        running
            .into_iter()
            .filter_map(|r| r.join().unwrap())
            .collect()
    });
    say(&harness::table(&reports));
    let failed: usize = reports.iter().map(|r| r.failed).sum();
    assert!(!reports.is_empty(), "no device ran");
    assert_eq!(failed, 0, "failing cases");
}
