//! Random sums of products by letters, products along dimensions with their gradients, reductions of integers: against loops.

use crate::common::{cpu, gpu};
use crate::draws::{between, chance, draws, one_of};
use wgrad::rng::Rng;
use wgrad::{Array, DType, Mode, Params, Session, Tensor, TensorType, Trace};

/// Values of which some are 0.
fn values(rng: &mut Rng, n: usize, zeros: u32) -> Vec<f32> {
    let mut value = || match chance(rng, zeros) {
        true => 0.0,
        false => (rng.uniform() * 2.0 - 1.0) * 1.5,
    };
    (0..n).map(|_| value()).collect()
}

fn run(
    s: &mut Session,
    arrays: &[Array],
    body: impl Fn(&Trace, &[Tensor]) -> Vec<Tensor> + Send,
) -> Vec<Array> {
    let mut f = s
        .compile(Mode::Eval, &TensorType::of_all(arrays), body)
        .unwrap();
    let results = s.run(&mut f, arrays).unwrap();
    s.forget(f);
    results
}

#[track_caller]
fn near(what: &str, got: &Array, want: &[f64]) {
    let got = got.to_f32();
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1.0, |m: f64, w| m.max(w.abs()));
    for (at, (g, w)) in got.iter().zip(want).enumerate() {
        let off = (f64::from(*g) - w).abs();
        assert!(off <= 2e-5 * scale, "{what}: {g} for {w} at {at}");
    }
}

/// Row-major position of the coordinates `at`; a size of 1 repeats.
fn position(shape: &[usize], at: &[usize]) -> usize {
    let each = shape.iter().zip(at);
    each.fold(0, |p, (&n, &c)| p * n + if n == 1 { 0 } else { c })
}

/// All coordinates below `sizes`, in row-major order.
fn all(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![Vec::new()], |all, &n| {
        let longer = |c: &Vec<usize>| (0..n).map(|k| [&c[..], &[k]].concat()).collect::<Vec<_>>();
        all.iter().flat_map(longer).collect()
    })
}

struct Sum {
    equation: String,
    letters: Vec<char>,
    sizes: Vec<usize>,
    groups: Vec<Vec<char>>,
    shapes: Vec<Vec<usize>>,
    result: Vec<char>,
}

impl Sum {
    fn draw(rng: &mut Rng) -> Self {
        let letters: Vec<char> = "abCde"[..between(rng, 1, 5)].chars().collect();
        let mut full: Vec<usize> = letters.iter().map(|_| between(rng, 1, 4)).collect();
        let (mut groups, mut shapes) = (Vec::new(), Vec::new());
        for _ in 0..between(rng, 1, 3) {
            let group: Vec<char> = (0..rng.below(5)).map(|_| *one_of(rng, &letters)).collect();
            let short: Vec<bool> = letters.iter().map(|_| chance(rng, 20)).collect();
            let size = |c: &char| {
                let at = letters.iter().position(|l| l == c).unwrap();
                if short[at] { 1 } else { full[at] }
            };
            shapes.push(group.iter().map(size).collect::<Vec<_>>());
            groups.push(group);
        }
        // A letter that is short wherever it occurs is of size 1.
        for (at, letter) in letters.iter().enumerate() {
            let of = groups.iter().flatten().zip(shapes.iter().flatten());
            let most = of.filter(|(c, _)| *c == letter).map(|(_, n)| *n).max();
            full[at] = most.unwrap_or(1);
        }
        let used = |c: &&char| groups.iter().flatten().any(|l| l == *c);
        let mut result: Vec<char> = letters.iter().filter(used).copied().collect();
        let mut equation: Vec<String> = groups.iter().map(|g| g.iter().collect()).collect();
        let mut text = equation.join(",");
        equation.clear();
        if chance(rng, 25) {
            let count = |c: &char| groups.iter().flatten().filter(|l| *l == c).count();
            result.retain(|c| count(c) == 1);
            result.sort_unstable();
        } else {
            result.retain(|_| chance(rng, 60));
            (1..result.len()).for_each(|i| result.swap(i, rng.below(i as u32 + 1) as usize));
            text = format!("{text}->{}", result.iter().collect::<String>());
        }
        Self {
            equation: text,
            letters,
            sizes: full,
            groups,
            shapes,
            result,
        }
    }

    fn of(&self, group: &[char], at: &[usize]) -> Vec<usize> {
        let coordinate = |c: &char| at[self.letters.iter().position(|l| l == c).unwrap()];
        group.iter().map(coordinate).collect()
    }

