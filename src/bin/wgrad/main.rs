//! The program `wgrad`: what this machine has to train on, whether its results can be trusted, what a file holds.

#[allow(dead_code, reason = "the rows for long loops are the tests' alone")]
#[path = "../../../tests/cases/mod.rs"]
mod cases;
#[allow(
    clippy::panic,
    reason = "shared with the tests, of which no panic is reached here"
)]
#[path = "../../../tests/common/devices.rs"]
mod common;
mod devices;
mod inspect;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests, whose lengths fit by construction"
)]
#[path = "../../../tests/suite/run.rs"]
mod run;
mod verify;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Train neural networks on any GPU: what this machine has to do so, and what files hold.
#[derive(Parser)]
#[command(name = "wgrad", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the adapters with their limits, and say which device would be taken and why.
    Devices,
    /// Run every operator on a device and on the CPU, and show where they differ most.
    ///
    /// Results and gradients are held to the bound of the tests: 1e-5 + 1e-4 |x| + 1e-6 of the largest. Exits with 1
    /// where one is beyond it. A program of your own is held to it step by step where WGRAD_DEVICE=lockstep is set.
    Verify(verify::Options),
    /// Show the tensors of a file of weights: safetensors, PyTorch's .pt and .pth, or shards with their index.
    ///
    /// Nothing of a PyTorch file is executed.
    Inspect(inspect::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Devices => devices::list(),
        Command::Verify(options) => verify::verify(&options),
        Command::Inspect(options) => inspect::inspect(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // where stderr is closed there is nobody to tell
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Write to stdout; whoever reads it may have stopped to.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Rows under a header, columns as wide as their widest cell; those that `right` names are set to the right.
fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let cells = |c: usize| rows.iter().map(move |r| r[c].chars().count());
    let widths: Vec<usize> = (0..header.len())
        .map(|c| cells(c).max().unwrap_or(0).max(header[c].len()))
        .collect();
    let line = |row: &[&str]| {
        let cell = |c: usize| match right.contains(&c) {
            true => format!("{:>1$}", row[c], widths[c]),
            false => format!("{:<1$}", row[c], widths[c]),
        };
        let all: Vec<String> = (0..row.len()).map(cell).collect();
        all.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header)];
    for row in rows {
        lines.push(line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    lines.join("\n")
}

/// `1.5 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(UNITS.len() as u32 - 1);
    if unit == 0 {
        return format!("{bytes} B");
    }
    let text = format!("{:.1}", bytes as f64 / (1u64 << (10 * unit)) as f64);
    format!("{} {}", text.trim_end_matches(".0"), UNITS[unit as usize])
}
