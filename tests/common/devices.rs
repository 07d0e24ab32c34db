//! What the test crates share: devices, closeness, lines that libtest does not swallow.
#![allow(dead_code, reason = "each test crate uses its share")]

use std::io::Write;
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::{Array, Error, Params, Session};

/// A device that a test runs on.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Its name in tables.
    pub name: &'static str,
    /// How it is opened.
    pub options: DeviceOptions,
}

/// The CPU.
pub fn cpu() -> Pass {
    of("cpu", DeviceKind::Cpu)
}

/// The GPU with all it can do, without the shader compiler's checks, as in a release build.
pub fn gpu() -> Pass {
    let mut pass = of("gpu", DeviceKind::Gpu);
    pass.options.checked = Some(false);
    pass
}

/// The GPU, steps compared with the CPU's.
pub fn lockstep() -> Pass {
    of("lockstep", DeviceKind::Lockstep)
}

/// The same devices with memory that shows who reads what nobody wrote, or reads or writes beside its values.
pub fn poisoned(mut pass: Pass) -> Pass {
    pass.name = match pass.name {
        "cpu" => "cpu, poisoned",
        "gpu" => "gpu, poisoned",
        "lockstep" => "lockstep, poisoned",
        _ => "gpu, hardware kernels, poisoned",
    };
    pass.options.poisoned = true;
    pass
}

/// The GPU within WebGPU's default limits.
pub fn gpu_default_limits() -> Pass {
    let mut pass = of("gpu, default limits", DeviceKind::Gpu);
    pass.options.default_limits = true;
    pass
}

/// The GPU with the kernels for hardware, also on a software adapter.
pub fn gpu_hardware_kernels() -> Pass {
    let mut pass = of("gpu, hardware kernels", DeviceKind::Gpu);
    pass.options.software_kernels = Some(false);
    pass
}

/// The GPU with grids so small that every kernel has to loop.
pub fn gpu_few_workgroups() -> Pass {
    let mut pass = of("gpu, 7 workgroups", DeviceKind::Gpu);
    pass.options.max_workgroups = Some(7);
    pass
}

fn of(name: &'static str, kind: DeviceKind) -> Pass {
    let options = DeviceOptions {
        kind: Some(kind),
        ..DeviceOptions::default()
    };
    Pass { name, options }
}

impl Pass {
    /// A session. `None` where there is no adapter, which is said, and is a failure where `WGRAD_REQUIRE_GPU` is 1.
    pub fn open(&self, params: &Params) -> Option<Session> {
        match Session::with_options(params, &self.options) {
            Ok(session) => Some(session),
            Err(Error::Adapter(why)) => {
                let required = std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1");
                assert!(!required, "WGRAD_REQUIRE_GPU=1, but: {why}");
                say(&format!("NOT RUN on {}: {why}\n", self.name));
                None
            }
            Err(error) => panic!("{}: {error}", self.name),
        }
    }
}

/// Write to the terminal; `print!` is swallowed in tests that pass.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Where two arrays differ most.
#[derive(Debug, Clone, Copy)]
pub struct Worst {
    /// Row-major index.
    pub at: usize,
    /// What came.
    pub got: f64,
    /// What was expected.
    pub want: f64,
    /// The difference in units of the bound: more than 1 fails.
    pub excess: f64,
}

/// The bound of `tests/conformance/README.md`: `atol + rtol |want| + 1e-6 max |want|`, integers equal. NaN is near NaN,
/// an infinity near itself. `Err` where shapes or types differ.
pub fn worst(got: &Array, want: &Array, rtol: f64, atol: f64) -> Result<Option<Worst>, String> {
    let types = |a: &Array| format!("{} {}", a.dtype(), a.shape());
    if got.shape() != want.shape() || got.dtype() != want.dtype() {
        return Err(format!("got {}, want {}", types(got), types(want)));
    }
    let (g, w) = (got.to_f32(), want.to_f32());
    let finite = w.iter().filter(|x| x.is_finite());
    let largest = finite.fold(0.0, |m, x| f64::from(x.abs()).max(m));
    let want_is_float = want.dtype().is_float();
    let excess = |got: f64, want: f64| {
        if got == want || (got.is_nan() && want.is_nan()) {
            0.0
        } else if !want_is_float || !want.is_finite() || !got.is_finite() {
            f64::INFINITY
        } else {
            (got - want).abs() / (atol + rtol * want.abs() + 1e-6 * largest)
        }
    };
    let all = g.into_iter().zip(w).enumerate().map(|(at, (g, w))| {
        let (got, want) = (f64::from(g), f64::from(w));
        Worst {
            at,
            got,
            want,
            excess: excess(got, want),
        }
    });
    Ok(all.max_by(|a, b| a.excess.total_cmp(&b.excess)))
}
