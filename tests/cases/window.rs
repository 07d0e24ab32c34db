//! Convolution and pooling over one, two and three dimensions.

use super::{Case, Fill, Input};
use wgrad::Tensor;
use wgrad::ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
use wgrad::ops::pool::PoolOptions;

/// Shapes of `x` and `weight`, stride, padding, dilation, groups.
type Conv = (
    &'static [usize],
    &'static [usize],
    usize,
    usize,
    usize,
    usize,
);

const CONVS: &[Conv] = &[
    (&[2, 4, 9], &[6, 4, 3], 1, 0, 1, 1),
    (&[2, 4, 11], &[6, 2, 3], 2, 1, 1, 2),
    (&[1, 3, 17], &[5, 3, 3], 1, 2, 2, 1),
    (&[8, 64, 33], &[10, 64, 3], 1, 1, 1, 1),
    (&[1, 1, 1, 1], &[1, 1, 1, 1], 1, 0, 1, 1),
    (&[2, 3, 8, 7], &[4, 3, 3, 3], 1, 1, 1, 1),
    (&[2, 1, 12, 12], &[6, 1, 5, 5], 1, 0, 1, 1),
    (&[3, 6, 11, 9], &[12, 1, 3, 3], 1, 1, 1, 6),
    (&[2, 4, 10, 9], &[6, 2, 3, 2], 2, 1, 1, 2),
    (&[2, 2, 13, 11], &[3, 2, 3, 3], 3, 2, 2, 1),
    (&[2, 16, 6, 6], &[33, 16, 1, 1], 1, 0, 1, 1),
    (&[1, 32, 16, 16], &[48, 32, 3, 3], 1, 1, 1, 1),
    (&[5, 3, 3, 3], &[4, 3, 3, 3], 1, 0, 1, 1),
    (&[0, 3, 5, 5], &[4, 3, 3, 3], 1, 0, 1, 1),
    (&[2, 3, 5, 6, 4], &[4, 3, 3, 3, 3], 1, 1, 1, 1),
    (&[1, 4, 7, 5, 6], &[4, 2, 2, 3, 2], 2, 1, 1, 2),
];

/// Kernel, stride, padding, dilation.
const POOLS: &[(usize, usize, usize, usize)] =
    &[(2, 2, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1), (2, 3, 0, 2)];

const PLANES: &[&[usize]] = &[&[2, 3, 17], &[2, 3, 9, 8], &[1, 2, 6, 7, 5], &[0, 3, 8, 8]];

pub fn cases(all: &mut Vec<Case>) {
    let mut convs = Vec::new();
    direct(&mut convs);
    transposed(&mut convs);
    // Whether padding meets an infinite weight is nobody's promise.
    all.extend(convs.into_iter().map(Case::finite));
    pools(all);
}

fn direct(all: &mut Vec<Case>) {
    for &(x, w, stride, padding, dilation, groups) in CONVS {
        let options = move || ConvOptions {
            stride: vec![stride],
            padding: Padding::Explicit(vec![padding]),
            dilation: vec![dilation],
            groups,
        };
        let tag = |op: &str| {
            format!(
                "{op}, stride {stride}, padding {padding}, dilation {dilation}, groups {groups}"
            )
        };
        let dims = x.len() - 2;
        let conv = move |x: &[Tensor], bias: Option<&Tensor>| match dims {
            1 => x[0].conv1d(&x[1], bias, options()),
            2 => x[0].conv2d(&x[1], bias, options()),
            _ => x[0].conv3d(&x[1], bias, options()),
        };
        let inputs = vec![
            Input::range(x, -1.0, 1.0),
            Input::range(w, -1.0, 1.0),
            Input::new(&w[..1]),
        ];
        let name = tag(&format!("conv{dims}d"));
        all.push(Case::new(&name, inputs.clone(), move |x| {
            conv(x, Some(&x[2]))
        }));
        if dims == 2 {
            let name = format!("{name}, tanh");
            all.push(Case::new(&name, inputs, move |x| {
                conv(x, Some(&x[2])).mul_scalar(0.2).tanh()
            }));
        }
    }
    for (tag, padding) in [("same", Padding::Same), ("valid", Padding::Valid)] {
        let inputs = vec![
            Input::new(&[2, 3, 7, 6]),
            Input::range(&[4, 3, 4, 3], -1.0, 1.0),
        ];
        all.push(Case::new(&format!("conv2d, {tag}"), inputs, move |x| {
            let options = ConvOptions {
                padding: padding.clone(),
                ..Default::default()
            };
            x[0].conv2d(&x[1], None, options)
        }));
    }
}

