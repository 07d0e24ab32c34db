//! Random programs of operators and shapes: what fits is compiled, and what does not is an error that names it; each step of a
//! plan gives on the GPU what it gives on the CPU; gradients, and gradients of gradients, are those of finite differences.

use crate::common::{cpu, gpu, lockstep, worst};
use crate::draws::{between, chance, draws, one_of};
use std::sync::Arc;
use wgrad::ops::conv::{ConvOptions, Padding};
use wgrad::ops::pool::PoolOptions;
use wgrad::rng::Rng;
use wgrad::{Array, Error, Mode, Params, Session, Tensor, TensorType, Trace};

/// Elements of a value.
const MOST: usize = 3000;

/// A step: what it makes of the values before it.
type Step = Arc<dyn Fn(&Trace, &[Tensor]) -> Tensor + Send + Sync>;

type Unary = (&'static str, fn(&Tensor) -> Tensor);
/// The second says whether it is smooth.
type Binary = (&'static str, bool, fn(&Tensor, &Tensor) -> Tensor);

/// A program: its inputs' shapes, its steps, which values it returns.
#[derive(Clone)]
struct Program {
    shapes: Vec<Vec<usize>>,
    steps: Vec<Step>,
    text: Vec<String>,
    outputs: Vec<usize>,
    /// Whether it has no kink.
    smooth: bool,
    /// Whether all of it fits.
    fits: bool,
    /// Whether its loss is that of its gradients.
    second: bool,
}

/// What makes the next step of a program.
struct Writer<'a> {
    rng: &'a mut Rng,
    trace: Trace,
    values: Vec<Tensor>,
    program: Program,
}

fn random(rng: &mut Rng, shape: &[usize], scale: f32) -> Array {
    let n = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..n)
        .map(|_| (rng.uniform() * 2.0 - 1.0) * scale)
        .collect();
    Array::new(shape.to_vec(), values).unwrap()
}

