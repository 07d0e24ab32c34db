//! Training loops: arguments, epochs, evaluation, callbacks, checkpoints, history, curves.

mod args;
mod callback;
mod callbacks;
mod checkpoints;
mod classified;
mod confusion;
mod console;
mod curves;
mod draw;
mod ending;
mod evaluate;
mod fit;
mod history;
mod interrupt;
mod logs;
mod measure;
pub mod metrics;
mod mistakes;
mod on_device;
mod page;
mod report;
mod resume;
mod run;
mod split;
mod summary;
mod task;
mod trainer;

pub use args::{IntervalStrategy, Resume, SaveStrategy, SchedulerType, TrainingArguments};
pub use callback::{Callback, Event, TrainerControl, TrainerState};
pub use callbacks::{
    CsvLogger, EarlyStopping, Ema, JsonLogger, Lambda, LearningRateMonitor, ModelCheckpoint,
    TensorBoard, TerminateOnNan,
};
pub use confusion::{confusion_matrix_png, confusion_matrix_svg};
pub use console::{Progress, ProgressBar};
pub use evaluate::PredictionOutput;
pub use history::History;
pub use logs::Logs;
pub use split::ValidationSplit;
pub use summary::Summary;
pub use task::Outcome;
pub use trainer::{Source, Trainer};
