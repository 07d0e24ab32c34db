//! `einsum`: sums of products by letters.

use crate::DType;
use crate::error::Site;
use crate::shape::Shape;
use crate::tensor::{Tensor, Trace};

impl Tensor {
    /// Sums of products of `operands` whose dimensions `equation` names by letters, as `torch.einsum`:
    /// `"bhqd,bhkd->bhqk"`. What is not in the result is summed over; without an arrow the result has the letters that occur
    /// once, in their alphabetical order. A letter twice in one operand takes the diagonal: `"ii->"` is the trace. A size of 1
    /// repeats where the letter has another size elsewhere. Operands are taken in from the left, two at a time as a product of
    /// matrices.
    ///
    /// `...` and a letter twice in the result are misuses.
    #[track_caller]
    pub fn einsum(equation: &str, operands: &[&Tensor]) -> Tensor {
        let site = Site::here();
        let Some(first) = operands.first() else {
            return Trace::detached("einsum", "takes at least 1 tensor, 0 came", site);
        };
        let trace = first.trace();
        if trace.own("einsum", operands, site).is_none() {
            return trace.poison();
        }
        match contract(equation, operands) {
            Ok(result) => result,
            Err(why) => {
                let message = format!("\"{equation}\": {why}");
                trace.misuse("einsum", message, site)
            }
        }
    }
}

/// A tensor with a letter for each dimension.
struct Term {
    letters: Vec<char>,
    tensor: Tensor,
}

fn contract(equation: &str, operands: &[&Tensor]) -> Result<Tensor, String> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let groups: Vec<&str> = left.split(',').collect();
    if groups.len() != operands.len() {
        return Err(format!(
            "names {} tensors, {} came",
            groups.len(),
            operands.len()
        ));
    }
    let mut terms = Vec::new();
    for (group, tensor) in groups.iter().zip(operands) {
        if tensor.dtype() != DType::F32 {
            return Err(format!(
                "takes f32, {} came: convert with to_f32()",
                tensor.ty()
            ));
        }
        let letters = letters(group)?;
        if letters.len() != tensor.rank() {
            return Err(format!(
                "'{group}' has {} letters, {} {} dimensions",
                letters.len(),
                tensor.ty(),
                tensor.rank()
            ));
        }
        let tensor = (*tensor).clone();
        terms.push(Term { letters, tensor });
    }
    let all: Vec<char> = terms.iter().flat_map(|t| t.letters.clone()).collect();
    let diagonals = terms.into_iter().map(Term::diagonals);
    let mut terms = diagonals.collect::<Result<Vec<_>, _>>()?;
    let result = match right {
        Some(right) => {
            let result = letters(right)?;
            match (1..result.len()).find(|&i| result[..i].contains(&result[i])) {
                Some(i) => return Err(format!("'{}' twice in the result '{right}'", result[i])),
                None => result,
            }
        }
        None => {
            let once = |c: &&char| all.iter().filter(|d| d == c).count() == 1;
            let mut result: Vec<char> = all.iter().filter(once).copied().collect();
            result.sort_unstable();
            result
        }
    };
    for &c in all.iter().chain(&result) {
        let sizes: Vec<usize> = terms.iter().filter_map(|t| t.size(c)).collect();
        if sizes.is_empty() {
            return Err(format!("'{c}' of the result is in no tensor"));
        }
        let Some(size) = sizes.iter().copied().find(|&s| s != 1) else {
            continue;
        };
        if let Some(other) = sizes.iter().find(|&&s| s != size && s != 1) {
            return Err(format!("'{c}' is {size} and {other}"));
        }
        // What has one element there is the same for all.
        terms.iter_mut().for_each(|t| t.squeeze(c));
    }
    let mut rest = terms.into_iter();
    let mut product = rest.next().ok_or("names no tensor")?;
    while let Some(next) = rest.next() {
        let later = rest.as_slice().iter().flat_map(|t| &t.letters);
        let kept: Vec<char> = result.iter().chain(later).copied().collect();
        product = product.times(next, &kept);
    }
    Ok(product.sum_to(&result).ordered(&result))
}

