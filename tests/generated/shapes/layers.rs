//! Attention and loops over time.

use super::{Draw, size, sweep};
use crate::cases::{Case, Fill, Input};
use crate::draws::{between, chance, one_of};
use wgrad::ops::attention::AttentionOptions;
use wgrad::ops::recurrence::{Cell, Recurrence};
use wgrad::rng::Rng;

fn attention(rng: &mut Rng) -> Draw {
    loop {
        let n = if chance(rng, 4) {
            0
        } else {
            between(rng, 1, 3)
        };
        let (h, t, s) = (between(rng, 1, 4), size(rng, 150), size(rng, 300));
        // Few widths: each is a shader of its own.
        let widths = [1, 3, 8, 12];
        let (e, ev) = (*one_of(rng, &widths), *one_of(rng, &widths));
        if n * h * t * s * (e + ev) > 400_000 {
            continue;
        }
        let (is_causal, masked) = (chance(rng, 30), chance(rng, 40));
        let inputs = vec![
            Input::new(&[n, h, t, e]),
            Input::new(&[n, h, s, e]),
            Input::new(&[n, h, s, ev]),
            Input::new(&[between(rng, 1, 2).min(n.max(1)), 1, t, s]).fixed(),
        ];
        let broadcast = inputs[3].shape[0];
        if broadcast != 1 && broadcast != n {
            continue;
        }
        let name = format!("attention, causal {is_causal}, masked {masked}");
        let case = Case::new(&name, inputs, move |x| {
            let options = AttentionOptions {
                is_causal: is_causal && !masked,
                attn_mask: masked.then(|| x[3].clone()),
                ..AttentionOptions::default()
            };
            x[0].scaled_dot_product_attention(&x[1], &x[2], &options)
        });
        return case.into();
    }
}

fn recurrence(rng: &mut Rng) -> Draw {
    loop {
        let n = if chance(rng, 4) {
            0
        } else {
            between(rng, 1, 20)
        };
        let (t, h) = (size(rng, 12), size(rng, 90));
        let cell = *one_of(rng, &[Cell::Tanh, Cell::Lstm, Cell::Gru]);
        if n * t * h * h * cell.gates() > 400_000 {
            continue;
        }
        let op = Recurrence {
            cell,
            reverse: chance(rng, 50),
        };
        let (gates, bound) = (cell.gates(), 1.0 / (h as f32).sqrt());
        let mut inputs = vec![
            Input::new(&[n, t, gates * h]),
            Input::range(&[gates * h, h], -bound, bound),
            Input::range(&[cell.states(), n, h], -1.0, 1.0),
        ];
        if cell.has_bias() {
            inputs.push(Input::range(&[gates * h], -bound, bound));
        }
        let lengths = chance(rng, 40);
        if lengths {
            inputs.push(Input::filled(&[n], Fill::Below(t as i32 + 1)));
        }
        let name = format!("recurrence, {op:?}, lengths {lengths}");
        let case = Case::many(&name, inputs, move |_, x| {
            let bias = op.cell.has_bias().then(|| &x[3]);
            let lengths = lengths.then(|| &x[x.len() - 1]);
            let (y, last) = x[0].recurrence(op, &x[1], bias, Some(&x[2]), lengths);
            vec![y, last]
        });
        return case.into();
    }
}

#[test]
fn attentions() {
    sweep("attentions", 12, attention);
}

#[test]
fn recurrences() {
    sweep("recurrences", 30, recurrence);
}
