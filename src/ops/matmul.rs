//! `matmul`: products of matrices, batched; operands may lie transposed.

use crate::DType;
use crate::caps::Caps;
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::kernel::{Buf, Dispatch, Kernels};
use crate::op::{CpuIo, GpuIo, OpDef};
use crate::ops::reduce;
use crate::shape::{Layout, Shape};
use crate::tensor::{Tensor, Vjp};
use rayon::prelude::*;
use std::sync::Arc;

/// `a [batch…, m, k]` by `b [batch…, k, n]`; with a flag, that operand lies with its last two dimensions exchanged. One
/// of the operands may have no batch dimensions: it serves the whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matmul {
    /// `a` is `[batch…, k, m]`.
    pub transpose_a: bool,
    /// `b` is `[batch…, n, k]`.
    pub transpose_b: bool,
}

/// Sizes of a product, strides in elements.
struct Sizes {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    /// Row, column, batch strides of `a`.
    a: [usize; 3],
    /// Row, column, batch strides of `b`.
    b: [usize; 3],
}

impl Matmul {
    fn sizes(&self, a: &Shape, b: &Shape) -> Sizes {
        let last = |s: &Shape, flag: bool| {
            let (r, c) = (s[s.rank() - 2], s[s.rank() - 1]);
            let batch = if s.rank() > 2 { r * c } else { 0 };
            if flag {
                ((c, r), [1, c, batch])
            } else {
                ((r, c), [c, 1, batch])
            }
        };
        let ((m, k), a_strides) = last(a, self.transpose_a);
        let ((_, n), b_strides) = last(b, self.transpose_b);
        let batch = a[..a.rank() - 2]
            .iter()
            .product::<usize>()
            .max(b[..b.rank() - 2].iter().product());
        Sizes {
            batch,
            m,
            k,
            n,
            a: a_strides,
            b: b_strides,
        }
    }
}

/// One of the kernels for products.
struct Form {
    launch: Dispatch,
    /// Rows and columns of a tile.
    tile: (usize, usize),
    /// Tiles of a workgroup.
    tiles: usize,
    /// Neighbouring columns that go through the epilogue at once.
    width: usize,
    /// Parts that the inner dimension is cut into: too few tiles fill no device.
    split: usize,
    /// Elements of the inner dimension that one turn of a loop takes.
    turn: usize,
}

impl Form {
    fn kernels(self, s: &Sizes, io: &GpuIo, caps: &Caps) -> Option<Kernels> {
        let split = self
            .split
            .max(s.k.div_ceil(self.turn * caps.iterations / 2));
        let tiles = s.batch * split * s.m.div_ceil(self.tile.0) * s.n.div_ceil(self.tile.1);
        let d = self
            .launch
            .constant("SPLIT", split as u32)
            .grid(caps.grid(tiles.div_ceil(self.tiles)));
        match split {
            1 => Some(io.with_epilogue(d, self.width)?.into()),
            _ => {
                let sums = (split, reduce::Combine::Sum);
                reduce::in_parts(io, caps, sums, Kernels::default(), |part| {
                    part.with_epilogue(d, self.width)
                })
            }
        }
    }
}