impl Writer<'_> {
    /// Add a step, unless its value is too large; one that does not fit is poisoned.
    fn add(
        &mut self,
        text: String,
        smooth: bool,
        step: impl Fn(&Trace, &[Tensor]) -> Tensor + Send + Sync + 'static,
    ) {
        let value = step(&self.trace, &self.values);
        if value.numel() > MOST {
            return;
        }
        let shape = value.shape().clone();
        let poisoned = value.is_poisoned();
        self.program.fits &= !poisoned;
        self.program.smooth &= smooth;
        self.program.text.push(format!("{text} -> {shape}"));
        self.program.steps.push(Arc::new(step));
        self.values.push(value);
    }

    fn pick(&mut self) -> usize {
        let n = self.values.len();
        // The last ones more often: programs are deep.
        match chance(self.rng, 60) {
            true => n - 1 - self.rng.below(n.min(3) as u32) as usize,
            false => self.rng.below(n as u32) as usize,
        }
    }

    fn elementwise(&mut self) {
        let at = self.pick();
        let smooth: [Unary; 9] = [
            ("tanh", |x| x.tanh()),
            ("sigmoid", |x| x.sigmoid()),
            ("sin", |x| x.sin()),
            ("softplus", |x| x.softplus(1.0, 20.0)),
            ("silu", |x| x.silu()),
            ("exp tanh", |x| x.tanh().exp()),
            ("affine", |x| x.mul_scalar(-0.7).add_scalar(0.3)),
            ("square tanh", |x| x.tanh().square()),
            ("log1p square", |x| x.square().log1p()),
        ];
        let rough: [Unary; 4] = [
            ("relu", |x| x.relu()),
            ("abs", |x| x.abs()),
            ("clamp", |x| x.clamp(-0.5, 0.6)),
            ("sign", |x| x.gt(0.1).where_(x, &x.mul_scalar(0.5))),
        ];
        let is_rough = chance(self.rng, 12);
        let (name, f) = match is_rough {
            true => *one_of(self.rng, &rough),
            false => *one_of(self.rng, &smooth),
        };
        self.add(format!("{name} {at}"), !is_rough, move |_, v| f(&v[at]));
    }

    fn binary(&mut self) {
        let (a, mut b) = (self.pick(), self.pick());
        let wrong = chance(self.rng, 3);
        let fits = (self.values[a].shape()).broadcast(self.values[b].shape());
        if fits.is_none() && !wrong {
            b = a;
        }
        let kinds: [Binary; 5] = [
            ("add", true, |x, y| x.add(y)),
            ("sub", true, |x, y| x.sub(&y.mul_scalar(0.5))),
            ("mul", true, |x, y| x.mul(&y.tanh())),
            ("div", true, |x, y| x.div(&y.square().add_scalar(1.0))),
            ("maximum", false, |x, y| x.maximum(&y.add_scalar(0.1))),
        ];
        let (name, smooth, f) = match chance(self.rng, 10) {
            true => kinds[4],
            false => *one_of(self.rng, &kinds[..4]),
        };
        self.add(format!("{name} {a} {b}"), smooth, move |_, v| {
            f(&v[a], &v[b])
        });
    }

    fn reduce(&mut self) {
        let at = self.pick();
        let rank = self.values[at].rank();
        let dims: Vec<isize> = (0..rank as isize)
            .filter(|_| chance(self.rng, 40))
            .collect();
        let keep = chance(self.rng, 50);
        let count = (dims.iter())
            .map(|&d| self.values[at].size(d))
            .product::<usize>();
        let whole = dims.is_empty() && self.values[at].numel() == 0;
        let rough = chance(self.rng, 12) && count > 0 && !whole;
        let kind = if rough { 3 } else { self.rng.below(3) };
        let name = ["sum", "mean", "var", "amax"][kind as usize];
        self.add(
            format!("{name} {at} {dims:?} {keep}"),
            !rough,
            move |_, v| match kind {
                0 => v[at].sum(&dims, keep).mul_scalar(0.3),
                // Of nothing there is no mean.
                1 if count > 0 && !whole => v[at].mean(&dims, keep),
                2 if count > 0 && !whole => v[at].var(&dims, 0, keep),
                3 => v[at].amax(&dims, keep),
                _ => v[at].sum(&dims, keep),
            },
        );
    }

    fn movement(&mut self) {
        let at = self.pick();
        let rank = self.values[at].rank();
        let (a, b, c) = (self.rng.word(), self.rng.word(), self.rng.word());
        let (d, e) = match rank {
            0 => (0, 0),
            n => ((a % n as u32) as isize, (b % n as u32) as isize),
        };
        let n = if rank == 0 {
            0
        } else {
            self.values[at].size(d)
        };
        let (start, step) = (b as usize % (n + 1), 1 + c as usize % 3);
        let len = c as usize % (n - start + 1);
        let kind = self.rng.below(11);
        let kind = if rank == 0 {
            [0, 1][kind as usize % 2]
        } else {
            kind
        };
        let backwards: Vec<isize> = self.values[at]
            .shape()
            .iter()
            .rev()
            .map(|&n| n as isize)
            .collect();
        let text = format!("moved by {kind} {at} {d} {e} {start} {len} {step}");
        self.add(text, true, move |_, v| {
            let x = &v[at];
            match kind {
                0 => x.unsqueeze(d),
                1 => x.reshape(&[-1]),
                2 => x.transpose(d, e),
                3 => x.narrow(d, start, len),
                4 => x.slice(d, start as isize, n as isize, step),
                5 => x.flip(&[d]),
                6 => x.pad(&[1, step - 1], 0.25),
                7 => Tensor::cat(&[x, &x.narrow(d, start, len), x], d),
                8 => x.reshape(&backwards),
                9 => x.unsqueeze(d).repeat_interleave(step, d),
                _ => x.flatten(d),
            }
        });
    }

    fn along(&mut self) {
        let at = self.pick();
        let rank = self.values[at].rank();
        if rank == 0 {
            return self.elementwise();
        }
        let d = self.rng.below(rank as u32) as isize;
        let n = self.values[at].size(d);
        let index: Vec<i32> = (0..between(self.rng, 1, 9))
            .map(|_| self.rng.below(n.max(1) as u32) as i32)
            .collect();
        let kind = self.rng.below(5);
        self.add(
            format!("along {kind} {at} {d} {index:?}"),
            true,
            move |g, v| {
                let x = &v[at];
                match kind {
                    0 => x.softmax(d),
                    1 => x.log_softmax(d).mul_scalar(0.3),
                    2 => x.cumsum(d).mul_scalar(0.3),
                    3 if n > 0 => x.index_select(d, &g.constant(Array::vector(index.clone()))),
                    4 if x.size(-1) > 1 && x.numel() > 0 => {
                        x.layer_norm(&[x.size(-1)], None, None, 0.1)
                    }
                    _ => x.softmax(d),
                }
            },
        );
    }

    fn product(&mut self) {
        let at = self.pick();
        let x = &self.values[at];
        let rank = x.rank();
        if rank == 0 {
            return self.elementwise();
        }
        let wrong = usize::from(chance(self.rng, 3));
        let inner = x.size(-1);
        let scale = 1.0 / (inner.max(1) as f32).sqrt();
        let kind = self.rng.below(3);
        let shape = match kind {
            0 => vec![inner + wrong, between(self.rng, 1, 17)],
            _ => vec![inner + wrong],
        };
        let of = random(self.rng, &shape, scale);
        let text = format!("product {kind} {at} {shape:?}");
        self.add(text, true, move |g, v| match kind {
            2 if v[at].rank() >= 2 => v[at].matmul(&v[at].t()).mul_scalar(scale),
            _ => v[at].matmul(&g.constant(of.clone())),
        });
    }

    fn window(&mut self) {
        let at = self.pick();
        let shape = self.values[at].shape().to_vec();
        let dims = shape.len().wrapping_sub(2);
        if !(1..=2).contains(&dims) || shape[1..].contains(&0) {
            return self.elementwise();
        }
        let (k, stride) = (between(self.rng, 1, 3), between(self.rng, 1, 3));
        let kind = self.rng.below(4);
        let weight: Vec<usize> = [vec![between(self.rng, 1, 5), shape[1]], vec![k; dims]].concat();
        let scale = 1.0 / (weight[1..].iter().product::<usize>() as f32).sqrt();
        let weight = random(self.rng, &weight, scale);
        let smooth = kind != 2;
        self.add(
            format!("window {kind} {at}, {k} by {stride}"),
            smooth,
            move |g, v| {
                let pool = PoolOptions {
                    stride: Some(vec![stride]),
                    padding: vec![k / 2],
                    ceil_mode: stride > 1,
                    ..PoolOptions::new([k])
                };
                match (kind, dims) {
                    (0 | 3, _) => {
                        let options = ConvOptions {
                            stride: vec![stride],
                            padding: Padding::Explicit(vec![k / 2]),
                            ..ConvOptions::default()
                        };
                        let w = g.constant(weight.clone());
                        match dims {
                            1 => v[at].conv1d(&w, None, options),
                            _ => v[at].conv2d(&w, None, options),
                        }
                    }
                    (1, 1) => v[at].avg_pool1d_with(pool),
                    (1, _) => v[at].avg_pool2d_with(pool),
                    (_, 1) => v[at].max_pool1d_with(pool),
                    _ => v[at].max_pool2d_with(pool),
                }
            },
        );
    }
}

