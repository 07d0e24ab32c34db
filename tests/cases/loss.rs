//! Losses.

use super::{Case, Fill, Input};
use wgrad::Tensor;
use wgrad::ops::binary_cross_entropy::BinaryCrossEntropyOptions;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::keras;
use wgrad::ops::reduction::Reduction;

const REDUCTIONS: [(&str, Reduction); 4] = [
    ("batchmean", Reduction::BatchMean),
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
        margins(all, &name, reduction);
        probabilities(all, &name, reduction);
    }
    keras_losses(all);
}

const SIZES: [&[usize]; 4] = [&[5, 13], &[1], &[0, 3], &[70, 33]];

/// Distances, rankings and margins.
fn margins(all: &mut Vec<Case>, name: &dyn Fn(&str) -> String, reduction: Reduction) {
    for size in SIZES {
        let pair = || {
            let kinks = &[0.0, 0.5, -0.5, 0.7, -0.7];
            vec![
                Input::filled(size, Fill::Range(-2.0, 2.0, kinks)),
                Input::range(size, -0.002, 0.002),
            ]
        };
        all.push(Case::new(&name("smooth_l1_loss"), pair(), move |x| {
            x[0].smooth_l1_loss(&x[1], 0.5, reduction)
        }));
        all.push(Case::new(&name("smooth_l1_loss, 0"), pair(), move |x| {
            x[0].smooth_l1_loss(&x[1], 0.0, reduction)
        }));
        all.push(Case::new(&name("huber_loss"), pair(), move |x| {
            x[0].huber_loss(&x[1], 0.7, reduction)
        }));
        let signs = || {
            vec![
                Input::filled(size, Fill::Range(-2.0, 2.0, &[0.5])),
                sign(size),
            ]
        };
        all.push(Case::new(
            &name("hinge_embedding_loss"),
            signs(),
            move |x| x[0].hinge_embedding_loss(&to_sign(&x[1]), 0.5, reduction),
        ));
        all.push(Case::new(&name("soft_margin_loss"), signs(), move |x| {
            x[0].soft_margin_loss(&to_sign(&x[1]), reduction)
        }));
    }
    let ranked = vec![
        Input::filled(&[5, 13], Fill::Range(-2.0, 2.0, &[0.0])),
        Input::range(&[13], -0.002, 0.002),
        sign(&[5, 13]),
    ];
    all.push(Case::new(&name("margin_ranking_loss"), ranked, move |x| {
        x[0].margin_ranking_loss(&x[1], &to_sign(&x[2]), 0.0, reduction)
    }));
    for (shape, target) in [(&[9, 5][..], &[9][..]), (&[7], &[])] {
        let vectors = vec![
            Input::new(shape),
            Input::range(shape, 0.5, 2.0),
            sign(target),
        ];
        all.push(Case::new(
            &name("cosine_embedding_loss"),
            vectors,
            move |x| x[0].cosine_embedding_loss(&x[1], &to_sign(&x[2]), -0.9, reduction),
        ));
    }
    for p in [1, 2] {
        let scores = vec![
            Input::range(&[9, 5], -0.2, 0.2),
            Input::filled(&[9], Fill::Below(5)),
        ];
        let tag = name(&format!("multi_margin_loss, {p}"));
        all.push(Case::new(&tag, scores, move |x| {
            x[0].multi_margin_loss(&x[1], p, 1.0, reduction)
        }));
    }
}

