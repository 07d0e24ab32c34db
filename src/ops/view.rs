//! Views: other shapes and orders of the same memory. A step that can load through strides takes them for free.

use crate::error::Site;
use crate::graph::TensorType;
use crate::op::{Kind, OpDef};
use crate::shape::{Layout, Shape};
use crate::tensor::{Tensor, Vjp};

/// The gradients of an operator that does what `composed` does by plain operators, from its inputs to its outputs: those of
/// the composition. Operators that are gradients themselves have theirs so.
pub(crate) fn through(
    g: &Vjp,
    composed: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Vec<Option<Tensor>> {
    // Views of the inputs: what leads to these is not theirs to differentiate.
    let view = |t: &Tensor| t.apply(View::Expand(t.shape().clone()), &[], g.site);
    let inputs: Vec<Tensor> = g.inputs.iter().map(view).collect();
    let mut all = vec![None; inputs.len()];
    let along = |(y, grad): (Tensor, &Option<Tensor>)| Some(y.mul(grad.as_ref()?).sum(&[], false));
    let sums = composed(&inputs).into_iter().zip(&g.grads);
    if let Some(sum) = sums.filter_map(along).reduce(|a, b| a.add(&b)) {
        let wanted: Vec<usize> = (0..inputs.len()).filter(|&k| g.wanted[k]).collect();
        let by: Vec<&Tensor> = wanted.iter().map(|&k| &inputs[k]).collect();
        for (k, grad) in wanted.iter().zip(g.trace.gradients(&sum, &by)) {
            all[*k] = grad;
        }
    }
    all
}

/// A view of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The same elements in the same order.
    Reshape(Shape),
    /// Dimensions in another order.
    Permute(Vec<usize>),
    /// Dimensions of size 1, or new leading ones, repeated.
    Expand(Shape),
    /// Every `step`-th element of a dimension from `start`, `len` of them.
    Slice {
        /// The dimension.
        dim: usize,
        /// First index.
        start: usize,
        /// How many.
        len: usize,
        /// Distance.
        step: usize,
    },
    /// A dimension backwards.
    Flip(usize),
}

impl OpDef for View {
    fn name(&self) -> &'static str {
        match self {
            Self::Reshape(_) => "reshape",
            Self::Permute(_) => "permute",
            Self::Expand(_) => "expand",
            Self::Slice { .. } => "slice",
            Self::Flip(_) => "flip",
        }
    }

    fn kind(&self) -> Kind<'_> {
        Kind::View
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let from = &inputs[0].shape;
        let shape = match self {
            Self::Reshape(to) if to.numel() == from.numel() => to.clone(),
            Self::Reshape(to) => {
                return Err(format!(
                    "{from} to {to}: {} elements do not make {}",
                    from.numel(),
                    to.numel()
                ));
            }
            Self::Permute(dims) => dims.iter().map(|&d| from[d]).collect(),
            Self::Expand(to)
                if from.rank() <= to.rank() && from.broadcast(to).as_ref() == Some(to) =>
            {
                to.clone()
            }
            Self::Expand(to) => return Err(format!("{from} to {to}: only sizes of 1 repeat")),
            Self::Slice {
                dim,
                start,
                len,
                step,
            } => {
                let last = |n: usize| start.saturating_add((n - 1).saturating_mul(*step));
                if *len > 0 && last(*len) >= from[*dim] {
                    return Err(format!(
                        "{from}: {len} elements from {start} by {step} do not fit dimension {dim} of size {}",
                        from[*dim]
                    ));
                }
                (0..from.rank())
                    .map(|d| if d == *dim { *len } else { from[d] })
                    .collect()
            }
            Self::Flip(_) => from.clone(),
        };
        Ok(vec![TensorType::new(shape, inputs[0].dtype)])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (x, grad) = (&g.inputs[0], g.grad(0));
        vec![Some(match self {
            Self::Reshape(_) => grad.reshape_to(x.shape().clone()),
            Self::Permute(dims) => {
                let mut inverse = vec![0; dims.len()];
                dims.iter().enumerate().for_each(|(i, &d)| inverse[d] = i);
                grad.apply(Self::Permute(inverse), &[], g.site)
            }
            Self::Expand(_) => grad.sum_to(x.shape()),
            Self::Slice {
                dim,
                start,
                len,
                step,
            } => grad.unslice(*dim, *start, *len, *step, x.shape()[*dim], g.site),
            Self::Flip(d) => grad.apply(Self::Flip(*d), &[], g.site),
        })]
    }

    fn view(&self, x: &Layout) -> Option<Layout> {
        match self {
            Self::Reshape(to) => x.reshape(to),
            Self::Permute(dims) => Some(x.permute(dims)),
            Self::Expand(to) => Some(x.expand(to)),
            Self::Slice {
                dim,
                start,
                len,
                step,
            } => Some(x.slice(*dim, *start, *len, *step)),
            Self::Flip(d) => Some(x.flip(*d)),
        }
    }
}

