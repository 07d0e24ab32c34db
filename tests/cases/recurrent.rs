//! Loops over time.

use super::{Case, Fill, Input};
use wgrad::Tensor;
use wgrad::ops::recurrence::{Cell, Recurrence};

const CELLS: [Cell; 4] = [Cell::Tanh, Cell::Relu, Cell::Lstm, Cell::Gru];

/// Sequences, steps, units: one of each, sizes across the borders of tiles, vectors and workgroups.
const SIZES: &[[usize; 3]] = &[
    [3, 5, 7],
    [1, 1, 1],
    [1, 4, 33],
    [5, 1, 16],
    [9, 3, 65],
    [2, 2, 130],
    [18, 3, 20],
    [34, 2, 36],
];

/// Weights are small enough that gradients neither vanish nor explode.
fn inputs(cell: Cell, [n, t, h]: [usize; 3]) -> Vec<Input> {
    let (gates, bound) = (cell.gates(), 1.0 / (h as f32).sqrt());
    // Sums of a relu stay off its kink.
    let relu = cell == Cell::Relu;
    let x = if relu { 1.5 } else { -2.0 };
    let weight = if relu { 0.5 / h as f32 } else { bound };
    let low = if relu { 0.0 } else { -1.0 };
    let mut inputs = vec![
        Input::range(&[n, t, gates * h], x, 2.0),
        Input::range(&[gates * h, h], -weight, weight),
    ];
    if cell.has_bias() {
        inputs.push(Input::range(&[gates * h], -bound, bound));
    }
    inputs.push(Input::range(&[cell.states(), n, h], low, 1.0));
    inputs
}

fn run(op: Recurrence, x: &[Tensor], lengths: Option<&Tensor>) -> Vec<Tensor> {
    let start = &x[x.len() - 1];
    let bias = op.cell.has_bias().then(|| &x[2]);
    let (y, last) = x[0].recurrence(op, &x[1], bias, Some(start), lengths);
    vec![y, last]
}

pub fn cases(all: &mut Vec<Case>) {
    for cell in CELLS {
        for (k, &sizes) in SIZES.iter().enumerate() {
            let op = Recurrence {
                cell,
                reverse: k % 2 == 1,
            };
            let name = format!("recurrence, {op:?}");
            let case = Case::many(&name, inputs(cell, sizes), move |_, x| run(op, x, None));
            // A relu lets states grow past all floats.
            let case = if cell == Cell::Relu {
                case.finite()
            } else {
                case
            };
            all.push(case);
        }
        for (reverse, sizes) in [
            (false, [13, 4, 9]),
            (true, [13, 4, 12]),
            (false, [5, 3, 2]),
            (true, [5, 3, 2]),
        ] {
            let op = Recurrence { cell, reverse };
            // Of these, some are 0 and some the whole time.
            let [n, t, _] = sizes;
            let mut inputs = inputs(cell, sizes);
            inputs.push(Input::filled(&[n], Fill::Below(t as i32 + 1)));
            let name = format!("recurrence, {op:?}, lengths");
            let case = Case::many(&name, inputs, move |_, x| {
                let (lengths, x) = (&x[x.len() - 1], &x[..x.len() - 1]);
                run(op, x, Some(lengths))
            });
            all.push(if cell == Cell::Relu {
                case.finite()
            } else {
                case
            });
        }
    }
    // More weights than a workgroup reads again at each step.
    let op = Recurrence {
        cell: Cell::Lstm,
        reverse: false,
    };
    let inputs = inputs(Cell::Lstm, [2, 2, 257]);
    let case = Case::many("recurrence, wide", inputs, move |_, x| run(op, x, None));
    all.push(case.rough());
    // More turns than a thread's loops may take in one launch.
    let op = Recurrence {
        cell: Cell::Gru,
        reverse: true,
    };
    let inputs = self::inputs(Cell::Gru, [2, 100, 130]);
    let case = Case::many("recurrence, long", inputs, move |_, x| run(op, x, None));
    all.push(case.rough());
    // Of the hidden states alone, of the last ones alone.
    for which in [0, 1] {
        let op = Recurrence {
            cell: Cell::Gru,
            reverse: false,
        };
        let inputs = self::inputs(Cell::Gru, [3, 4, 5]);
        let name = format!("recurrence, result {which}");
        all.push(Case::many(&name, inputs, move |_, x| {
            vec![run(op, x, None).remove(which)]
        }));
    }
}
