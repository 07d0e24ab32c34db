//! The devices of the machine: the CPU and each adapter of wgpu.

use wgrad::device::{Device, DeviceKind, DeviceOptions, choose};

/// A device to measure.
#[derive(Debug, Clone)]
pub struct Choice {
    /// A short name for tables.
    pub label: String,
    /// The adapter's line, with its driver; `None` for the CPU.
    pub adapter: Option<String>,
}

impl Choice {
    /// The CPU.
    pub fn cpu() -> Self {
        Self {
            label: "cpu".to_owned(),
            adapter: None,
        }
    }

    /// Open it.
    pub fn open(&self) -> wgrad::Result<Box<dyn Device>> {
        let kind = match self.adapter {
            Some(_) => DeviceKind::Gpu,
            None => DeviceKind::Cpu,
        };
        let options = DeviceOptions {
            kind: Some(kind),
            adapter: self.adapter.clone(),
            checked: Some(false),
            ..DeviceOptions::default()
        };
        Ok(choose(&options)?.0)
    }
}

#[cfg(feature = "gpu")]
fn adapters() -> Vec<String> {
    wgrad::device::adapters()
}

#[cfg(not(feature = "gpu"))]
fn adapters() -> Vec<String> {
    Vec::new()
}

/// The devices that `filter` (all, cpu, gpu, a part of an adapter's line) takes.
pub fn list(filter: &str) -> Vec<Choice> {
    let mut all = vec![Choice::cpu()];
    if filter == "cpu" {
        return all; // without a look for drivers
    }
    for line in adapters() {
        let short = line.split(" (").next().unwrap_or(&line).to_owned();
        let twice = all.iter().any(|c| c.label == short);
        let label = if twice { line.clone() } else { short };
        all.push(Choice {
            label,
            adapter: Some(line),
        });
    }
    all.retain(|c| match (filter, &c.adapter) {
        ("all", _) => true,
        ("gpu", adapter) => adapter.is_some(),
        (part, Some(line)) => line.to_lowercase().contains(&part.to_lowercase()),
        (_, None) => false,
    });
    all
}
