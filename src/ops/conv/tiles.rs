//! Convolution on the GPU: launches of tiles of output channels by positions.

use super::Sizes;
use super::gather::Gather;
use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::GpuIo;
use crate::ops::reduce::{Combine, in_parts};

/// Positions that a thread handles.
const POSITIONS: usize = 4;

/// Output channels that a thread handles: 8 where that leaves tasks enough.
fn channels(caps: &Caps, channels: usize, tasks: impl Fn(usize) -> usize) -> usize {
    match channels {
        1 => 1,
        2..=4 => 4,
        _ if caps.software || tasks(8) >= 1024 => 8,
        _ => 4,
    }
}

fn none(name: &str) -> Error {
    Error::Device(format!("{name}: more operands than the device binds"))
}

impl Gather {
    /// The kernel for it.
    pub fn launch(&self, name: &str, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        // A thread goes along the taps and, at each, the input channels: of all of them, or of a part.
        let taps: usize = self.kernel.iter().product();
        let length = (caps.iterations / taps.max(1))
            .saturating_sub(1)
            .clamp(1, self.b);
        let parts = self.b.div_ceil(length);
        caps.allow_turns(name, taps.saturating_mul(length + 1))?;
        let threads = caps.lanes();
        let cells: Vec<usize> = (0..3)
            .map(|d| self.output[d].div_ceil(self.phases[d]))
            .collect();
        let cell: usize = cells.iter().product();
        let phases: usize = self.phases.iter().product();
        let blocks = (self.n * cell).div_ceil(POSITIONS * threads as usize);
        let tasks =
            |channels: usize| parts * self.groups * phases * self.a.div_ceil(channels) * blocks;
        let channels = channels(caps, self.a, tasks);
        let four = |v: [usize; 3], last: usize| [v[0], v[1], v[2], last];
        let signed = |v: [isize; 3]| {
            [
                v[0] as i32 as u32,
                v[1] as i32 as u32,
                v[2] as i32 as u32,
                0,
            ]
        };
        let d = Dispatch::new("conv", include_str!("../../../shaders/conv.wgsl"))
            .read(Buf::Input(0))
            .read(Buf::Input(1))
            .sizes([self.n, self.groups, self.a, self.b])
            .sizes(four(self.input, self.input.iter().product()))
            .sizes(four(self.output, self.output.iter().product()))
            .sizes(four([cells[0], cells[1], cells[2]], cell))
            .sizes(four(self.kernel, taps))
            .sizes(four(self.step, length))
            .words(signed(self.dilation))
            .words(signed(self.start))
            .sizes(four(self.phases, phases))
            .sizes(four(self.weight, parts))
            .constant("THREADS", threads)
            .constant("CHANNELS", channels as u32)
            .constant("PHASED", u32::from(self.phases != [1; 3]))
            .grid(caps.grid(tasks(channels)));
        let sums = (parts, Combine::Sum);
        let kernels = match parts {
            1 => io.with_epilogue(d, 1).map(Kernels::from),
            _ => in_parts(io, caps, sums, Kernels::default(), |part| {
                part.with_epilogue(d.constant("PARTED", 1u32), 1)
            }),
        };
        kernels.ok_or_else(|| none(name))
    }
}

impl Sizes {
    /// The gradient of the weight on the GPU: positions are cut in parts, whose sums a second launch adds up.
    pub fn launch_grad_weight(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let w = &self.window;
        let count = io.outputs[0].numel();
        // Lines of positions that are too long for a thread are cut.
        let span = w.output[2].clamp(1, caps.iterations / 2);
        let cuts = w.output[2].div_ceil(span);
        let rows = self.n * w.output[0] * w.output[1] * cuts;
        let columns = (self.cin * w.taps()).div_ceil(4);
        let tiles = |channels: usize| self.groups * self.cout.div_ceil(channels) * columns;
        let channels = channels(caps, self.cout, tiles);
        let threads = caps.lanes();
        // Parts of at least 256 positions, as many as fill the device.
        let wanted = if caps.software { 32 } else { 16_384 };
        let most = (rows * span).div_ceil(256).clamp(1, rows.max(1));
        let length = rows
            .div_ceil((wanted / tiles(channels)).clamp(1, most))
            .min(caps.iterations / span)
            .max(1);
        let parts = rows.div_ceil(length).max(1);
        let four = |v: [usize; 3], last: usize| [v[0], v[1], v[2], last];
        let d = Dispatch::new(
            "conv_grad_weight",
            include_str!("../../../shaders/conv_grad_weight.wgsl"),
        )
        .read(Buf::Input(0))
        .read(Buf::Input(1))
        .sizes([rows, self.groups, self.cout, self.cin])
        .sizes(four(w.input, w.elements()))
        .sizes(four(w.output, w.positions()))
        .sizes(four(w.kernel, w.taps()))
        .sizes(four(w.stride, parts))
        .sizes(four(w.dilation, length))
        .sizes(four(w.padding, count))
        .sizes([cuts, span, 0, 0])
        .constant("THREADS", threads)
        .constant("CHANNELS", channels as u32)
        .grid(caps.grid((tiles(channels) * parts).div_ceil(threads as usize)));
        let d = match cuts {
            1 => d,
            _ => d.constant("CUT", 1u32),
        };
        let no = || none("conv_grad_weight");
        if parts == 1 {
            return Ok(io.with_epilogue(d, 1).ok_or_else(no)?.into());
        }
        let sums = (parts, Combine::Sum);
        in_parts(io, caps, sums, Kernels::default(), |part| {
            part.with_epilogue(d, 1)
        })
        .ok_or_else(no)
    }
}
