//! Reductions, and what works along one dimension.

use super::{Build, Case, binary, unary};

pub fn find(case: &Case) -> Option<Build> {
    let (dims, keep) = (case.ints("dims"), case.flag("keepdim", false));
    let dim = case.number("dim").map_or(-1, |d| d as isize);
    let correction = case.number("correction").map_or(1, |c| c as usize);
    match case.op.as_str() {
        "sum" => unary(move |x| x.sum(&dims, keep)),
        "mean" => unary(move |x| x.mean(&dims, keep)),
        "max" => unary(move |x| x.amax(&dims, keep)),
        "min" => unary(move |x| x.amin(&dims, keep)),
        "var" => unary(move |x| x.var(&dims, correction, keep)),
        "std" => unary(move |x| x.std(&dims, correction, keep)),
        "logsumexp" => unary(move |x| x.logsumexp(&dims, keep)),
        "norm" if case.number("p") == Some(2.0) => unary(move |x| x.norm(&dims, keep)),
        "argmax" => unary(move |x| x.argmax(dim, keep)),
        "argmin" => unary(move |x| x.argmin(dim, keep)),
        "prod" => unary(move |x| x.prod(&dims, keep)),
        "count_nonzero" => unary(move |x| x.count_nonzero(&dims, keep)),
        "cumprod" => unary(move |x| x.cumprod(dim)),
        "cumsum" => unary(move |x| x.cumsum(dim)),
        "softmax" => unary(move |x| x.softmax(dim)),
        "log_softmax" => unary(move |x| x.log_softmax(dim)),
        "masked_mean_pool" => binary(|x, mask| x.masked_mean(mask)),
        "cosine_similarity" => {
            let eps = case.f32("eps", 1e-8);
            binary(move |a, b| a.cosine_similarity(b, dim, eps))
        }
        _ => None,
    }
}
