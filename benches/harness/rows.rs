//! What the bench of operators measures: an operator, its shapes, and the work that this is.

use wgrad::ops::conv::{ConvOptions, Padding};
use wgrad::{Array, Tensor, Trace};

/// An operator on operands of given shapes.
pub struct Row {
    /// Operator and shapes.
    pub name: String,
    /// Shapes of its `f32` operands.
    pub inputs: Vec<Vec<usize>>,
    /// What is computed.
    pub build: fn(&Trace, &[Tensor]) -> Tensor,
    /// Floating-point operations, a multiplication and an addition being two.
    pub flops: f64,
    /// Bytes that have to be read and written at least.
    pub bytes: f64,
}

/// Bytes of tensors of these shapes.
fn bytes(shapes: &[&[usize]]) -> f64 {
    shapes
        .iter()
        .map(|s| 4.0 * s.iter().product::<usize>() as f64)
        .sum()
}

fn row(
    op: &str,
    inputs: &[&[usize]],
    output: &[usize],
    flops: f64,
    build: fn(&Trace, &[Tensor]) -> Tensor,
) -> Row {
    let shapes: Vec<String> = inputs.iter().map(|s| format!("{s:?}")).collect();
    Row {
        name: format!("{op} {}", shapes.join(" x ")),
        inputs: inputs.iter().map(|s| s.to_vec()).collect(),
        build,
        flops,
        bytes: bytes(inputs) + bytes(&[output]),
    }
}

/// The copy-like map.
pub fn copy(n: usize) -> Row {
    row("add_scalar", &[&[n]], &[n], n as f64, |_, x| {
        x[0].add_scalar(1.0)
    })
}

/// A product of square matrices.
pub fn square(n: usize) -> Row {
    matmul(n, n, n)
}

fn product(m: usize, k: usize, n: usize) -> f64 {
    2.0 * m as f64 * k as f64 * n as f64
}

fn matmul(m: usize, k: usize, n: usize) -> Row {
    row(
        "matmul",
        &[&[m, k], &[k, n]],
        &[m, n],
        product(m, k, n),
        |_, x| x[0].matmul(&x[1]),
    )
}

/// As in a dense layer: `x [m, k]`, `w [n, k]`.
fn linear(m: usize, k: usize, n: usize) -> Row {
    let inputs: [&[usize]; 3] = [&[m, k], &[n, k], &[n]];
    row("linear relu", &inputs, &[m, n], product(m, k, n), |_, x| {
        x[0].matmul(&x[1].t()).add(&x[2]).relu()
    })
}

/// As the gradient of a dense layer's weight: `x [m, k]`, `g [m, n]` to `[n, k]`.
fn linear_grad_weight(m: usize, k: usize, n: usize) -> Row {
    let inputs: [&[usize]; 2] = [&[m, k], &[m, n]];
    row(
        "linear_grad_weight",
        &inputs,
        &[n, k],
        product(m, k, n),
        |_, x| x[1].t().matmul(&x[0]),
    )
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let mut all = vec![square(256), square(512), square(1024)];
    all.extend([
        linear(128, 784, 512),
        linear(128, 512, 512),
        linear(128, 512, 10),
    ]);
    all.extend([
        linear_grad_weight(128, 784, 512),
        linear_grad_weight(128, 512, 10),
    ]);
    all.push(row(
        "matmul",
        &[&[64, 128, 64], &[64, 64, 128]],
        &[64, 128, 128],
        64.0 * product(128, 64, 128),
        |_, x| x[0].matmul(&x[1]),
    ));
    all.extend(convolutions());
    all.extend(maps());
    all.extend(rowwise());
    all.extend(index());
    all
}

/// `x [n, c, h, w]`, weight `[o, c, k, k]`, output `[n, o, h', w']`.
fn conv(x: [usize; 4], o: usize, k: usize, padding: usize) -> [Row; 3] {
    let [n, c, h, w] = x;
    let (rows, columns) = (h + 2 * padding + 1 - k, w + 2 * padding + 1 - k);
    let (weight, y) = ([o, c, k, k], [n, o, rows, columns]);
    let flops = product(n * rows * columns, c * k * k, o);
    // The padding that keeps the size is the only one besides none.
    let build: [fn(&Trace, &[Tensor]) -> Tensor; 3] = match padding {
        0 => [
            |_, x| x[0].conv2d(&x[1], None, valid()),
            |g, x| grad(g, x, 0, valid()),
            |g, x| grad(g, x, 1, valid()),
        ],
        _ => [
            |_, x| x[0].conv2d(&x[1], None, same()),
            |g, x| grad(g, x, 0, same()),
            |g, x| grad(g, x, 1, same()),
        ],
    };
    let operands: [&[usize]; 3] = [&x, &weight, &y];
    let mut all = [
        row("conv2d", &operands[..2], &y, flops, build[0]),
        row("conv_grad_input", &operands, &x, flops, build[1]),
        row("conv_grad_weight", &operands, &weight, flops, build[2]),
    ];
    all[1].bytes = bytes(&operands);
    all[2].bytes = bytes(&operands);
    all
}

fn valid() -> ConvOptions {
    ConvOptions::default()
}

fn same() -> ConvOptions {
    ConvOptions {
        padding: Padding::Same,
        ..ConvOptions::default()
    }
}

