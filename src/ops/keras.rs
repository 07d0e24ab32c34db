//! Keras's losses under Keras's names, where they differ from PyTorch's: the target comes first, what is returned is the
//! loss of each sample, and probabilities are held within `1e-7` of 0 and 1. `.mean(&[], false)` of it is what
//! `model.compile(loss=…)` minimizes.
//!
//! | Keras | here |
//! |---|---|
//! | `sparse_categorical_crossentropy` from logits | [`Tensor::cross_entropy`] with labels |
//! | `categorical_crossentropy` from logits | [`Tensor::cross_entropy`] with probabilities |
//! | `binary_crossentropy` from logits | [`Tensor::binary_cross_entropy_with_logits`] |
//! | `mean_squared_error`, `mean_absolute_error` | [`Tensor::mse_loss`], [`Tensor::l1_loss`] |
//! | `mean_squared_logarithmic_error` | [`Tensor::msle_loss`] |
//! | `huber` | [`Tensor::huber_loss`] |
//! | `label_smoothing=s` of `categorical_crossentropy` | [`CrossEntropyOptions::label_smoothing`], or targets `t (1 - s) + s / classes` |
//! | `label_smoothing=s` of `binary_crossentropy` | targets `t (1 - s) + s / 2` |
//!
//! [`CrossEntropyOptions::label_smoothing`]: crate::ops::classification::CrossEntropyOptions::label_smoothing

use crate::error::Site;
use crate::ops::loss::pointwise;
use crate::ops::reduction::Reduction;
use crate::scalar::Expr;
use crate::tensor::Tensor;

/// `keras.config.epsilon()`
const EPSILON: f32 = 1e-7;

fn lit(value: f32) -> Expr {
    Expr::lit(value)
}

fn held(p: &Expr) -> Expr {
    p.clamp(EPSILON, 1.0 - EPSILON)
}

/// The mean over the last dimension of `f(target, prediction)`.
#[track_caller]
fn mean_of(
    name: &'static str,
    y_true: &Tensor,
    y_pred: &Tensor,
    f: impl FnOnce(&Expr, &Expr) -> Expr,
) -> Tensor {
    let each = pointwise(name, &[y_true, y_pred], |e| f(&e[0], &e[1]), Site::here());
    each.mean(&[-1], false)
}

/// `-Σ target log(p)` over the last dimension, of one-hot or soft targets `[…, classes]`. Without `from_logits` the
/// predictions are scaled to a sum of 1 first, as Keras does.
#[track_caller]
pub fn categorical_crossentropy(y_true: &Tensor, y_pred: &Tensor, from_logits: bool) -> Tensor {
    let name = "categorical_crossentropy";
    let logs = if from_logits {
        y_pred.log_softmax(-1)
    } else {
        let scaled = y_pred.div(&y_pred.sum(&[-1], true));
        pointwise(name, &[&scaled], |e| held(&e[0]).log(), Site::here())
    };
    y_true.mul(&logs).sum(&[-1], false).neg()
}

/// `-log(p[label])` of class labels i32 `[…]`, for predictions `[…, classes]`.
#[track_caller]
pub fn sparse_categorical_crossentropy(
    y_true: &Tensor,
    y_pred: &Tensor,
    from_logits: bool,
) -> Tensor {
    categorical_crossentropy(&y_true.one_hot(y_pred.size(-1)), y_pred, from_logits)
}

/// The mean over the last dimension of `-(target log(p) + (1 - target) log(1 - p))`.
#[track_caller]
pub fn binary_crossentropy(y_true: &Tensor, y_pred: &Tensor, from_logits: bool) -> Tensor {
    if from_logits {
        let losses = y_pred.binary_cross_entropy_with_logits(y_true, Reduction::None);
        return losses.mean(&[-1], false);
    }
    mean_of("binary_crossentropy", y_true, y_pred, |t, p| {
        let p = held(p);
        let rest = &lit(1.0) - &p;
        -&(&(t * &p.log()) + &(&(&lit(1.0) - t) * &rest.log()))
    })
}

/// The mean over the last dimension of the squared difference.
#[track_caller]
pub fn mean_squared_error(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    mean_of("mean_squared_error", y_true, y_pred, |t, p| {
        (t - p).square()
    })
}

/// The mean over the last dimension of the distance.
#[track_caller]
pub fn mean_absolute_error(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    mean_of("mean_absolute_error", y_true, y_pred, |t, p| (t - p).abs())
}

/// The mean over the last dimension of the distance in percent of the target, which counts as 1e-7 at least.
#[track_caller]
pub fn mean_absolute_percentage_error(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    mean_of("mean_absolute_percentage_error", y_true, y_pred, |t, p| {
        let share = &(t - p) / &t.abs().clamp(EPSILON, f32::INFINITY);
        &share.abs() * &lit(100.0)
    })
}