impl Matmul {
    /// The kernels that do for these sizes, best first.
    fn forms(&self, s: &Sizes, caps: &Caps) -> Vec<Form> {
        let launch = |stem: &'static str, source: &'static str| {
            let (a, b) = (s.a, s.b);
            Dispatch::new(stem, source)
                .read(Buf::Input(0))
                .read(Buf::Input(1))
                .sizes([s.batch, s.m, s.k, s.n])
                .sizes([a[0], a[1], a[2], 0, b[0], b[1], b[2], 0])
        };
        let threads = caps.lanes();
        let mut forms = vec![Form {
            launch: launch("matmul", include_str!("../../shaders/matmul.wgsl"))
                .constant("THREADS", threads),
            tile: (4, 4),
            tiles: threads as usize,
            width: 1,
            split: 1,
            turn: 1,
        }];
        let whole = |width: usize| {
            s.k.is_multiple_of(width)
                && s.n.is_multiple_of(width)
                && (!self.transpose_a || s.m.is_multiple_of(width))
        };
        if caps.software && caps.subgroup == 8 && whole(4) {
            let (load, width) = caps.load(whole(8));
            // Tall tiles load less and take longer to compile: for products that are worth it.
            let work: u64 = [s.batch, s.m, s.k, s.n].map(|d| d as u64).iter().product();
            let rows = match work {
                _ if s.m <= 8 => 8,
                ..1_000_000 => 8,
                1_000_000..30_000_000 => 16,
                _ => 32,
            };
            let source = include_str!("../../shaders/matmul_subgroup.wgsl");
            let mut launch = launch("matmul_subgroup", source)
                .constant("TRANSPOSE_A", u32::from(self.transpose_a))
                .constant("TRANSPOSE_B", u32::from(self.transpose_b));
            let lanes = include_str!("../../shaders/lib/from_lanes.wgsl");
            launch.generated = format!("const ROWS = {rows}u;\n{load}{lanes}");
            forms.push(Form {
                launch,
                tile: (rows, 8 * width),
                tiles: 1,
                width: 4,
                split: 1,
                turn: width,
            });
        }
        if !caps.software && caps.threads >= 256 && s.m * s.n >= 1024 {
            let tiles = s.batch * s.m.div_ceil(64) * s.n.div_ceil(64);
            let source = include_str!("../../shaders/matmul_tile.wgsl");
            forms.push(Form {
                launch: launch("matmul_tile", source),
                tile: (64, 64),
                tiles: 1,
                width: 1,
                split: (128 / tiles).clamp(1, (s.k / 256).max(1)),
                turn: 1,
            });
        }
        forms.reverse();
        forms
    }
}

impl Sizes {
    /// On the CPU, where the inner dimension is much the largest: the sum of products of its parts, in order. The number
    /// of threads has no part in their size.
    fn in_parts(&self, a: &[f32], b: &[f32], out: &mut [f32]) {
        let part = self.k.div_ceil(16).max(512);
        let product = |from: usize| {
            let mut sum = vec![0.0; self.m * self.n];
            gemm(
                (self.m, part.min(self.k - from), self.n),
                (&a[from * self.a[1]..], self.a[0], self.a[1]),
                (&b[from * self.b[0]..], self.b[0], self.b[1]),
                (&mut sum, self.n),
                false,
            );
            sum
        };
        let from: Vec<usize> = (0..self.k).step_by(part).collect();
        let parts: Vec<Vec<f32>> = from.into_par_iter().map(product).collect();
        out.fill(0.0);
        for part in parts {
            out.iter_mut().zip(part).for_each(|(o, p)| *o += p);
        }
    }
}