fn transposed(all: &mut Vec<Case>) {
    for (x, w, stride, groups) in [
        (&[2, 4, 7][..], &[4, 3, 3][..], 1, 1),
        (&[2, 4, 5, 6], &[4, 3, 3, 3], 2, 1),
        (&[1, 4, 5, 4], &[4, 2, 3, 3], 2, 2),
        (&[1, 2, 3, 4, 3], &[2, 3, 3, 3, 3], 2, 1),
    ] {
        let inputs = vec![
            Input::new(x),
            Input::range(w, -1.0, 1.0),
            Input::new(&[w[1] * groups]),
        ];
        let dims = x.len() - 2;
        let name = format!("conv_transpose{dims}d, stride {stride}, groups {groups}");
        all.push(Case::new(&name, inputs, move |x| {
            let options = ConvTransposeOptions {
                stride: vec![stride],
                padding: vec![1],
                output_padding: vec![stride - 1],
                groups,
                ..Default::default()
            };
            match dims {
                1 => x[0].conv_transpose1d(&x[1], Some(&x[2]), options),
                2 => x[0].conv_transpose2d(&x[1], Some(&x[2]), options),
                _ => x[0].conv_transpose3d(&x[1], Some(&x[2]), options),
            }
        }));
    }
}

fn pools(all: &mut Vec<Case>) {
    for plane in PLANES {
        for &(kernel, stride, padding, dilation) in POOLS {
            let options = move |ceil_mode, count_include_pad| PoolOptions {
                stride: Some(vec![stride]),
                padding: vec![padding],
                dilation: vec![dilation],
                ceil_mode,
                count_include_pad,
                ..PoolOptions::new([kernel])
            };
            let tag =
                format!("kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}");
            for ceil in [false, true] {
                let x = vec![Input::filled(plane, Fill::Distinct)];
                let name = format!("max_pool, {tag}, ceil {ceil}");
                let case = Case::new(&name, x, move |x| max(&x[0], options(ceil, true)));
                // Steps of the gradient check must not change the order.
                let fine = plane.iter().product::<usize>() > 220;
                all.push(if fine { case.rough() } else { case });
                if dilation == 1 {
                    let x = vec![Input::new(plane)];
                    let name = format!("avg_pool, {tag}, ceil and padding counted {ceil}");
                    all.push(Case::new(&name, x, move |x| {
                        avg(&x[0], options(ceil, ceil))
                    }));
                }
            }
        }
    }
    let adaptive = |shape| vec![Input::filled(shape, Fill::Distinct)];
    all.push(Case::new(
        "adaptive_max_pool1d",
        adaptive(&[2, 4, 17]),
        |x| x[0].adaptive_max_pool1d([5]),
    ));
    all.push(Case::new(
        "adaptive_max_pool2d",
        adaptive(&[1, 2, 9, 7]),
        |x| x[0].adaptive_max_pool2d([3, 2]),
    ));
    all.push(Case::new(
        "adaptive_avg_pool2d",
        adaptive(&[2, 3, 9, 7]),
        |x| x[0].adaptive_avg_pool2d([3, 2]),
    ));
}

fn max(x: &Tensor, options: PoolOptions) -> Tensor {
    match x.rank() {
        3 => x.max_pool1d_with(options),
        4 => x.max_pool2d_with(options),
        _ => x.max_pool3d_with(options),
    }
}

fn avg(x: &Tensor, options: PoolOptions) -> Tensor {
    match x.rank() {
        3 => x.avg_pool1d_with(options),
        4 => x.avg_pool2d_with(options),
        _ => x.avg_pool3d_with(options),
    }
}
