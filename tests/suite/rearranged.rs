//! Repetitions, triangles, pieces, comparisons with numbers and sums by letters against loops over elements.

use wgrad::{Array, DType, Tensor, Trace, eval};

/// `0, 1, …` in this shape.
fn counted(g: &Trace, shape: &[isize]) -> Tensor {
    let n: isize = shape.iter().product();
    g.arange(n as usize).to_f32().reshape(shape)
}

fn values(f: impl Fn(&Trace) -> Vec<Tensor> + Send) -> Vec<Vec<f32>> {
    let arrays: Vec<Array> = eval(f).unwrap();
    arrays.iter().map(Array::to_f32).collect()
}

#[test]
fn repeated() {
    let got = values(|g| {
        let x = counted(g, &[2, 3]);
        vec![x.repeat(&[2, 1, 2]), x.repeat_interleave(2, 1)]
    });
    let rows = [0., 1., 2., 0., 1., 2., 3., 4., 5., 3., 4., 5.];
    assert_eq!(got[0], [rows, rows].concat());
    assert_eq!(got[1], [0., 0., 1., 1., 2., 2., 3., 3., 4., 4., 5., 5.]);
}

#[test]
fn triangles() {
    for diagonal in -5..=5 {
        let got = values(|g| {
            let x = counted(g, &[3, 4]).add(1.0);
            let truth = x.gt(0.0);
            vec![
                x.tril(diagonal),
                x.triu(diagonal),
                x.to(DType::I32).tril(diagonal).to_f32(),
                truth.triu(diagonal).to_f32(),
            ]
        });
        for at in 0..12 {
            let below = (at % 4) as isize - (at / 4) as isize;
            let (x, lower, upper) = (at as f32 + 1.0, below <= diagonal, below >= diagonal);
            assert_eq!(got[0][at], if lower { x } else { 0.0 });
            assert_eq!(got[1][at], if upper { x } else { 0.0 });
            assert_eq!(got[2][at], got[0][at]);
            assert_eq!(got[3][at], if upper { 1.0 } else { 0.0 });
        }
    }
}

#[test]
fn pieces() {
    let got = values(|g| {
        let x = counted(g, &[5]);
        [x.split(2, 0), x.split_with_sizes(&[1, 0, 4], -1)].concat()
    });
    let want: [&[f32]; 6] = [&[0., 1.], &[2., 3.], &[4.], &[0.], &[], &[1., 2., 3., 4.]];
    assert_eq!(got, want);
}

#[test]
fn beside_numbers() {
    let got = values(|g| {
        let x = counted(g, &[4]);
        let n = x.to(DType::I32);
        let tests = [x.gt(1.5), x.le(2), n.eq(2), n.ne(2), n.lt(3)];
        let mut all = tests.map(|t| t.to_f32()).to_vec();
        all.extend([x.maximum(1.5), x.pow(2.0), n.mul(3).to_f32()]);
        all
    });
    let want = [
        [0., 0., 1., 1.],
        [1., 1., 1., 0.],
        [0., 0., 1., 0.],
        [1., 1., 0., 1.],
        [1., 1., 1., 0.],
        [1.5, 1.5, 2., 3.],
        [0., 1., 4., 9.],
        [0., 3., 6., 9.],
    ];
    assert_eq!(got, want);
}

/// The sum by letters, element by element.
fn by_loops(equation: &str, operands: &[(Vec<usize>, Vec<f32>)]) -> Vec<f32> {
    let (left, right) = equation.split_once("->").unwrap();
    let terms: Vec<Vec<char>> = left.split(',').map(|t| t.chars().collect()).collect();
    let mut letters: Vec<char> = right.chars().collect();
    for c in terms.iter().flatten().filter(|c| **c != ' ') {
        if !letters.contains(c) {
            letters.push(*c);
        }
    }
    let size = |c: char| -> usize {
        let of = |(t, o): (&Vec<char>, &(Vec<usize>, Vec<f32>))| {
            t.iter().position(|&d| d == c).map(|d| o.0[d])
        };
        terms.iter().zip(operands).find_map(of).unwrap()
    };
    let total: usize = letters.iter().map(|&c| size(c)).product();
    let kept: usize = right.chars().map(size).product();
    let mut result = vec![0.0; kept];
    for at in 0..total {
        let mut rest = at;
        let mut place = vec![0; letters.len()];
        for (k, &c) in letters.iter().enumerate().rev() {
            place[k] = rest % size(c);
            rest /= size(c);
        }
        let element = |(t, o): (&Vec<char>, &(Vec<usize>, Vec<f32>))| {
            let index = |i: usize, (d, c): (usize, &char)| {
                i * o.0[d] + place[letters.iter().position(|l| l == c).unwrap()]
            };
            o.1[t.iter().enumerate().fold(0, index)]
        };
        result[at / (total / kept)] += terms.iter().zip(operands).map(element).product::<f32>();
    }
    result
}

#[test]
fn sums_by_letters() {
    let rows: &[(&str, &[&[usize]])] = &[
        ("ij->ji", &[&[2, 3]]),
        ("ij->", &[&[2, 3]]),
        ("abc->ca", &[&[2, 3, 4]]),
        ("i,i->", &[&[4], &[4]]),
        ("i,j->ij", &[&[3], &[2]]),
        ("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        ("ij,jk->ki", &[&[2, 3], &[3, 4]]),
        ("ij,kj->ik", &[&[2, 3], &[4, 3]]),
        ("ji,kj->ik", &[&[3, 2], &[4, 3]]),
        ("ji,jk->ik", &[&[3, 2], &[3, 4]]),
        ("j,kj->k", &[&[3], &[4, 3]]),
        ("bij,bjk->bik", &[&[2, 3, 4], &[2, 4, 5]]),
        ("bhqd,bhkd->bhqk", &[&[2, 2, 3, 4], &[2, 2, 5, 4]]),
        ("bqhd,bkhd->bhqk", &[&[2, 3, 2, 4], &[2, 5, 2, 4]]),
        ("bi,oij,bj->bo", &[&[2, 3], &[4, 3, 5], &[2, 5]]),
        ("ab,cd->bd", &[&[2, 3], &[4, 5]]),
        ("ij,ij->ij", &[&[2, 3], &[2, 3]]),
        ("ij,ij->i", &[&[2, 3], &[2, 3]]),
    ];
    for (equation, shapes) in rows {
        let operand = |(k, shape): (usize, &&[usize])| {
            let n: usize = shape.iter().product();
            let value = |i: usize| ((i * 7 + k * 3) % 11) as f32 - 5.0;
            (shape.to_vec(), (0..n).map(value).collect::<Vec<f32>>())
        };
        let operands: Vec<_> = shapes.iter().enumerate().map(operand).collect();
        let got = values(|g| {
            let tensor = |(shape, values): &(Vec<usize>, Vec<f32>)| {
                g.constant(Array::new(&shape[..], values.clone()).unwrap())
            };
            let tensors: Vec<Tensor> = operands.iter().map(tensor).collect();
            let spaced = equation.replace(',', " , ");
            vec![Tensor::einsum(&spaced, &tensors.iter().collect::<Vec<_>>())]
        });
        assert_eq!(got[0], by_loops(equation, &operands), "{equation}");
    }
    // Without an arrow: what occurs once, in alphabetical order.
    let got = values(|g| {
        let (a, b) = (counted(g, &[2, 3]), counted(g, &[3, 4]));
        let product = a.matmul(&b);
        let names = [Tensor::einsum("kj,ji", &[&a, &b]), product.t()];
        names.into()
    });
    assert_eq!(got[0], got[1]);
}
