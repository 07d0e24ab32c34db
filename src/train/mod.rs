//! Training loops: epochs, evaluation, progress, history, curves, checkpoints.

mod console;
mod curves;
mod history;
mod interrupt;
pub mod metrics;
mod summary;
mod trainer;

pub use console::Progress;
pub use history::History;
pub use summary::Summary;
pub use trainer::{Metrics, Outcome, TrainOptions, Trainer};