/// The gradient of operand `wanted` of a convolution, `x[2]` being that of its output.
fn grad(g: &Trace, x: &[Tensor], wanted: usize, options: ConvOptions) -> Tensor {
    let y = x[0].conv2d(&x[1], None, options);
    let loss = y.mul(&x[2]).sum(&[], false);
    let grad = g.gradients(&loss, &[&x[wanted]]).swap_remove(0);
    grad.unwrap_or_else(|| g.scalar(0.0))
}

/// Those of `lenet` and of `cifar`.
fn convolutions() -> Vec<Row> {
    let mut all = Vec::new();
    all.extend(conv([64, 1, 32, 32], 6, 5, 0));
    all.extend(conv([64, 6, 14, 14], 16, 3, 0));
    all.extend(conv([64, 3, 32, 32], 32, 3, 1));
    all.extend(conv([64, 32, 32, 32], 32, 3, 1));
    all.extend(conv([64, 64, 16, 16], 64, 3, 1));
    all.extend(conv([64, 128, 8, 8], 128, 3, 1));
    let maps: &[usize] = &[64, 32, 32, 32];
    all.push(row(
        "max_pool2d 2",
        &[maps],
        &[64, 32, 16, 16],
        0.0,
        |_, x| x[0].max_pool2d(2),
    ));
    let pooled: &[usize] = &[64, 32, 16, 16];
    all.push(row(
        "max_pool2d 2 gradient",
        &[maps, pooled],
        maps,
        0.0,
        |g, x| {
            let loss = x[0].max_pool2d(2).mul(&x[1]).sum(&[], false);
            let grad = g.gradients(&loss, &[&x[0]]).swap_remove(0);
            grad.unwrap_or_else(|| g.scalar(0.0))
        },
    ));
    all
}

fn maps() -> Vec<Row> {
    let n = 1 << 20;
    let shape: [&[usize]; 1] = [&[1024, 1024]];
    let shapes: [&[usize]; 2] = [shape[0], &[1024]];
    vec![
        copy(n),
        copy(1024),
        row("add", &shapes, shape[0], n as f64, |_, x| x[0].add(&x[1])),
        row("tanh", &shape, shape[0], n as f64, |_, x| x[0].tanh()),
        row("gelu", &shape, shape[0], n as f64, |_, x| {
            x[0].mul_scalar(0.5)
                .mul(&x[0].mul_scalar(0.707_106_77).erf().add_scalar(1.0))
        }),
        row("permute", &shape, shape[0], 0.0, |_, x| {
            x[0].permute(&[1, 0]).mul_scalar(2.0)
        }),
        row(
            "permute 0 2 3 1",
            &[&[64, 32, 32, 32]],
            &[64, 32, 32, 32],
            0.0,
            |_, x| x[0].permute(&[0, 2, 3, 1]).mul_scalar(2.0),
        ),
    ]
}

fn rowwise() -> Vec<Row> {
    let n = (1 << 20) as f64;
    let square: &[usize] = &[1024, 1024];
    let images: &[usize] = &[64, 32, 32, 32];
    vec![
        row("sum all", &[square], &[], n, |_, x| x[0].sum(&[], false)),
        row("sum 0", &[square], &[1024], n, |_, x| x[0].sum(&[0], false)),
        row("sum 1", &[square], &[1024], n, |_, x| x[0].sum(&[1], false)),
        row("sum 0 2 3", &[images], &[32], 2.0 * n, |_, x| {
            x[0].sum(&[0, 2, 3], false)
        }),
        row("amax 1", &[square], &[1024], n, |_, x| {
            x[0].amax(&[1], false)
        }),
        row("softmax", &[square], square, 3.0 * n, |_, x| {
            x[0].softmax(-1)
        }),
        row("log_softmax", &[&[128, 10]], &[128, 10], 3840.0, |_, x| {
            x[0].log_softmax(-1)
        }),
        row("cross_entropy", &[&[128, 10]], &[], 3840.0, |g, x| {
            x[0].cross_entropy(&labels(g, 128, 10))
        }),
        row("argmax", &[square], &[1024], 0.0, |_, x| {
            x[0].argmax(1, false).to_f32()
        }),
        row("cumsum", &[square], square, n, |_, x| x[0].cumsum(1)),
    ]
}

fn labels(g: &Trace, n: usize, classes: usize) -> Tensor {
    let label = |i: usize| (i * 7919 % classes) as i32;
    g.constant(Array::vector((0..n).map(label).collect::<Vec<_>>()))
}

/// Rows of a table of 28,996 words: 8 and 64 texts of 128 tokens.
fn index() -> Vec<Row> {
    let table: &[usize] = &[28_996, 64];
    let mut all = vec![
        row("embedding 1024 of", &[table], &[], 0.0, |g, x| {
            labels(g, 1024, 28_996).embedding(&x[0], None)
        }),
        row("embedding 8192 of", &[table], &[], 0.0, |g, x| {
            labels(g, 8192, 28_996).embedding(&x[0], None)
        }),
        row(
            "index_add 8192 to",
            &[table, &[8192, 64]],
            &[],
            0.0,
            |g, x| x[0].index_add(0, &labels(g, 8192, 28_996), &x[1]),
        ),
    ];
    for (row, rows) in all.iter_mut().zip([1024, 8192]) {
        row.bytes = bytes(&[&[rows, 64], &[rows, 64], &[rows]]);
    }
    if let Some(row) = all.last_mut() {
        row.bytes = bytes(&[table, table, &[8192, 64]]);
    }
    all
}
