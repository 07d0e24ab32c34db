//! Attention.

use super::{Case, Fill, Input};
use wgrad::ops::attention::AttentionOptions;
use wgrad::{DType, Tensor};

fn qkv([n, h, t, s, e, ev]: [usize; 6]) -> Vec<Input> {
    vec![
        Input::new(&[n, h, t, e]),
        Input::new(&[n, h, s, e]),
        Input::new(&[n, h, s, ev]),
    ]
}

fn attend(x: &[Tensor], options: &AttentionOptions) -> Tensor {
    x[0].scaled_dot_product_attention(&x[1], &x[2], options)
}

pub fn cases(all: &mut Vec<Case>) {
    let sizes = [
        [2, 3, 5, 7, 8, 8],
        [1, 1, 1, 1, 1, 1],
        [1, 2, 65, 9, 5, 3],
        [1, 1, 70, 300, 4, 4],
        [1, 2, 130, 66, 33, 36],
        [1, 3, 1, 4, 2, 6],
        [1, 2, 9, 40, 40, 72],
        [1, 1, 35, 70, 64, 64],
        [0, 2, 3, 3, 4, 4],
        [1, 2, 0, 3, 4, 4],
        [1, 2, 3, 0, 4, 4],
        [1, 1, 3, 5, 4, 0],
    ];
    for z in sizes {
        let large = z[2] * z[3] > 5000;
        // In long rows a step of the gradient check is lost in rounding.
        let smooth = |c: Case| if large { c.rough() } else { c };
        all.push(smooth(Case::new("attention", qkv(z), |x| {
            attend(x, &AttentionOptions::default())
        })));
        // Where a weight is 0 and its value infinite, it is the order of blocks that decides.
        all.push(smooth(
            Case::new("attention, causal", qkv(z), |x| {
                let is_causal = true;
                attend(
                    x,
                    &AttentionOptions {
                        is_causal,
                        ..Default::default()
                    },
                )
            })
            .finite(),
        ));
        all.push(smooth(
            Case::new("attention, dropout", qkv(z), |x| {
                let dropout_p = 0.4;
                attend(
                    x,
                    &AttentionOptions {
                        dropout_p,
                        ..Default::default()
                    },
                )
            })
            .finite(),
        ));
    }
    // More turns than one launch may take where each draws a random number.
    for z in [
        [1, 1, 3, 2700, 4, 4],
        [1, 1, 2700, 3, 4, 2],
        [1, 1, 3, 1500, 68, 4],
        [1, 1, 1500, 3, 68, 3],
    ] {
        let long = Case::new("attention, dropout", qkv(z), |x| {
            let dropout_p = 0.2;
            attend(
                x,
                &AttentionOptions {
                    dropout_p,
                    ..Default::default()
                },
            )
        });
        all.push(long.rough().finite());
    }
    masks(all);
    layouts(all);
}

fn masks(all: &mut Vec<Case>) {
    for (z, mask, dropout_p) in [
        ([2, 3, 5, 70, 8, 4], &[2, 3, 5, 70][..], 0.0),
        ([2, 3, 5, 70, 8, 4], &[5, 70], 0.0),
        ([2, 3, 5, 70, 8, 4], &[3, 1, 70], 0.3),
        ([2, 3, 5, 70, 8, 4], &[5, 1], 0.0),
        ([1, 2, 5, 70, 36, 40], &[5, 70], 0.3),
        ([1, 2, 3, 5, 4, 2], &[3, 5], 0.3),
        ([1, 2, 3, 5, 4, 2], &[2, 1, 5], 0.0),
    ] {
        let with = |m: Input| qkv(z).into_iter().chain([m]).collect::<Vec<_>>();
        let options = move |mask: Tensor| AttentionOptions {
            attn_mask: Some(mask),
            dropout_p,
            is_causal: dropout_p > 0.0,
            ..Default::default()
        };
        all.push(
            Case::new(
                "attention, bool mask",
                with(Input::filled(mask, Fill::Mask)),
                move |x| attend(x, &options(x[3].to(DType::Bool))),
            )
            .finite(),
        );
        // A learned one.
        all.push(
            Case::new("attention, added mask", with(Input::new(mask)), move |x| {
                attend(x, &options(x[3].clone()))
            })
            .finite(),
        );
    }
    let z = [2, 3, 5, 70, 8, 4];
    let padding = Input::filled(&[2, 70], Fill::Mask);
    let inputs: Vec<Input> = qkv(z).into_iter().chain([padding]).collect();
    all.push(
        Case::new("attention, padding, scale", inputs.clone(), |x| {
            let options = AttentionOptions {
                key_padding_mask: Some(x[3].clone()),
                scale: Some(0.3),
                ..Default::default()
            };
            attend(x, &options)
        })
        .finite(),
    );
    all.push(
        Case::new("attention, padding and mask", inputs, |x| {
            let options = AttentionOptions {
                key_padding_mask: Some(x[3].clone()),
                attn_mask: Some(x[0].narrow(3, 0, 1)),
                ..Default::default()
            };
            attend(x, &options)
        })
        .finite(),
    );
}

/// Heads that lie behind each other's rows, and what has fewer dimensions.
fn layouts(all: &mut Vec<Case>) {
    let shapes: [&[usize]; 3] = [&[2, 9, 3, 4], &[2, 67, 3, 4], &[2, 67, 3, 4]];
    let inputs = shapes.map(Input::new).to_vec();
    all.push(Case::new("attention, heads behind rows", inputs, |x| {
        let x: Vec<Tensor> = x.iter().map(|x| x.transpose(1, 2)).collect();
        attend(&x, &AttentionOptions::default())
            .transpose(1, 2)
            .flatten(2)
    }));
    for shapes in [
        [&[9, 4][..], &[5, 4], &[5, 3]],
        [&[3, 9, 4], &[3, 5, 4], &[3, 5, 3]],
        [&[2, 1, 9, 4], &[2, 3, 5, 4], &[1, 3, 5, 3]],
    ] {
        let inputs = shapes.map(Input::new).to_vec();
        all.push(Case::new("attention", inputs, |x| {
            attend(x, &AttentionOptions::default())
        }));
    }
}