/// Losses between distributions.
fn probabilities(all: &mut Vec<Case>, name: &dyn Fn(&str) -> String, reduction: Reduction) {
    for size in SIZES {
        let positive = |lo, hi| vec![Input::range(size, lo, hi), Input::range(size, lo, hi)];
        all.push(Case::new(
            &name("msle_loss"),
            positive(0.1, 3.0),
            move |x| x[0].msle_loss(&x[1], reduction),
        ));
        all.push(Case::new(&name("kl_div"), positive(0.2, 1.0), move |x| {
            x[0].kl_div(&x[1], false, reduction)
        }));
        // What comes of overflows of both signs depends on the order of operations: here and with pos_weight.
        let logs = move |x: &[Tensor]| x[0].kl_div(&x[1], true, reduction);
        all.push(Case::new(&name("kl_div, logs"), positive(-1.0, 0.0), logs).finite());
        let options = move |weight: &Tensor| BinaryCrossEntropyOptions {
            weight: Some(weight.clone()),
            ..reduction.into()
        };
        let weighted = |lo, hi| {
            let weight = Input::range(&size[size.len() - 1..], 0.5, 1.5).fixed();
            vec![
                Input::range(size, lo, hi),
                Input::range(size, 0.1, 0.9),
                weight,
            ]
        };
        let probabilities = weighted(0.1, 0.9);
        all.push(Case::new(
            &name("binary_cross_entropy"),
            probabilities,
            move |x| x[0].binary_cross_entropy(&x[1], options(&x[2])),
        ));
        let op = "binary_cross_entropy_with_logits";
        all.push(Case::new(&name(op), weighted(-3.0, 3.0), move |x| {
            x[0].binary_cross_entropy_with_logits(&x[1], options(&x[2]))
        }));
        let tag = name(&format!("{op}, pos_weight"));
        all.push(
            Case::new(&tag, weighted(-3.0, 3.0), move |x| {
                let options = BinaryCrossEntropyOptions {
                    pos_weight: Some(x[2].clone()),
                    ..reduction.into()
                };
                x[0].binary_cross_entropy_with_logits(&x[1], options)
            })
            .finite(),
        );
    }
}

fn keras_losses(all: &mut Vec<Case>) {
    type Loss = fn(&Tensor, &Tensor) -> Tensor;
    let losses: [(&str, Loss); 10] = [
        ("binary_crossentropy", |t, p| {
            keras::binary_crossentropy(t, p, false)
        }),
        ("binary_crossentropy, logits", |t, p| {
            keras::binary_crossentropy(t, p, true)
        }),
        ("categorical_crossentropy", |t, p| {
            keras::categorical_crossentropy(t, p, false)
        }),
        ("categorical_crossentropy, logits", |t, p| {
            keras::categorical_crossentropy(t, p, true)
        }),
        (
            "mean_absolute_percentage_error",
            keras::mean_absolute_percentage_error,
        ),
        (
            "mean_squared_logarithmic_error",
            keras::mean_squared_logarithmic_error,
        ),
        ("log_cosh", keras::log_cosh),
        ("kl_divergence", keras::kl_divergence),
        ("poisson", keras::poisson),
        ("cosine_similarity", keras::cosine_similarity),
    ];
    for (tag, loss) in losses {
        let targets = Input::range(&[5, 13], 0.3, 0.45);
        let inputs = vec![targets, Input::range(&[5, 13], 0.5, 0.9)];
        all.push(Case::new(&format!("keras {tag}"), inputs, move |x| loss(&x[0], &x[1])).finite());
    }
    let scores = || Input::filled(&[5, 13], Fill::Distinct);
    let hinges: [(&str, Loss); 3] = [
        ("hinge", keras::hinge),
        ("squared_hinge", keras::squared_hinge),
        ("categorical_hinge", keras::categorical_hinge),
    ];
    for (tag, loss) in hinges {
        let inputs = vec![sign(&[5, 13]), Input::range(&[5, 13], -0.9, 0.9)];
        let case = Case::new(&format!("keras {tag}"), inputs, move |x| loss(&x[0], &x[1]));
        let unique = tag != "categorical_hinge"; // no highest score is another's
        all.push(if unique { case } else { case.rough() }.finite());
    }
    let inputs = vec![Input::filled(&[5], Fill::Below(13)), scores()];
    let sparse = |x: &[Tensor]| keras::sparse_categorical_crossentropy(&x[0], &x[1], true);
    all.push(Case::new("keras sparse_categorical_crossentropy", inputs, sparse).finite());
}

/// 0 or 1, for [`to_sign`].
fn sign(shape: &[usize]) -> Input {
    Input::filled(shape, Fill::Mask)
}

fn to_sign(mask: &Tensor) -> Tensor {
    mask.mul_scalar(2.0).add_scalar(-1.0)
}