    /// The sums, and the gradients of their sum with the weights `w`.
    fn loops(&self, x: &[Vec<f32>], w: &[f32]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let size = |c: &char| self.sizes[self.letters.iter().position(|l| l == c).unwrap()];
        let shape: Vec<usize> = self.result.iter().map(size).collect();
        let mut sums = vec![0.0; shape.iter().product()];
        let mut grads: Vec<Vec<f64>> = x.iter().map(|x| vec![0.0; x.len()]).collect();
        for at in all(&self.sizes) {
            // A letter that no operand has counts once.
            let used = |k: usize| self.groups.iter().flatten().any(|c| *c == self.letters[k]);
            if (0..at.len()).any(|k| at[k] > 0 && !used(k)) {
                continue;
            }
            let places: Vec<usize> = (self.groups.iter().zip(&self.shapes))
                .map(|(g, s)| position(s, &self.of(g, &at)))
                .collect();
            let to = position(&shape, &self.of(&self.result, &at));
            let value = |k: usize| f64::from(x[k][places[k]]);
            sums[to] += (0..x.len()).map(value).product::<f64>();
            for k in 0..x.len() {
                let others = (0..x.len()).filter(|o| *o != k).map(value).product::<f64>();
                grads[k][places[k]] += f64::from(w[to]) * others;
            }
        }
        (sums, grads)
    }
}

#[test]
fn sums_of_products_are_those_of_loops() {
    let mut on_cpu = cpu().open(&Params::new(0)).unwrap();
    let mut on_gpu = gpu().open(&Params::new(0));
    draws("einsum", 300, |rng| {
        let sum = Sum::draw(rng);
        let x: Vec<Vec<f32>> = (sum.shapes.iter())
            .map(|s| values(rng, s.iter().product(), 10))
            .collect();
        let size = |c: &char| sum.sizes[sum.letters.iter().position(|l| l == c).unwrap()];
        let shape: Vec<usize> = sum.result.iter().map(size).collect();
        let w = values(rng, shape.iter().product(), 0);
        let (sums, grads) = sum.loops(&x, &w);
        let arrays = x.iter().zip(&sum.shapes);
        let mut arrays: Vec<Array> = arrays
            .map(|(x, s)| Array::new(s.clone(), x.clone()).unwrap())
            .collect();
        arrays.push(Array::new(shape, w).unwrap());
        let mut sessions = vec![&mut on_cpu];
        sessions.extend(on_gpu.as_mut().filter(|_| chance(rng, 15)));
        for s in sessions {
            let got = run(s, &arrays, |g, a| {
                let (w, x) = a.split_last().unwrap();
                let x: Vec<&Tensor> = x.iter().collect();
                let y = Tensor::einsum(&sum.equation, &x);
                let of = g.gradients(&y.mul(w).sum(&[], false), &x);
                [y].into_iter().chain(of.into_iter().flatten()).collect()
            });
            near(&sum.equation, &got[0], &sums);
            for (k, grad) in grads.iter().enumerate() {
                near(
                    &format!("{}, gradient {k}", sum.equation),
                    &got[k + 1],
                    grad,
                );
            }
        }
    });
}

/// Products of all of `x` but those at `left_out`.
fn product(x: &[f32], left_out: &[usize]) -> f64 {
    let kept = (0..x.len()).filter(|k| !left_out.contains(k));
    kept.map(|k| f64::from(x[k])).product()
}

/// Products of rows, their gradients, and the gradients of those: with zeros, as PyTorch has them.
#[test]
fn products_and_their_gradients_are_those_of_loops() {
    let mut on_cpu = cpu().open(&Params::new(0)).unwrap();
    let mut on_gpu = gpu().open(&Params::new(0));
    draws("products", 200, |rng| {
        let (rows, n) = (between(rng, 1, 4), between(rng, 1, 9));
        let zeros = *one_of(rng, &[0, 15, 60]);
        let x = values(rng, rows * n, zeros);
        let (w, v) = (values(rng, rows * n, 0), values(rng, rows * n, 0));
        let row = |t: &[f32], r: usize| t[r * n..][..n].to_vec();
        let mut want: [Vec<f64>; 5] = Default::default();
        for r in 0..rows {
            let (x, w, v) = (row(&x, r), row(&w, r), row(&v, r));
            let w = |k: usize| f64::from(w[k]);
            want[0].push(product(&x, &[]));
            for i in 0..n {
                want[1].push(w(0) * product(&x, &[i]));
                let others = (0..n).filter(|k| *k != i);
                let second = others.map(|k| f64::from(v[k]) * w(0) * product(&x, &[i, k]));
                want[2].push(second.sum());
                want[3].push(product(&x[..=i], &[]));
                let later = (i..n).map(|k| w(k) * product(&x[..=k], &[i]));
                want[4].push(later.sum());
            }
        }
        let of = |t: &[f32]| Array::new([rows, n], t.to_vec()).unwrap();
        let arrays = [of(&x), of(&w), of(&v)];
        let mut sessions = vec![&mut on_cpu];
        sessions.extend(on_gpu.as_mut().filter(|_| chance(rng, 15)));
        for s in sessions {
            let got = run(s, &arrays, |g, a| {
                let (x, w, v) = (&a[0], &a[1], &a[2]);
                let first = w.narrow(1, 0, 1);
                let y = x.prod(&[1], true);
                let grad = g.grad(&y.mul(&first).sum(&[], false), x);
                let second = match n {
                    1 => x.mul_scalar(0.0),
                    _ => g.grad(&grad.mul(v).sum(&[], false), x),
                };
                let up_to = x.cumprod(-1);
                let of_up_to = g.grad(&up_to.mul(w).sum(&[], false), x);
                vec![y, grad, second, up_to, of_up_to]
            });
            let names = [
                "prod",
                "its gradient",
                "its second gradient",
                "cumprod",
                "its gradient",
            ];
            for ((name, got), want) in names.iter().zip(&got).zip(&want) {
                near(name, got, want);
            }
        }
    });
}

