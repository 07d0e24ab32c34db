//! Functions: what they were compiled to, and whether arguments fit.

use super::Function;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::plan::Plan;
use crate::tensor::{InputRange, LayerCall};

impl Function<'_> {
    /// The plan in use.
    pub fn plan(&self) -> Option<&Plan> {
        self.plans.last().map(|c| c.plan.as_ref())
    }

    /// The layers of the plan in use, in the order in which they run.
    pub fn layers(&self) -> &[LayerCall] {
        self.plans.last().map_or(&[], |c| &c.layers)
    }

    /// Multiply-adds of one forward pass of the plan in use: of all that its function traced before it asked for
    /// gradients.
    pub fn multiply_adds(&self) -> u64 {
        self.plans.last().map_or(0, |c| c.multiply_adds)
    }

    /// What integer columns of held data must lie in, in the plan in use: no run checks them, see
    /// [`Trace::stands_for`](crate::Trace::stands_for).
    pub fn column_ranges(&self) -> &[InputRange] {
        self.plans.last().map_or(&[], |c| &c.column_ranges)
    }

    /// How many plans were compiled so far.
    pub fn compiled(&self) -> usize {
        self.compiled
    }

    /// The number, dtypes and ranks of arguments are the function's; sizes may vary.
    pub(super) fn check(&self, types: &[TensorType]) -> Result<()> {
        let Some(traced) = self.plans.last() else {
            return Ok(());
        };
        if types.len() != traced.inputs.len() {
            return Err(Error::argument(format!(
                "the function takes {} arguments, {} came",
                traced.inputs.len(),
                types.len()
            )));
        }
        for (index, (got, expected)) in types.iter().zip(&traced.inputs).enumerate() {
            if got.dtype != expected.dtype || got.shape.rank() != expected.shape.rank() {
                return Err(Error::Input {
                    index,
                    expected: expected.to_string(),
                    got: got.to_string(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(feature = "train")]
impl super::Session {
    /// Whether `f`, which was compiled, takes arguments of these types: what compiling for them would say first.
    pub(crate) fn check_inputs(&self, f: &Function, inputs: &[TensorType]) -> Result<()> {
        f.check(inputs)?;
        self.trace(f, inputs, &[]).map(drop)
    }
}

pub(super) fn check_range(r: &InputRange, inputs: &[&Array]) -> Result<()> {
    let Ok(values) = inputs[r.input].as_slice::<i32>() else {
        return Ok(());
    };
    let bad = |at: &usize| values.get(*at).is_some_and(|v| !r.limit.admits(*v));
    let n = r.view.shape.numel();
    let found = match r.view.is_contiguous() {
        true => (r.view.offset..r.view.offset + n).find(bad),
        false => (0..n).map(|i| r.view.position(i)).find(bad),
    };
    match found {
        None => Ok(()),
        Some(at) => Err(Error::Input {
            index: r.input,
            expected: r.limit.to_string(),
            got: format!("{} at element {at}", values[at]),
        }),
    }
}
