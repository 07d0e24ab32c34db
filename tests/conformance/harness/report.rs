//! A folder of cases on a device, and what came of it.

use super::{Case, Outcome, schedules, single, trained};
use crate::common::{Pass, say};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use wgrad::{Params, Session};

/// Cases.
pub struct Folder {
    cases: Vec<Case>,
}

/// What came of a folder on a device.
pub struct Report {
    device: &'static str,
    passed: usize,
    /// Cases that fail.
    pub failed: usize,
    dispatches: u64,
    time: Duration,
}

impl Folder {
    /// Read every case of `path`, or of `path/cases`.
    ///
    /// # Errors
    /// There is none, or one cannot be read.
    pub fn open(path: &Path) -> Result<Self, String> {
        let below = path.join("cases");
        let folder = if below.is_dir() {
            below
        } else {
            path.to_owned()
        };
        let entries =
            std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let files = entries.filter_map(|e| Some(e.ok()?.path()));
        let mut files: Vec<_> = files
            .filter(|f| f.extension().is_some_and(|e| e == "safetensors"))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(format!("{}: there are no cases", folder.display()));
        }
        let read = |f: &std::path::PathBuf| Case::read(f).map_err(|e| e.to_string());
        let cases = files.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { cases })
    }

    /// Run every case. `None` where there is no such device.
    pub fn run(&self, pass: &Pass) -> Option<Report> {
        let mut session = pass.open(&Params::new(0))?;
        let start = Instant::now();
        let mut report = Report {
            device: pass.name,
            passed: 0,
            failed: 0,
            dispatches: 0,
            time: Duration::ZERO,
        };
        for case in &self.cases {
            let done = catch_unwind(AssertUnwindSafe(|| run(pass, &mut session, case)));
            let (outcome, dispatches) = done.unwrap_or_else(|_| {
                // What a panic left of the session is not known.
                session = pass.open(&Params::new(0)).unwrap();
                (Outcome::Failed(vec!["panicked".to_owned()]), 0)
            });
            report.dispatches += dispatches;
            let faults = match outcome {
                Outcome::Passed => {
                    report.passed += 1;
                    continue;
                }
                Outcome::Missing => format!("there is no {}", case.op),
                Outcome::Failed(faults) => faults.join("; "),
            };
            report.failed += 1;
            say(&format!(
                "FAILED {} on {}: {faults}\n",
                case.name, pass.name
            ));
        }
        report.time = start.elapsed();
        Some(report)
    }
}

fn run(pass: &Pass, session: &mut Session, case: &Case) -> (Outcome, u64) {
    match case.op.as_str() {
        "optimizer" | "training" => trained::run(pass, case),
        "scheduler" => (schedules::run(case), 0),
        _ => {
            let before = session.counters().dispatches;
            let outcome = single::run(session, case);
            (outcome, session.counters().dispatches - before)
        }
    }
}

/// Counts of every device.
pub fn table(reports: &[Report]) -> String {
    let mut text = format!(
        "{:<20} {:>7} {:>7} {:>11} {:>7} {:>8}\n",
        "conformance", "passed", "failed", "dispatches", "a case", "seconds"
    );
    for r in reports {
        let run = (r.passed + r.failed).max(1) as f64;
        let _ = writeln!(
            text,
            "{:<20} {:>7} {:>7} {:>11} {:>7.1} {:>8.1}",
            r.device,
            r.passed,
            r.failed,
            r.dispatches,
            r.dispatches as f64 / run,
            r.time.as_secs_f64()
        );
    }
    text
}
