//! Compositions that take parameters: `prelu`, `bilinear`.

use crate::error::Site;
use crate::ops::map::{map, operand};
use crate::tensor::Tensor;

impl Tensor {
    /// `self` where it is above 0, else `self` times `weight`: `[1]`, or one number for each channel of `self`
    /// `[n, c, …]`. As `torch.nn.functional.prelu` (He et al., 2015).
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Tensor {
        let site = Site::here();
        if self.is_poisoned() || weight.is_poisoned() {
            return self.trace().poison();
        }
        let fits = weight.numel() == 1 || (self.rank() > 1 && weight.numel() == self.shape()[1]);
        let floats = self.dtype().is_float() && weight.dtype().is_float();
        if weight.rank() > 1 || !fits || !floats {
            let message = format!(
                "{} with a weight {}: takes f32 [n, c, ...] and a weight [1] or [c]",
                self.ty(),
                weight.ty()
            );
            return self.trace().misuse("prelu", message, site);
        }
        let weight = match weight.numel() {
            1 => weight.reshape_to([1].into()),
            _ => weight.reshape_to(self.channel_shape()),
        };
        let x = operand(self, 0);
        let positive = x.greater(&crate::scalar::Expr::lit(0.0));
        let expr = positive.select(&x, &(&x * &operand(&weight, 1)));
        map("prelu", expr, &[self, &weight], site)
    }

    /// `self · weight[o] · other + bias[o]` for each `o`: `self` `[…, i]` and `other` `[…, j]` to `[…, o]` by `weight`
    /// `[o, i, j]` and `bias` `[o]`. As `torch.nn.functional.bilinear`.
    #[track_caller]
    pub fn bilinear(&self, other: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let site = Site::here();
        if [self, other, weight].iter().any(|t| t.is_poisoned())
            || bias.is_some_and(Tensor::is_poisoned)
        {
            return self.trace().poison();
        }
        let lead = |t: &Tensor| t.shape()[..t.rank().saturating_sub(1)].to_vec();
        let [o, i, j] = match weight.shape()[..] {
            [o, i, j] if self.shape().last() == Some(&i) && other.shape().last() == Some(&j) => {
                [o, i, j]
            }
            _ => [0; 3],
        };
        let fits = o > 0 && lead(self) == lead(other) && bias.is_none_or(|b| b.shape()[..] == [o]);
        if !fits {
            let message = format!(
                "{} and {}, weight {}, bias {}: takes [..., i], [..., j], [o, i, j], [o]",
                self.shape(),
                other.shape(),
                weight.shape(),
                bias.map_or_else(|| "none".to_owned(), |b| b.shape().to_string())
            );
            return self.trace().misuse("bilinear", message, site);
        }
        let rows: usize = lead(self).iter().product();
        let flat = weight.permute(&[1, 0, 2]).reshape_to([i, o * j].into());
        let left = self.reshape_to([rows, i].into()).matmul(&flat);
        let right = other.reshape_to([rows, 1, j].into());
        let y = left
            .reshape_to([rows, o, j].into())
            .mul(&right)
            .sum(&[2], false);
        let shape = lead(self).into_iter().chain([o]).collect();
        let y = y.reshape_to(shape);
        bias.map_or_else(|| y.clone(), |b| y.add(b))
    }
}
