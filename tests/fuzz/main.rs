//! Readers of foreign bytes under damaged files: a deterministic mutator from stored seeds, and files that were made to hurt.
//! `WGRAD_SEED` and `WGRAD_DRAWS` as in `tests/generated`; under libFuzzer the same targets are in `fuzz/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod alloc;
mod bombs;
#[path = "../common/devices.rs"]
mod common;
#[path = "../common/draws.rs"]
mod draws;
#[cfg(feature = "train")]
mod events;
mod mutate;
mod targets;
#[cfg(feature = "train")]
mod trained;

use draws::draws;
use std::path::Path;
use targets::{Target, target, targets};

#[global_allocator]
static HEAP: alloc::Counting = alloc::Counting;

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    target.seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
}

/// Readers that panic inside another crate are caught there; what they print is of no use here.
fn quiet() {
    std::panic::set_hook(Box::new(|info| {
        let ours = info
            .location()
            .is_some_and(|at| at.file().starts_with("tests/") || at.file().starts_with("src/"));
        if ours {
            common::say(&format!("{info}\n"));
        }
    }));
}

/// `many` damaged files.
fn fuzz(name: &str, many: u64) {
    let target = target(name);
    let seeds = seeds(&target);
    assert!(!seeds.is_empty(), "{name}: no seeds");
    quiet();
    draws(&format!("fuzz {name}"), many, |rng| {
        target.check(&mutate::mutated(rng, &seeds));
    });
    drop(std::panic::take_hook());
}

/// A test for each target, so that they run side by side.
macro_rules! fuzzed {
    ($($(#[$only:meta])* $name:ident $many:literal),* $(,)?) => {$(
        $(#[$only])*
        #[test]
        fn $name() {
            fuzz(stringify!($name), $many);
        }
    )*

        /// The targets that have a test.
        fn tested() -> &'static [&'static str] {
            &[$($(#[$only])* stringify!($name)),*]
        }
    };
}

fuzzed! {
    safetensors 1500,
    torch 3000,
    index 1500,
    idx 2000,
    cifar 500,
    csv 1500,
    json 2000,
    lines 1500,
    conllu 2000,
    #[cfg(feature = "image")] png 1500,
    #[cfg(feature = "image")] jpeg 1500,
    #[cfg(feature = "parquet")] parquet 2000,
    #[cfg(feature = "text")] tokenizer 1000,
    #[cfg(feature = "text")] vocab 1000,
    #[cfg(feature = "train")] optimizer 500,
    #[cfg(feature = "train")] trainer_state 150,
    #[cfg(feature = "train")] tensorboard 50,
}

#[test]
fn every_target_is_run_and_reads_one_of_its_seeds() {
    quiet();
    let names: Vec<&str> = targets().iter().map(|t| t.name).collect();
    assert_eq!(names, tested());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for name in &names {
        let text = std::fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
        assert!(text.contains(&format!("check(\"{name}\"")), "{name}");
    }
    for target in targets() {
        let whole = seeds(&target).iter().map(|s| target.check(s)).max();
        assert!(whole > Some(0), "{}: no seed is read", target.name);
    }
}
