//! `scatter_add`: the gradient of `gather`. Each element goes to where its index says and is added to what else goes
//! there, in the order of the indices, so that results do not depend on threads.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::gather::{Gather, clamped};
use crate::ops::reduce::{Combine, in_parts};
use crate::ops::rows::Rows;
use crate::tensor::{Limit, Tensor, Vjp};
use rayon::prelude::*;

/// `g` and its indices; dimension `dim` of the result has `n` elements.
#[derive(Debug)]
pub struct ScatterAdd {
    /// What it is the gradient of.
    pub like: Gather,
    /// Size of the dimension.
    pub n: usize,
}

/// Fewer slices than these are looked through for each element of the result; more of them are linked to lists first.
const LINKED: usize = 32;

impl OpDef for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let g = &inputs[0];
        if g.dtype != DType::F32 {
            return Err(format!("takes f32, {g} came: convert with to_f32()"));
        }
        let mut shape = g.shape.to_vec();
        shape[self.like.dim] = self.n;
        let again = self
            .like
            .infer(&[TensorType::f32(shape.clone()), inputs[1].clone()])?;
        if again[0] != *g {
            return Err(format!(
                "{} at indices {}: there are not as many",
                g.shape, inputs[1].shape
            ));
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let back = || {
            let (grad, index) = (g.grad(0), &g.inputs[1]);
            let y = grad.apply(self.like.clone(), &[index], g.site);
            let Some(padding) = self.like.padding else {
                return y;
            };
            // What was left out has no gradient either.
            let mut shape = vec![1; y.rank()];
            shape[self.like.dim] = index.numel();
            let id = g.trace.constant(crate::Array::scalar(padding as i32));
            let left_out = index.eq(&id).reshape_to(shape.into());
            left_out.where_(&g.trace.scalar(0.0), &y)
        };
        vec![g.wanted[0].then(back), None]
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let rows = Rows::of(&io.output_type(0).shape, self.like.dim);
        let m = io.input_type(0).shape[self.like.dim];
        let (g, index, y) = (io.input::<f32>(0), io.input::<i32>(1), io.output::<f32>(0));
        if y.is_empty() {
            return Ok(());
        }
        // Tasks own rows of the result, and take from the indices, in order, those that name one of them.
        let inner = rows.inner;
        let tasks = 16usize.div_ceil(rows.outer).min(rows.n);
        let owned = rows.n.div_ceil(tasks);
        y.par_chunks_mut(rows.n * inner)
            .enumerate()
            .for_each(|(o, y)| {
                let g = &g[o * m * inner..][..m * inner];
                y.par_chunks_mut(owned * inner)
                    .enumerate()
                    .for_each(|(task, y)| {
                        y.fill(0.0);
                        let mine = task * owned..task * owned + y.len() / inner;
                        let row = |v: i32| {
                            Some(clamped(v, rows.n))
                                .filter(|r| mine.contains(r) && Some(*r) != self.like.padding)
                        };
                        if self.like.slices {
                            for (&v, g) in index.iter().zip(g.chunks(inner)) {
                                let Some(r) = row(v) else { continue };
                                let y = &mut y[(r - mine.start) * inner..][..inner];
                                y.iter_mut().zip(g).for_each(|(y, g)| *y += g);
                            }
                        } else {
                            let all = index[o * m * inner..][..m * inner].iter().zip(g);
                            for (at, (&v, g)) in all.enumerate() {
                                let Some(r) = row(v) else { continue };
                                y[(r - mine.start) * inner + at % inner] += g;
                            }
                        }
                    });
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let rows = Rows::of(&io.outputs[0].shape, self.like.dim);
        let m = io.inputs[0].shape[self.like.dim];
        if self.like.slices && m > LINKED {
            return self.linked(io, caps, rows, m);
        }
        let count = io.outputs[0].numel();
        let parts = m.div_ceil(caps.iterations / 2);
        if parts > 1 {
            let sums = (parts, Combine::Sum);
            return in_parts(io, caps, sums, Kernels::default(), |part| {
                part.with_epilogue(self.search(caps, &rows, m, (count, parts), 1), 1)
            })
            .ok_or_else(no_kernel);
        }
        for width in self.like.widths(rows.inner) {
            let d = self.search(caps, &rows, m, (count, 1), width);
            if let Some(d) = io.with_epilogue(d, width) {
                return Ok(d.into());
            }
        }
        Err(no_kernel())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

fn no_kernel() -> Error {
    Error::Device("scatter_add: no kernel".into())
}

impl ScatterAdd {
    /// The index that is left out, or none.
    fn skip(&self) -> u32 {
        self.like.padding.map_or(u32::MAX, |p| p as u32)
    }

    /// Each thread looks at all indices of a part, `count` elements a part.
    fn search(
        &self,
        caps: &Caps,
        rows: &Rows,
        m: usize,
        (count, parts): (usize, usize),
        width: usize,
    ) -> Dispatch {
        let tasks = parts * count / width;
        Dispatch::new(
            "scatter_add",
            include_str!("../../shaders/scatter_add.wgsl"),
        )
        .read(Buf::Input(0))
        .read(Buf::Input(1))
        .sizes([tasks, rows.n, rows.inner / width, m])
        .sizes(self.like.strides(m, rows.inner))
        .words([self.skip()])
        .sizes([count / width, m.div_ceil(parts.max(1)), 0, 0])
        .constant("THREADS", caps.lanes())
        .grid(caps.grid(tasks.div_ceil(caps.lanes() as usize)))
    }

    /// Lists of the indices that name each row, then sums along them.
    fn linked(&self, io: &GpuIo, caps: &Caps, rows: Rows, m: usize) -> Result<Kernels> {
        // A part keeps a thread busy for microseconds; threads own rows that others pass over.
        let (parts, owners) = if caps.software {
            (
                m.div_ceil(caps.iterations / 2),
                64.max(rows.n * 4 / caps.iterations),
            )
        } else {
            let least = m.div_ceil(caps.iterations / 2);
            (m.div_ceil(1024).min(32).max(least), 4096)
        };
        let length = m.div_ceil(parts);
        let owned = rows.n.div_ceil(owners);
        let owners = rows.n.div_ceil(owned);
        let threads = caps.lanes();
        let link = Dispatch::new(
            "scatter_add_link",
            include_str!("../../shaders/scatter_add_link.wgsl"),
        )
        .read(Buf::Input(1))
        .write(Buf::Scratch(0))
        .write(Buf::Scratch(1))
        .sizes([
            rows.n,
            m,
            self.skip() as usize,
            parts,
            length,
            owned,
            owners,
            0,
        ])
        .constant("THREADS", threads)
        .grid(caps.grid((parts * owners).div_ceil(threads as usize)));
        let scratch = vec![parts * rows.n + m, parts * rows.n];

        // Few rows have long lists: more threads take a group of parts each, and their sums are added.
        let count = io.outputs[0].numel();
        let groups = if caps.software {
            parts
        } else {
            (1 << 18) / count.max(1)
        }
        .clamp(1, parts);
        let each = parts.div_ceil(groups);
        let groups = parts.div_ceil(each);
        if groups == 1 {
            let sum = self.sum(io, caps, rows, m, [parts, each], count)?;
            return Ok(Kernels {
                dispatches: vec![link, sum],
                scratch,
            });
        }
        let before = Kernels {
            dispatches: vec![link],
            scratch,
        };
        in_parts(io, caps, (groups, Combine::Sum), before, |part| {
            let all = groups * count;
            self.sum(part, caps, rows, m, [parts, each], all).ok()
        })
        .ok_or_else(no_kernel)
    }

    /// The sums along the lists of `each` of `parts` parts, `count` in all.
    fn sum(
        &self,
        io: &GpuIo,
        caps: &Caps,
        rows: Rows,
        m: usize,
        [parts, each]: [usize; 2],
        count: usize,
    ) -> Result<Dispatch> {
        let launch = |width: usize| {
            let vectors = rows.inner / width;
            // Where threads are few, each makes most of a row: less is spent on finding it.
            let turns = each * m.div_ceil(parts);
            let run = if caps.software {
                (caps.iterations / 2 / turns.max(1)).clamp(1, vectors.max(1))
            } else {
                1
            };
            let tasks = count / rows.inner.max(1) * vectors.div_ceil(run);
            let d = Dispatch::new(
                "scatter_add_sum",
                include_str!("../../shaders/scatter_add_sum.wgsl"),
            )
            .read(Buf::Input(0))
            .write(Buf::Scratch(0))
            .sizes([tasks, rows.n, vectors, m, rows.outer, parts, each, run])
            .constant("THREADS", caps.lanes())
            .grid(caps.grid(tasks.div_ceil(caps.lanes() as usize)));
            io.with_epilogue(d, width)
        };
        self.like
            .widths(rows.inner)
            .find_map(launch)
            .ok_or_else(no_kernel)
    }
}

impl Tensor {
    /// `self` with each element of `source` added where `index` says along `dim`: `torch.scatter_add`. `index` is `i32`
    /// and of the shape of `source`, which has the sizes of `self` in the other dimensions.
    ///
    /// An index that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn scatter_add(&self, dim: isize, index: &Tensor, source: &Tensor) -> Tensor {
        self.add_at("scatter_add", dim, index, source, false, Site::here())
    }

    /// `self` with slice `k` of `source` added to its slice `index[k]` along `dim`: `torch.index_add`. `index` is `i32`
    /// `[m]`.
    ///
    /// An index that is out of range is an error: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[track_caller]
    pub fn index_add(&self, dim: isize, index: &Tensor, source: &Tensor) -> Tensor {
        self.add_at("index_add", dim, index, source, true, Site::here())
    }

    fn add_at(
        &self,
        name: &str,
        dim: isize,
        index: &Tensor,
        source: &Tensor,
        slices: bool,
        site: Site,
    ) -> Tensor {
        let Some(dim) = self.dim(name, dim, site) else {
            return self.trace().poison();
        };
        if self.is_poisoned() || source.is_poisoned() {
            return self.trace().poison();
        }
        let (x, s) = (self.shape(), source.shape());
        if s.rank() != x.rank() || (0..x.rank()).any(|d| d != dim && s[d] != x[d]) {
            let message = format!("{s} to {x} along {dim}: the other dimensions must be equal");
            return self.trace().misuse(name, message, site);
        }
        let limit = Limit::below(x[dim], "indices");
        self.trace().require_range(name, index, limit, site);
        let like = Gather {
            dim,
            slices,
            padding: None,
        };
        self.add(&source.apply(ScatterAdd { like, n: x[dim] }, &[index], site))
    }
}
