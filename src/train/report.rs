//! What a training leaves in its folder: model, history, curves, and a page with all of it.

use super::confusion::{confusion_matrix_svg, escaped};
use super::logs::short;
use super::metrics::ConfusionMatrix;
use super::trainer::Trainer;
use super::{Logs, checkpoints, curves};
use crate::atomic::write_atomic;
use crate::data::DataLoader;
use crate::dtype::DType;
use crate::error::Result;
use crate::host;
use crate::plan::human;
use std::path::Path;

/// Most classes of a confusion matrix.
const CLASSES: usize = 40;
/// Evaluations in the page's table.
const ROWS: usize = 50;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}\
h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #ddd}\
table{border-collapse:collapse}td,th{padding:.2em .9em .2em 0;text-align:left;vertical-align:top}\
th{font-weight:600}.n td,.n th{text-align:right}pre{background:#f6f6f6;padding:1em;overflow-x:auto;line-height:1.3}\
svg{max-width:100%;height:auto}";

impl Trainer<'_> {
    /// Write model, history, pictures and report to `output_dir`, if there is one.
    pub(super) fn write_results(&mut self, model: bool, valid: Option<&DataLoader>) -> Result<()> {
        let Some(output) = self.args.output_dir.clone() else {
            return Ok(());
        };
        if model {
            self.session.save(output.join(checkpoints::MODEL))?;
        }
        self.write_history(&output)?;
        let confusion = match valid.filter(|_| model) {
            Some(valid) => self.confusion(valid)?,
            None => None,
        };
        let page = self.page(confusion.as_deref())?;
        write_atomic(output.join("report.html"), page.as_bytes())
    }

    /// Write history and curves.
    pub(super) fn write_history(&self, output: &Path) -> Result<()> {
        self.history.save(output.join("history.json"))?;
        curves::save(&self.history, &output.join("curves.svg"))
    }

    /// The confusion matrix over held-out data as SVG, for tasks that predict one of a few classes for each sample.
    fn confusion(&mut self, valid: &DataLoader) -> Result<Option<String>> {
        let Some(first) = self.predicted(valid, 1)? else {
            return Ok(None);
        };
        let classes = match first.predictions.shape()[..] {
            [_, classes] if (2..=CLASSES).contains(&classes) => classes,
            _ => return Ok(None),
        };
        let labels = &first.labels;
        if labels.dtype() != DType::I32 || labels.shape().rank() != 1 {
            return Ok(None);
        }
        let Some(all) = self.predicted(valid, usize::MAX)? else {
            return Ok(None);
        };
        let labels = all.labels.as_slice()?;
        // Labels that stand for no class have no place in a matrix.
        let Ok(matrix) = ConfusionMatrix::new(&all.classes()?, labels, Some(classes)) else {
            return Ok(None);
        };
        confusion_matrix_svg(&matrix, &[""; 0]).map(Some)
    }

    /// The page.
    fn page(&self, confusion: Option<&str>) -> Result<String> {
        let state = &self.state;
        let mut body = format!(
            "<h1>Training of {} epochs, {} steps</h1>\n<h2>Results</h2>\n",
            short(state.epoch),
            state.global_step
        );
        let last = state.log_history.last().into_iter().flat_map(Logs::iter);
        let mut results: Vec<(String, String)> =
            last.map(|(name, x)| (name.to_owned(), short(x))).collect();
        if let (Some(best), Some(step)) = (state.best_metric, state.best_global_step) {
            let name = format!("best {}", self.args.best_metric());
            results.push((name, format!("{} at step {step}", short(best))));
        }
        body += &pairs(&results);
        if let Some(svg) = curves::svg(&self.history)? {
            body += &format!("<h2>Curves</h2>\n{svg}\n");
        }
        body += &self.evaluations();
        if let Some(svg) = confusion {
            body += &format!("<h2>Confusion matrix of the held-out data</h2>\n{svg}\n");
        }
        let args = serde_json::to_value(&self.args).unwrap_or_default();
        let args = args.as_object().into_iter().flatten();
        let args: Vec<_> = args
            .map(|(name, value)| (name.clone(), value.to_string().replace('"', "")))
            .collect();
        body += &format!("<h2>Settings</h2>\n{}", pairs(&args));
        if let Some(table) = &self.table {
            let table = escaped(&table.to_string());
            body += &format!("<h2>Model</h2>\n<pre>{table}</pre>\n");
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = host::memory().map_or("unknown".to_owned(), human);
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        let machine = [
            ("device", self.session.banner().replace("device: ", "")),
            ("cores", cores.to_string()),
            ("memory", memory),
            ("system", system),
            ("wgrad", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let machine = machine.map(|(name, value)| (name.to_owned(), value));
        body += &format!("<h2>Machine</h2>\n{}", pairs(&machine));
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Training</title>\
             <style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
        ))
    }

    /// The last evaluations as a table.
    fn evaluations(&self) -> String {
        let names = self.history.metrics();
        let steps = self.history.evaluations("step");
        if steps.is_empty() {
            return String::new();
        }
        let cell = |name: &str, row: usize| {
            let x = self.history.evaluations(name).get(row);
            format!("<td>{}</td>", x.map_or("-".to_owned(), |x| short(*x)))
        };
        let heads: String = names
            .iter()
            .map(|n| format!("<th>{}</th>", escaped(n)))
            .collect();
        let first = steps.len().saturating_sub(ROWS);
        let rows = (first..steps.len()).map(|row| {
            let metrics: String = names
                .iter()
                .map(|n| cell(&format!("eval_{n}"), row))
                .collect();
            format!(
                "<tr>{}{}{metrics}</tr>\n",
                cell("epoch", row),
                cell("step", row)
            )
        });
        format!(
            "<h2>Evaluations</h2>\n<table class=\"n\"><tr><th>epoch</th><th>step</th>{heads}</tr>\n{}</table>\n",
            rows.collect::<String>()
        )
    }
}

/// Names and values as a table.
fn pairs(of: &[(String, String)]) -> String {
    let row = |(name, value): &(String, String)| {
        let (name, value) = (escaped(name), escaped(value));
        format!("<tr><th>{name}</th><td>{value}</td></tr>\n")
    };
    format!(
        "<table>{}</table>\n",
        of.iter().map(row).collect::<String>()
    )
}
