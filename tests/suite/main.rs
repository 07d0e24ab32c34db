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

mod accumulation;
mod alike;
mod attention;
mod attention_errors;
mod attention_keys;
mod attention_masks;
mod bits;
mod builders;
mod computed_indices;
mod counts;
mod empty;
mod errors;
mod extremes;
mod extremes_torch;
mod freezing;
mod gan;
mod gradcheck;
mod guides;
mod identity;
mod indices;
mod init;
mod keras;
mod large_logits;
mod layer_errors;
mod limits;
mod literals;
mod look;
mod mistakes;
mod modes;
mod norm;
mod norm_reads;
mod not_numbers;
mod nothing;
mod optimizers;
mod parity;
mod parts;
mod plans;
mod poisoned;
mod randomness;
mod ranges;
mod readme;
mod rearranged;
mod recurrent;
mod resident;
mod run;
mod scalar_edges;
mod scalar_exact;
mod schedules;
mod second_gradients;
mod shaders;
mod sizes;
mod tidy;
mod updates;
