//! The gradient of a recurrence by plain operators, step by step, which have gradients themselves.

use super::{Cell, Recurrence};
use crate::tensor::Tensor;

/// What one step gives.
struct Step {
    /// Gradients of what comes from the input, of what comes from the state, `[n, gates h]`.
    input: Tensor,
    product: Tensor,
    /// Of the states before, `[n, h]` each, but for what comes through the product, if there is more.
    hidden: Option<Tensor>,
    cell: Option<Tensor>,
}

/// As [`RecurrenceGrad`](crate::ops::recurrence_grad::RecurrenceGrad), of whose inputs it takes `weight`, `kept`, `start`,
/// `lengths`, `grad` and `last`. Where what was kept has a gradient of its own, it is `of_kept`.
pub(crate) fn backward(
    op: Recurrence,
    [weight, kept, start, lengths, grad, last]: [&Tensor; 6],
    of_kept: Option<&Tensor>,
) -> Vec<Tensor> {
    let (cell, steps) = (op.cell, grad.size(1));
    let valid = valid(lengths, steps);
    let zero = grad.trace().scalar(0.0);
    let state = |of: &Tensor, k: usize| of.select(0, k as isize);
    let mut hidden = state(last, 0);
    let mut memory = (cell.states() > 1).then(|| state(last, 1));
    let mut results: Vec<[Tensor; 2]> = Vec::new();
    // The forward loop runs from 0 on, or in reverse to 0, past positions that are not valid.
    for turn in 0..steps {
        let at = if op.reverse { turn } else { steps - 1 - turn };
        let now = |of: &Tensor| of.select(1, at as isize);
        let valid = now(&valid).unsqueeze(-1);
        let values = of_step(cell, &now(kept));
        let more: Vec<Option<Tensor>> = match of_kept {
            Some(of) => of_step(cell, &now(of)).into_iter().map(Some).collect(),
            None => vec![None; values.len()],
        };
        let before = memory
            .is_some()
            .then(|| cell_before(op, kept, start, lengths, at));
        let grad = now(grad).add(&hidden);
        let step = step(cell, &values, &more, before.as_ref(), grad, memory.as_ref());
        let through = step.product.matmul(weight);
        let through = match &step.hidden {
            Some(more) => through.add(more),
            None => through,
        };
        hidden = valid.where_(&through, &hidden);
        memory = match (memory, step.cell) {
            (Some(old), Some(new)) => Some(valid.where_(&new, &old)),
            _ => None,
        };
        results.push([step.input, step.product].map(|t| valid.where_(&t, &zero)));
    }
    if !op.reverse {
        results.reverse();
    }
    let all = |which: usize| {
        let steps: Vec<&Tensor> = results.iter().map(|r| &r[which]).collect();
        Tensor::stack(&steps, 1)
    };
    let states: Vec<&Tensor> = std::iter::once(&hidden).chain(&memory).collect();
    let mut outputs = vec![all(0), Tensor::stack(&states, 0)];
    if cell.has_bias() {
        outputs.push(all(1));
    }
    outputs
}

/// The hidden states before each step, as [`RecurrencePrevious`](crate::ops::recurrence_previous::RecurrencePrevious).
pub(crate) fn previous(reverse: bool, [hidden, start, lengths]: [&Tensor; 3]) -> Tensor {
    let steps = hidden.size(1);
    let first = start.select(0, 0).unsqueeze(1);
    let valid = valid(lengths, steps).unsqueeze(-1);
    let zero = hidden.trace().scalar(0.0);
    let moved = if reverse {
        let later = hidden.narrow(1, 1, steps - 1);
        // One step on, what is valid has a step before it.
        let seen = valid.narrow(1, 1, steps - 1);
        Tensor::cat(&[&seen.where_(&later, &first), &first], 1)
    } else {
        Tensor::cat(&[&first, &hidden.narrow(1, 0, steps - 1)], 1)
    };
    valid.where_(&moved, &zero)
}