fn write(rng: &mut Rng) -> Program {
    let count = between(rng, 1, 3);
    let shape = |rng: &mut Rng| -> Vec<usize> {
        let rank = between(rng, 0, 4);
        let size = |rng: &mut Rng| match rng.below(25) {
            0 => 0,
            1..4 => 1,
            4..7 => *one_of(rng, &[8, 16, 17, 33]),
            _ => between(rng, 2, 6),
        };
        (0..rank).map(|_| size(rng)).collect()
    };
    let shapes: Vec<Vec<usize>> = (0..count)
        .map(|_| {
            loop {
                let s = shape(rng);
                if s.iter().product::<usize>() <= MOST {
                    break s;
                }
            }
        })
        .collect();
    let trace = Trace::new(&Params::new(0), true);
    let inputs = shapes
        .iter()
        .map(|s| trace.input(TensorType::f32(s.clone())));
    let mut w = Writer {
        values: inputs.collect(),
        trace: trace.clone(),
        program: Program {
            shapes: shapes.clone(),
            steps: Vec::new(),
            text: Vec::new(),
            outputs: Vec::new(),
            smooth: true,
            fits: true,
            second: chance(rng, 25),
        },
        rng,
    };
    for _ in 0..between(w.rng, 2, 14) {
        match w.rng.below(20) {
            0..4 => w.elementwise(),
            4..7 => w.binary(),
            7..10 => w.reduce(),
            10..14 => w.movement(),
            14..16 => w.along(),
            16..18 => w.product(),
            _ => w.window(),
        }
    }
    let n = w.values.len();
    w.program.outputs = (0..between(w.rng, 1, 3))
        .map(|_| n - 1 - w.rng.below(n.min(4) as u32) as usize)
        .collect();
    // A use of what was poisoned poisons; what is poisoned and not used is an error too.
    w.values.clear();
    w.program
}

