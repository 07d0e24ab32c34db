//! Training steps of wgrad and of its peers (`benches/peers/`), each program in turn, round after round, in one run.
//!
//!     cargo bench --bench compare -- [MODEL…] [--device cpu|gpu] [--rounds N] [--steps N] [--json PATH]
//!         [--burn PROGRAM] [--candle PROGRAM] [--python PROGRAM]
//!
//! The peers' programs are taken from these options, else from the environment (`WGRAD_PEER_BURN`,
//! `WGRAD_PEER_CANDLE`, `WGRAD_PEER_PYTHON`), else from where `cargo build --release` in their folders puts them.

mod harness;

use anyhow::{Context, bail};
use clap::Parser;
use harness::devices::{self, Choice};
use harness::models::{MODELS, Model};
use harness::report::{Report, Table, short};
use harness::stepper::Stepper;
use harness::{Effort, Options, Spread, ms};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Time that a program may take for one model.
const LIMIT: Duration = Duration::from_secs(900);

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Times that each program has its turn; burn's wgpu device, which tunes itself for minutes, has one.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Steps on the clock in each turn.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// burn's program.
    #[arg(long)]
    burn: Option<PathBuf>,
    /// candle's program.
    #[arg(long)]
    candle: Option<PathBuf>,
    /// A Python that has torch.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Be the program that is timed: this model, on `--device`.
    #[arg(long, hide = true)]
    ours: Option<String>,
}

/// A program that times a model.
struct Peer {
    name: String,
    program: PathBuf,
    before: Vec<String>,
    /// On the CPU, or on a GPU.
    cpu: bool,
    rounds: usize,
}

/// What a program printed.
struct Turn {
    median: f64,
    min: f64,
    first_step: Option<f64>,
    loss: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(model) = &args.ours {
        return ours(model, &args);
    }
    if args.options.list {
        return Ok(());
    }
    if !args.options.bench {
        println!("compare: nothing to check; `cargo bench --bench compare` compares");
        return Ok(());
    }
    let devices = devices::list(&args.options.device);
    let mut report = Report::new("compare", &devices);
    let peers = peers(&args, &devices)?;
    println!();
    let table = Table::new(&[
        ("milliseconds a step", 40),
        ("median", 8),
        ("min", 8),
        ("of rounds", 16),
        ("to wgrad", 8),
        ("min to its", 10),
        ("first step", 10),
        ("loss", 8),
    ]);
    for model in MODELS.iter().filter(|m| args.options.wants(m.name)) {
        for cpu in [true, false] {
            let peers: Vec<&Peer> = peers.iter().filter(|p| p.cpu == cpu).collect();
            let turns = turns(&peers, model.name, &args);
            let mut baseline = None;
            for (peer, turns) in peers.iter().zip(turns) {
                let name = format!("{}, {}", model.name, peer.name);
                let Some(last) = turns.last() else {
                    table.row(&[name, "failed".to_owned()]);
                    continue;
                };
                let medians = Spread::of(turns.iter().map(|t| t.median));
                let largest = turns.iter().map(|t| t.median).fold(0.0, f64::max);
                let min = Spread::of(turns.iter().map(|t| t.min)).min;
                let (ours, our_min) = *baseline.get_or_insert((medians.median, min));
                let first = turns.iter().find_map(|t| t.first_step);
                table.row(&[
                    name,
                    short(medians.median),
                    short(min),
                    format!("{} to {}", short(medians.min), short(largest)),
                    format!("{:.2}", medians.median / ours),
                    format!("{:.2}", min / our_min),
                    first.map_or_else(|| "-".to_owned(), short),
                    last.loss.clone(),
                ]);
                report.row(json!({
                    "model": model.name, "batch": model.batch, "program": peer.name,
                    "median_ms": medians.median, "min_ms": min,
                    "rounds_ms": turns.iter().map(|t| t.median).collect::<Vec<_>>(),
                    "to_wgrad": medians.median / ours, "min_to_wgrad": min / our_min, "first_step_ms": first, "loss": last.loss,
                }));
            }
        }
    }
    report.finish(&args.options)
}

