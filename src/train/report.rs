//! What a training leaves in its folder: model, history, pictures, and a page with all of it.

use super::classified::Classified;
use super::curves::Curves;
use super::draw::{png_of, svg};
use super::logs::short;
use super::page::{escaped, numbers, page, pairs};
use super::trainer::Trainer;
use super::{Logs, checkpoints};
use crate::atomic::write_atomic;
use crate::data::DataLoader;
use crate::error::{Error, Result};
use crate::host;
use crate::plan::human;
use std::path::Path;

/// Evaluations in the page's table.
const ROWS: usize = 50;
/// Pairs of classes in its table of those that are confused.
const CONFUSED: usize = 10;

/// The pictures in a folder.
pub(super) const PICTURES: [&str; 5] = [
    "curves.svg",
    "curves.png",
    "confusion_matrix.svg",
    "confusion_matrix.png",
    "mistakes.png",
];

/// Pictures by the names of their files.
type Pictures = Vec<(&'static str, Vec<u8>)>;

impl Trainer<'_> {
    /// Write model, history, pictures and report to `output_dir`, if there is one.
    pub(super) fn write_results(&mut self, model: bool, valid: Option<&DataLoader>) -> Result<()> {
        let Some(output) = self.args.output_dir.clone() else {
            return Ok(());
        };
        if !model {
            let note =
                "The training stopped at a loss that is not finite: the model is not written.";
            return self.write_report(&output, None, Some(note));
        }
        self.session.save(output.join(checkpoints::MODEL))?;
        let classified = match valid {
            Some(valid) => self.classified(valid)?,
            None => None,
        };
        self.write_report(&output, classified.as_ref(), None)
    }

    /// Write history and report of a training that `error` ended, which is what its caller gets: that they cannot be
    /// written is no news.
    pub(super) fn write_failure(&self, error: &Error) {
        if let Some(output) = &self.args.output_dir {
            let note = format!("The training did not finish: {error}");
            let _ = self.write_report(output, None, Some(&note));
        }
    }

    /// Write the history and its curves.
    pub(super) fn write_history(&self, output: &Path) -> Result<()> {
        self.history.save(output.join("history.json"))?;
        match Curves::new(&self.history) {
            Some(curves) => write_atomic(output.join("curves.svg"), svg(&curves)?.as_bytes()),
            None => Ok(()),
        }
    }

    /// Write history, pictures and page; pictures of an earlier training that this one does not have go.
    fn write_report(
        &self,
        output: &Path,
        classified: Option<&Classified>,
        note: Option<&str>,
    ) -> Result<()> {
        self.history.save(output.join("history.json"))?;
        let mut pictures = Pictures::new();
        let mut of_curves = String::new();
        if let Some(curves) = Curves::new(&self.history) {
            let svg = svg(&curves)?;
            of_curves = format!("<h2>Curves</h2>\n{svg}\n");
            pictures.push(("curves.svg", svg.into_bytes()));
            pictures.push(("curves.png", png_of(&curves)?));
        }
        let of_classes = match classified {
            Some(classified) => classes(classified, &mut pictures)?,
            None => String::new(),
        };
        for name in PICTURES {
            let path = output.join(name);
            match pictures.iter().find(|(of, _)| *of == name) {
                Some((_, picture)) => write_atomic(path, picture)?,
                None => checkpoints::remove_file(&path)?,
            }
        }
        let page = self.page(output, &of_curves, &of_classes, note);
        write_atomic(output.join("report.html"), page.as_bytes())
    }

    /// The page.
    fn page(&self, output: &Path, curves: &str, classes: &str, note: Option<&str>) -> String {
        let state = &self.state;
        let name = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
        let name = name.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| "Training".to_owned());
        let mut body = format!(
            "<h1>{}</h1>\n<p>{} of {} epochs, {} of {} steps</p>\n",
            escaped(&name),
            short(state.epoch),
            short(state.num_train_epochs),
            state.global_step,
            state.max_steps
        );
        if let Some(note) = note {
            body += &format!("<p class=\"e\">{}</p>\n", escaped(note));
        }
        body += &self.results();
        body += curves;
        body += &self.evaluations();
        body += classes;
        body += &format!("<h2>Settings</h2>\n{}", pairs(&self.settings()));
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
        page(&name, &body)
    }

    /// The arguments that are set. The learning rate is that of an optimizer that was given, whose other settings are its
    /// own.
    fn settings(&self) -> Vec<(String, String)> {
        let args = serde_json::to_value(&self.args).unwrap_or_default();
        let mut settings = Vec::new();
        for (name, value) in args.as_object().into_iter().flatten() {
            let value = match (name.as_str(), &self.optimizer) {
                ("learning_rate", Some(given)) => given.learning_rate().to_string(),
                ("weight_decay", Some(_)) => continue,
                _ if value.is_null() => continue,
                _ => value.to_string().replace('"', ""),
            };
            settings.push((name.clone(), value));
        }
        settings
    }

    /// The last numbers, and the best.
    fn results(&self) -> String {
        let state = &self.state;
        let last = state.log_history.last().into_iter().flat_map(Logs::iter);
        let last = last.filter(|(name, _)| !["epoch", "step"].contains(name));
        let mut results: Vec<(String, String)> =
            last.map(|(name, x)| (name.to_owned(), short(x))).collect();
        for name in self.history.metrics() {
            let name = format!("eval_{name}");
            if let Some(x) = self.history.evaluations(&name).last() {
                results.push((name, short(*x)));
            }
        }
        if let (Some(best), Some(step)) = (state.best_metric, state.best_global_step) {
            let name = format!("best {}", self.args.best_metric());
            results.push((name, format!("{} at step {step}", short(best))));
        }
        match results.is_empty() {
            true => String::new(),
            false => format!("<h2>Results</h2>\n{}", pairs(&results)),
        }
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
            x.map_or("-".to_owned(), |x| short(*x))
        };
        let heads = ["epoch", "step"].into_iter().chain(names.iter().copied());
        let heads: Vec<String> = heads.map(str::to_owned).collect();
        let first = steps.len().saturating_sub(ROWS);
        let rows = (first..steps.len()).map(|row| {
            let metrics = names.iter().map(|n| cell(&format!("eval_{n}"), row));
            let start = [cell("epoch", row), cell("step", row)];
            start.into_iter().chain(metrics).collect()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let title = match first {
            0 => "Evaluations".to_owned(),
            _ => format!("The last {ROWS} of {} evaluations", steps.len()),
        };
        format!("<h2>{title}</h2>\n{}", numbers(&heads, &rows))
    }
}

