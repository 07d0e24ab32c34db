//! What a device can do, as plain data: operators choose kernels by it.

use crate::error::{Error, Result};

/// Abilities and limits of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Whether steps need kernels; the CPU device runs operators' own code.
    pub kernels: bool,
    /// Storage buffers that one kernel may bind.
    pub storage_buffers: usize,
    /// Storage buffers that one kernel may bind where a tensor takes several bindings.
    pub bindings: usize,
    /// Bytes that one binding may cover.
    pub binding_bytes: u64,
    /// Bytes of the largest buffer.
    pub buffer_bytes: u64,
    /// Workgroups along one dimension of a dispatch.
    pub workgroups: u32,
    /// Threads of a workgroup.
    pub threads: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Threads of a subgroup where it is the same for all kernels and the operations exist, else 0.
    pub subgroup: u32,
    /// Turns that are planned for the loops of one thread in all. On software adapters a quarter of the 65,535 after
    /// which lavapipe ends a thread, so that loops around those that are counted have room.
    pub iterations: usize,
    /// Whether kernels may use 64-bit integers.
    pub int64: bool,
    /// Whether kernels may use 16-bit floats.
    pub f16: bool,
    /// Words that plans leave free before, between and behind regions of a buffer: none, but where they are watched.
    pub guard: usize,
    /// Whether barriers are dear and memory is cached: lavapipe, SwiftShader.
    pub software: bool,
    /// Whose limits these are, for messages.
    pub owner: String,
}

impl Default for Caps {
    /// WebGPU's default limits.
    fn default() -> Self {
        Self {
            kernels: true,
            storage_buffers: 8,
            bindings: 8,
            binding_bytes: 128 << 20,
            buffer_bytes: 256 << 20,
            workgroups: 65_535,
            threads: 256,
            workgroup_bytes: 16 << 10,
            subgroup: 0,
            iterations: 1 << 20,
            int64: false,
            f16: false,
            guard: 0,
            software: false,
            owner: "WebGPU's default limits".to_owned(),
        }
    }
}

impl Caps {
    /// The CPU device.
    pub fn cpu() -> Self {
        Self {
            kernels: false,
            storage_buffers: usize::MAX,
            bindings: usize::MAX,
            binding_bytes: u64::MAX,
            buffer_bytes: u64::MAX,
            owner: "the CPU".to_owned(),
            ..Self::default()
        }
    }

    /// The grid that gives at least `groups` workgroups, or as many as the device allows: kernels loop over the rest.
    pub fn grid(&self, groups: usize) -> [u32; 3] {
        let limit = self.workgroups as usize;
        let x = groups.clamp(1, limit);
        let y = groups.div_ceil(x).clamp(1, limit);
        let z = groups.div_ceil(x * y).clamp(1, limit);
        [x as u32, y as u32, z as u32]
    }

    /// An error where one thread of `name` takes more `turns` of its loops than an adapter like this one is sure to allow:
    /// what it ends early is silently wrong.
    ///
    /// # Errors
    /// That: it names the limit.
    pub fn allow_turns(&self, name: &str, turns: usize) -> Result<()> {
        let most = self.iterations.saturating_mul(3);
        if turns <= most {
            return Ok(());
        }
        Err(Error::Device(format!(
            "{name} takes {turns} turns of a loop in one thread here, this adapter ends a thread after {most}: use the CPU \
             (WGRAD_DEVICE=cpu) or smaller sizes"
        )))
    }

    /// What kernels for software adapters load vectors by, as WGSL, and how many elements a load has: eight where the device
    /// can and the sizes are `whole` multiples of that, else four.
    pub fn load(&self, whole: bool) -> (&'static str, usize) {
        match self.int64 && whole {
            true => (include_str!("../shaders/lib/load_wide.wgsl"), 8),
            false => (include_str!("../shaders/lib/load_narrow.wgsl"), 4),
        }
    }

    /// Threads of a workgroup where each works alone.
    pub fn lanes(&self) -> u32 {
        if self.software {
            8
        } else {
            64.min(self.threads)
        }
    }
}