/// Ours first, on each device; then the peers that are there. Those that are not are named.
fn peers(args: &Args, devices: &[Choice]) -> anyhow::Result<Vec<Peer>> {
    let peer = |name: &str, program: PathBuf, before: &[&str], cpu| Peer {
        name: name.to_owned(),
        program,
        before: before.iter().map(|&s| s.to_owned()).collect(),
        cpu,
        rounds: args.rounds,
    };
    let mut all = Vec::new();
    let me = std::env::current_exe()?;
    for device in devices {
        let chosen = device.adapter.as_deref().unwrap_or("cpu");
        let mut ours = peer(
            &format!("wgrad {}", device.label),
            me.clone(),
            &["--device", chosen],
            device.adapter.is_none(),
        );
        ours.before.push("--ours".to_owned());
        all.push(ours);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let find = |option: &Option<PathBuf>, variable: &str, built: PathBuf| {
        let named = option
            .clone()
            .or_else(|| std::env::var_os(variable).map(PathBuf::from));
        named.unwrap_or(built)
    };
    let python = find(&args.python, "WGRAD_PEER_PYTHON", PathBuf::from("python3"));
    let burn = find(
        &args.burn,
        "WGRAD_PEER_BURN",
        folder.join("burn/target/release/burnpeer"),
    );
    let candle = find(
        &args.candle,
        "WGRAD_PEER_CANDLE",
        folder.join("candle/target/release/candlepeer"),
    );
    let torch = folder.join("torch_peer.py");
    let script = torch.to_string_lossy();
    let (cpu, gpu) = (
        devices.iter().any(|d| d.adapter.is_none()),
        devices.iter().any(|d| d.adapter.is_some()),
    );
    let imports = |code: &str| {
        let mut python = Command::new(&python);
        python
            .args(["-c", code])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        python.status().is_ok_and(|s| s.success())
    };
    let skip = |name: &str, why: &str| println!("SKIPPED: {name}: {why}");
    if !imports("import torch") {
        skip(
            "PyTorch",
            "this Python has no torch: pip install torch, or --python PROGRAM",
        );
    } else {
        if cpu {
            all.push(peer(
                "PyTorch cpu",
                python.clone(),
                &[&*script, "cpu"],
                true,
            ));
        }
        if gpu && imports("import sys, torch; sys.exit(not torch.cuda.is_available())") {
            all.push(peer(
                "PyTorch cuda",
                python.clone(),
                &[&*script, "cuda"],
                false,
            ));
        }
    }
    if burn.is_file() {
        if cpu {
            all.push(peer("burn flex", burn.clone(), &["flex"], true));
        }
        if gpu {
            all.push(Peer {
                rounds: 1,
                ..peer("burn wgpu", burn, &["wgpu"], false)
            });
        }
    } else {
        skip(
            "burn",
            "not built: cargo build --release in benches/peers/burn, or --burn PROGRAM",
        );
    }
    if candle.is_file() {
        if cpu {
            all.push(peer("candle cpu", candle, &[], true));
        }
    } else {
        skip(
            "candle",
            "not built: cargo build --release in benches/peers/candle, or --candle PROGRAM",
        );
    }
    Ok(all)
}

/// Each peer's turns on a model, interleaved.
fn turns(peers: &[&Peer], model: &str, args: &Args) -> Vec<Vec<Turn>> {
    let mut all: Vec<Vec<Turn>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..args.rounds {
        for (peer, turns) in peers.iter().zip(&mut all) {
            if round >= peer.rounds || turns.len() < round {
                continue; // it had its turns, or failed
            }
            match turn(peer, model, args.steps) {
                Ok(turn) => turns.push(turn),
                Err(error) => println!("FAILED: {} on {model}: {error:#}", peer.name),
            }
        }
    }
    all
}

/// Run a program on a model.
fn turn(peer: &Peer, model: &str, steps: usize) -> anyhow::Result<Turn> {
    let cache = tempfile::tempdir()?; // what drivers and programs keep compiled: nothing at first
    let mut child = Command::new(&peer.program)
        .env("XDG_CACHE_HOME", cache.path())
        .env_remove("WGRAD_CACHE")
        .args(&peer.before)
        .arg(model)
        .arg(steps.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| peer.program.display().to_string())?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            bail!("took more than {} s", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .rev()
        .find(|l| l.contains("median"))
        .unwrap_or_default();
    let after = |key: &str| {
        let mut words = line.split_whitespace().skip_while(|w| *w != key);
        words.nth(1).map(str::to_owned)
    };
    let number = |key: &str| after(key).and_then(|w| w.parse::<f64>().ok());
    match (number("median"), number("min")) {
        (Some(median), Some(min)) => Ok(Turn {
            median,
            min,
            first_step: number("first-step"),
            loss: after("loss").unwrap_or_default(),
        }),
        _ => bail!("{}; it printed no median", output.status),
    }
}

/// One turn of ours: the line that the peers print.
fn ours(model: &str, args: &Args) -> anyhow::Result<()> {
    let begin = Instant::now();
    let found: Option<&Model> = MODELS.iter().find(|m| m.name == model);
    let model = found.with_context(|| format!("no model {model}"))?;
    let devices = devices::list(&args.options.device);
    let device = devices.first().context("no such device")?;
    let mut stepper = Stepper::new(model, device.open()?)?;
    let first = ms(begin);
    let steps: usize = match args.options.filter.first() {
        Some(steps) => steps.parse()?,
        None => args.steps,
    };
    let effort = Effort {
        warmup: 2,
        least: steps,
        most: steps,
        budget: LIMIT,
    };
    let spread = Spread::of(effort.measure(|| Ok(stepper.step()?.total))?);
    println!(
        "wgrad {} b{}: median {:.3} ms min {:.3} first-step {first:.0} ms loss {:.4}",
        model.name,
        model.batch,
        spread.median,
        spread.min,
        stepper.last_loss()
    );
    Ok(())
}
