//! `gather`: elements at indices along a dimension. The indices are given for each element of the result, or, for whole
//! slices, once.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::rows::Rows;
use crate::ops::scatter_add::ScatterAdd;
use crate::scalar::Bounds;
use crate::shape::Shape;
use crate::tensor::{Limit, Tensor, Vjp};
use rayon::prelude::*;

/// `x` and `i32` indices along `dim`. What is out of range takes the last element.
#[derive(Debug, Clone)]
pub struct Gather {
    /// The dimension.
    pub dim: usize,
    /// The indices are `[m]`, those of slices; else they are of the rank of `x`, and in all dimensions but `dim` of its
    /// sizes.
    pub slices: bool,
    /// An index that takes no part in the gradient.
    pub padding: Option<usize>,
}

impl OpDef for Gather {
    fn name(&self) -> &'static str {
        if self.slices {
            "index_select"
        } else {
            "gather"
        }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (x, index) = (&inputs[0], &inputs[1]);
        if index.dtype != DType::I32 {
            return Err(format!(
                "takes i32 indices, {index} came: convert with to(DType::I32)"
            ));
        }
        let (x_shape, dim) = (&x.shape, self.dim);
        let fits = match self.slices {
            true => index.shape.rank() == 1,
            false => {
                let same = |d: usize| d == dim || index.shape[d] == x_shape[d];
                index.shape.rank() == x_shape.rank() && (0..x_shape.rank()).all(same)
            }
        };
        if !fits {
            let wanted = if self.slices {
                "1 dimension"
            } else {
                "the same sizes in all dimensions but"
            };
            return Err(format!(
                "{x_shape} at indices {} along {dim}: takes indices of {wanted}",
                index.shape
            ));
        }
        let mut shape = x_shape.to_vec();
        shape[dim] = index.shape[if self.slices { 0 } else { dim }];
        if x_shape[dim] == 0 && shape.iter().all(|&n| n > 0) {
            return Err(format!(
                "{x_shape}: dimension {dim} has no elements to take"
            ));
        }
        Ok(vec![TensorType::new(shape, x.dtype)])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (x, index) = (&g.inputs[0], &g.inputs[1]);
        let op = ScatterAdd {
            like: self.clone(),
            n: x.shape()[self.dim],
        };
        vec![
            g.wanted[0].then(|| g.grad(0).apply(op, &[index], g.site)),
            None,
        ]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let rows = Rows::of(&io.input_type(0).shape, self.dim);
        let m = io.output_type(0).shape[self.dim];
        let (x, index, y) = (io.input::<u32>(0), io.input::<i32>(1), io.output::<u32>(0));
        if y.is_empty() {
            return Ok(());
        }
        let (inner, of) = (rows.inner, |v: i32| clamped(v, rows.n));
        // Slices of a task: enough elements to be worth one.
        let each = (8192 / inner).max(1);
        y.par_chunks_mut(each * inner)
            .enumerate()
            .for_each(|(task, y)| {
                for (k, y) in y.chunks_mut(inner).enumerate() {
                    let (o, k) = ((task * each + k) / m, (task * each + k) % m);
                    let x = &x[o * rows.n * inner..][..rows.n * inner];
                    if self.slices {
                        y.copy_from_slice(&x[of(index[k]) * inner..][..inner]);
                    } else {
                        let index = &index[(o * m + k) * inner..][..inner];
                        let all = y.iter_mut().zip(index).enumerate();
                        all.for_each(|(i, (y, &v))| *y = x[of(v) * inner + i]);
                    }
                }
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let rows = Rows::of(&io.inputs[0].shape, self.dim);
        let (count, m) = (io.outputs[0].numel(), io.outputs[0].shape[self.dim]);
        for width in self.widths(rows.inner) {
            let d = Dispatch::new("gather", include_str!("../../shaders/gather.wgsl"))
                .read(Buf::Input(0))
                .read(Buf::Input(1))
                .sizes([count / width, rows.n, rows.inner / width, m])
                .sizes(self.strides(m, rows.inner))
                .words([0])
                .constant("THREADS", caps.lanes())
                .grid(caps.grid((count / width).div_ceil(caps.lanes() as usize)));
            if let Some(d) = io.with_epilogue(d, width) {
                return Ok(d.into());
            }
        }
        Err(Error::Device("gather: no kernel".into()))
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn bounds(&self, inputs: &[Option<Bounds>], _: &[TensorType]) -> Option<Bounds> {
        inputs[0]
    }
}

impl Gather {
    /// Distances of neighbouring indices along outer, m, inner.
    pub(super) fn strides(&self, m: usize, inner: usize) -> [usize; 3] {
        if self.slices {
            [0, 1, 0]
        } else {
            [m * inner, inner, 1]
        }
    }

    /// How many neighbours a thread can handle at once.
    pub(super) fn widths(&self, inner: usize) -> impl Iterator<Item = usize> {
        let fours = self.slices && inner.is_multiple_of(4);
        fours.then_some(4).into_iter().chain([1])
    }
}

/// The index `v` among `n`.
pub(super) fn clamped(v: i32, n: usize) -> usize {
    (v as u32 as usize).min(n - 1)
}

impl Tensor {
    /// The elements of `self` at `index` along `dim`, each in its own row: `torch.gather`. `index` is `i32`, of the same
    /// rank and, but for `dim`, not larger.
    ///
    /// An index that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn gather(&self, dim: isize, index: &Tensor) -> Tensor {
        let site = Site::here();
        let Some(dim) = self.dim("gather", dim, site) else {
            return self.trace().poison();
        };
        let (shape, at) = (self.shape(), index.shape());
        let fits = |d: usize| d == dim || at[d] <= shape[d];
        if (at.rank() != shape.rank() || !(0..shape.rank()).all(fits)) && !index.is_poisoned() {
            let message = format!(
                "{shape} at indices {at} along {dim}: takes indices of rank {}, in the other dimensions not larger",
                shape.rank()
            );
            return self.trace().misuse("gather", message, site);
        }
        let limit = Limit::below(shape[dim], "indices");
        self.trace().require_range("gather", index, limit, site);
        self.gathered(dim, index, site)
    }

    /// [`Tensor::gather`] of indices that fit, without a check of their values.
    pub(crate) fn gathered(&self, dim: usize, index: &Tensor, site: Site) -> Tensor {
        let cut = |x: Tensor, d: usize| {
            if d == dim || index.is_poisoned() || index.shape()[d] == x.shape()[d] {
                x
            } else {
                x.narrow(d as isize, 0, index.shape()[d])
            }
        };
        let x = (0..self.rank()).fold(self.clone(), cut);
        x.apply(
            Gather {
                dim,
                slices: false,
                padding: None,
            },
            &[index],
            site,
        )
    }

    /// The slices of `self` at `index` `[m]` along its first dimension, without a check of the indices.
    pub(crate) fn selected(&self, index: &Tensor, site: Site) -> Tensor {
        self.apply(
            Gather {
                dim: 0,
                slices: true,
                padding: None,
            },
            &[index],
            site,
        )
    }

    /// The slices of `self` at `index` `[m]` (`i32`) along `dim`: `torch.index_select`.
    ///
    /// An index that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn index_select(&self, dim: isize, index: &Tensor) -> Tensor {
        let site = Site::here();
        let Some(dim) = self.dim("index_select", dim, site) else {
            return self.trace().poison();
        };
        let limit = Limit::below(self.shape()[dim], "indices");
        self.trace()
            .require_range("index_select", index, limit, site);
        self.apply(
            Gather {
                dim,
                slices: true,
                padding: None,
            },
            &[index],
            site,
        )
    }

