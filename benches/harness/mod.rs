//! What the benches share: options, the clock, tables and JSON, the machine, its devices, the models.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub mod devices;
pub mod models;
pub mod profile;
pub mod report;
pub mod rows;
pub mod stepper;

use clap::Parser;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Options of every bench. `cargo bench` adds `--bench`; without it, as under `cargo test --benches`, only the
/// correctness gates run.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Only rows whose name contains one of these.
    pub filter: Vec<String>,
    /// Only these devices: all, cpu, gpu, or a part of an adapter's line.
    #[arg(long, default_value = "all")]
    pub device: String,
    /// Also write the results to this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Few runs.
    #[arg(long)]
    pub quick: bool,
    #[arg(long, hide = true)]
    pub bench: bool,
    #[arg(long, hide = true)]
    pub list: bool,
    #[arg(long, hide = true)]
    pub nocapture: bool,
    #[arg(long, hide = true)]
    pub format: Option<String>,
}

impl Options {
    /// Whether the row `name` was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|f| name.contains(f.as_str()))
    }

    /// How long and how often to measure a row.
    pub fn effort(&self) -> Effort {
        match (self.bench, self.quick) {
            (false, _) => Effort::new(0, 1, 1, 0.0),
            (true, true) => Effort::new(1, 3, 5, 1.0),
            (true, false) => Effort::new(3, 7, 50, 4.0),
        }
    }
}

/// How often to run something: `least` times, then more, up to `most`, as long as `budget` lasts.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Runs before the clock.
    pub warmup: usize,
    /// Fewest runs on the clock.
    pub least: usize,
    /// Most runs on the clock.
    pub most: usize,
    /// Time after which `least` runs are enough.
    pub budget: Duration,
}

impl Effort {
    fn new(warmup: usize, least: usize, most: usize, seconds: f64) -> Self {
        Self {
            warmup,
            least,
            most,
            budget: Duration::from_secs_f64(seconds),
        }
    }

    /// Call `run`, which returns what it measured in seconds, as often as it takes.
    pub fn measure<T>(&self, mut run: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
        for _ in 0..self.warmup {
            run()?;
        }
        let start = Instant::now();
        let mut values = Vec::new();
        while values.len() < self.least
            || (values.len() < self.most && start.elapsed() < self.budget)
        {
            values.push(run()?);
        }
        Ok(values)
    }
}

/// Median and spread of a measurement.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Spread {
    /// Middle.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// A tenth lies below.
    pub p10: f64,
    /// A tenth lies above.
    pub p90: f64,
    /// Number of runs.
    pub runs: usize,
}

impl Spread {
    /// Of `values`, at least one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut v: Vec<f64> = values.into_iter().collect();
        v.sort_by(f64::total_cmp);
        let at = |q: f64| {
            let last = v.len().saturating_sub(1);
            v.get((q * last as f64).round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        let middle = v.len() / 2;
        let median = match (v.get(middle), v.get(middle.wrapping_sub(1))) {
            (Some(a), Some(b)) if v.len().is_multiple_of(2) => (a + b) / 2.0,
            (Some(a), _) => *a,
            (None, _) => f64::NAN,
        };
        Self {
            median,
            min: at(0.0),
            p10: at(0.1),
            p90: at(0.9),
            runs: v.len(),
        }
    }
}

/// Milliseconds since `start`.
pub fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// One line: processor, threads, system, how the bench was built.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|l| l.starts_with(name))?;
        line.split(':').nth(1).map(|v| v.trim().to_owned())
    };
    let cpu = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let vector = match field("flags") {
        Some(f) if f.contains("avx512f") => ", AVX-512",
        Some(f) if f.contains("avx2") => ", AVX2",
        _ => "",
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) {
        " (a build with debug assertions: figures mean nothing)"
    } else {
        ""
    };
    format!(
        "{cpu}{vector}, {threads} threads, {}; wgrad {}{build}",
        std::env::consts::OS,
        env!("CARGO_PKG_VERSION")
    )
}

/// The most memory that the process has held, in bytes, where the system tells.
pub fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