impl OpDef for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let (a, b) = (&inputs[0], &inputs[1]);
        if a.dtype != DType::F32 || b.dtype != DType::F32 {
            return Err(format!(
                "takes f32, {a} and {b} came: convert with to_f32()"
            ));
        }
        let (a, b) = (&a.shape, &b.shape);
        if a.rank() < 2 || b.rank() < 2 {
            return Err(format!(
                "{a} x {b}: takes vectors or matrices, at least 1 dimension each"
            ));
        }
        let s = self.sizes(a, b);
        let inner = if self.transpose_b {
            b[b.rank() - 1]
        } else {
            b[b.rank() - 2]
        };
        if s.k != inner {
            return Err(format!("{a} x {b}: inner sizes {} and {inner} differ", s.k));
        }
        let (ab, bb) = (&a[..a.rank() - 2], &b[..b.rank() - 2]);
        if !ab.is_empty() && !bb.is_empty() && ab != bb {
            return Err(format!("{a} x {b}: the batch dimensions differ"));
        }
        let batch = if ab.is_empty() { bb } else { ab };
        Ok(vec![TensorType::f32(
            batch.iter().copied().chain([s.m, s.n]).collect::<Shape>(),
        )])
    }

    fn vjp(&self, g: &Vjp) -> Vec<Option<Tensor>> {
        let (a, b, grad) = (&g.inputs[0], &g.inputs[1], g.grad(0));
        let product = |x: &Tensor, tx: bool, y: &Tensor, ty: bool, like: &Tensor| {
            let op = Matmul {
                transpose_a: tx,
                transpose_b: ty,
            };
            x.apply(op, &[y], g.site).sum_to(like.shape())
        };
        let da = || match self.transpose_a {
            false => product(&grad, false, b, !self.transpose_b, a),
            true => product(b, self.transpose_b, &grad, true, a),
        };
        let db = || match self.transpose_b {
            false => product(a, !self.transpose_a, &grad, false, b),
            true => product(&grad, true, a, self.transpose_a, b),
        };
        vec![g.wanted[0].then(da), g.wanted[1].then(db)]
    }

    fn multiply_adds(&self, inputs: &[TensorType], outputs: &[TensorType]) -> u64 {
        let s = self.sizes(&inputs[0].shape, &inputs[1].shape);
        (outputs[0].numel() * s.k) as u64
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let s = self.sizes(&io.input_type(0).shape, &io.input_type(1).shape);
        let (a, b) = (io.input::<f32>(0), io.input::<f32>(1));
        let out = io.output::<f32>(0);
        if s.k == 0 {
            out.fill(0.0);
        }
        if out.is_empty() || s.k == 0 {
            return Ok(());
        }
        if s.batch == 1 && s.k >= 2048 && s.k >= 4 * s.m.max(s.n) {
            s.in_parts(a, b, out);
            return Ok(());
        }
        // Blocks of rows and columns of about 2 million products, nearly square: each operand is read few times.
        let enough = (1 << 21) / s.k;
        let columns = (enough / s.m.min(64))
            .next_multiple_of(64)
            .clamp(128, s.n.max(128));
        let rows = (enough / columns.min(s.n)).next_multiple_of(16).max(64);
        let (down, across) = (s.m.div_ceil(rows), s.n.div_ceil(columns));
        let target = Target(out.as_mut_ptr());
        (0..s.batch * down * across)
            .into_par_iter()
            .for_each(|task| {
                let (batch, row) = (task / across / down, task / across % down * rows);
                let column = task % across * columns;
                let size = (rows.min(s.m - row), s.k, columns.min(s.n - column));
                let a = (&a[batch * s.a[2] + row * s.a[0]..], s.a[0], s.a[1]);
                let b = (&b[batch * s.b[2] + column * s.b[1]..], s.b[0], s.b[1]);
                // SAFETY: blocks lie inside of the output and share no element.
                unsafe {
                    gemm_to(
                        size,
                        a,
                        b,
                        target.at((batch * s.m + row) * s.n + column),
                        s.n,
                        false,
                    )
                };
            });
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, caps: &Caps) -> Result<Kernels> {
        let s = self.sizes(&io.inputs[0].shape, &io.inputs[1].shape);
        self.forms(&s, caps)
            .into_iter()
            .find_map(|form| form.kernels(&s, io, caps))
            .ok_or_else(|| {
                let why = "matmul: its epilogue has more operands than the device binds";
                Error::Device(why.into())
            })
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn absorb(&self, input: usize, view: &Layout) -> Option<(Arc<dyn OpDef>, Vec<usize>)> {
        let rank = view.shape.rank();
        if rank < 2 || view.offset != 0 {
            return None;
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        let flip = Self {
            transpose_a: self.transpose_a ^ (input == 0),
            transpose_b: self.transpose_b ^ (input == 1),
        };
        view.permute(&order)
            .is_contiguous()
            .then(|| (Arc::new(flip) as Arc<dyn OpDef>, order))
    }
}

/// An output that tasks write disjoint blocks of.
struct Target(*mut f32);
// SAFETY: tasks write disjoint elements.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// `offset` must lie in the output.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: promised by the caller.
        unsafe { self.0.add(offset) }
    }
}

/// Elements, and the distances of its rows and columns.
type Matrix<'a> = (&'a [f32], usize, usize);

