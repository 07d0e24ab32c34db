//! What a training shows: a bar on a terminal, a table of evaluations everywhere.

use super::callback::{Callback, Event, TrainerState};
use super::logs::short;
use super::{IntervalStrategy, Logs};
use crate::error::Result;
use indicatif::{ProgressBar as Bar, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How a training loop shows where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// A table of evaluations, and a bar where the output is a terminal. Colours unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// The table, and a line in ten seconds meanwhile.
    Plain,
    /// Nothing.
    Silent,
}

/// Time between plain lines.
const EVERY: Duration = Duration::from_secs(10);
const BAR: &str = "{prefix} {wide_bar} {pos}/{len}  {msg}  {eta} left";
const COLOURED: &str = "{prefix:.bold} {wide_bar:.cyan/blue} {pos}/{len}  {msg}  {eta} left";

/// Shows where a training is. [`TrainingArguments::progress`](super::TrainingArguments::progress) adds it: a bar with loss,
/// metric, rate and time left, a line of a table for each evaluation, a summary at the end.
#[derive(Debug)]
pub struct ProgressBar {
    progress: Progress,
    bar: Option<Bar>,
    started: Instant,
    last: Instant,
    /// Names of the columns, once they are written.
    columns: Vec<String>,
    /// What says which evaluation is best, for tasks without an accuracy.
    metric: String,
}

impl ProgressBar {
    /// One that shows as much as `progress` says.
    pub fn new(progress: Progress) -> Self {
        Self {
            progress,
            bar: None,
            started: Instant::now(),
            last: Instant::now(),
            columns: Vec::new(),
            metric: String::new(),
        }
    }

    /// A line, above the bar if there is one.
    fn line(&self, text: &str) {
        match (&self.bar, self.progress) {
            (_, Progress::Silent) => {}
            (Some(bar), _) => bar.suspend(|| line(text)),
            (None, _) => line(text),
        }
    }

    fn message(&self, state: &TrainerState) -> String {
        let accuracy = state.accuracy.map(|a| format!("  accuracy {a:.4}"));
        format!(
            "loss {:.4}{}  {:.0} samples/s",
            state.loss,
            accuracy.unwrap_or_else(|| self.metric.clone()),
            state.samples_per_second
        )
    }

    /// A line of the table, below its head where it is the first.
    fn row(&mut self, state: &TrainerState, metrics: &Logs) {
        if self.columns.is_empty() {
            self.columns = columns(metrics);
            let names = ["epoch", "step", "loss"].map(str::to_owned).into_iter();
            let names = names.chain(self.columns.clone());
            let names = names.chain(["samples/s", "seconds"].map(str::to_owned));
            let head: Vec<String> = names.map(|name| cell(&name, &name)).collect();
            self.line(head.join("  ").trim_end());
        }
        let number = |name: &str| metrics.get(name).map_or("-".to_owned(), short);
        let mut cells = vec![
            cell("epoch", &format!("{:.2}", state.epoch)),
            cell("step", &state.global_step.to_string()),
            cell("loss", &format!("{:.4}", state.loss)),
        ];
        cells.extend(self.columns.iter().map(|name| cell(name, &number(name))));
        cells.push(cell(
            "samples/s",
            &format!("{:.0}", state.samples_per_second),
        ));
        let seconds = self.started.elapsed().as_secs_f64();
        cells.push(cell("seconds", &format!("{seconds:.1}")));
        self.line(&cells.join("  "));
    }
}

/// The metrics of the table: the loss, then the others.
fn columns(metrics: &Logs) -> Vec<String> {
    let names = metrics.iter().map(|(name, _)| name.to_owned());
    let others = names.filter(|name| {
        let bare = name.strip_prefix("eval_").unwrap_or("runtime");
        bare != "loss" && bare != "runtime" && !bare.ends_with("_per_second")
    });
    let loss = metrics.get("eval_loss").map(|_| "eval_loss".to_owned());
    loss.into_iter().chain(others).collect()
}

fn cell(name: &str, text: &str) -> String {
    let width = name.len().max(7);
    format!("{text:>width$}")
}

impl Callback for ProgressBar {
    fn name(&self) -> &'static str {
        "progress_bar"
    }

    fn on_train_begin(&mut self, event: &mut Event) -> Result<()> {
        (self.started, self.last) = (Instant::now(), Instant::now());
        self.columns.clear();
        self.metric.clear();
        self.bar = (self.progress == Progress::Auto && is_terminal()).then(|| {
            let template = if is_coloured() { COLOURED } else { BAR };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━╸─");
            let bar = Bar::new(event.state.max_steps).with_style(style);
            bar.set_position(event.state.global_step);
            bar.reset_eta();
            bar
        });
        if event.state.global_step > 0 {
            let (step, epoch) = (event.state.global_step, event.state.epoch);
            self.line(&format!("goes on after step {step}, epoch {epoch:.2}"));
        }
        Ok(())
    }

    fn on_step_end(&mut self, event: &mut Event) -> Result<()> {
        let state = event.state;
        let epochs = state.num_train_epochs.ceil();
        let title = || format!("epoch {}/{epochs}", state.epoch.ceil());
        if let Some(bar) = &self.bar {
            bar.set_prefix(title());
            bar.set_message(self.message(state));
            bar.set_position(state.global_step);
        } else if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            let (step, steps) = (state.global_step, state.max_steps);
            self.line(&format!(
                "{}  step {step}/{steps}  {}",
                title(),
                self.message(state)
            ));
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, event: &mut Event) -> Result<()> {
        if event.args.eval_strategy == IntervalStrategy::No {
            self.row(event.state, &Logs::default());
        }
        Ok(())
    }

    fn on_evaluate(&mut self, event: &mut Event, metrics: &Logs) -> Result<()> {
        self.row(event.state, metrics);
        let shown = event.args.best_metric();
        if let Some(value) = metrics.get(&shown) {
            self.metric = format!("  {shown} {}", short(value));
        }
        self.last = Instant::now();
        Ok(())
    }

    fn on_train_end(&mut self, event: &mut Event) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let state = event.state;
        let seconds = self.started.elapsed().as_secs_f64();
        let mut text = format!(
            "trained {} steps, {} {}, in {seconds:.1} s",
            state.global_step,
            short(state.epoch),
            if state.epoch == 1.0 {
                "epoch"
            } else {
                "epochs"
            }
        );
        if let (Some(best), Some(step)) = (state.best_metric, state.best_global_step) {
            let name = event.args.best_metric();
            text += &format!("; best {name} {} at step {step}", short(best));
        }
        if let Some(folder) = &state.best_model_checkpoint {
            text += &format!(" ({})", folder.display());
        }
        self.line(&text);
        Ok(())
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// One line to the standard output. A reader that has gone is no reason to end the training.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn is_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    std::io::stdout().is_terminal() && std::io::stderr().is_terminal() && !dumb
}

fn is_coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