impl View {
    /// Whether it shows all of an input of `shape` as it is.
    pub(crate) fn is_identity(&self, shape: &Shape) -> bool {
        match self {
            Self::Reshape(to) | Self::Expand(to) => to == shape,
            Self::Permute(dims) => dims.iter().copied().eq(0..shape.rank()),
            Self::Slice { dim, len, step, .. } => *len == shape[*dim] && *step == 1,
            Self::Flip(dim) => shape[*dim] <= 1,
        }
    }
}

/// Movement, as in PyTorch. Dimensions may be negative.
impl Tensor {
    /// The dimension that `dim` names, or a misuse.
    pub(crate) fn dim(&self, op: &str, dim: isize, site: Site) -> Option<usize> {
        match self.shape().dim(dim) {
            Ok(d) => Some(d),
            Err(message) => {
                if !self.is_poisoned() {
                    self.trace().misuse(op, message, site);
                }
                None
            }
        }
    }

    /// The same elements as a value of its own: what a builder returns where it changes nothing, so that a gradient by its
    /// result is not also one by other uses of `self`. Plans have no step for it.
    pub(crate) fn again(&self, site: Site) -> Tensor {
        self.apply(View::Reshape(self.shape().clone()), &[], site)
    }

    /// `result`, or `self` as a value of its own where `result` is `self`.
    pub(crate) fn unless_same(&self, result: Tensor, site: Site) -> Tensor {
        match result.value() == self.value() {
            true => self.again(site),
            false => result,
        }
    }

    /// The same elements in the shape `to`: `self` where it has it.
    #[track_caller]
    pub(crate) fn reshape_to(&self, to: Shape) -> Tensor {
        if *self.shape() == to {
            self.clone()
        } else {
            self.apply(View::Reshape(to), &[], Site::here())
        }
    }

    /// The same elements in row-major order under `shape`; one size may be -1.
    #[track_caller]
    pub fn reshape(&self, shape: &[isize]) -> Tensor {
        let sizes = shape.iter().filter(|n| **n >= 0);
        let known = sizes.map(|n| *n as usize).collect::<Shape>().numel();
        let open = shape.iter().filter(|n| **n < 0).count();
        let fits = if open == 0 {
            known == self.numel()
        } else {
            open == 1 && known > 0 && self.numel().is_multiple_of(known)
        };
        if !fits && !self.is_poisoned() {
            let message = format!(
                "{} to {shape:?}: {} elements do not fit",
                self.shape(),
                self.numel()
            );
            return self.trace().misuse("reshape", message, Site::here());
        }
        let size = |&n: &isize| match n {
            ..0 => self.numel() / known.max(1),
            _ => n as usize,
        };
        let to = View::Reshape(shape.iter().map(size).collect());
        self.apply(to, &[], Site::here())
    }

    /// Dimensions from `start_dim` on as one: `torch.flatten`, and `flatten(1)` keeps the batch, `[n, c, h, w]` to `[n, c h w]`.
    #[track_caller]
    pub fn flatten(&self, start_dim: isize) -> Tensor {
        let site = Site::here();
        if self.rank() == 0 {
            return self.reshape_to([1].into());
        }
        let Some(d) = self.dim("flatten", start_dim, site) else {
            return self.trace().poison();
        };
        let mut shape = self.shape()[..d].to_vec();
        shape.push(self.shape()[d..].iter().product());
        self.apply(View::Reshape(shape.into()), &[], site)
    }

    /// Dimensions in the order `dims`.
    #[track_caller]
    pub fn permute(&self, dims: &[isize]) -> Tensor {
        let site = Site::here();
        let Some(order) = dims
            .iter()
            .map(|&d| self.dim("permute", d, site))
            .collect::<Option<Vec<_>>>()
        else {
            return self.trace().poison();
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted != (0..self.rank()).collect::<Vec<_>>() && !self.is_poisoned() {
            return self.trace().misuse(
                "permute",
                format!("{}: {dims:?} must name each dimension once", self.shape()),
                site,
            );
        }
        self.apply(View::Permute(order), &[], site)
    }

    /// Two dimensions exchanged.
    #[track_caller]
    pub fn transpose(&self, dim0: isize, dim1: isize) -> Tensor {
        let site = Site::here();
        let (Some(a), Some(b)) = (
            self.dim("transpose", dim0, site),
            self.dim("transpose", dim1, site),
        ) else {
            return self.trace().poison();
        };
        let mut order: Vec<usize> = (0..self.rank()).collect();
        order.swap(a, b);
        self.apply(View::Permute(order), &[], site)
    }

    /// The last two dimensions exchanged.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        self.transpose(-2, -1)
    }

    /// Dimensions of size 1 repeated, new leading ones added.
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Tensor {
        self.apply(View::Expand(shape.into()), &[], Site::here())
    }

    /// A dimension of size 1 put in before `dim` (at most the rank; negative ones count from behind the last).
    #[track_caller]
    pub fn unsqueeze(&self, dim: isize) -> Tensor {
        let at = if dim < 0 {
            dim + self.rank() as isize + 1
        } else {
            dim
        };
        if !(0..=self.rank() as isize).contains(&at) {
            let message = format!("{}: dimension {dim} is out of range", self.shape());
            return self.trace().misuse("unsqueeze", message, Site::here());
        }
        let mut shape = self.shape().to_vec();
        shape.insert(at as usize, 1);
        self.reshape_to(shape.into())
    }

