//! Convolution, pooling and interpolation.

use super::{Build, Case, function, unary};
use wgrad::Tensor;
use wgrad::ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
use wgrad::ops::interpolate::{InterpolateMode, InterpolateOptions};
use wgrad::ops::pool::PoolOptions;

type Conv = fn(&Tensor, &Tensor, Option<&Tensor>, ConvOptions) -> Tensor;
type Transposed = fn(&Tensor, &Tensor, Option<&Tensor>, ConvTransposeOptions) -> Tensor;
type Pool = fn(&Tensor, PoolOptions) -> Tensor;

pub fn find(case: &Case) -> Option<Build> {
    match case.op.as_str() {
        "conv1d" => conv(case, Tensor::conv1d),
        "conv2d" => conv(case, Tensor::conv2d),
        "conv3d" => conv(case, Tensor::conv3d),
        "conv_transpose1d" => transposed(case, Tensor::conv_transpose1d),
        "conv_transpose2d" => transposed(case, Tensor::conv_transpose2d),
        "conv_transpose3d" => transposed(case, Tensor::conv_transpose3d),
        "max_pool1d" => pool(case, Tensor::max_pool1d_with),
        "max_pool2d" => pool(case, Tensor::max_pool2d_with),
        "max_pool3d" => pool(case, Tensor::max_pool3d_with),
        "avg_pool1d" => pool(case, Tensor::avg_pool1d_with),
        "avg_pool2d" => pool(case, Tensor::avg_pool2d_with),
        "avg_pool3d" => pool(case, Tensor::avg_pool3d_with),
        "adaptive_max_pool1d" => adaptive(case, Tensor::adaptive_max_pool1d),
        "adaptive_max_pool2d" => adaptive(case, Tensor::adaptive_max_pool2d),
        "adaptive_max_pool3d" => adaptive(case, Tensor::adaptive_max_pool3d),
        "adaptive_avg_pool1d" => adaptive(case, Tensor::adaptive_avg_pool1d),
        "adaptive_avg_pool2d" => adaptive(case, Tensor::adaptive_avg_pool2d),
        "adaptive_avg_pool3d" => adaptive(case, Tensor::adaptive_avg_pool3d),
        "upsample_nearest2d" => interpolated(case, InterpolateMode::Nearest),
        "upsample_bilinear2d" => interpolated(case, InterpolateMode::Bilinear),
        _ => None,
    }
}

fn interpolated(case: &Case, mode: InterpolateMode) -> Option<Build> {
    let options = InterpolateOptions::scale(case.number("scale")?)
        .mode(mode)
        .align_corners(case.flag("align_corners", false));
    unary(move |x| x.interpolate(&options))
}

fn groups(case: &Case) -> usize {
    case.number("groups").map_or(1, |g| g as usize)
}

fn conv(case: &Case, f: Conv) -> Option<Build> {
    let padding = match case.text("padding") {
        Some("same") => Padding::Same,
        Some("valid") => Padding::Valid,
        _ => Padding::Explicit(case.sizes("padding", 0)),
    };
    let options = ConvOptions {
        stride: case.sizes("stride", 1),
        padding,
        dilation: case.sizes("dilation", 1),
        groups: groups(case),
    };
    function(move |x| f(&x[0], &x[1], x.get(2), options.clone()))
}

fn transposed(case: &Case, f: Transposed) -> Option<Build> {
    let options = ConvTransposeOptions {
        stride: case.sizes("stride", 1),
        padding: case.sizes("padding", 0),
        output_padding: case.sizes("output_padding", 0),
        dilation: case.sizes("dilation", 1),
        groups: groups(case),
    };
    function(move |x| f(&x[0], &x[1], x.get(2), options.clone()))
}

fn pool(case: &Case, f: Pool) -> Option<Build> {
    let stride = case.sizes("stride", 0);
    let options = PoolOptions {
        stride: (stride != [0]).then_some(stride),
        padding: case.sizes("padding", 0),
        dilation: case.sizes("dilation", 1),
        ceil_mode: case.flag("ceil_mode", false),
        count_include_pad: case.flag("count_include_pad", true),
        ..PoolOptions::new(case.sizes("kernel_size", 1))
    };
    unary(move |x| f(x, options.clone()))
}

fn adaptive<const D: usize>(case: &Case, f: fn(&Tensor, [usize; D]) -> Tensor) -> Option<Build> {
    let sizes: [usize; D] = case.sizes("output_size", 1).try_into().ok()?;
    unary(move |x| f(x, sizes))
}