/// Which of the positions are valid, bool `[n, steps]`.
fn valid(lengths: &Tensor, steps: usize) -> Tensor {
    let positions = lengths.trace().arange(steps).unsqueeze(0);
    positions.lt(&lengths.unsqueeze(1))
}

/// What was kept of a step, `[n, h]` each.
fn of_step(cell: Cell, kept: &Tensor) -> Vec<Tensor> {
    match cell.kept() {
        0 => vec![kept.clone()],
        count => (0..count as isize).map(|k| kept.select(1, k)).collect(),
    }
}

/// The cell state of an LSTM before the step at a position, `[n, h]`.
fn cell_before(
    op: Recurrence,
    kept: &Tensor,
    start: &Tensor,
    lengths: &Tensor,
    at: usize,
) -> Tensor {
    let first = start.select(0, 1);
    let cell = |at: usize| kept.select(1, at as isize).select(1, -1);
    let steps = kept.size(1);
    match (op.reverse, at) {
        (false, 0) => first,
        (false, _) => cell(at - 1),
        (true, _) if at + 1 == steps => first,
        (true, _) => {
            let seen = valid(lengths, steps).select(1, at as isize + 1);
            seen.unsqueeze(-1).where_(&cell(at + 1), &first)
        }
    }
}

/// The gradient of a step: `values` are what was kept of it and `more` their own gradients, `before` the cell state before
/// it, `dh` and `dc` the gradients of the states after it.
fn step(
    cell: Cell,
    values: &[Tensor],
    more: &[Option<Tensor>],
    before: Option<&Tensor>,
    dh: Tensor,
    dc: Option<&Tensor>,
) -> Step {
    let own = |grad: Tensor, k: usize| match &more[k] {
        Some(more) => grad.add(more),
        None => grad,
    };
    // Slopes of sigmoid and tanh from their values.
    let sigmoid = |y: &Tensor| y.mul(&y.neg().add_scalar(1.0));
    let tanh = |y: &Tensor| y.square().neg().add_scalar(1.0);
    let side_by_side = |gates: &[Tensor]| Tensor::cat(&gates.iter().collect::<Vec<_>>(), -1);
    match (cell, values, before, dc) {
        (Cell::Lstm, [i, f, g, o, c], Some(before), Some(dc)) => {
            let t = c.tanh();
            let dc = own(dc.add(&dh.mul(o).mul(&tanh(&t))), 4);
            let gates = [
                own(dc.mul(g), 0).mul(&sigmoid(i)),
                own(dc.mul(before), 1).mul(&sigmoid(f)),
                own(dc.mul(i), 2).mul(&tanh(g)),
                own(dh.mul(&t), 3).mul(&sigmoid(o)),
            ];
            let all = side_by_side(&gates);
            Step {
                input: all.clone(),
                product: all,
                hidden: None,
                cell: Some(dc.mul(f)),
            }
        }
        (Cell::Gru, [r, u, n, z, h], ..) => {
            let dn = own(dh.mul(&u.neg().add_scalar(1.0)), 2).mul(&tanh(n));
            let du = own(dh.mul(&h.sub(n)), 1).mul(&sigmoid(u));
            let dr = own(dn.mul(z), 0).mul(&sigmoid(r));
            let dz = own(dn.mul(r), 3);
            Step {
                input: side_by_side(&[dr.clone(), du.clone(), dn]),
                product: side_by_side(&[dr, du, dz]),
                hidden: Some(own(dh.mul(u), 4)),
                cell: None,
            }
        }
        _ => {
            let h = &values[0];
            let slope = match cell {
                Cell::Relu => h.gt(&h.trace().scalar(0.0)).to_f32(),
                _ => tanh(h),
            };
            let all = dh.mul(&slope);
            Step {
                input: all.clone(),
                product: all,
                hidden: None,
                cell: None,
            }
        }
    }
}
