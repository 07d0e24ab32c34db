//! Random indices, made of constants, arguments and what a run computes: whoever uses them is told of those that are out of
//! range, and of no others.

use crate::common::{cpu, gpu};
use crate::draws::{between, chance, draws, one_of};
use wgrad::ops::classification::CrossEntropyOptions;
use wgrad::rng::Rng;
use wgrad::{Array, DType, Error, Mode, Params, Session, Tensor, TensorType, Trace};

/// What the programs take: i32 `[3, 4]` and f32 `[5]`.
fn types() -> [TensorType; 2] {
    [TensorType::i32([3, 4]), TensorType::f32([5])]
}

fn arguments(rng: &mut Rng) -> [Array; 2] {
    let most = *one_of(rng, &[3, 6, 9]);
    let low = if chance(rng, 30) { -2 } else { 0 };
    let mut integer = || low + rng.below((most - low) as u32) as i32;
    let integers: Vec<i32> = (0..12).map(|_| integer()).collect();
    let floats: Vec<f32> = (0..5).map(|_| integer() as f32 + 0.25).collect();
    [Array::new([3, 4], integers).unwrap(), Array::vector(floats)]
}

/// Integers `[n]`, n of 1 and more.
fn integers(g: &Trace, a: &[Tensor], rng: &mut Rng, depth: usize) -> Tensor {
    if depth == 0 || chance(rng, 15) {
        return leaf(g, a, rng);
    }
    let x = integers(g, a, rng, depth - 1);
    let n = x.numel();
    let number = g.scalar(between(rng, 0, 6) as i32 - 2);
    match rng.below(13) {
        0 => x.add(&number),
        1 => number.sub(&x),
        2 => x.mul(&number),
        3 => x.div(&number),
        4 => x.maximum(&number),
        5 => x.minimum(&number),
        6 => x.abs(),
        7 => x.flip(&[0]),
        8 => {
            let start = between(rng, 0, n - 1);
            let end = between(rng, start + 1, n);
            x.slice(0, start as isize, end as isize, between(rng, 1, 2))
        }
        9 => x.repeat(&[2, between(rng, 1, 2)]).t().flatten(0),
        10 => x.gt(&number).to(DType::I32),
        11 => {
            let other = integers(g, a, rng, depth - 1);
            Tensor::cat(&[&x, &other], 0)
        }
        _ => {
            let other = integers(g, a, rng, depth - 1);
            let n = n.min(other.numel());
            let (x, other) = (x.narrow(0, 0, n), other.narrow(0, 0, n));
            x.lt(&number).where_(&other, &x)
        }
    }
}

fn leaf(g: &Trace, a: &[Tensor], rng: &mut Rng) -> Tensor {
    match rng.below(7) {
        0 => g.arange(between(rng, 1, 7)),
        1 => {
            let n = between(rng, 1, 5);
            let values: Vec<i32> = (0..n).map(|_| rng.below(9) as i32 - 1).collect();
            g.constant(Array::vector(values))
        }
        2 => a[0].flatten(0),
        3 => a[0].t().narrow(0, between(rng, 0, 3), 1).flatten(0),
        4 => a[0].select(0, between(rng, 0, 2) as isize).flip(&[0]),
        5 => a[1].to(DType::I32),
        _ => {
            let columns = between(rng, 1, 5);
            let row = g.arange(columns).to_f32().mul_scalar(0.5).cos();
            a[1].unsqueeze(1).mul(&row).argmax(1, false)
        }
    }
}

/// Rows of `[end, 3]`, element by element their own index.
fn table(g: &Trace, end: usize) -> Tensor {
    let values: Vec<f32> = (0..end).flat_map(|v| [v as f32; 3]).collect();
    g.constant(Array::new([end, 3], values).unwrap())
}

/// What `kind` makes of the integers `i` below `end`; `-1` is ignored where there are labels.
fn taken(g: &Trace, i: &Tensor, kind: u32, end: usize) -> Tensor {
    match kind {
        0 => i.embedding(&table(g, end), None).select(1, 0),
        1 => table(g, end).index_select(0, i).select(1, 0),
        2 => table(g, end)
            .narrow(1, 0, 1)
            .gather(0, &i.unsqueeze(1))
            .squeeze(1),
        3 => i.one_hot(end).matmul(&table(g, end)).select(1, 0),
        _ => {
            // Of n rows alike, the loss is the element at the label.
            let x = table(g, end).narrow(1, 0, 1).t().expand([i.numel(), end]);
            let options = CrossEntropyOptions {
                ignore_index: -1,
                reduction: wgrad::ops::reduction::Reduction::None,
                ..Default::default()
            };
            x.nll_loss_with(i, &options).neg()
        }
    }
}

struct Draw {
    seed: u64,
    depth: usize,
    kind: u32,
    end: usize,
}

impl Draw {
    fn indices(&self, g: &Trace, a: &[Tensor]) -> Tensor {
        integers(g, a, &mut Rng::new(self.seed, "program"), self.depth)
    }

    fn bad(&self, values: &[i32]) -> bool {
        let ignored = |v: i32| self.kind == 4 && v == -1;
        let fits = |v: &i32| (0..self.end as i32).contains(v) || ignored(*v);
        !values.iter().all(fits)
    }

    fn check(&self, s: &mut Session, batches: &[[Array; 2]]) {
        let values = s.compile(Mode::Eval, &types(), |g, a| vec![self.indices(g, a)]);
        let mut values = values.unwrap();
        let values: Vec<Vec<i32>> = batches
            .iter()
            .map(|b| {
                s.run(&mut values, b).unwrap()[0]
                    .as_slice()
                    .unwrap()
                    .to_vec()
            })
            .collect();
        let of = s.compile(Mode::Eval, &types(), |g, a| {
            vec![taken(g, &self.indices(g, a), self.kind, self.end)]
        });
        let mut of = match of {
            Ok(of) => of,
            Err(Error::Graph(misuse)) => {
                let all = values.iter().all(|v| self.bad(v));
                assert!(all, "refused for all arguments: {misuse}, but {values:?}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        for (batch, values) in batches.iter().zip(&values) {
            match s.run(&mut of, batch) {
                Ok(got) => {
                    assert!(!self.bad(values), "{values:?} pass for below {}", self.end);
                    let want: Vec<f32> = values.iter().map(|v| (*v).max(0) as f32).collect();
                    assert_eq!(got[0].to_f32(), want);
                }
                Err(Error::Index(_) | Error::Input { .. }) => {
                    assert!(
                        self.bad(values),
                        "{values:?} are refused for below {}",
                        self.end
                    );
                }
                Err(error) => panic!("{error}"),
            }
        }
        s.forget(of);
    }
}

#[test]
fn indices_out_of_range_are_told_and_no_others() {
    let mut on_cpu = cpu().open(&Params::new(0)).unwrap();
    let mut on_gpu = gpu().open(&Params::new(0));
    draws("indices", 400, |rng| {
        let draw = Draw {
            seed: u64::from(rng.below(1 << 30)),
            depth: between(rng, 0, 4),
            kind: rng.below(5),
            end: between(rng, 1, 9),
        };
        let batches: Vec<[Array; 2]> = (0..4).map(|_| arguments(rng)).collect();
        draw.check(&mut on_cpu, &batches);
        if let Some(on_gpu) = on_gpu.as_mut().filter(|_| chance(rng, 15)) {
            draw.check(on_gpu, &batches);
        }
    });
}
