use super::*;
use crate::ops::window::coordinates;
use crate::rng::Rng;

/// A convolution by its sizes: n, channels in, out, groups; input, kernel, stride, padding, dilation.
struct Case(
    [usize; 4],
    &'static [usize],
    &'static [usize],
    &'static [usize],
    &'static [usize],
    &'static [usize],
);

const CASES: &[Case] = &[
    Case([2, 3, 5, 1], &[9], &[3], &[1], &[1], &[1]),
    Case([3, 4, 6, 2], &[300], &[5], &[2], &[3], &[2]),
    Case([1, 2, 3, 1], &[9000], &[3], &[1], &[0], &[1]),
    Case([5, 1, 6, 1], &[12, 12], &[5, 5], &[1, 1], &[0, 0], &[1, 1]),
    Case(
        [3, 32, 48, 1],
        &[16, 16],
        &[3, 3],
        &[1, 1],
        &[1, 1],
        &[1, 1],
    ),
    Case([2, 3, 4, 1], &[11, 9], &[2, 3], &[2, 1], &[0, 2], &[1, 2]),
    Case([2, 8, 8, 8], &[10, 12], &[3, 3], &[1, 1], &[1, 1], &[1, 1]),
    Case([2, 4, 8, 4], &[7, 9], &[3, 3], &[2, 2], &[1, 1], &[1, 1]),
    Case([2, 6, 9, 3], &[7, 7], &[3, 3], &[1, 1], &[2, 2], &[2, 2]),
    Case([4, 16, 24, 1], &[5, 5], &[1, 1], &[1, 1], &[0, 0], &[1, 1]),
    Case([2, 16, 8, 2], &[40, 40], &[1, 1], &[1, 1], &[0, 0], &[1, 1]),
    Case([2, 7, 8, 1], &[8, 8], &[1, 1], &[2, 2], &[0, 0], &[1, 1]),
    Case([2, 3, 4, 1], &[6, 6], &[2, 2], &[1, 1], &[3, 3], &[1, 1]),
    Case([2, 3, 4, 1], &[6, 6], &[3, 3], &[3, 3], &[1, 1], &[1, 1]),
    Case([2, 12, 1, 1], &[6, 7], &[3, 3], &[1, 1], &[1, 1], &[1, 1]),
    Case(
        [1, 20, 24, 1],
        &[70, 70],
        &[3, 3],
        &[1, 1],
        &[1, 1],
        &[1, 1],
    ),
    Case(
        [1, 20, 24, 1],
        &[71, 70],
        &[3, 3],
        &[2, 2],
        &[1, 1],
        &[1, 1],
    ),
    Case(
        [2, 3, 4, 1],
        &[5, 6, 7],
        &[2, 3, 3],
        &[1, 2, 1],
        &[1, 1, 0],
        &[1, 1, 2],
    ),
    Case(
        [2, 4, 4, 2],
        &[4, 5, 6],
        &[3, 3, 3],
        &[1, 1, 1],
        &[1, 1, 1],
        &[1, 1, 1],
    ),
];

impl Case {
    fn conv(&self) -> Conv {
        let steps = Steps {
            stride: self.3.to_vec(),
            padding: self.4.to_vec(),
            dilation: self.5.to_vec(),
        };
        Conv {
            steps,
            groups: self.0[3],
        }
    }

    fn types(&self) -> [TensorType; 3] {
        let [n, c, o, groups] = self.0;
        let x = TensorType::f32([n, c].iter().chain(self.1).copied().collect::<Shape>());
        let w = TensorType::f32(weight_shape(o, c / groups, self.2));
        let y = self
            .conv()
            .infer(&[x.clone(), w.clone()])
            .unwrap()
            .remove(0);
        [x, w, y]
    }

    /// By the definition, in f64: output, gradient of the input, gradient of the weight.
    fn reference(&self, x: &[f32], w: &[f32], g: &[f32]) -> [Vec<f64>; 3] {
        let [xt, wt, yt] = self.types();
        let s = self.conv().sizes(&xt.shape, &wt.shape, &yt.shape);
        let (win, mut y, mut dx, mut dw) = (
            s.window,
            vec![0.0; g.len()],
            vec![0.0; x.len()],
            vec![0.0; w.len()],
        );
        for at in 0..g.len() {
            let (plane, q) = (
                at / win.positions(),
                coordinates(at % win.positions(), win.output),
            );
            let (sample, o) = (plane / (s.groups * s.cout), plane % (s.groups * s.cout));
            for c in 0..s.cin {
                for k in 0..win.taps() {
                    let t = coordinates(k, win.kernel);
                    let e = [0, 1, 2].map(|d| {
                        (q[d] * win.stride[d] + t[d] * win.dilation[d]) as isize
                            - win.padding[d] as isize
                    });
                    if (0..3).any(|d| e[d] < 0 || e[d] >= win.input[d] as isize) {
                        continue;
                    }
                    let e = e.map(|e| e as usize);
                    let xi = ((sample * s.groups + o / s.cout) * s.cin + c) * win.elements()
                        + (e[0] * win.input[1] + e[1]) * win.input[2]
                        + e[2];
                    let wi = (o * s.cin + c) * win.taps() + k;
                    let (x, w, g) = (f64::from(x[xi]), f64::from(w[wi]), f64::from(g[at]));
                    y[at] += x * w;
                    dx[xi] += g * w;
                    dw[wi] += g * x;
                }
            }
        }
        [y, dx, dw]
    }
}

