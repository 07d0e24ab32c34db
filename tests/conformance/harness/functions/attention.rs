//! Attention.

use super::{Build, Case, function};
use wgrad::ops::attention::AttentionOptions;

pub fn find(case: &Case) -> Option<Build> {
    let is_causal = case.flag("is_causal", false);
    match case.op.as_str() {
        "scaled_dot_product_attention" => function(move |x| {
            let options = AttentionOptions {
                attn_mask: x.get(3).cloned(),
                is_causal,
                ..Default::default()
            };
            x[0].scaled_dot_product_attention(&x[1], &x[2], &options)
        }),
        _ => None,
    }
}
