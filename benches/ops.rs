//! Operators one by one, on every device of the machine.
//!
//!     cargo bench --bench ops -- [NAME…] [--device cpu|gpu|NAME] [--quick] [--json PATH]
//!
//! Operands and results are states, so that nothing is uploaded or read back on the clock but one word; runs are
//! submitted several at a time, so that on a GPU the time is that of the work and not of waiting for it. A device's
//! peak is the best that this bench sees on it: FLOP/s of a large matrix product (on a GPU by the operator itself, on the
//! CPU by the gemm crate on all threads), GB/s of a copy-like map (`x + 1`) over 64 MiB, read and written. What fits in
//! a cache may be faster than that.

mod harness;

use clap::Parser;
use harness::devices::{self, Choice};
use harness::report::{Report, Table, short};
use harness::rows::{self, Row};
use harness::{Effort, Options, Spread};
use rayon::prelude::*;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use wgrad::state::State;
use wgrad::{Array, Function, Mode, Params, Session};

/// Seconds that one sample should last.
const SAMPLE: f64 = 0.02;
/// Most runs in one sample.
const MOST: usize = 64;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.list {
        return Ok(());
    }
    let devices = devices::list(&options.device);
    let mut report = Report::new("ops", &devices);
    let rows = rows::rows();
    let mut failed = 0;
    for device in &devices {
        let caps = device.open()?.caps().clone();
        let peaks = match options.bench {
            true => Peaks::measure(device, caps.software, options.effort())?,
            false => Peaks::default(),
        };
        if options.bench {
            println!(
                "{}: {} GFLOP/s ({}), {} GB/s (x + 1 over 64 MiB) taken as its peak",
                device.label,
                short(peaks.flops / 1e9),
                peaks.product,
                short(peaks.bytes / 1e9)
            );
        }
        let table = Table::new(&[
            ("operator", 72),
            ("ms", 8),
            ("min", 8),
            ("p90", 8),
            ("GFLOP/s", 8),
            ("share", 6),
            ("GB/s", 7),
            ("share", 6),
        ]);
        for row in rows.iter().filter(|r| options.wants(&r.name)) {
            let spread = match measure(row, device, options.effort()) {
                Ok(spread) => spread,
                Err(error) => {
                    failed += 1;
                    println!("FAILED: {} on {}: {error}", row.name, device.label);
                    continue;
                }
            };
            let seconds = spread.median / 1e3;
            let (flops, bytes) = (row.flops / seconds, row.bytes / seconds);
            let share = |rate: f64, peak: f64| match rate > 0.0 && peak > 0.0 {
                true => format!("{:.0}%", rate / peak * 100.0),
                false => "-".to_owned(),
            };
            table.row(&[
                row.name.clone(),
                short(spread.median),
                short(spread.min),
                short(spread.p90),
                short(flops / 1e9),
                share(flops, peaks.flops),
                short(bytes / 1e9),
                share(bytes, peaks.bytes),
            ]);
            report.row(json!({
                "name": row.name, "device": device.label, "ms": spread, "flops": row.flops, "bytes": row.bytes,
                "flops_a_second": flops, "bytes_a_second": bytes,
                "peak_flops": peaks.flops, "peak_bytes": peaks.bytes,
            }));
        }
        println!();
    }
    report.finish(&options)?;
    anyhow::ensure!(failed == 0, "{failed} rows failed");
    Ok(())
}

/// What a device reaches at best, a second.
#[derive(Default)]
struct Peaks {
    flops: f64,
    bytes: f64,
    product: String,
}

impl Peaks {
    fn measure(device: &Choice, software: bool, effort: Effort) -> anyhow::Result<Self> {
        let hardware = device.adapter.is_some() && !software;
        let product = rows::square(if hardware { 4096 } else { 512 });
        let copy = rows::copy(16 << 20);
        let rate = |row: &Row, work: f64| -> anyhow::Result<f64> {
            Ok(work / (Bench::new(row, device)?.time(effort)?.min / 1e3))
        };
        let (flops, product) = match device.adapter {
            Some(_) => (rate(&product, product.flops)?, product.name),
            None => (
                gemm_peak(1024, effort)?,
                "gemm crate, 1024 cubed".to_owned(),
            ),
        };
        Ok(Self {
            flops,
            bytes: rate(&copy, copy.bytes)?,
            product,
        })
    }
}

