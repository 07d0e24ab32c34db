//! What an operator's CPU function works on.

use crate::array::Element;
use crate::error::{Error, Result};
use crate::fused::Map;
use crate::graph::TensorType;
use std::marker::PhantomData;

/// Inputs and outputs of a step on the CPU. All are contiguous, and no output shares memory with an input.
pub struct CpuIo<'a> {
    inputs: Vec<(&'a TensorType, *const u32)>,
    outputs: Vec<(&'a TensorType, Option<*mut u32>)>,
    /// For reductions: what is reduced, over (kept, reduced) positions, and its operands.
    pub prologue: Option<(&'a Map, Vec<*const u32>)>,
    memory: PhantomData<&'a mut [u32]>,
}

impl<'a> CpuIo<'a> {
    /// A step's memory.
    ///
    /// # Safety
    /// Each pointer must be valid for as many words as its type has elements, for `'a`; outputs must overlap neither
    /// each other nor an input.
    pub unsafe fn new(
        inputs: Vec<(&'a TensorType, *const u32)>,
        outputs: Vec<(&'a TensorType, *mut u32)>,
        prologue: Option<(&'a Map, Vec<*const u32>)>,
    ) -> Self {
        let outputs = outputs.into_iter().map(|(t, p)| (t, Some(p))).collect();
        Self {
            inputs,
            outputs,
            prologue,
            memory: PhantomData,
        }
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Type of input `i`.
    pub fn input_type(&self, i: usize) -> &'a TensorType {
        self.inputs[i].0
    }

    /// Type of output `i`.
    pub fn output_type(&self, i: usize) -> &'a TensorType {
        self.outputs[i].0
    }

    /// Elements of input `i`, row-major. `T` must have the size of the input's dtype.
    pub fn input<T: Element>(&self, i: usize) -> &'a [T] {
        let (ty, at) = self.inputs[i];
        // SAFETY: promised to `new`; all elements are any four bytes.
        bytemuck::cast_slice(unsafe { std::slice::from_raw_parts(at, ty.numel()) })
    }

    /// Elements of output `i`, to be written, row-major; uninitialised values of an earlier step at first. Each can be
    /// taken once; a second time it is empty.
    pub fn output<T: Element>(&mut self, i: usize) -> &'a mut [T] {
        let (ty, at) = &mut self.outputs[i];
        match at.take() {
            // SAFETY: promised to `new`; taken once, so this is the only reference.
            Some(at) => {
                bytemuck::cast_slice_mut(unsafe { std::slice::from_raw_parts_mut(at, ty.numel()) })
            }
            None => &mut [],
        }
    }

    /// The error of an operator without a CPU function.
    pub fn unsupported(&self, op: &str) -> Result<()> {
        Err(Error::Device(format!("{op} has no CPU function")))
    }
}
