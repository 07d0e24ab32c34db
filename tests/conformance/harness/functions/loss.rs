//! Losses.

use super::{Build, Case, binary, function};
use wgrad::Tensor;
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::ops::reduction::Reduction;

pub fn find(case: &Case) -> Option<Build> {
    let reduction = match case.text("reduction") {
        Some("sum") => Reduction::Sum,
        Some("none") => Reduction::None,
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
        _ => None,
    }
}
