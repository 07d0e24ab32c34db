//! Random numbers in a graph: dropout, uniform and normal values. Each call has a stream of its own, keyed by the layer's
//! path and the number of the call there; every run of a training function has new values, a backward pass the same.

use crate::DType;
use crate::error::Site;
use crate::graph::Scalar;
use crate::ops::map::{map, operand};
use crate::rng::stream;
use crate::scalar::{Expr, Fun};
use crate::shape::Shape;
use crate::tensor::{Tensor, Trace};

/// The operands, from `first` on, that [`words`] loads.
fn keys(trace: &Trace) -> [Tensor; 3] {
    [Scalar::MicroStep, Scalar::SeedLow, Scalar::SeedHigh].map(|s| trace.run_scalar(s))
}

/// The random word at `position` of the stream of this name; operands `first..first + 3` are [`keys`].
fn word(position: &Expr, name: &str, first: usize) -> Expr {
    word_of(position, stream(name), first)
}

fn word_of(position: &Expr, stream: u32, first: usize) -> Expr {
    let key = |k: usize| Expr::load(first + k, DType::U32);
    let stream = Expr::constant(stream, DType::U32);
    Expr::call(Fun::Random, &[position, &stream, &key(0), &key(1), &key(2)])
}

/// The three keys of this run's random numbers as u32 `[3]`, for kernels that draw numbers themselves.
pub(crate) fn packed_keys(trace: &Trace, site: Site) -> Tensor {
    let [step, low, high] = keys(trace);
    let key = |k: usize| Expr::load(k, DType::U32);
    let is = |k: u32| Expr::index().equals(&integer(k));
    let expr = is(0).select(&key(1), &is(1).select(&key(2), &key(3)));
    map("keys", expr, &[&step.expand([3]), &low, &high], site)
}

/// What each position of `shape` is multiplied with where the stream `stream` drops it with probability `p`: 0, or
/// `1 / (1 - p)`.
pub(crate) fn kept(trace: &Trace, shape: Shape, stream: u32, p: f32, site: Site) -> Tensor {
    let expr = happens(&word_of(&Expr::index(), stream, 1), p);
    let expr = expr.select(&Expr::lit(1.0 / (1.0 - p)), &Expr::lit(0.0));
    trace.random("dropout", expr, shape, site)
}

/// A random word below this says that something of probability `1 - p` happens.
pub(crate) fn threshold(p: f32) -> u32 {
    ((1.0 - f64::from(p)) * 4_294_967_296.0) as u32
}

fn integer(value: u32) -> Expr {
    Expr::constant(value, DType::U32)
}

/// A word's upper 24 bits, as a number from 0 to 2^24 - 1.
fn bits24(word: &Expr) -> Expr {
    (word / &integer(256)).to_f32()
}

/// Whether a word says that something of probability `1 - p` happens.
fn happens(word: &Expr, p: f32) -> Expr {
    word.less(&integer(threshold(p)))
}

impl Trace {
    /// Uniform values in [0, 1), of 24 bits.
    #[track_caller]
    pub fn uniform(&self, shape: impl Into<Shape>) -> Tensor {
        let name = self.ordinal("uniform");
        let value = &bits24(&word(&Expr::index(), &name, 1)) * &Expr::lit(1.0 / 16_777_216.0);
        self.random("uniform", value, shape.into(), Site::here())
    }

    /// Values of the standard normal distribution (Box and Muller).
    #[track_caller]
    pub fn normal(&self, shape: impl Into<Shape>) -> Tensor {
        let name = self.ordinal("normal");
        let even = &Expr::index() * &integer(2);
        let [a, b] = [0, 1].map(|k| bits24(&word(&(&even + &integer(k)), &name, 1)));
        let a = &(&a + &Expr::lit(1.0)) * &Expr::lit(1.0 / 16_777_216.0); // not 0
        let radius = (&a.log() * &Expr::lit(-2.0)).sqrt();
        let angle = &b * &Expr::lit(std::f32::consts::TAU / 16_777_216.0);
        self.random("normal", &radius * &angle.cos(), shape.into(), Site::here())
    }

    fn random(&self, op: &'static str, value: Expr, shape: Shape, site: Site) -> Tensor {
        let [step, low, high] = keys(self);
        map(op, value, &[&step.expand(shape), &low, &high], site)
    }
}

impl Tensor {
    /// In training, each element with probability `p` (from 0 to 1) replaced by 0 and the others divided by `1 - p`; in
    /// evaluation, or where `p` is 0, all as they are. As `torch.nn.functional.dropout`.
    #[track_caller]
    pub fn dropout(&self, p: f32) -> Tensor {
        self.drop_out("dropout", p, self.shape().clone(), Site::here())
    }

    /// [`Tensor::dropout`] of whole channels of `self` `[n, c, …]`, as PyTorch's `dropout1d`, `dropout2d`, `dropout3d`.
    #[track_caller]
    pub fn feature_dropout(&self, p: f32) -> Tensor {
        let kept = |(d, &n): (usize, &usize)| if d < 2 { n } else { 1 };
        let shape = self.shape().iter().enumerate().map(kept).collect();
        self.drop_out("feature_dropout", p, shape, Site::here())
    }

    /// `self` where something drawn for each position of `shape` happens.
    fn drop_out(&self, op: &'static str, p: f32, shape: Shape, site: Site) -> Tensor {
        let trace = self.trace();
        if !(0.0..=1.0).contains(&p) {
            return trace.misuse(
                op,
                format!("takes a probability from 0 to 1, {p} came"),
                site,
            );
        }
        if self.is_poisoned() || p == 0.0 || !trace.is_training() {
            return self.again(site);
        }
        if p == 1.0 {
            return self.mul_scalar(0.0);
        }
        let name = trace.ordinal(op);
        let (x, zero, scale) = (operand(self, 0), Expr::lit(0.0), Expr::lit(1.0 / (1.0 - p)));
        if shape == *self.shape() {
            let [step, low, high] = keys(trace);
            let kept = happens(&word(&Expr::index(), &name, 2), p);
            let expr = kept.select(&(&x * &scale), &zero);
            return map(op, expr, &[self, &step, &low, &high], site);
        }
        let kept = trace.random(op, happens(&word(&Expr::index(), &name, 1), p), shape, site);
        let expr = operand(&kept, 1).select(&(&x * &scale), &zero);
        map(op, expr, &[self, &kept], site)
    }
}