/// FLOP/s of a product of square matrices by the gemm crate, on all threads.
fn gemm_peak(n: usize, effort: Effort) -> anyhow::Result<f64> {
    let (a, b) = (vec![1.0f32; n * n], vec![1.0f32; n * n]);
    let mut out = vec![0.0f32; n * n];
    let rows = n.div_ceil(rayon::current_num_threads());
    let product = |(a, out): (&[f32], &mut [f32])| {
        // SAFETY: `a` and `out` are as many rows of n, `b` is n by n, all row-major, and `out` is no operand.
        unsafe {
            gemm::gemm(
                out.len() / n,
                n,
                n,
                out.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                1,
                n as isize,
                b.as_ptr(),
                1,
                n as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    };
    let times = effort.measure(|| {
        let begin = Instant::now();
        let parts = a.par_chunks(rows * n).zip(out.par_chunks_mut(rows * n));
        parts.for_each(product);
        Ok(harness::ms(begin))
    })?;
    Ok(rows::square(n).flops / (Spread::of(times).min / 1e3))
}

/// Gate, then clock.
fn measure(row: &Row, device: &Choice, effort: Effort) -> anyhow::Result<Spread> {
    let mut bench = Bench::new(row, device)?;
    if device.adapter.is_some() {
        let want = Bench::new(row, &Choice::cpu())?.result()?;
        gate(&bench.result()?, &want)?;
    }
    bench.time(effort)
}

/// Whether a result is the CPU's, to rounding that depends on the order of sums.
fn gate(got: &Array, want: &Array) -> anyhow::Result<()> {
    let (got, want) = (got.to_f32(), want.to_f32());
    let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in got.iter().zip(&want).enumerate() {
        let close = (a - b).abs() <= 1e-5 + 1e-4 * b.abs() + 1e-5 * largest;
        anyhow::ensure!(close, "element {i} is {a}, on the CPU {b}");
    }
    Ok(())
}

/// A row, compiled for a device.
struct Bench {
    session: Session,
    function: Function<'static>,
    result: State,
}

impl Bench {
    fn new(row: &Row, device: &Choice) -> anyhow::Result<Self> {
        let params = Params::new(0);
        let inputs: Vec<_> = row
            .inputs
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                params.parameter(&format!("x{i}"), shape.clone(), |rng, n| {
                    (0..n).map(|_| rng.uniform() * 2.0 - 1.0).collect()
                })
            })
            .collect();
        let mut session = Session::on(device.open()?, &params)?;
        let build = row.build;
        let made: Arc<Mutex<Option<State>>> = Arc::default();
        let slot = made.clone();
        let function = session.compile(Mode::Train, &[], move |g, _| {
            let inputs: Vec<_> = inputs.iter().map(|p| g.param(p)).collect();
            let y = build(g, &inputs);
            let params = g.params();
            let buffer = params.buffer("y", Array::zeros(y.shape().clone()));
            let state = params.state(&buffer);
            g.assign(state.range, &y);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
            vec![g.scalar(0.0)]
        })?;
        let result = made.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Self {
            session,
            function,
            result: result.ok_or_else(|| anyhow::anyhow!("the row was not traced"))?,
        })
    }

    fn result(&mut self) -> anyhow::Result<Array> {
        self.runs(1)?;
        let states = std::slice::from_ref(&self.result);
        Ok(self.session.get_all(states)?.swap_remove(0))
    }

    /// Submit `n` runs, wait for the last.
    fn runs(&mut self, n: usize) -> anyhow::Result<()> {
        for _ in 1..n {
            let pending = self.session.submit(&mut self.function, &[] as &[Array])?;
            self.session.discard(pending);
        }
        self.session.run(&mut self.function, &[] as &[Array])?;
        Ok(())
    }

    /// Milliseconds of one run.
    fn time(&mut self, effort: Effort) -> anyhow::Result<Spread> {
        self.runs(1)?;
        let begin = Instant::now();
        self.runs(1)?;
        let once = begin.elapsed().as_secs_f64().max(1e-9);
        let n = match effort.most {
            1 => 1,
            _ => ((SAMPLE / once) as usize).clamp(1, MOST),
        };
        let times = effort.measure(|| {
            let begin = Instant::now();
            self.runs(n)?;
            Ok(harness::ms(begin) / n as f64)
        })?;
        Ok(Spread::of(times))
    }
}