fn random(n: usize, name: &str) -> Vec<f32> {
    let mut rng = Rng::new(7, name);
    (0..n)
        .map(|_| rng.word() as f32 / u32::MAX as f32 - 0.5)
        .collect()
}

/// Run an operator of two inputs on the CPU.
fn run_to(
    op: &dyn OpDef,
    a: (&TensorType, &[f32]),
    b: (&TensorType, &[f32]),
    to: (&TensorType, &mut [f32]),
) {
    let inputs = vec![(a.0, a.1.as_ptr().cast()), (b.0, b.1.as_ptr().cast())];
    // SAFETY: the types are those of the slices.
    let mut io = unsafe { CpuIo::new(inputs, vec![(to.0, to.1.as_mut_ptr().cast())], None) };
    op.cpu(&mut io).unwrap();
}

fn run(op: &dyn OpDef, a: (&TensorType, &[f32]), b: (&TensorType, &[f32])) -> Vec<f32> {
    let ty = op.infer(&[a.0.clone(), b.0.clone()]).unwrap().remove(0);
    let mut out = vec![f32::NAN; ty.numel()];
    run_to(op, a, b, (&ty, &mut out));
    out
}

fn close(what: &str, got: &[f32], want: &[f64]) {
    let most = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let bound = 1e-5 + 1e-5 * most;
        assert!(
            (f64::from(*g) - w).abs() <= bound,
            "{what}[{i}]: {g}, expected {w}"
        );
    }
}

fn operators(case: &Case) -> (Conv, ConvGradInput, ConvGradWeight) {
    let conv = case.conv();
    let dx = ConvGradInput {
        conv: conv.clone(),
        input: case.1.to_vec(),
    };
    let dw = ConvGradWeight {
        conv: conv.clone(),
        kernel: case.2.to_vec(),
    };
    (conv, dx, dw)
}

#[test]
fn cpu_agrees_with_the_definition() {
    for (i, case) in CASES.iter().enumerate() {
        let [xt, wt, yt] = case.types();
        let (x, w, g) = (
            random(xt.numel(), "x"),
            random(wt.numel(), "w"),
            random(yt.numel(), "g"),
        );
        let [y, dx, dw] = case.reference(&x, &w, &g);
        let (conv, grad_input, grad_weight) = operators(case);
        close(
            &format!("{i} forward"),
            &run(&conv, (&xt, &x), (&wt, &w)),
            &y,
        );
        close(
            &format!("{i} input"),
            &run(&grad_input, (&yt, &g), (&wt, &w)),
            &dx,
        );
        close(
            &format!("{i} weight"),
            &run(&grad_weight, (&xt, &x), (&yt, &g)),
            &dw,
        );
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let case = &CASES[4];
    let [xt, wt, yt] = case.types();
    let (x, w, g) = (
        random(xt.numel(), "x"),
        random(wt.numel(), "w"),
        random(yt.numel(), "g"),
    );
    let (conv, grad_input, grad_weight) = operators(case);
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            [
                run(&conv, (&xt, &x), (&wt, &w)),
                run(&grad_input, (&yt, &g), (&wt, &w)),
                run(&grad_weight, (&xt, &x), (&yt, &g)),
            ]
        })
    };
    assert_eq!(all(1), all(3));
}

/// A product on vectors of one kind, against plain sums.
fn products_on<S: pulp::Simd>(simd: S) {
    use product::{Offsets, Product};
    let x = random(60, "x");
    for (width, n) in [
        (S::F32_LANES, 1),
        (S::F32_LANES, 23),
        (2 * S::F32_LANES, 13),
    ] {
        let rows: Vec<usize> = (0..n).map(|i| i * 7 % 30).collect();
        let inner = [0, 3, 11, 5, 29];
        let panel = random(5 * width, "panel");
        for add in [false, true] {
            let mut out = vec![0.5; n * width];
            let product = Product {
                x: &x,
                rows: Offsets::new(&rows),
                inner: Offsets::new(&inner),
                panel: &panel,
                out: &mut out,
                width,
                add,
            };
            simd.vectorize(product);
            for (at, got) in out.iter().enumerate() {
                let (i, o) = (at / width, at % width);
                let terms = inner.iter().enumerate();
                let sum: f32 = terms
                    .map(|(j, b)| x[rows[i] + b] * panel[j * width + o])
                    .sum();
                let want = sum + if add { 0.5 } else { 0.0 };
                assert!(
                    (got - want).abs() < 1e-5,
                    "{width} {n} {at}: {got}, expected {want}"
                );
            }
        }
    }
}

#[test]
fn products_agree_on_all_vectors() {
    products_on(pulp::Scalar);
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        V3::try_new().into_iter().for_each(products_on);
        V4::try_new().into_iter().for_each(products_on);
    }
    #[cfg(target_arch = "aarch64")]
    pulp::aarch64::Neon::try_new()
        .into_iter()
        .for_each(products_on);
}
