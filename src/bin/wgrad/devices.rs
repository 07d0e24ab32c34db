//! `wgrad devices`.

use super::{say, size};
use wgrad::Result;
use wgrad::caps::Caps;
use wgrad::device::{CpuDevice, Device, DeviceOptions, choose};

/// List all devices and the one that would be taken.
pub fn list() -> Result<bool> {
    adapters();
    say(&format!("{}\n", CpuDevice::new().name()));
    for name in ["WGRAD_DEVICE", "WGPU_ADAPTER_NAME", "WGPU_BACKEND"] {
        if let Ok(value) = std::env::var(name) {
            say(&format!("{name}={value}"));
        }
    }
    let (_, line) = choose(&DeviceOptions::default())?;
    say(&line);
    Ok(true)
}

#[cfg(feature = "gpu")]
fn adapters() {
    use wgrad::device::{DeviceKind, adapters};
    let found = adapters();
    if found.is_empty() {
        say("no adapter\n");
    }
    for name in found {
        say(&name);
        let options = DeviceOptions {
            kind: Some(DeviceKind::Gpu),
            adapter: Some(name),
            ..DeviceOptions::default()
        };
        match choose(&options) {
            Ok((device, _)) => say(&limits(device.caps())),
            Err(error) => say(&format!("  cannot be used: {error}\n")),
        }
    }
}

#[cfg(not(feature = "gpu"))]
fn adapters() {
    say("this build has no GPU device (feature `gpu`)\n");
}

#[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "of adapters alone"))]
fn limits(caps: &Caps) -> String {
    let subgroup = match caps.subgroup {
        0 => "none of one size".to_owned(),
        n => format!("{n} threads"),
    };
    let kernels = match caps.software {
        true => "one thread a row, no barriers (software adapter)",
        false => "workgroup teams",
    };
    let rows = [
        ("largest buffer", size(caps.buffer_bytes)),
        ("largest binding", size(caps.binding_bytes)),
        ("storage buffers", caps.storage_buffers.to_string()),
        (
            "workgroup",
            format!(
                "{} threads, {}",
                caps.threads,
                size(caps.workgroup_bytes.into())
            ),
        ),
        ("workgroups", format!("{} a dimension", caps.workgroups)),
        ("subgroups", subgroup),
        (
            "64-bit integers",
            if caps.int64 { "yes" } else { "no" }.to_owned(),
        ),
        ("kernels", kernels.to_owned()),
    ];
    let lines = rows.map(|(name, value)| format!("  {name:<16}{value}\n"));
    lines.concat()
}