impl Program {
    /// Its outputs, then the gradients of their weighted sum: or, where it is of second order, of those gradients' squares.
    fn trace(&self, g: &Trace, inputs: &[Tensor], weights: &[Array]) -> Vec<Tensor> {
        let mut values = inputs.to_vec();
        for step in &self.steps {
            let value = step(g, &values);
            values.push(value);
        }
        let outputs: Vec<Tensor> = self.outputs.iter().map(|&o| values[o].clone()).collect();
        let of: Vec<&Tensor> = inputs.iter().collect();
        let gradients = |loss: &Tensor| -> Vec<Tensor> {
            let zero = |x: &Tensor| g.scalar(0.0f32).expand(x.shape().clone());
            let all = g.gradients(loss, &of).into_iter().zip(inputs);
            all.map(|(d, x)| d.unwrap_or_else(|| zero(x))).collect()
        };
        let weighted = |(y, w): (&Tensor, &Array)| y.mul(&g.constant(w.clone())).sum(&[], false);
        let sums = outputs.iter().zip(weights).map(weighted);
        let Some(mut loss) = sums.reduce(|a, b| a.add(&b)) else {
            return outputs;
        };
        let mut results = outputs;
        if self.second {
            let squares = gradients(&loss)
                .into_iter()
                .map(|d| d.square().sum(&[], false));
            loss = squares.reduce(|a, b| a.add(&b)).unwrap_or(loss);
            results = vec![loss.clone()];
        }
        let first = gradients(&loss);
        results.into_iter().chain(first).collect()
    }

    /// Weights of its outputs, of a length that does not depend on their sizes.
    fn weights(&self, rng: &mut Rng) -> Vec<Array> {
        let trace = Trace::new(&Params::new(0), true);
        let mut values: Vec<Tensor> = (self.shapes.iter())
            .map(|s| trace.input(TensorType::f32(s.clone())))
            .collect();
        for step in &self.steps {
            let value = step(&trace, &values);
            values.push(value);
        }
        let of = |&o: &usize| {
            let shape = values[o].shape();
            random(rng, shape, 1.0 / (shape.numel().max(1) as f32).sqrt())
        };
        self.outputs.iter().map(of).collect()
    }
}

fn run(
    session: &mut Session,
    p: &Program,
    inputs: &[Array],
    weights: &[Array],
) -> wgrad::Result<Vec<Array>> {
    let types = TensorType::of_all(inputs);
    let mut f = session.compile(Mode::Train, &types, |g, a| p.trace(g, a, weights))?;
    let out = session.run(&mut f, inputs);
    session.forget(f);
    out
}

/// The loss in f64: the weighted sum of the outputs, or the one output of second order.
fn loss(p: &Program, out: &[Array], weights: &[Array]) -> f64 {
    if p.second {
        return f64::from(out[0].item());
    }
    let sum = |(y, w): (&Array, &Array)| -> f64 {
        let pairs = y.to_f32().into_iter().zip(w.to_f32());
        pairs.map(|(y, w)| f64::from(y) * f64::from(w)).sum()
    };
    out.iter().zip(weights).map(sum).sum()
}

