//! What generators draw: random cases with printed seeds, a few in each run of the tests, thousands on request (`common/draws.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]
#![allow(dead_code, reason = "generators take their share of what is common")]

#[path = "../common/devices.rs"]
mod common;
#[path = "../common/draws.rs"]
mod draws;

#[path = "../cases/mod.rs"]
mod cases;
mod fit;
mod graphs;
mod indices;
mod models;
mod products;
#[path = "../suite/run.rs"]
mod run;
mod scalars;
mod setups;
mod shapes;