    /// The rows of `weight` `[v, d]` that the ids `self` `[…]` (`i32`) name, `[…, d]`: `torch.nn.functional.embedding`.
    /// The row `padding_idx` gets no gradient.
    ///
    /// An id that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn embedding(&self, weight: &Tensor, padding_idx: Option<usize>) -> Tensor {
        let site = Site::here();
        let of = weight.trace();
        if of.own("embedding", &[self, weight], site).is_none() {
            return of.poison();
        }
        let wrong = match weight.shape()[..] {
            [v, _] => padding_idx
                .filter(|&p| p >= v)
                .map(|p| format!("padding_idx {p} is not one of {v} rows")),
            _ => Some(format!(
                "takes a weight [ids, features], {} came",
                weight.ty()
            )),
        };
        if let Some(message) = wrong {
            return self.trace().misuse("embedding", message, site);
        }
        let limit = Limit::below(weight.shape()[0], "ids");
        self.trace().require_range("embedding", self, limit, site);
        let shape: Shape = self
            .shape()
            .iter()
            .copied()
            .chain([weight.shape()[1]])
            .collect();
        let op = Gather {
            dim: 0,
            slices: true,
            padding: padding_idx,
        };
        let ids = self.reshape_to([self.numel()].into());
        weight.apply(op, &[&ids], site).reshape_to(shape)
    }
}
