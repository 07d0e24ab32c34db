//! What the engine knows of one operator.

mod cpu_io;
mod gpu_io;

pub use cpu_io::CpuIo;
pub use gpu_io::GpuIo;

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::{Leaf, StateRange, TensorType};
use crate::kernel::Kernels;
use crate::scalar::Expr;
use crate::shape::Layout;
use crate::tensor::{Tensor, Vjp};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// What the passes of the planner see of an operator.
#[derive(Debug)]
pub enum Kind<'a> {
    /// A value that no operator computes.
    Leaf(&'a Leaf),
    /// Another view of its input's memory: see [`OpDef::view`].
    View,
    /// An expression of its inputs at each position, operand slot `k + 1` being input `k`, broadcast.
    Map(&'a Expr),
    /// A reduction of its input over these dimensions, which takes a prologue.
    Reduce(&'a [usize]),
    /// Its inputs one after the other in one flat buffer, each from a multiple of this many elements.
    Pack(usize),
    /// Its input becomes the value of a state.
    Assign(StateRange),
    /// Anything with code of its own.
    Kernel,
}

/// All that the engine knows of one operator, in the operator's own file.
///
/// `Debug` must print every attribute: it is the key for common subexpressions, caches and snapshots.
pub trait OpDef: Debug + Send + Sync + Any {
    /// Its name, the stem of its files.
    fn name(&self) -> &'static str;

    /// What the planner sees of it.
    fn kind(&self) -> Kind<'_> {
        Kind::Kernel
    }

    /// Types of the outputs, then of what its gradient needs kept; or what does not fit, both shapes named.
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String>;

    /// Gradients of the inputs. Each must be a multiple of an incoming gradient.
    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        g.no_gradient(self.name())
    }

    /// The reference: write the outputs.
    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        io.unsupported(self.name())
    }

    /// The kernels that write the outputs on a device with `caps`.
    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        io.unsupported(self.name(), caps)
    }

    /// Multiplications with an addition that it takes on these types, as a summary of a model counts them: those of
    /// products, convolutions and the like; 0 by default.
    fn multiply_adds(&self, inputs: &[TensorType], outputs: &[TensorType]) -> u64 {
        let _ = (inputs, outputs);
        0
    }

    /// Whether its first output may pass through an epilogue ([`GpuIo::with_epilogue`]).
    fn takes_epilogue(&self) -> bool {
        false
    }

    /// For [`Kind::View`]: the view of memory that is itself seen through `input`; `None` where strides cannot say it.
    fn view(&self, input: &Layout) -> Option<Layout> {
        let _ = input;
        None
    }

    /// The operator that does the same with its `input`-th operand as it lies in memory, seen through `view`, and the order
    /// in which the view's dimensions lie there.
    fn absorb(&self, input: usize, view: &Layout) -> Option<(Arc<dyn OpDef>, Vec<usize>)> {
        let _ = (input, view);
        None
    }
}
