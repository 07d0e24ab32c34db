//! Long trainings and bad days: memory that stays, kills at any moment, disks that are full, folders that vanish, devices that
//! are lost. A short form in each run of the tests; `WGRAD_SOAK_STEPS` and `WGRAD_SOAK_KILLS` set the long one
//! (`tests/long`).
#![cfg(feature = "train")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

#[path = "../common/devices.rs"]
mod common;

#[cfg(unix)]
mod disk;
#[cfg(feature = "gpu")]
mod lost;
#[cfg(target_os = "linux")]
mod memory;
mod trained;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// This program again, for one of its ignored tests alone.
#[cfg(unix)]
fn child(test: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        test,
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
}

/// What a child said of itself.
#[cfg(unix)]
fn said(output: &std::process::Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().filter_map(|l| l.split_once("OUTCOME "));
    match lines.next() {
        Some((_, outcome)) => outcome.to_owned(),
        None => panic!(
            "{}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}
