//! Progress: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How a training loop shows where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar where the output is a terminal, plain lines elsewhere. Colours unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// A line an epoch, and one in ten seconds within long epochs.
    Plain,
    /// Nothing.
    Silent,
}

/// Seconds between plain lines within an epoch.
const EVERY: Duration = Duration::from_secs(10);
const BAR: &str = "{prefix} {bar:28} {pos}/{len}  {msg}  {eta} left";
const COLOURED: &str = "{prefix:.bold} {bar:28.cyan/blue} {pos}/{len}  {msg}  {eta} left";

/// The progress of one epoch.
pub(super) struct Epoch {
    show: bool,
    bar: Option<ProgressBar>,
    title: String,
    steps: usize,
    last: Instant,
}

impl Epoch {
    pub(super) fn start(progress: Progress, epoch: usize, epochs: usize, steps: usize) -> Self {
        let title = format!("epoch {epoch}/{epochs}");
        let bar = (progress == Progress::Auto && is_terminal()).then(|| {
            let template = if is_coloured() { COLOURED } else { BAR };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━╸─");
            let bar = ProgressBar::new(steps as u64).with_style(style);
            bar.set_prefix(title.clone());
            bar
        });
        Self {
            show: progress != Progress::Silent,
            bar,
            title,
            steps,
            last: Instant::now(),
        }
    }

    /// `step` steps of the epoch are done.
    pub(super) fn step(&mut self, step: usize, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.set_position(step as u64);
        } else if self.show && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            line(&format!(
                "{}  {step}/{}  {}",
                self.title,
                self.steps,
                message()
            ));
        }
    }

    /// The epoch has ended.
    pub(super) fn end(self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.show {
            line(&format!("{}  {message}", self.title));
        }
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// One line to the standard output. A reader that has gone is no reason to end the training.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn is_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    std::io::stdout().is_terminal() && std::io::stderr().is_terminal() && !dumb
}

fn is_coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
