//! Losses.

use super::{Build, Case, binary, function};
use wgrad::Tensor;
use wgrad::ops::binary_cross_entropy::BinaryCrossEntropyOptions;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::reduction::Reduction;

pub fn find(case: &Case) -> Option<Build> {
    let reduction = match case.text("reduction") {
        Some("sum") => Reduction::Sum,
        Some("none") => Reduction::None,
        Some("batchmean") => Reduction::BatchMean,
        Some("mean") | None => Reduction::Mean,
        Some(_) => return None,
    };
    let ignore = case.number("ignore_index").map_or(-100, |i| i as i32);
    let smoothing = case.f32("label_smoothing", 0.0);
    let weighted = case.flag("class_weight", false);
    let options = move |x: &[Tensor]| CrossEntropyOptions {
        reduction,
        ignore_index: ignore,
        label_smoothing: smoothing,
        weight: weighted.then(|| x[2].clone()),
    };
    match case.op.as_str() {
        "cross_entropy" => function(move |x| x[0].cross_entropy_with(&x[1], &options(x))),
        "nll_loss" => function(move |x| x[0].nll_loss_with(&x[1], &options(x))),
        "mse_loss" => binary(move |x, y| x.mse_loss(y, reduction)),
        "l1_loss" => binary(move |x, y| x.l1_loss(y, reduction)),
        "smooth_l1_loss" => {
            let beta = case.f32("beta", 1.0);
            binary(move |x, y| x.smooth_l1_loss(y, beta, reduction))
        }
        "huber_loss" => {
            let delta = case.f32("delta", 1.0);
            binary(move |x, y| x.huber_loss(y, delta, reduction))
        }
        "msle_loss" => binary(move |x, y| x.msle_loss(y, reduction)),
        "kl_div" => {
            let log_target = case.flag("log_target", false);
            binary(move |x, y| x.kl_div(y, log_target, reduction))
        }
        "hinge_embedding_loss" => {
            let margin = case.f32("margin", 1.0);
            binary(move |x, y| x.hinge_embedding_loss(y, margin, reduction))
        }
        "binary_cross_entropy" => binary(move |x, y| x.binary_cross_entropy(y, reduction)),
        "binary_cross_entropy_with_logits" => {
            let positive = case.flag("pos_weight", false);
            function(move |x| {
                let options = BinaryCrossEntropyOptions {
                    pos_weight: positive.then(|| x[2].clone()),
                    ..reduction.into()
                };
                x[0].binary_cross_entropy_with_logits(&x[1], options)
            })
        }
        _ => None,
    }
}
