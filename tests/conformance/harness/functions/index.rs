//! Gathering by indices.

use super::{Build, Case, binary};

pub fn find(case: &Case) -> Option<Build> {
    match case.op.as_str() {
        "index_select" => {
            let dim = case.int("dim");
            binary(move |x, index| x.index_select(dim, index))
        }
        "gather" => {
            let dim = case.int("dim");
            binary(move |x, index| x.gather(dim, index))
        }
        _ => None,
    }
}
