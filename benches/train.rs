//! One training step of each model of `benches/peers/README.md`, on every device of the machine: forward, cross
//! entropy, backward, Adam, loss read back.
//!
//!     cargo bench --bench train -- [MODEL…] [--device cpu|gpu|NAME] [--profile] [--quick] [--json PATH]

mod harness;

use clap::Parser;
use harness::devices::{self, Choice};
use harness::models::{MODELS, Model};
use harness::profile::{Profiler, Times};
use harness::report::{Report, Table, short};
use harness::stepper::Stepper;
use harness::{Effort, Options, Spread};
use serde_json::{Value, json};
use std::sync::Arc;
use wgrad::device::Counters;
use wgrad::plan::human;

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Also time each step of the plan, run and waited for alone.
    #[arg(long)]
    profile: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.options.list {
        return Ok(());
    }
    let devices = devices::list(&args.options.device);
    let mut report = Report::new("train", &devices);
    let table = Table::new(&[
        ("milliseconds a step", 32),
        ("median", 8),
        ("min", 8),
        ("p10", 8),
        ("p90", 8),
        ("runs", 4),
        ("open", 6),
        ("compile", 7),
        ("first step", 10),
        ("loss", 18),
    ]);
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for model in MODELS.iter().filter(|m| args.options.wants(m.name)) {
        let mut reference = Stepper::new(model, Choice::cpu().open()?)?;
        reference.step()?;
        for device in &devices {
            match measure(
                model,
                device,
                &reference.losses,
                args.options.effort(),
                &table,
            ) {
                Ok(row) => rows.push(row),
                Err(error) => failed.push(format!("{} on {}: {error}", model.name, device.label)),
            }
        }
    }
    println!();
    counters(&rows);
    println!();
    memory(&rows);
    if args.profile {
        for model in MODELS.iter().filter(|m| args.options.wants(m.name)) {
            for device in &devices {
                println!();
                report.row(profile(model, device, args.options.effort())?);
            }
        }
    }
    rows.into_iter().for_each(|row| report.row(row));
    report.finish(&args.options)?;
    anyhow::ensure!(failed.is_empty(), "FAILED: {}", failed.join("\nFAILED: "));
    Ok(())
}

/// The steps of one model on one device: gate, clock, a printed row and all that was found.
fn measure(
    model: &Model,
    device: &Choice,
    reference: &[f32],
    effort: Effort,
    table: &Table,
) -> anyhow::Result<Value> {
    let begin = std::time::Instant::now();
    let opened = device.open()?;
    let open = harness::ms(begin);
    let mut stepper = Stepper::new(model, opened)?;
    stepper.step()?;
    stepper.gate(reference)?;
    for _ in 0..effort.warmup {
        stepper.step()?;
    }
    let before = stepper.session.counters();
    let steps = Effort {
        warmup: 0,
        ..effort
    }
    .measure(|| stepper.step())?;
    let after = stepper.session.counters();
    stepper.gate(reference)?;
    let spread = Spread::of(steps.iter().map(|s| s.total));
    let start = stepper.start;
    let name = format!("{}, {}", model.name, device.label);
    table.row(&[
        name.clone(),
        short(spread.median),
        short(spread.min),
        short(spread.p10),
        short(spread.p90),
        spread.runs.to_string(),
        short(open),
        short(start.compile),
        short(start.first_step),
        format!("{:.4} to {:.4}", stepper.first_loss(), stepper.last_loss()),
    ]);
    let runs = steps.len() as f64;
    let each = |of: fn(&Counters) -> u64| (of(&after) - of(&before)) as f64 / runs;
    let dispatches = each(|c| c.dispatches);
    let submit = Spread::of(steps.iter().map(|s| s.submit * 1e3));
    let memory = stepper.session.memory();
    Ok(json!({
        "name": name,
        "model": model.name,
        "batch": model.batch,
        "device": device.label,
        "ms": spread,
        "open_ms": open,
        "start_ms": start,
        "loss": [stepper.first_loss(), stepper.last_loss()],
        "dispatches": dispatches,
        "submits": each(|c| c.submits),
        "allocations": each(|c| c.allocations),
        "bytes_up": each(|c| c.bytes_up),
        "bytes_down": each(|c| c.bytes_down),
        "pipelines": after.pipelines,
        // On the CPU to submit is to run.
        "submit_us": device.adapter.as_ref().map(|_| submit),
        "submit_us_a_dispatch": device.adapter.as_ref().map(|_| submit.median / dispatches),
        "memory": memory.rows().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "memory_total": memory.total(),
        "peak_resident": harness::peak_resident(),
    }))
}

fn text(row: &Value, key: &str) -> String {
    match &row[key] {
        Value::String(s) => s.clone(),
        Value::Null => "-".to_owned(),
        v => v.as_f64().map_or_else(|| v.to_string(), short),
    }
}

/// What a step costs besides time, after warm-up.
fn counters(rows: &[Value]) {
    let table = Table::new(&[
        ("a step, after warm-up", 32),
        ("dispatches", 10),
        ("submits", 7),
        ("allocations", 11),
        ("bytes up", 8),
        ("bytes down", 10),
        ("pipelines", 9),
        ("submit us a dispatch", 20),
    ]);
    for row in rows {
        let keys = [
            "name",
            "dispatches",
            "submits",
            "allocations",
            "bytes_up",
            "bytes_down",
            "pipelines",
            "submit_us_a_dispatch",
        ];
        table.row(&keys.map(|k| text(row, k)));
    }
}

/// What the device holds at the end, by kind.
fn memory(rows: &[Value]) {
    let kinds = wgrad::plan::Memory::default().rows().map(|r| r.0);
    let mut columns = vec![("memory", 32)];
    columns.extend(kinds.map(|k| (k, 11)));
    columns.push(("total", 11));
    columns.push(("peak resident", 13));
    let table = Table::new(&columns);
    for row in rows {
        let bytes = |v: &Value| v.as_u64().map_or_else(|| "-".to_owned(), human);
        let mut cells = vec![text(row, "name")];
        cells.extend(kinds.map(|k| bytes(&row["memory"][k])));
        cells.push(bytes(&row["memory_total"]));
        cells.push(bytes(&row["peak_resident"]));
        table.row(&cells);
    }
}

/// Time of each step of the plan.
fn profile(model: &Model, device: &Choice, effort: Effort) -> anyhow::Result<Value> {
    let times = Arc::new(Times::default());
    let profiler = Profiler::new(device.open()?, times.clone());
    let mut stepper = Stepper::new(model, Box::new(profiler))?;
    for _ in 0..effort.warmup {
        stepper.step()?;
    }
    times.clear();
    Effort {
        warmup: 0,
        ..effort
    }
    .measure(|| stepper.step())?;
    let steps: Vec<(String, f64)> = times
        .take()
        .into_iter()
        .map(|(name, ms)| (name, Spread::of(ms).median))
        .collect();
    let sum: f64 = steps.iter().map(|s| s.1).sum();
    let head = format!("{} on {}, step by step", model.name, device.label);
    let table = Table::new(&[(head.as_str(), 90), ("ms", 8), ("share", 6)]);
    for (name, ms) in &steps {
        let name: String = name.chars().take(90).collect();
        table.row(&[name, short(*ms), format!("{:.1}%", ms / sum * 100.0)]);
    }
    table.row(&["sum".to_owned(), short(sum), String::new()]);
    Ok(json!({ "profile": head, "steps": steps }))
}
