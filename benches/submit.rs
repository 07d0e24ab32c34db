//! What a step costs the host on a GPU: a chain of small products that cannot be fused, encoded and submitted.
//!
//!     cargo bench --bench submit -- [--device gpu|NAME] [--json PATH]

mod harness;

use clap::Parser;
use harness::report::{Report, Table, short};
use harness::{Effort, Options, Spread, devices, ms};
use serde_json::json;
use std::time::{Duration, Instant};
use wgrad::{Array, Mode, Params, Session, TensorType};

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.list {
        return Ok(());
    }
    let devices: Vec<_> = (devices::list(&options.device).into_iter())
        .filter(|d| d.adapter.is_some())
        .collect();
    let mut report = Report::new("submit", &devices);
    let table = Table::new(&[
        ("microseconds to encode and submit", 40),
        ("median", 8),
        ("min", 8),
        ("a dispatch", 10),
    ]);
    // Short runs: what is asked is the host's work, and the first runs warm its caches.
    let effort = Effort {
        warmup: 20,
        least: 60,
        most: 60,
        budget: Duration::ZERO,
    };
    for device in &devices {
        for length in [10, 30, 100, 300] {
            let mut session = Session::on(device.open()?, &Params::new(1))?;
            let mut chain = session.compile(Mode::Eval, &[TensorType::f32([8, 8])], |_, a| {
                vec![(0..length).fold(a[0].clone(), |x, _| x.matmul(&a[0]))]
            })?;
            let x = Array::full([8, 8], 0.125f32);
            let before = session.counters().dispatches;
            session.run(&mut chain, &[&x])?;
            let dispatches = session.counters().dispatches - before;
            anyhow::ensure!(
                dispatches == length,
                "{dispatches} dispatches for {length} products"
            );
            let times = effort.measure(|| {
                let begin = Instant::now();
                let pending = session.submit(&mut chain, &[&x])?;
                let submit = ms(begin) * 1e3;
                let y = session.read(pending)?;
                anyhow::ensure!(y[0].to_f32().iter().all(|y| *y == 0.125), "a wrong product");
                Ok(submit)
            })?;
            let spread = Spread::of(times);
            let name = format!("{length} dispatches, {}", device.label);
            table.row(&[
                name.clone(),
                short(spread.median),
                short(spread.min),
                short(spread.median / length as f64),
            ]);
            report.row(json!({ "name": name, "dispatches": length, "us": spread }));
        }
    }
    report.finish(&options)
}
