//! The memory that a plan needs, by kind, known before anything is allocated.

use super::{PageKind, Plan, Step};
use crate::DType;
use crate::caps::Caps;
use crate::state::{Segment, StateKind};
use std::fmt;

/// Bytes by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Parameters of the model, trainable or frozen.
    pub parameters: u64,
    /// What layers keep besides.
    pub buffers: u64,
    /// Gradients, packed for the optimizer.
    pub gradients: u64,
    /// What the optimizer keeps.
    pub optimizer: u64,
    /// Data that the session holds.
    pub data: u64,
    /// Values of the run and scratch memory.
    pub activations: u64,
    /// Arguments, scalars of the run, constants, results on their way to the host, parameters of kernels.
    pub inputs: u64,
    /// What the host keeps besides: first values that cannot be drawn again, constants, the block that is uploaded.
    pub host: u64,
    /// What the host needs besides for a while: a state's values while it gets its first ones, or those of a file.
    pub loading: u64,
}

impl Memory {
    /// All that the device holds.
    pub fn total(&self) -> u64 {
        self.parameters
            + self.buffers
            + self.gradients
            + self.optimizer
            + self.data
            + self.activations
            + self.inputs
    }

    /// The most that device and host take together, loading included: what the process grows by where the device computes
    /// in the machine's own memory.
    pub fn peak(&self) -> u64 {
        self.total() + self.host + self.loading
    }

    /// Name and bytes of each kind that the device holds.
    pub fn rows(&self) -> [(&'static str, u64); 7] {
        [
            ("parameters", self.parameters),
            ("buffers", self.buffers),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("data", self.data),
            ("activations", self.activations),
            ("inputs", self.inputs),
        ]
    }

    /// Memory of state segments.
    pub fn of_segments(segments: &[Segment]) -> Self {
        let mut memory = Self::default();
        for s in segments {
            let bytes = segment_bytes(s);
            match s.kind {
                StateKind::Parameter => memory.parameters += bytes,
                StateKind::Buffer => memory.buffers += bytes,
                StateKind::Optimizer => memory.optimizer += bytes,
                StateKind::Data => memory.data += bytes,
            }
        }
        memory
    }
}

/// Bytes of the buffer that holds a segment.
pub(crate) fn segment_bytes(s: &Segment) -> u64 {
    (s.held_len() * DType::SIZE) as u64
}

/// Blocks of the upload and of the results that a GPU device keeps, so that a run need not wait for the last one.
pub(crate) const RING: usize = 3;

/// Bytes that a kernel's parameters take in the plan's uniform buffer.
pub(crate) fn uniform_bytes(words: usize) -> u64 {
    ((words.max(1) * DType::SIZE) as u64).next_multiple_of(256)
}

impl Plan {
    /// The memory that a device with `caps` needs for this plan and for state in `segments`.
    pub fn memory(&self, segments: &[Segment], caps: &Caps) -> Memory {
        let bytes = |words: usize| (words * DType::SIZE) as u64;
        let mut memory = Memory::of_segments(segments);
        for page in &self.pages {
            match page.kind {
                PageKind::Activations(_) => memory.activations += bytes(page.words),
                PageKind::Gradients(..) => memory.gradients += bytes(page.words),
            }
        }
        memory.inputs = bytes(self.upload_words.max(1)) + bytes(self.constant_words.max(1));
        memory.host = self.constant_bytes();
        if !caps.kernels {
            memory.activations += bytes(self.own_words());
        }
        if caps.kernels {
            memory.inputs +=
                RING as u64 * (bytes(self.upload_words.max(1)) + bytes(self.read_words()));
            memory.inputs += self.uniform_bytes();
        }
        memory
    }

    /// Bytes of the constants that the plan itself keeps.
    pub(crate) fn constant_bytes(&self) -> u64 {
        let all = self.constants.iter();
        all.map(|(array, _)| (array.numel() * DType::SIZE) as u64)
            .sum()
    }

    /// Words of the largest result of an operator that is none of its step's outputs, for the CPU.
    pub(crate) fn own_words(&self) -> usize {
        let all = self.steps.iter();
        all.map(Step::own_words).max().unwrap_or(0)
    }

    /// Words of the block in which results are read, each at a multiple of two words.
    pub(crate) fn read_words(&self) -> usize {
        self.outputs
            .iter()
            .map(|(ty, _)| ty.numel().max(1).next_multiple_of(2))
            .sum::<usize>()
            .max(2)
    }

    /// Bytes of all kernels' parameters.
    pub(crate) fn uniform_bytes(&self) -> u64 {
        let all = self.steps.iter().flat_map(|s| &s.kernels.dispatches);
        all.map(|d| uniform_bytes(d.words.len()))
            .sum::<u64>()
            .max(256)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in self.rows() {
            writeln!(f, "{name:<12} {:>12}", human(bytes))?;
        }
        write!(f, "{:<12} {:>12}", "total", human(self.total()))?;
        if self.host + self.loading > 0 {
            write!(f, "\n{:<12} {:>12}", "host", human(self.host))?;
            write!(f, "\n{:<12} {:>12}", "peak", human(self.peak()))?;
        }
        Ok(())
    }
}

/// Bytes as people read them.
pub fn human(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..=1_073_741_823 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}
