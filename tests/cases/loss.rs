//! Losses.

use super::{Case, Fill, Input};
use wgrad::Tensor;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::reduction::Reduction;

const REDUCTIONS: [(&str, Reduction); 3] = [
    ("mean", Reduction::Mean),
    ("sum", Reduction::Sum),
    ("none", Reduction::None),
];

pub fn cases(all: &mut Vec<Case>) {
    for (tag, reduction) in REDUCTIONS {
        let pair = || {
            vec![
                Input::filled(&[5, 13], Fill::Range(-2.0, 2.0, &[0.0])),
                Input::range(&[5, 13], -0.02, 0.02),
            ]
        };
        let name = |op: &str| format!("{op}, {tag}");
        all.push(Case::new(&name("mse_loss"), pair(), move |x| {
            x[0].mse_loss(&x[1], reduction)
        }));
        all.push(Case::new(&name("l1_loss"), pair(), move |x| {
            x[0].l1_loss(&x[1], reduction)
        }));
        let logits: &[(&[usize], &[usize])] = &[
            (&[9, 5], &[9]),
            (&[65, 10], &[65]),
            (&[3, 4, 7], &[3, 7]),
            (&[2, 1030], &[2]),
        ];
        for (x, labels) in logits {
            let options = move || CrossEntropyOptions {
                reduction,
                ignore_index: 1,
                ..Default::default()
            };
            let inputs = || {
                vec![
                    Input::new(x),
                    Input::filled(labels, Fill::Below(x[1] as i32)),
                ]
            };
            all.push(Case::new(&name("cross_entropy"), inputs(), move |x| {
                x[0].cross_entropy_with(&x[1], &options())
            }));
            all.push(Case::new(&name("nll_loss"), inputs(), move |x| {
                x[0].nll_loss_with(&x[1], &options())
            }));
        }
        let weighted = vec![
            Input::new(&[9, 5]),
            Input::filled(&[9], Fill::Below(5)),
            Input::range(&[5], 0.5, 1.5).fixed(),
        ];
        let smooth = move |x: &[Tensor]| {
            let options = CrossEntropyOptions {
                reduction,
                label_smoothing: 0.1,
                weight: Some(x[2].clone()),
                ..Default::default()
            };
            x[0].cross_entropy_with(&x[1], &options)
        };
        all.push(Case::new(
            &name("cross_entropy, smooth, weighted"),
            weighted,
            smooth,
        ));
        let soft = vec![Input::new(&[9, 5]), Input::range(&[9, 5], 0.0, 1.0).fixed()];
        all.push(Case::new(
            &name("cross_entropy, probabilities"),
            soft,
            move |x| {
                let options = CrossEntropyOptions {
                    reduction,
                    ..Default::default()
                };
                x[0].cross_entropy_with(&x[1], &options)
            },
        ));
    }
}