/// `out (+)= a b` on one thread: (m, k, n); each operand with its row and column strides; `out` row-major.
pub(crate) fn gemm(
    (m, k, n): (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    (out, stride): (&mut [f32], usize),
    add: bool,
) {
    assert!((m - 1) * stride + n <= out.len());
    // SAFETY: `out` is borrowed for writing, and its last element is inside.
    unsafe { gemm_to((m, k, n), a, b, out.as_mut_ptr(), stride, add) }
}

/// [`gemm`] to memory that may be shared.
///
/// # Safety
/// All elements of the result must be valid for writing, and no other thread may use them.
unsafe fn gemm_to(
    (m, k, n): (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    out: *mut f32,
    stride: usize,
    add: bool,
) {
    debug_assert!(m > 0 && k > 0 && n > 0);
    let fits = |(of, r, c): Matrix, rows: usize, columns: usize| {
        (rows - 1) * r + (columns - 1) * c < of.len()
    };
    assert!(fits(a, m, k) && fits(b, k, n));
    // SAFETY: the last element of each operand is inside its slice, asserted above; the caller vouches for `out`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            stride as isize,
            add,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

impl Tensor {
    /// The product of matrices, as `torch.matmul`: `[…, m, k] x […, k, n]` to `[…, m, n]`, batch dimensions broadcast. A
    /// vector `[k]` is a row on the left and a column on the right, and the result lacks that dimension: `[k] x [k]` is
    /// `[]`, as `torch.dot`; `[k] x […, k, n]` is `[…, n]`, `[…, m, k] x [k]` is `[…, m]`.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let site = Site::here();
        let (ra, rb) = (self.rank(), other.rank());
        let scalars = ra == 0 || rb == 0;
        if scalars || self.is_poisoned() || other.is_poisoned() || (ra > 1 && rb > 1) {
            return self.product(other, site);
        }
        let inner = [self.shape()[ra - 1], other.shape()[rb.max(2) - 2]];
        if inner[0] != inner[1] {
            let [a, b] = inner;
            let message = format!(
                "{} x {}: inner sizes {a} and {b} differ",
                self.shape(),
                other.shape()
            );
            return self.trace().misuse("matmul", message, site);
        }
        // A vector is a row on the left or a column on the right, and that dimension goes away again.
        let row = self.reshape_to(match ra {
            1 => [1, inner[0]].into(),
            _ => self.shape().clone(),
        });
        let column = other.reshape_to(match rb {
            1 => [inner[1], 1].into(),
            _ => other.shape().clone(),
        });
        let y = row.product(&column, site);
        let mut shape = y.shape().to_vec();
        if rb == 1 && !y.is_poisoned() {
            shape.pop();
        }
        if ra == 1 && !y.is_poisoned() {
            shape.remove(shape.len() - rb.min(2));
        }
        y.reshape_to(shape.into())
    }

    /// The product of matrices, batch dimensions broadcast.
    fn product(&self, other: &Tensor, site: Site) -> Tensor {
        let plain = Matmul {
            transpose_a: false,
            transpose_b: false,
        };
        let (ra, rb) = (self.rank(), other.rank());
        if ra < 2 || rb < 2 {
            return self.apply(plain, &[other], site);
        }
        // A batch by one matrix is one tall product.
        if rb == 2 && ra > 2 {
            let mut shape = self.shape().to_vec();
            let inner = shape[ra - 1];
            if inner != other.shape()[0] {
                return self.apply(plain, &[other], site);
            }
            let tall = self.reshape_to([shape[..ra - 1].iter().product(), inner].into());
            shape[ra - 1] = other.shape()[1];
            return tall.apply(plain, &[other], site).reshape_to(shape.into());
        }
        let (a, b): (Shape, Shape) = (
            self.shape()[..ra - 2].into(),
            other.shape()[..rb - 2].into(),
        );
        match a.broadcast(&b) {
            Some(batch) if ra > 2 && a != b => {
                let full = |t: &Tensor| {
                    let tail = &t.shape()[t.rank() - 2..];
                    t.expand(batch.iter().chain(tail).copied().collect::<Shape>())
                };
                full(self).apply(plain, &[&full(other)], site)
            }
            _ => self.apply(plain, &[other], site),
        }
    }
}