/// The mean over the last dimension of the squared difference of `log(1 + x)`.
#[track_caller]
pub fn mean_squared_logarithmic_error(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    y_pred.msle_loss(y_true, Reduction::None).mean(&[-1], false)
}

/// The mean over the last dimension of `log(cosh(prediction - target))`.
#[track_caller]
pub fn log_cosh(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    mean_of("log_cosh", y_true, y_pred, |t, p| {
        let d = p - t;
        let soft = (&d * &lit(-2.0)).softplus(1.0, f32::INFINITY);
        &(&d + &soft) - &lit(std::f32::consts::LN_2)
    })
}

/// Targets of 0 and 1 as -1 and 1; those of -1 and 1 as they are. Keras looks at all targets, this at each.
fn signed(t: &Expr) -> Expr {
    t.equals(&lit(0.0)).select(&lit(-1.0), t)
}

/// The mean over the last dimension of `max(1 - target prediction, 0)`; targets are -1 and 1, or 0 and 1.
#[track_caller]
pub fn hinge(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    mean_of("hinge", y_true, y_pred, |t, p| {
        (&lit(1.0) - &(&signed(t) * p)).relu()
    })
}

/// The mean over the last dimension of `max(1 - target prediction, 0)²`; targets are -1 and 1, or 0 and 1.
#[track_caller]
pub fn squared_hinge(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    mean_of("squared_hinge", y_true, y_pred, |t, p| {
        (&lit(1.0) - &(&signed(t) * p)).relu().square()
    })
}

/// `max(1 + highest score of another class - score of the class, 0)` of one-hot targets `[…, classes]`.
#[track_caller]
pub fn categorical_hinge(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    let own = y_true.mul(y_pred).sum(&[-1], false);
    let other = y_true.neg().add_scalar(1.0).mul(y_pred);
    other.amax(&[-1], false).sub(&own).add_scalar(1.0).relu()
}

/// `Σ target log(target / prediction)` over the last dimension, both held from 1e-7 to 1.
#[track_caller]
pub fn kl_divergence(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    let f = |e: &[Expr]| {
        let (t, p) = (e[0].clamp(EPSILON, 1.0), e[1].clamp(EPSILON, 1.0));
        &t * &(&t / &p).log()
    };
    pointwise("kl_divergence", &[y_true, y_pred], f, Site::here()).sum(&[-1], false)
}

/// The mean over the last dimension of `prediction - target log(prediction + 1e-7)`.
#[track_caller]
pub fn poisson(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    mean_of("poisson", y_true, y_pred, |t, p| {
        p - &(t * &(p + &lit(EPSILON)).log())
    })
}

/// Minus the cosine of the angle along the last dimension.
#[track_caller]
pub fn cosine_similarity(y_true: &Tensor, y_pred: &Tensor) -> Tensor {
    y_true.cosine_similarity(y_pred, -1, EPSILON).neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, Trace, eval};

    type Loss = fn(&Tensor, &Tensor) -> Tensor;

    /// By hand, for targets `[0, 1]` and predictions `[0.2, 0.6]`.
    #[test]
    fn values() {
        let rows: &[(Loss, f32)] = &[
            // -(ln 0.8 + ln 0.6) / 2
            (|t, p| binary_crossentropy(t, p, false), 0.366_984_6),
            // -ln(0.6 / 0.8)
            (|t, p| categorical_crossentropy(t, p, false), 0.287_682_07),
            // ln(1 + e^-0.4)
            (|t, p| categorical_crossentropy(t, p, true), 0.513_015_3),
            (mean_squared_error, 0.1),
            (mean_absolute_error, 0.3),
            // 100 (0.2 / 1e-7 + 0.4) / 2
            (mean_absolute_percentage_error, 1.000_000_2e8),
            // (ln 1.2² + ln(1.6 / 2)²) / 2
            (mean_squared_logarithmic_error, 0.041_517_1),
            // (1.2 + 0.4) / 2, their squares
            (hinge, 0.8),
            (squared_hinge, 0.8),
            // 1 + 0.2 - 0.6
            (categorical_hinge, 0.6),
            // (0.2 + 0.6 - ln 0.6) / 2
            (poisson, 0.655_412_8),
            // -0.6 / sqrt(0.4)
            (cosine_similarity, -0.948_683_3),
            // -ln 0.6
            (kl_divergence, 0.510_824_1),
            // (ln cosh 0.2 + ln cosh 0.4) / 2
            (log_cosh, 0.048_910_78),
        ];
        let got = eval(|g: &Trace| {
            let t = g.constant(Array::vector(vec![0.0f32, 1.0]));
            let p = g.constant(Array::vector(vec![0.2f32, 0.6]));
            rows.iter().map(|(loss, _)| loss(&t, &p)).collect()
        });
        for (k, (got, (_, want))) in got.unwrap().iter().zip(rows).enumerate() {
            let got = got.item();
            assert!((got - want).abs() <= 2e-5 * want.abs(), "{k}: {got} {want}");
        }
    }
}
