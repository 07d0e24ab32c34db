//! What holds for every operator and plan: parity, gradients, errors, limits, plans, shaders, layers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

#[path = "../cases/mod.rs"]
mod cases;
#[path = "../common/devices.rs"]
mod common;

mod attention;
mod attention_errors;
mod attention_keys;
mod bits;
mod empty;
mod errors;
mod extremes;
mod extremes_torch;
mod freezing;
mod gradcheck;
mod guides;
mod init;
mod keras;
mod layer_errors;
mod limits;
mod look;
mod mistakes;
mod norm;
mod norm_reads;
mod optimizers;
mod parity;
mod parts;
mod plans;
mod poisoned;
mod randomness;
mod readme;
mod rearranged;
mod recurrent;
mod run;
mod schedules;
mod shaders;
mod tidy;
mod updates;
