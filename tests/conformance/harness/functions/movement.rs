//! Views, joins, paddings, sums of products by letters.

use super::{Build, Case, function, unary};
use wgrad::Tensor;

pub fn find(case: &Case) -> Option<Build> {
    let int = |key| case.int(key);
    let size = |key| case.int(key) as usize;
    match case.op.as_str() {
        "reshape" => {
            let shape = case.ints("shape");
            unary(move |x| x.reshape(&shape))
        }
        "permute" => {
            let dims = case.ints("dims");
            unary(move |x| x.permute(&dims))
        }
        "transpose" => {
            let (a, b) = (int("dim0"), int("dim1"));
            unary(move |x| x.transpose(a, b))
        }
        "flatten" => {
            let start = int("start_dim");
            unary(move |x| x.flatten(start))
        }
        "expand" => {
            let shape = case.sizes("shape", 0);
            unary(move |x| x.expand(shape.clone()))
        }
        "narrow" => {
            let (dim, start, length) = (int("dim"), size("start"), size("length"));
            unary(move |x| x.narrow(dim, start, length))
        }
        "slice" => {
            let (dim, start, end, step) = (int("dim"), int("start"), int("end"), size("step"));
            unary(move |x| x.slice(dim, start, end, step))
        }
        "pad" => {
            let (pad, value) = (case.sizes("pad", 0), case.f32("value", 0.0));
            unary(move |x| x.pad(&pad, value))
        }
        "flip" => {
            let dims = case.ints("dims");
            unary(move |x| x.flip(&dims))
        }
        "cat" => {
            let dim = int("dim");
            function(move |x| Tensor::cat(&x.iter().collect::<Vec<_>>(), dim))
        }
        "stack" => {
            let dim = int("dim");
            function(move |x| Tensor::stack(&x.iter().collect::<Vec<_>>(), dim))
        }
        "diagonal" => {
            let (offset, a, b) = (int("offset"), int("dim1"), int("dim2"));
            unary(move |x| x.diagonal(offset, a, b))
        }
        "einsum" => {
            let equation = case.text("equation").unwrap_or_default().to_owned();
            function(move |x| Tensor::einsum(&equation, &x.iter().collect::<Vec<_>>()))
        }
        "chunk" => {
            let (chunks, dim) = (size("chunks"), int("dim"));
            Some(Box::new(move |_, x| x[0].chunk(chunks, dim)))
        }
        _ => None,
    }
}
