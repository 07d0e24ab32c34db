//! `tril`, `triu`: triangles of matrices.

use crate::DType;
use crate::error::Site;
use crate::ops::operand::Operand;
use crate::tensor::Tensor;

impl Tensor {
    /// The elements on and below a diagonal of each matrix `[…, rows, columns]`, 0 (false) above it: `torch.tril`. Diagonal 0
    /// is the main one, positive ones lie above it.
    #[track_caller]
    pub fn tril(&self, diagonal: isize) -> Tensor {
        self.triangle("tril", diagonal, |column, row| column.le(row), Site::here())
    }

    /// The elements on and above a diagonal of each matrix, 0 (false) below it: `torch.triu`. See [`Tensor::tril`].
    #[track_caller]
    pub fn triu(&self, diagonal: isize) -> Tensor {
        self.triangle("triu", diagonal, |column, row| column.ge(row), Site::here())
    }

    fn triangle(
        &self,
        name: &str,
        diagonal: isize,
        inside: impl FnOnce(&Tensor, &Tensor) -> Tensor,
        site: Site,
    ) -> Tensor {
        if self.is_poisoned() || self.rank() < 2 {
            let message = format!("{}: takes matrices, at least 2 dimensions", self.ty());
            return self.trace().misuse(name, message, site);
        }
        let (rows, columns) = (self.size(-2), self.size(-1));
        // Diagonals farther out are no different.
        let diagonal = diagonal.clamp(-(rows as isize) - 1, columns as isize + 1) as i32;
        let trace = self.trace();
        let row = trace.arange(rows).unsqueeze(1).add(diagonal);
        let inside = inside(&trace.arange(columns), &row);
        match self.dtype() {
            DType::Bool => self.logical_and(&inside),
            _ => inside.where_(self, &0.beside(self)),
        }
    }
}
