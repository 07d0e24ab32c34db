//! Products: matrices of all ranks, einsum.

use super::{Draw, Reference, coordinates, index, sweep};
use crate::cases::{Case, Input};
use crate::draws::{between, chance, one_of};
use wgrad::Tensor;
use wgrad::rng::Rng;

/// Products that a case may take.
const WORK: usize = 600_000;

/// Sizes across the borders of vectors and tiles.
const SIZES: [usize; 22] = [
    1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 130, 257,
];

fn matmul(rng: &mut Rng) -> Draw {
    loop {
        let side = |rng: &mut Rng| match rng.below(20) {
            0 => 0,
            1..6 => 8 * between(rng, 1, 20),
            _ => *one_of(rng, &SIZES),
        };
        let (m, n) = (side(rng), side(rng));
        let k = if chance(rng, 10) {
            between(rng, 500, 9000)
        } else {
            side(rng)
        };
        // Batch dimensions, of which either operand may lack the first, or have 1 in place of one.
        let batch: Vec<usize> = (0..rng.below(3))
            .map(|_| between(rng, 0, 4).max(1))
            .collect();
        let mut own = || -> Vec<usize> {
            let skip = if chance(rng, 40) {
                between(rng, 0, batch.len())
            } else {
                0
            };
            let size = |&b: &usize| if chance(rng, 20) { 1 } else { b };
            batch[skip..].iter().map(size).collect()
        };
        let (batch_a, batch_b) = (own(), own());
        if m * n * k * batch.iter().product::<usize>() > WORK {
            continue;
        }
        let vector_a = batch_a.is_empty() && chance(rng, 20);
        let vector_b = batch_b.is_empty() && chance(rng, 20);
        let flip = [!vector_a && chance(rng, 40), !vector_b && chance(rng, 40)];
        let of =
            |batch: &[usize], vector: bool, flip: bool, [r, c]: [usize; 2]| match (vector, flip) {
                (true, _) => vec![k],
                (_, true) => [batch, &[c, r]].concat(),
                _ => [batch, &[r, c]].concat(),
            };
        let a = of(&batch_a, vector_a, flip[0], [m, k]);
        let b = of(&batch_b, vector_b, flip[1], [k, n]);
        let (m, n) = (if vector_a { 1 } else { m }, if vector_b { 1 } else { n });
        let name = format!("matmul, transposed {flip:?}");
        let case = Case::new(&name, super::inputs(&[&a, &b]), move |x| {
            let side = |k: usize| if flip[k] { x[k].t() } else { x[k].clone() };
            side(0).matmul(&side(1))
        });
        let rank = batch_a.len().max(batch_b.len());
        let whole: Vec<usize> = (0..rank)
            .map(|d| {
                let at = |s: &[usize]| (d + s.len()).checked_sub(rank).map_or(1, |d| s[d]);
                at(&batch_a).max(at(&batch_b))
            })
            .collect();
        let terms = move |term: super::Term| {
            for at in 0..whole.iter().product::<usize>() {
                let place = coordinates(at, &whole);
                let start = |own: &[usize], each: usize| {
                    let place = place[whole.len() - own.len()..].iter().zip(own);
                    let place: Vec<usize> = place.map(|(p, n)| p % n).collect();
                    index(&place, own) * each
                };
                let (sa, sb) = (start(&batch_a, m * k), start(&batch_b, k * n));
                for (i, j, l) in (0..m * n * k).map(|t| (t / (n * k), t / k % n, t % k)) {
                    let x = sa + if flip[0] { l * m + i } else { i * k + l };
                    let y = sb + if flip[1] { j * k + l } else { l * n + j };
                    term((at * m + i) * n + j, 1.0, &[(0, x), (1, y)]);
                }
            }
        };
        let reference = Some(Reference::Terms(Box::new(terms)));
        return Draw { case, reference };
    }
}

fn einsum(rng: &mut Rng) -> Draw {
    loop {
        let sizes: Vec<usize> = (0..5)
            .map(|_| {
                if chance(rng, 3) {
                    0
                } else {
                    between(rng, 1, 7)
                }
            })
            .collect();
        let operands = between(rng, 1, 3);
        let letters = |rng: &mut Rng| -> Vec<usize> {
            let mut all: Vec<usize> = (0..5).collect();
            (1..5).for_each(|i| all.swap(i, rng.below(i as u32 + 1) as usize));
            all.truncate(between(rng, 0, 4));
            all
        };
        let of: Vec<Vec<usize>> = (0..operands).map(|_| letters(rng)).collect();
        let mut used: Vec<usize> = (0..5)
            .filter(|l| of.iter().any(|o| o.contains(l)))
            .collect();
        let work: usize = used.iter().map(|&l| sizes[l]).product();
        if work > WORK / 10 {
            continue;
        }
        (1..used.len()).for_each(|i| used.swap(i, rng.below(i as u32 + 1) as usize));
        let result: Vec<usize> = used.iter().copied().filter(|_| chance(rng, 50)).collect();
        let text = |letters: &[usize]| {
            letters
                .iter()
                .map(|&l| b"abcde"[l] as char)
                .collect::<String>()
        };
        let left: Vec<String> = of.iter().map(|o| text(o)).collect();
        let equation = format!("{}->{}", left.join(","), text(&result));
        let shape = |letters: &[usize]| letters.iter().map(|&l| sizes[l]).collect::<Vec<_>>();
        let inputs: Vec<Input> = of.iter().map(|o| Input::new(&shape(o))).collect();
        let name = format!("einsum {equation}");
        let case = Case::new(&name, inputs, move |x| {
            Tensor::einsum(&equation, &x.iter().collect::<Vec<_>>())
        });
        let terms = move |term: super::Term| {
            let all: Vec<usize> = used.iter().map(|&l| sizes[l]).collect();
            for i in 0..all.iter().product::<usize>() {
                let at = coordinates(i, &all);
                let place = |letters: &[usize]| {
                    let value = |l: &usize| used.iter().position(|u| u == l).map_or(0, |k| at[k]);
                    let at: Vec<usize> = letters.iter().map(value).collect();
                    let sizes: Vec<usize> = letters.iter().map(|&l| sizes[l]).collect();
                    index(&at, &sizes)
                };
                let factors: Vec<(usize, usize)> =
                    of.iter().enumerate().map(|(k, o)| (k, place(o))).collect();
                term(place(&result), 1.0, &factors);
            }
        };
        let reference = Some(Reference::Terms(Box::new(terms)));
        return Draw { case, reference };
    }
}

#[test]
fn products_of_matrices() {
    sweep("products of matrices", 80, matmul);
}

#[test]
fn sums_of_products() {
    sweep("sums of products", 50, einsum);
}