#[test]
fn graphs() {
    let mut cpu = cpu().open(&Params::new(0)).unwrap();
    let mut both = lockstep().open(&Params::new(0));
    let mut gpu = gpu().open(&Params::new(0));
    draws("graphs", 30, |rng| {
        let p = write(rng);
        let weights = p.weights(rng);
        let inputs: Vec<Array> = p.shapes.iter().map(|s| random(rng, s, 1.5)).collect();
        let text = || {
            format!(
                "inputs {:?}, second {}\n  {}\nto {:?}",
                p.shapes,
                p.second,
                p.text.join("\n  "),
                p.outputs
            )
        };
        let out = run(&mut cpu, &p, &inputs, &weights);
        if !p.fits {
            let refused = matches!(out, Err(Error::Graph(_)));
            assert!(
                refused,
                "{:?} of what does not fit: {}",
                out.map(|_| ()),
                text()
            );
            return;
        }
        let out = out.unwrap_or_else(|e| panic!("{e}: {}", text()));
        if let Some(both) = &mut both {
            let same = run(both, &p, &inputs, &weights);
            same.unwrap_or_else(|e| panic!("{e}: {}", text()));
        }
        if !p.smooth {
            return;
        }
        if let Some(gpu) = &mut gpu {
            let got = run(gpu, &p, &inputs, &weights);
            let got = got.unwrap_or_else(|e| panic!("{e}: {}", text()));
            for (k, (got, want)) in got.iter().zip(&out).enumerate() {
                let worst = worst(got, want, 1e-3, 1e-4).unwrap();
                let fine = worst.is_none_or(|w| w.excess <= 1.0);
                assert!(fine, "result {k} on the GPU: {worst:?}: {}", text());
            }
        }
        differences(&mut cpu, &p, &inputs, &weights, &out, rng);
    });
}

/// The gradients are what the loss changes by along random directions.
fn differences(
    session: &mut Session,
    p: &Program,
    inputs: &[Array],
    weights: &[Array],
    out: &[Array],
    rng: &mut Rng,
) {
    let gradients = &out[out.len() - inputs.len()..];
    for _ in 0..2 {
        let directions: Vec<Vec<f32>> = (inputs.iter())
            .map(|x| {
                (0..x.numel())
                    .map(|_| [-1.0, 1.0][rng.below(2) as usize])
                    .collect()
            })
            .collect();
        let mut slope = |h: f32| -> f64 {
            let mut at = |h: f32| -> f64 {
                let moved: Vec<Array> = (inputs.iter().zip(&directions))
                    .map(|(x, d)| {
                        let values = x.to_f32().into_iter().zip(d).map(|(x, d)| x + h * d);
                        Array::new(x.shape(), values.collect::<Vec<f32>>()).unwrap()
                    })
                    .collect();
                loss(p, &run(session, p, &moved, weights).unwrap(), weights)
            };
            (at(h) - at(-h)) / (2.0 * f64::from(h))
        };
        let h = 8e-3;
        let (wide, narrow) = (slope(h), slope(h / 2.0));
        let want = (4.0 * narrow - wide) / 3.0;
        let (mut got, mut length) = (0.0, 0.0);
        for (g, d) in gradients.iter().zip(&directions) {
            for (g, d) in g.to_f32().into_iter().zip(d) {
                got += f64::from(g * d);
                length += f64::from(g * g);
            }
        }
        // What rounding makes of the loss, and how far the differences are from their limit.
        let rounding = 1e-6 * (1.0 + loss(p, out, weights).abs()) / f64::from(h);
        let bound = 1e-2 * length.sqrt() + 5.0 * rounding + 2.0 * (wide - narrow).abs();
        assert!(
            (got - want).abs() <= bound,
            "along a direction {got}, by differences {want} ({wide}, {narrow}), bound {bound}: inputs {:?}, second {}\n  {}\nto {:?}",
            p.shapes,
            p.second,
            p.text.join("\n  "),
            p.outputs
        );
    }
}
