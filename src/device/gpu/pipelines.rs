//! Pipelines, made once for each shader text and set of overrides.

use crate::error::{Error, Result};
use crate::kernel::Dispatch;
use rayon::prelude::*;
use std::collections::HashMap;

/// What distinguishes pipelines.
type Key = (String, Vec<(&'static str, u64)>);

/// The pipelines of a device.
pub struct Pipelines {
    /// Whether shaders keep their runtime checks.
    checked: bool,
    made: HashMap<Key, wgpu::ComputePipeline>,
    layouts: HashMap<Vec<bool>, wgpu::BindGroupLayout>,
    cache: Option<wgpu::PipelineCache>,
}

fn key(d: &Dispatch) -> Key {
    (
        d.wgsl(),
        d.overrides
            .iter()
            .map(|(name, value)| (*name, value.to_bits()))
            .collect(),
    )
}

impl Pipelines {
    /// None yet.
    pub fn new(checked: bool) -> Self {
        Self {
            checked,
            made: HashMap::new(),
            layouts: HashMap::new(),
            cache: None,
        }
    }

    /// Have the driver keep what it compiles, starting from `data`.
    pub fn start_cache(&mut self, device: &wgpu::Device, data: Option<&[u8]>) {
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: None,
            data,
            fallback: true,
        };
        // SAFETY: `data` is what `cache_data` gave under the same key; the driver checks it, and falls back.
        self.cache = Some(unsafe { device.create_pipeline_cache(&descriptor) });
    }

    /// What the driver has compiled.
    pub fn cache_data(&self) -> Option<Vec<u8>> {
        self.cache.as_ref()?.get_data()
    }

    /// Make the pipelines that `dispatches` need, in parallel; returns how many were new.
    pub fn prepare(&mut self, device: &wgpu::Device, dispatches: &[&Dispatch]) -> Result<u64> {
        let mut missing: HashMap<Key, &Dispatch> = HashMap::new();
        for d in dispatches {
            self.layout(device, d);
            let key = key(d);
            if !self.made.contains_key(&key) {
                missing.insert(key, d);
            }
        }
        let made: Vec<(Key, wgpu::ComputePipeline)> = missing
            .into_par_iter()
            .map(|(key, d)| {
                let layout = &self.layouts[&access(d)];
                Ok((key.clone(), make(device, d, &key.0, layout, self)?))
            })
            .collect::<Result<_>>()?;
        let count = made.len() as u64;
        self.made.extend(made);
        Ok(count)
    }

    /// The pipeline of a dispatch that was prepared.
    pub fn get(&self, d: &Dispatch) -> Result<&wgpu::ComputePipeline> {
        self.made
            .get(&key(d))
            .ok_or_else(|| Error::Device(format!("{}: no pipeline", d.shader)))
    }

    /// The layout of a dispatch's bind group: the uniform block, then storage buffers.
    pub fn layout(&mut self, device: &wgpu::Device, d: &Dispatch) -> &wgpu::BindGroupLayout {
        self.layouts.entry(access(d)).or_insert_with_key(|writes| {
            let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            };
            let storage = writes
                .iter()
                .map(|w| wgpu::BufferBindingType::Storage { read_only: !w });
            let all = std::iter::once(wgpu::BufferBindingType::Uniform).chain(storage);
            let entries: Vec<_> = (0..).zip(all).map(entry).collect();
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: None,
                entries: &entries,
            })
        })
    }
}

fn access(d: &Dispatch) -> Vec<bool> {
    d.bindings.iter().map(|b| b.write).collect()
}

fn make(
    device: &wgpu::Device,
    d: &Dispatch,
    text: &str,
    layout: &wgpu::BindGroupLayout,
    pipelines: &Pipelines,
) -> Result<wgpu::ComputePipeline> {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(d.shader),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    };
    let checked = pipelines.checked;
    let mut checks = match checked {
        true => wgpu::ShaderRuntimeChecks::checked(),
        false => wgpu::ShaderRuntimeChecks::unchecked(),
    };
    // Counted loops are not unrolled, and an array that a loop indexes is then no registers.
    checks.force_loop_bounding = false;
    // SAFETY: the loops of kernels end; they index within their bindings, which the parity tests run with checks on.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let constants: Vec<(&str, f64)> = d.overrides.clone();
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(d.shader),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            zero_initialize_workgroup_memory: checked,
        },
        cache: pipelines.cache.as_ref(),
    });
    match pollster::block_on(scope.pop()) {
        Some(error) => Err(Error::Device(format!(
            "the shader {} does not compile: {error}",
            d.shader
        ))),
        None => Ok(pipeline),
    }
}
