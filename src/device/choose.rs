//! Which device to take.

use super::{CpuDevice, Device};
use crate::error::{Error, Result};

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The CPU.
    Cpu,
    /// A GPU, through wgpu; also a software adapter.
    Gpu,
    /// A GPU and the CPU: every step of a plan on both, from the same inputs. The first step whose results differ by
    /// more than `1e-5 + 1e-4 |x| + 1e-6 max |x|` is an [`Error::Lockstep`] that names it. So one verifies a model of
    /// one's own on one's own machine, without a change to the program: `WGRAD_DEVICE=lockstep`.
    Lockstep,
}

impl std::str::FromStr for DeviceKind {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            "lockstep" => Ok(Self::Lockstep),
            _ => Err(Error::Adapter(format!(
                "there is no device '{s}': cpu, gpu, lockstep, or leave it out for the best"
            ))),
        }
    }
}

/// How to open a device.
#[derive(Debug, Clone, Default)]
pub struct DeviceOptions {
    /// Which kind; by default `WGRAD_DEVICE`, else a hardware GPU if there is one, else the CPU.
    pub kind: Option<DeviceKind>,
    /// A part of the adapter's line as `adapters` gives it; by default `WGPU_ADAPTER_NAME`.
    pub adapter: Option<String>,
    /// Hold the device to WebGPU's default limits and no optional features.
    pub default_limits: bool,
    /// Workgroups along one dimension, lowered for tests.
    pub max_workgroups: Option<u32>,
    /// Bytes that one binding of a GPU may cover, lowered for tests; at least 256.
    pub max_binding: Option<u64>,
    /// Bytes of a GPU's largest buffer, lowered for tests.
    pub max_buffer: Option<u64>,
    /// Keep the runtime checks of shaders, but for those that end loops; by default only in builds with debug assertions.
    pub checked: Option<bool>,
    /// Take the kernels meant for software adapters, or not; by default as the adapter is.
    pub software_kernels: Option<bool>,
    /// Fill memory that no step has written with NaN before each run, and leave words of NaN between values, which are looked
    /// at after it: a kernel that reads what nobody wrote, or reads or writes beside its values, is found. For tests, and
    /// slow.
    pub poisoned: bool,
    /// Whether a run looks at the integers that it computes and that an operator then takes for indices, labels, classes or
    /// lengths, where compiling could not prove them in range; the default. It costs a reduction of those integers and one
    /// more element of results, no submission. [`Session::read`](crate::Session::read) returns
    /// [`Error::Index`](crate::Error::Index) where one is out of range; the run has then gone on with another element in its
    /// place, and made its update: go back to the last checkpoint. Without it nobody is told.
    ///
    /// Arguments are checked before a run and constants when a function is compiled, with or without this.
    pub check_indices: Option<bool>,
    /// Most bytes of buffers; by default what the backend reports.
    pub memory_limit: Option<u64>,
}

/// Open a device, and say in one line which and why.
///
/// # Errors
/// [`Error::Adapter`] where what was asked for does not exist.
pub fn choose(options: &DeviceOptions) -> Result<(Box<dyn Device>, String)> {
    let asked = match (options.kind, std::env::var("WGRAD_DEVICE")) {
        (Some(kind), _) => Some((kind, "as asked")),
        (None, Ok(name)) if !name.is_empty() => Some((name.parse()?, "by WGRAD_DEVICE")),
        _ => None,
    };
    let (device, why): (Box<dyn Device>, String) = match asked {
        Some((DeviceKind::Cpu, why)) => (Box::new(CpuDevice::open(options)), why.to_owned()),
        #[cfg(feature = "gpu")]
        Some((DeviceKind::Gpu, why)) => (
            Box::new(super::GpuDevice::open(options, true)?),
            why.to_owned(),
        ),
        #[cfg(feature = "gpu")]
        Some((DeviceKind::Lockstep, why)) => {
            (Box::new(super::Lockstep::open(options)?), why.to_owned())
        }
        #[cfg(not(feature = "gpu"))]
        Some((_, why)) => {
            return Err(Error::Adapter(format!(
                "{why}: this build has no GPU device (feature `gpu`)"
            )));
        }
        None => best(options),
    };
    let line = format!("device: {} ({why})", device.name());
    Ok((device, line))
}

#[cfg(feature = "gpu")]
fn best(options: &DeviceOptions) -> (Box<dyn Device>, String) {
    match super::GpuDevice::open(options, false) {
        Ok(gpu) => (Box::new(gpu), "the best hardware adapter".to_owned()),
        Err(error) => (
            Box::new(CpuDevice::open(options)),
            format!("no GPU to use: {error}"),
        ),
    }
}

#[cfg(not(feature = "gpu"))]
fn best(options: &DeviceOptions) -> (Box<dyn Device>, String) {
    (
        Box::new(CpuDevice::open(options)),
        "this build has no GPU device".to_owned(),
    )
}
