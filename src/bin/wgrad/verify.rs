//! `wgrad verify`.

use super::cases::{Case, table as cases};
use super::common::worst;
use super::run::run;
use super::{say, table};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::{Error, Params, Result, Session};

/// The bound: a share of the value, and an absolute part.
const BOUND: (f64, f64) = (1e-4, 1e-5);

/// What to run, and on what.
#[derive(clap::Args)]
pub struct Options {
    /// Device to compare with the CPU: gpu (also a software adapter) or cpu, which compares it with itself
    #[arg(long, default_value = "gpu", value_parser = ["gpu", "cpu"])]
    device: String,
    /// Part of an adapter's line as `wgrad devices` shows it
    #[arg(long)]
    adapter: Option<String>,
    /// Hold the device to WebGPU's default limits
    #[arg(long)]
    default_limits: bool,
    /// Operators whose names contain this, and no others
    #[arg(long)]
    only: Option<String>,
    /// Seed of the values
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How an operator did.
#[derive(Default)]
struct Row {
    cases: usize,
    /// The largest difference, in units of the bound, as such, and where.
    excess: f64,
    difference: f64,
    at: String,
    faults: Vec<String>,
}

/// Compare a device with the CPU; whether all is within the bound.
pub fn verify(options: &Options) -> Result<bool> {
    let device = |kind| DeviceOptions {
        kind: Some(kind),
        adapter: options.adapter.clone(),
        default_limits: options.default_limits,
        ..DeviceOptions::default()
    };
    let kind: DeviceKind = options.device.parse()?;
    let params = Params::new(0);
    // a kernel that reads or writes beside its values is a fault too
    let watched = DeviceOptions {
        poisoned: true,
        ..device(kind)
    };
    let mut session = Session::with_options(&params, &watched)?;
    let mut cpu = Session::with_options(&Params::new(0), &device(DeviceKind::Cpu))?;
    let mut chosen = cases();
    let all = chosen.len();
    if let Some(part) = &options.only {
        chosen.retain(|c| operator(c).contains(part.as_str()));
        if chosen.is_empty() {
            return Err(Error::argument(format!(
                "--only {part}: none of the {all} cases has an operator of that name"
            )));
        }
    }
    say(session.banner());
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut shown = std::io::stderr();
    let watched = shown.is_terminal();
    for (at, case) in chosen.iter().enumerate() {
        if watched {
            let _ = write!(shown, "\r{} of {} cases ", at + 1, chosen.len());
        }
        let row = rows.entry(operator(case)).or_default();
        row.cases += 1;
        if let Err(why) = compare(&mut cpu, &mut session, case, options.seed, row) {
            row.faults.push(format!("{}: {why}", case.name));
        }
    }
    if watched {
        let _ = write!(shown, "\r{:40}\r", "");
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by(|a, b| b.1.excess.total_cmp(&a.1.excess));
    let line = |(name, row): &(&str, Row)| {
        vec![
            (*name).to_owned(),
            row.cases.to_string(),
            format!("{:.1e}", row.difference),
            format!("{:.3}", row.excess),
            row.at.clone(),
        ]
    };
    let header = ["operator", "cases", "difference", "of the bound", "where"];
    let lines: Vec<_> = rows.iter().map(line).collect();
    say(&table(&header, &lines, &[1, 2, 3]));
    let faults: Vec<&String> = rows.iter().flat_map(|r| &r.1.faults).collect();
    for fault in &faults {
        say(&format!("FAULT {fault}"));
    }
    say(&format!(
        "{} operators, {} cases, {} faults",
        rows.len(),
        chosen.len(),
        faults.len()
    ));
    Ok(faults.is_empty())
}

/// The operator of a case: its name up to what is special about it.
fn operator(case: &Case) -> &str {
    let end = case.name.find([',', '[']).unwrap_or(case.name.len());
    case.name[..end].trim_end()
}

fn compare(
    cpu: &mut Session,
    session: &mut Session,
    case: &Case,
    seed: u64,
    row: &mut Row,
) -> Result<(), String> {
    let inputs = case.values(seed);
    let want = run(cpu, case, &inputs, seed).map_err(|e| format!("CPU: {e}"))?;
    let got = run(session, case, &inputs, seed).map_err(|e| e.to_string())?;
    for (k, (got, want)) in got.iter().zip(&want).enumerate() {
        let Some(w) = worst(got, want, BOUND.0, BOUND.1)? else {
            continue;
        };
        if w.excess > row.excess {
            row.excess = w.excess;
            row.difference = (w.got - w.want).abs();
            row.at = case.name.clone();
        }
        if w.excess > 1.0 {
            return Err(format!(
                "result {k}, element {}: got {}, the CPU {}",
                w.at, w.got, w.want
            ));
        }
    }
    Ok(())
}