/// Sums, extremes and their places of integers, over any dimensions.
#[test]
fn reductions_of_integers_are_those_of_loops() {
    let mut on_cpu = cpu().open(&Params::new(0)).unwrap();
    let mut on_gpu = gpu().open(&Params::new(0));
    draws("integers", 300, |rng| {
        let most = if chance(rng, 20) { 90 } else { 9 };
        let shape: Vec<usize> = (0..between(rng, 1, 3))
            .map(|_| between(rng, 1, most))
            .collect();
        let mut dims: Vec<usize> = (0..shape.len()).filter(|_| chance(rng, 50)).collect();
        if dims.is_empty() {
            dims = (0..shape.len()).collect();
        }
        let range = *one_of(rng, &[3u32, 100, u32::MAX]);
        let low = *one_of(rng, &[0, -1, i32::MIN]);
        let n: usize = shape.iter().product();
        let x: Vec<i32> = (0..n)
            .map(|_| low.wrapping_add(rng.below(range) as i32))
            .collect();
        let kept: Vec<usize> = (0..shape.len()).filter(|d| !dims.contains(d)).collect();
        let sizes: Vec<usize> = kept.iter().map(|&d| shape[d]).collect();
        let mut lines: Vec<Vec<i32>> = vec![Vec::new(); sizes.iter().product()];
        for at in all(&shape) {
            let line: Vec<usize> = kept.iter().map(|&d| at[d]).collect();
            lines[position(&sizes, &line)].push(x[position(&shape, &at)]);
        }
        let want = |f: &dyn Fn(&[i32]) -> i32| -> Vec<i32> { lines.iter().map(|l| f(l)).collect() };
        let most = |l: &[i32]| *l.iter().max().unwrap();
        let first = |l: &[i32], v: i32| l.iter().position(|x| *x == v).unwrap() as i32;
        let mut wanted = vec![
            want(&|l| l.iter().fold(0, |s: i32, v| s.wrapping_add(*v))),
            want(&most),
            want(&|l| *l.iter().min().unwrap()),
            want(&|l| l.iter().filter(|v| **v > 1).count() as i32),
            want(&|l| l.iter().filter(|v| **v != 0).count() as i32),
            want(&|l| l.iter().map(|v| *v as u32).max().unwrap() as i32),
        ];
        if dims.len() == 1 {
            wanted.push(want(&|l| first(l, most(l))));
            wanted.push(want(&|l| first(l, *l.iter().min().unwrap())));
        }
        let arrays = [Array::new(shape.clone(), x).unwrap()];
        let along: Vec<isize> = dims.iter().map(|&d| d as isize).collect();
        let mut sessions = vec![&mut on_cpu];
        sessions.extend(on_gpu.as_mut().filter(|_| chance(rng, 15)));
        for s in sessions {
            let got = run(s, &arrays, |_, a| {
                let x = &a[0];
                let mut all = vec![
                    x.sum(&along, false),
                    x.amax(&along, false),
                    x.amin(&along, false),
                    x.gt(1).sum(&along, false),
                    x.count_nonzero(&along, false),
                    x.to(DType::U32).amax(&along, false).to(DType::I32),
                ];
                if let [d] = along[..] {
                    all.extend([x.argmax(d, false), x.argmin(d, false)]);
                }
                all
            });
            for (k, (got, want)) in got.iter().zip(&wanted).enumerate() {
                assert_eq!(
                    got.as_slice::<i32>().unwrap(),
                    want,
                    "{k}: {shape:?} over {dims:?}"
                );
            }
        }
    });
}
