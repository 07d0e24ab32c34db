//! `prod`, `cumprod`: products along dimensions, as compositions of multiplications. Nothing is divided, so that gradients are
//! right where elements are 0, and gradients of gradients too.

use crate::DType;
use crate::error::Site;
use crate::shape::Shape;
use crate::tensor::Tensor;

impl Tensor {
    /// The product over `dims` (negative from the end; none for all), which stay as 1 where `keepdim`; 1 where there are no
    /// elements: `torch.prod`.
    ///
    /// Of `i32` and `u32` it is of the same dtype and wraps around; truth values count as `i32`.
    #[track_caller]
    pub fn prod(&self, dims: &[isize], keepdim: bool) -> Tensor {
        let x = self.counted();
        let Some(over) = x.dims("prod", dims, Site::here()) else {
            return x.trace().poison();
        };
        let kept: Vec<usize> = (0..x.rank()).filter(|d| !over.contains(d)).collect();
        let size = |dims: &[usize]| dims.iter().map(|&d| x.shape()[d]).product::<usize>();
        let (mut n, columns) = (size(&over), size(&kept));
        let order: Vec<isize> = over.iter().chain(&kept).map(|&d| d as isize).collect();
        let result: Shape = (0..x.rank())
            .filter(|d| keepdim || kept.contains(d))
            .map(|d| if kept.contains(&d) { x.shape()[d] } else { 1 })
            .collect();
        if n == 0 {
            return x.sum(dims, keepdim).add(1);
        }
        // One half times the other until one row is left; odd ones go to the first.
        let mut rows = x.permute(&order).reshape_to([n, columns].into());
        let mut odd: Option<Tensor> = None;
        while n > 1 {
            if n % 2 == 1 {
                let last = rows.narrow(0, n - 1, 1);
                odd = Some(odd.map_or_else(|| last.clone(), |odd| odd.mul(&last)));
            }
            n /= 2;
            rows = rows.narrow(0, 0, n).mul(&rows.narrow(0, n, n));
        }
        odd.map_or_else(|| rows.clone(), |odd| rows.mul(&odd))
            .reshape_to(result)
    }

    /// The products of the elements up to each along `dim`: `torch.cumprod`. Dtypes are those of [`Tensor::prod`].
    #[track_caller]
    pub fn cumprod(&self, dim: isize) -> Tensor {
        let mut products = self.counted();
        let Some(d) = products.dim("cumprod", dim, Site::here()) else {
            return products.trace().poison();
        };
        // Each is of the `reach` elements up to it (Hillis and Steele, 1986).
        let (n, mut reach) = (products.size(dim), 1);
        while reach < n {
            let part = |start: usize, len: usize| products.narrow(d as isize, start, len);
            let further = part(reach, n - reach).mul(&part(0, n - reach));
            products = Tensor::cat(&[&part(0, reach), &further], d as isize);
            reach *= 2;
        }
        products
    }

    /// Truth values as numbers.
    fn counted(&self) -> Tensor {
        match self.dtype() {
            DType::Bool => self.to(DType::I32),
            _ => self.clone(),
        }
    }
}