    /// A dimension of size 1 taken away; another size stays, as in PyTorch.
    #[track_caller]
    pub fn squeeze(&self, dim: isize) -> Tensor {
        let site = Site::here();
        let Some(d) = self.dim("squeeze", dim, site) else {
            return self.trace().poison();
        };
        let mut shape = self.shape().to_vec();
        if shape[d] == 1 {
            shape.remove(d);
        }
        self.apply(View::Reshape(shape.into()), &[], site)
    }

    /// `length` elements of `dim` from `start`.
    #[track_caller]
    pub fn narrow(&self, dim: isize, start: usize, length: usize) -> Tensor {
        let site = Site::here();
        let Some(d) = self.dim("narrow", dim, site) else {
            return self.trace().poison();
        };
        if start.saturating_add(length) > self.shape()[d] {
            let message = format!(
                "{}: {start}..{} is out of range for dimension {d} of size {}",
                self.shape(),
                start.saturating_add(length),
                self.shape()[d]
            );
            return self.trace().misuse("narrow", message, site);
        }
        self.apply(
            View::Slice {
                dim: d,
                start,
                len: length,
                step: 1,
            },
            &[],
            site,
        )
    }

    /// Element `index` of `dim`, which goes away: `torch.select`, Python's `x[:, index]`. A negative one counts from the end.
    #[track_caller]
    pub fn select(&self, dim: isize, index: isize) -> Tensor {
        let site = Site::here();
        let Some(d) = self.dim("select", dim, site) else {
            return self.trace().poison();
        };
        let n = self.shape()[d] as isize;
        if !(-n..n).contains(&index) {
            let message = format!(
                "{}: index {index} is out of range for dimension {d} of size {n}",
                self.shape()
            );
            return self.trace().misuse("select", message, site);
        }
        let mut shape = self.shape().to_vec();
        shape.remove(d);
        let one = self.narrow(d as isize, index.rem_euclid(n) as usize, 1);
        one.reshape_to(shape.into())
    }

    /// The elements at equal positions of dimensions `dim1` and `dim2`, as a new last dimension: `torch.diagonal`. With
    /// an `offset` those whose position along `dim2` is that much larger.
    #[track_caller]
    pub fn diagonal(&self, offset: isize, dim1: isize, dim2: isize) -> Tensor {
        let site = Site::here();
        let (Some(a), Some(b)) = (
            self.dim("diagonal", dim1, site),
            self.dim("diagonal", dim2, site),
        ) else {
            return self.trace().poison();
        };
        if a == b {
            let message = format!(
                "{}: takes two dimensions, {dim1} and {dim2} are one",
                self.shape()
            );
            return self.trace().misuse("diagonal", message, site);
        }
        let (rows, columns) = (self.shape()[a], self.shape()[b]);
        let (down, right) = ((-offset).max(0) as usize, offset.max(0) as usize);
        let len = rows.saturating_sub(down).min(columns.saturating_sub(right));
        let others: Vec<usize> = (0..self.rank()).filter(|d| *d != a && *d != b).collect();
        let mut flat: Vec<usize> = others.iter().map(|&d| self.shape()[d]).collect();
        flat.push(rows * columns);
        let order = others.iter().copied().chain([a, b]).collect();
        let matrices = self.apply(View::Permute(order), &[], site);
        let start = if len == 0 { 0 } else { down * columns + right };
        let diagonal = View::Slice {
            dim: others.len(),
            start,
            len,
            step: columns + 1,
        };
        matrices.reshape_to(flat.into()).apply(diagonal, &[], site)
    }

    /// Elements `start, start + step, …` below `end` of `dim`, as Python's `x[start:end:step]`; negative bounds count
    /// from the end, bounds past it are cut.
    #[track_caller]
    pub fn slice(&self, dim: isize, start: isize, end: isize, step: usize) -> Tensor {
        let site = Site::here();
        let Some(d) = self.dim("slice", dim, site) else {
            return self.trace().poison();
        };
        if step == 0 {
            return self
                .trace()
                .misuse("slice", "takes a step of at least 1, 0 came", site);
        }
        let n = self.shape()[d] as isize;
        let bound = |i: isize| (if i < 0 { i + n } else { i }).clamp(0, n) as usize;
        let (start, end) = (bound(start), bound(end));
        self.apply(
            View::Slice {
                dim: d,
                start,
                len: end.saturating_sub(start).div_ceil(step),
                step,
            },
            &[],
            site,
        )
    }

    /// The given dimensions backwards.
    #[track_caller]
    pub fn flip(&self, dims: &[isize]) -> Tensor {
        let site = Site::here();
        let turn = |x: Tensor, &d: &isize| match x.dim("flip", d, site) {
            Some(d) => x.apply(View::Flip(d), &[], site),
            None => x.trace().poison(),
        };
        self.unless_same(dims.iter().fold(self.clone(), turn), site)
    }
}
