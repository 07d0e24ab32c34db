//! Compositions behind layers.

use super::{Case, Fill, Input};
use wgrad::ops::interpolate::{InterpolateMode, InterpolateOptions};
use wgrad::ops::pool::PoolOptions;

pub fn cases(all: &mut Vec<Case>) {
    interpolation(all);
    for (shape, slopes) in [
        (&[3, 7, 5][..], 7),
        (&[4, 13], 13),
        (&[2, 3, 9, 8], 1),
        (&[11], 1),
        (&[0, 4], 4),
    ] {
        let x = Input::filled(shape, Fill::Range(-2.0, 2.0, &[0.0]));
        let inputs = vec![x, Input::new(&[slopes])];
        all.push(Case::new("prelu", inputs, |x| x[0].prelu(&x[1])));
    }
    for (lead, [o, i, j]) in [
        (&[3][..], [4, 5, 6]),
        (&[2, 5], [1, 1, 3]),
        (&[17], [9, 33, 2]),
        (&[0], [2, 3, 4]),
    ] {
        let with = |n: usize| [lead, &[n]].concat();
        let inputs = vec![
            Input::range(&with(i), -1.0, 1.0),
            Input::range(&with(j), -1.0, 1.0),
            Input::range(&[o, i, j], -1.0, 1.0),
            Input::new(&[o]),
        ];
        // Which of several infinite products meets a zero first is nobody's promise.
        let case = Case::new("bilinear", inputs, |x| {
            x[0].bilinear(&x[1], &x[2], Some(&x[3]))
        });
        all.push(case.finite());
    }
    for shape in [&[3, 7, 4][..], &[1, 1, 1], &[2, 33, 70]] {
        let (n, t) = (shape[0], shape[1]);
        let inputs = || {
            let lengths = Input::filled(&[n], Fill::Below(t as i32));
            vec![Input::filled(shape, Fill::Distinct), lengths]
        };
        let rough = shape.iter().product::<usize>() > 220;
        let max = Case::new("masked_max, lengths", inputs(), move |x| {
            // Not empty: a maximum of none is infinite.
            let first = x[0].narrow(1, 0, 1).square().sum(&[1], false);
            let largest = x[0].masked_max(&x[1].length_mask(t));
            largest.maximum(&first)
        });
        all.push(if rough { max.rough() } else { max });
        all.push(Case::new("masked_mean, lengths", inputs(), move |x| {
            let mask = x[1].length_mask(t).maximum(&x[1].length_mask(t));
            let first = x[1].trace().arange(t).to_f32().mul_scalar(-1.0).exp();
            x[0].masked_mean(&mask.add(&first))
        }));
    }
    for shape in [&[2, 3, 17][..], &[2, 3, 9, 8]] {
        let x = vec![Input::filled(shape, Fill::Distinct)];
        let dims = shape.len() - 2;
        all.push(Case::new("min_pool, padded", x, move |x| {
            let options = PoolOptions {
                stride: Some(vec![2]),
                padding: vec![1],
                ..PoolOptions::new([3])
            };
            match dims {
                1 => x[0].min_pool1d_with(options),
                _ => x[0].min_pool2d_with(options),
            }
        }));
    }
}

fn interpolation(all: &mut Vec<Case>) {
    use InterpolateMode::{Bilinear, Linear, Nearest, Trilinear};
    let rows: &[(&[usize], InterpolateMode, &[usize])] = &[
        (&[2, 3, 7], Nearest, &[14]),
        (&[2, 3, 7], Nearest, &[5]),
        (&[2, 3, 7], Linear, &[11]),
        (&[1, 2, 1], Linear, &[4]),
        (&[2, 3, 5, 4], Nearest, &[10, 12]),
        (&[2, 3, 5, 4], Nearest, &[7, 3]),
        (&[2, 3, 5, 4], Bilinear, &[9, 4]),
        (&[2, 3, 5, 4], Bilinear, &[3, 1]),
        (&[1, 1, 33, 17], Bilinear, &[66, 51]),
        (&[1, 2, 3, 4, 2], Trilinear, &[5, 4, 6]),
        (&[1, 2, 3, 4, 2], Nearest, &[6, 4, 2]),
        (&[0, 2, 3], Nearest, &[6]),
    ];
    for &(shape, mode, size) in rows {
        for align in [false, true] {
            if align && mode == Nearest {
                continue;
            }
            let options = InterpolateOptions::size(size)
                .mode(mode)
                .align_corners(align);
            let name = format!("interpolate, {mode:?} to {size:?}, corners aligned {align}");
            let inputs = vec![Input::new(shape)];
            all.push(Case::new(&name, inputs, move |x| {
                x[0].interpolate(&options)
            }));
        }
    }
    for factor in [0.6, 1.7, 2.5] {
        for mode in [Nearest, Bilinear] {
            let options = InterpolateOptions::scale(factor).mode(mode);
            let name = format!("interpolate, {mode:?} by {factor}");
            let inputs = vec![Input::new(&[2, 3, 5, 4])];
            all.push(Case::new(&name, inputs, move |x| {
                x[0].interpolate(&options)
            }));
        }
    }
}