/// What the page says of a classifier; its pictures are added.
fn classes(of: &Classified, pictures: &mut Pictures) -> Result<String> {
    let mut body = String::new();
    let confusion = of.confusion()?;
    let drawn = confusion.is_some();
    if let Some((svg, png)) = confusion {
        body += &format!("<h2>Confusion matrix of the held-out data</h2>\n{svg}\n");
        pictures.push(("confusion_matrix.svg", svg.into_bytes()));
        pictures.push(("confusion_matrix.png", png));
    }
    let pairs = of.most_confused(CONFUSED);
    if (!drawn || of.classes > CONFUSED) && !pairs.is_empty() {
        let heads = ["is", "predicted", "times"].map(str::to_owned);
        let row = |(is, said, n): (String, String, u64)| vec![is, said, n.to_string()];
        let rows: Vec<_> = pairs.into_iter().map(row).collect();
        body += &format!(
            "<h2>Most often confused of the {} classes</h2>\n{}",
            of.classes,
            numbers(&heads, &rows)
        );
    }
    if let Some(mistakes) = of.mistakes.as_ref().filter(|m| m.shown() > 0) {
        let shown = match mistakes.shown() < mistakes.wrong {
            true => format!("; the {} most certain", mistakes.shown()),
            false => String::new(),
        };
        body += &format!(
            "<h2>Mistakes on the held-out data</h2>\n<p>{} of {} images{shown}, with the probability of what was \
             predicted.</p>\n{}",
            mistakes.wrong,
            mistakes.all,
            mistakes.html()?
        );
        pictures.push(("mistakes.png", mistakes.png()?));
    }
    Ok(body)
}
