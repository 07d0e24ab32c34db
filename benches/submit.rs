//! What a step costs the host on a GPU: a chain of small products that cannot be fused, encoded and submitted. And what it costs a
//! run to look at the indices that it computes.
//!
//!     cargo bench --bench submit -- [--device cpu|gpu|NAME] [--json PATH]

mod harness;

use clap::Parser;
use harness::report::{Report, Table, short};
use harness::{Effort, Options, Spread, devices, ms};
use serde_json::json;
use std::time::{Duration, Instant};
use wgrad::{Array, DType, Mode, Params, Session, TensorType};

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
    for device in devices::list(&options.device) {
        for rows in [64, 4096, 1 << 18] {
            let [off, on] = checks(&device, rows)?;
            let name = format!("{rows} computed indices, {}", device.label);
            report.row(json!({ "name": name, "off_us": off, "on_us": on }));
            table.row(&[
                format!("{name}, not looked at"),
                short(off.median),
                short(off.min),
                String::new(),
            ]);
            table.row(&[
                format!("{name}, looked at"),
                short(on.median),
                short(on.min),
                String::new(),
            ]);
        }
    }
    report.finish(&options)
}

/// Microseconds of a run that takes rows of a table `[1000, 64]` at indices which it computes, without and with a look at them.
fn checks(device: &devices::Choice, rows: usize) -> anyhow::Result<[Spread; 2]> {
    let effort = Effort {
        warmup: 5,
        least: 40,
        most: 200,
        budget: Duration::from_secs(2),
    };
    let x = Array::full([rows], 999.0f32);
    let mut spreads = Vec::new();
    for check in [false, true] {
        let mut session = Session::on(device.open()?, &Params::new(1))?;
        session.check_indices(check);
        let mut f = session.compile(Mode::Eval, &[TensorType::f32([rows])], |g, a| {
            let table = g.constant(Array::full([1000, 64], 0.5f32));
            let ids = a[0].to(DType::I32);
            vec![ids.embedding(&table, None).sum(&[], false)]
        })?;
        let times = effort.measure(|| {
            let begin = Instant::now();
            session.run(&mut f, &[&x])?;
            Ok(ms(begin) * 1e3)
        })?;
        spreads.push(Spread::of(times));
    }
    let [off, on] = <[Spread; 2]>::try_from(spreads).map_err(|_| anyhow::anyhow!("two spreads"))?;
    Ok([off, on])
}
