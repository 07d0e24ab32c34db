//! What the engine knows of one operator.

mod cpu_io;
mod gpu_io;

pub use cpu_io::CpuIo;
pub use gpu_io::GpuIo;

use crate::caps::Caps;
use crate::error::Result;
use crate::graph::{Leaf, StateRange, TensorType};
use crate::kernel::Kernels;
use crate::scalar::{Bounds, Expr};
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
/// `Debug` must print every attribute: with the type it is the key for common subexpressions, and it is what plans show.
pub trait OpDef: Debug + Send + Sync + Any {
    /// Its name, the stem of its files.
    fn name(&self) -> &'static str;

    /// Whether two operators of this type that print the same do the same, so that what is traced twice is computed once.
    /// Those of the library do; one of a user's is computed each time that it is applied, as it may hold what it does not
    /// print (a closure, say), unless it says so here.
    fn merges(&self) -> bool {
        std::any::type_name::<Self>().starts_with(concat!(env!("CARGO_PKG_NAME"), "::"))
    }

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

    /// What the integers of its first output can be, from what those of its inputs can be (`None` for floats); `None` where
    /// it cannot say. With it `compile` proves that computed indices are in range.
    fn bounds(&self, inputs: &[Option<Bounds>], types: &[TensorType]) -> Option<Bounds> {
        let _ = (inputs, types);
        None
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
