//! Adapters: which there are, which to take, what it can do.

use super::buffers::Buffers;
use super::pipelines::Pipelines;
use super::{Counters, DeviceOptions, GpuDevice};
use crate::caps::Caps;
use crate::device::poison::GUARD;
use crate::error::{Error, Result};
use crate::plan::Memory;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Every adapter, best first, as a person reads it.
pub fn adapters() -> Vec<String> {
    let found = pollster::block_on(enumerate());
    found.iter().map(|a| describe(&a.get_info())).collect()
}

async fn enumerate() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.memory_budget_thresholds.for_resource_creation = Some(95);
    let backends = descriptor.backends;
    let mut found = wgpu::Instance::new(descriptor)
        .enumerate_adapters(backends)
        .await;
    let low_power = wgpu::PowerPreference::from_env() == Some(wgpu::PowerPreference::LowPower);
    found.sort_by_key(|a| match a.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => usize::from(low_power),
        wgpu::DeviceType::IntegratedGpu => usize::from(!low_power),
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    found
}

fn describe(info: &wgpu::AdapterInfo) -> String {
    let kind = match info.device_type {
        wgpu::DeviceType::Cpu => ", software",
        _ => "",
    };
    let driver = format!("{} {}", info.driver, info.driver_info);
    format!(
        "{} ({:?}{kind}, {})",
        info.name,
        info.backend,
        driver.trim()
    )
}

/// See [`GpuDevice::open`].
pub async fn open(options: &DeviceOptions, software: bool) -> Result<GpuDevice> {
    let from_env = || std::env::var("WGPU_ADAPTER_NAME").ok();
    let wanted = options.adapter.clone().or_else(from_env);
    let wanted = wanted.filter(|n| !n.is_empty());
    let found = enumerate().await;
    let names: Vec<String> = found.iter().map(|a| describe(&a.get_info())).collect();
    let fits = |a: &wgpu::Adapter| {
        let info = a.get_info();
        let named = wanted
            .as_ref()
            .is_none_or(|w| describe(&info).to_lowercase().contains(&w.to_lowercase()));
        named && (software || wanted.is_some() || info.device_type != wgpu::DeviceType::Cpu)
    };
    let Some(adapter) = found.into_iter().find(fits) else {
        let there = if names.is_empty() {
            "there is no adapter at all".to_owned()
        } else {
            format!("there is {}", names.join("; "))
        };
        let asked = wanted.map_or("no hardware adapter".to_owned(), |w| {
            format!("no adapter named '{w}' (WGPU_ADAPTER_NAME)")
        });
        return Err(Error::Adapter(format!("{asked}: {there}")));
    };
    let info = adapter.get_info();
    let optional = wgpu::Features::SUBGROUP
        | wgpu::Features::SHADER_INT64
        | wgpu::Features::PIPELINE_CACHE
        | wgpu::Features::TIMESTAMP_QUERY;
    let plain = options.default_limits;
    let features = if plain {
        wgpu::Features::empty()
    } else {
        adapter.features() & optional
    };
    let limits = if plain {
        wgpu::Limits::default()
    } else {
        adapter.limits()
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("wgrad"),
        required_features: features,
        required_limits: limits.clone(),
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    let (device, queue) = adapter
        .request_device(&descriptor)
        .await
        .map_err(|e| Error::Adapter(format!("{}: {e}", describe(&info))))?;
    let uniform = info.subgroup_min_size == info.subgroup_max_size
        && features.contains(wgpu::Features::SUBGROUP);
    let caps = Caps {
        kernels: true,
        storage_buffers: limits.max_storage_buffers_per_shader_stage.min(16) as usize,
        bindings: limits.max_storage_buffers_per_shader_stage as usize,
        // Kernels count elements in 32 bits, and take indices below 2^31 apart.
        binding_bytes: options
            .max_binding
            .unwrap_or(u64::MAX)
            .min(limits.max_storage_buffer_binding_size)
            .clamp(256, 1 << 32),
        buffer_bytes: options
            .max_buffer
            .unwrap_or(u64::MAX)
            .min(limits.max_buffer_size),
        workgroups: options
            .max_workgroups
            .unwrap_or(limits.max_compute_workgroups_per_dimension),
        threads: limits
            .max_compute_invocations_per_workgroup
            .min(limits.max_compute_workgroup_size_x)
            .min(256),
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        subgroup: if uniform { info.subgroup_min_size } else { 0 },
        iterations: if info.device_type == wgpu::DeviceType::Cpu {
            1 << 14
        } else {
            1 << 20
        },
        int64: features.contains(wgpu::Features::SHADER_INT64),
        f16: false,
        guard: if options.poisoned { GUARD } else { 0 },
        software: options
            .software_kernels
            .unwrap_or(info.device_type == wgpu::DeviceType::Cpu),
        owner: match plain {
            true => format!("WebGPU's default limits on {}", info.name),
            false => info.name.clone(),
        },
    };
    let fault = Arc::new(Mutex::new(None));
    let keep = |slot: &Arc<Mutex<Option<Error>>>, error: Error| {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() || matches!(error, Error::DeviceLost(_)) {
            *slot = Some(error);
        }
    };
    let slot = fault.clone();
    device.set_device_lost_callback(move |reason, message| {
        keep(&slot, Error::DeviceLost(format!("{reason:?} {message}")))
    });
    let slot = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        keep(
            &slot,
            match error {
                wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory(error.to_string()),
                other => Error::Device(other.to_string()),
            },
        );
    }));
    let checked = options.checked.unwrap_or(cfg!(debug_assertions));
    Ok(GpuDevice {
        name: describe(&info),
        cache_key: features
            .contains(wgpu::Features::PIPELINE_CACHE)
            .then(|| wgpu::util::pipeline_cache_key(&info))
            .flatten(),
        caps,
        pipelines: Pipelines::new(checked),
        device,
        queue,
        fault,
        buffers: Buffers {
            memory: Memory::default(),
            limit: options.memory_limit.unwrap_or(u64::MAX),
        },
        segments: Vec::new(),
        pages: BTreeMap::new(),
        moved: 0,
        plans: BTreeMap::new(),
        results: HashMap::new(),
        counters: Counters::default(),
        runs: 0,
        staged: 0,
    })
}