/// The letters of a term.
fn letters(group: &str) -> Result<Vec<char>, String> {
    let letters: Vec<char> = group.chars().collect();
    if let Some(c) = letters.iter().find(|c| !c.is_ascii_alphabetic()) {
        return Err(format!("'{c}' in '{group}': takes letters"));
    }
    Ok(letters)
}

impl Term {
    fn size(&self, letter: char) -> Option<usize> {
        let d = self.letters.iter().position(|&c| c == letter)?;
        Some(self.tensor.shape()[d])
    }

    /// With each letter once: the diagonal of those that are there twice.
    fn diagonals(mut self) -> Result<Self, String> {
        let twice = |l: &[char]| {
            let first = |j: usize| l[..j].iter().position(|&c| c == l[j]);
            (1..l.len()).find_map(|j| first(j).map(|i| (i, j)))
        };
        while let Some((i, j)) = twice(&self.letters) {
            let (c, n, m) = (
                self.letters[i],
                self.tensor.shape()[i],
                self.tensor.shape()[j],
            );
            if n != m {
                let group: String = self.letters.iter().collect();
                return Err(format!("'{c}' is {n} and {m} in '{group}'"));
            }
            self.tensor = self.tensor.diagonal(0, i as isize, j as isize);
            self.letters.remove(j);
            self.letters.remove(i);
            self.letters.push(c);
        }
        Ok(self)
    }

    /// Without the dimension `letter`, where it is of size 1.
    fn squeeze(&mut self, letter: char) {
        let d = self.letters.iter().position(|&c| c == letter);
        if let Some(d) = d.filter(|&d| self.tensor.shape()[d] == 1) {
            self.tensor = self.tensor.squeeze(d as isize);
            self.letters.remove(d);
        }
    }

    /// Summed over the letters that are not in `kept`.
    fn sum_to(&self, kept: &[char]) -> Self {
        let gone = |d: &usize| !kept.contains(&self.letters[*d]);
        let dims: Vec<isize> = (0..self.letters.len())
            .filter(gone)
            .map(|d| d as isize)
            .collect();
        let mut letters = self.letters.clone();
        letters.retain(|c| kept.contains(c));
        let tensor = match dims.is_empty() {
            true => self.tensor.clone(),
            false => self.tensor.sum(&dims, false),
        };
        Term { letters, tensor }
    }

    /// The tensor with its dimensions in this order.
    fn ordered(&self, order: &[char]) -> Tensor {
        let at = |c: &char| self.letters.iter().position(|d| d == c).map(|d| d as isize);
        self.tensor
            .permute(&order.iter().filter_map(at).collect::<Vec<_>>())
    }

    /// The product with `other`, summed over what both have and `kept` has not.
    fn times(&self, other: Term, kept: &[char]) -> Self {
        let wanted = |of: &Term| [kept, &of.letters[..]].concat();
        let (a, b) = (self.sum_to(&wanted(&other)), other.sum_to(&wanted(self)));
        let of = |t: &Term, f: &dyn Fn(char) -> bool| -> Vec<char> {
            t.letters.iter().copied().filter(|&c| f(c)).collect()
        };
        let batch = of(&a, &|c| b.letters.contains(&c) && kept.contains(&c));
        let inner = of(&a, &|c| b.letters.contains(&c) && !kept.contains(&c));
        let rows = of(&a, &|c| !b.letters.contains(&c));
        let columns = of(&b, &|c| !a.letters.contains(&c));
        let numel = |t: &Term, letters: &[char]| -> usize {
            letters.iter().filter_map(|&c| t.size(c)).product()
        };
        let (n, k) = (numel(&a, &batch), numel(&a, &inner));
        let (m, p) = (numel(&a, &rows), numel(&b, &columns));
        let left = a.ordered(&[&batch[..], &rows, &inner].concat());
        let right = b.ordered(&[&batch[..], &inner, &columns].concat());
        let (left, right) = (
            left.reshape_to([n, m, k].into()),
            right.reshape_to([n, k, p].into()),
        );
        let product = match inner.is_empty() {
            true => left.mul(&right),
            false => left.matmul(&right),
        };
        let letters = [batch, rows, columns].concat();
        let size = |&c: &char| a.size(c).or(b.size(c));
        let shape: Shape = letters.iter().filter_map(size).collect();
        Term {
            tensor: product.reshape_to(shape),
            letters,
        }
    }
}
