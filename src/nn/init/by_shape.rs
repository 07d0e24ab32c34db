//! Initial values that depend on a parameter's shape, for [`Params::init`](crate::Params::init).

use super::normal;
use crate::rng::Rng;
use crate::shape::Shape;
use crate::state::Initializer;
use std::sync::Arc;

/// Which of a parameter's fans keeps the variance: that of the forward or of the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fan {
    /// Inputs of each output: `fan_in`.
    #[default]
    In,
    /// Outputs of each input: `fan_out`.
    Out,
}

/// What follows a layer, for the gain that keeps its variance: `torch.nn.init.calculate_gain`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nonlinearity {
    /// None, or a sigmoid: 1.
    Linear,
    /// 5/3.
    Tanh,
    /// √2.
    Relu,
    /// `√(2 / (1 + slope²))`
    LeakyRelu(f32),
    /// 3/4.
    Selu,
}

impl Nonlinearity {
    /// The gain.
    pub fn gain(self) -> f32 {
        match self {
            Self::Linear => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu => 2f32.sqrt(),
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Selu => 0.75,
        }
    }
}

/// How first values are drawn, as the functions of `torch.nn.init`. Gains are 1 where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Init {
    law: Law,
    gain: f32,
    fan: Fan,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Law {
    Constant(f32),
    Uniform(f32, f32),
    Normal(f32, f32),
    Truncated {
        mean: f32,
        std: f32,
        low: f32,
        high: f32,
    },
    Xavier {
        normal: bool,
    },
    Kaiming {
        normal: bool,
    },
    Orthogonal,
}

impl Init {
    fn of(law: Law) -> Self {
        Self {
            law,
            gain: 1.0,
            fan: Fan::In,
        }
    }

    /// `torch.nn.init.constant_`.
    pub fn constant(value: f32) -> Self {
        Self::of(Law::Constant(value))
    }

    /// `torch.nn.init.zeros_`.
    pub fn zeros() -> Self {
        Self::constant(0.0)
    }

    /// `torch.nn.init.ones_`.
    pub fn ones() -> Self {
        Self::constant(1.0)
    }

    /// Evenly in `[low, high)`: `torch.nn.init.uniform_`, there 0 and 1 by default.
    pub fn uniform(low: f32, high: f32) -> Self {
        Self::of(Law::Uniform(low, high))
    }

    /// `torch.nn.init.normal_`, there 0 and 1 by default.
    pub fn normal(mean: f32, std: f32) -> Self {
        Self::of(Law::Normal(mean, std))
    }

    /// Normal, and drawn again outside of `low..=high`: `torch.nn.init.trunc_normal_`, there 0, 1, -2 and 2 by default.
    pub fn trunc_normal(mean: f32, std: f32, low: f32, high: f32) -> Self {
        Self::of(Law::Truncated {
            mean,
            std,
            low,
            high,
        })
    }

    /// Evenly within `gain √(6 / (fan_in + fan_out))`: `torch.nn.init.xavier_uniform_` (Glorot and Bengio, 2010).
    pub fn xavier_uniform() -> Self {
        Self::of(Law::Xavier { normal: false })
    }

    /// Of the deviation `gain √(2 / (fan_in + fan_out))`: `torch.nn.init.xavier_normal_`.
    pub fn xavier_normal() -> Self {
        Self::of(Law::Xavier { normal: true })
    }

    /// Evenly within `gain √(3 / fan)`: `torch.nn.init.kaiming_uniform_` (He et al., 2015), with the gain √2 of a leaky
    /// rectifier of slope 0 and the fan of the inputs.
    pub fn kaiming_uniform() -> Self {
        Self::of(Law::Kaiming { normal: false }).nonlinearity(Nonlinearity::LeakyRelu(0.0))
    }

    /// Of the deviation `gain / √fan`: `torch.nn.init.kaiming_normal_`, with defaults as [`Init::kaiming_uniform`].
    pub fn kaiming_normal() -> Self {
        Self::of(Law::Kaiming { normal: true }).nonlinearity(Nonlinearity::LeakyRelu(0.0))
    }

    /// Rows (or columns, where there are fewer) that are orthogonal and `gain` long, the first dimension by the others:
    /// `torch.nn.init.orthogonal_` (Saxe et al., 2013).
    pub fn orthogonal() -> Self {
        Self::of(Law::Orthogonal)
    }

    /// With this gain.
    pub fn gain(self, gain: f32) -> Self {
        Self { gain, ..self }
    }

    /// With the gain for what follows.
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> Self {
        self.gain(nonlinearity.gain())
    }

    /// By this fan, for Kaiming's.
    pub fn mode(self, fan: Fan) -> Self {
        Self { fan, ..self }
    }
}

impl Init {
    /// The law for a parameter of `shape`, its bounds and deviations known; what cannot be drawn is refused.
    fn law(&self, shape: &Shape) -> Result<Law, String> {
        let by = |normal: bool, std: f32| match normal {
            true => Law::Normal(0.0, std),
            false => Law::Uniform(-(3f32.sqrt() * std), 3f32.sqrt() * std),
        };
        let law = match self.law {
            Law::Xavier { normal } => {
                let [i, o] = fans(shape)?;
                by(normal, self.gain * (2.0 / (i + o).max(1) as f32).sqrt())
            }
            Law::Kaiming { normal } => {
                let [i, o] = fans(shape)?;
                let fan = if self.fan == Fan::In { i } else { o };
                by(normal, self.gain / (fan.max(1) as f32).sqrt())
            }
            law => law,
        };
        match law {
            Law::Uniform(low, high) if low <= high => Ok(law),
            Law::Uniform(low, high) => {
                Err(format!("uniform from {low} to {high}: takes low <= high"))
            }
            Law::Normal(_, std) if std >= 0.0 => Ok(law),
            Law::Normal(_, std) => Err(format!("a deviation of {std}: takes 0 or more")),
            Law::Truncated { std, low, high, .. } if std > 0.0 && low < high => Ok(law),
            Law::Truncated { std, low, high, .. } => Err(format!(
                "a deviation of {std} from {low} to {high}: takes one above 0 and low < high"
            )),
            Law::Orthogonal if shape.rank() < 2 => {
                Err("orthogonal takes 2 dimensions or more".to_owned())
            }
            _ => Ok(law),
        }
    }
}

impl Initializer for Init {
    fn values(&self, rng: &mut Rng, shape: &Shape) -> Result<Vec<f32>, String> {
        let n = shape.numel();
        Ok(match self.law(shape)? {
            Law::Constant(value) => vec![value; n],
            Law::Uniform(low, high) => super::uniform(low, high)(rng, n),
            Law::Normal(mean, std) => normal(mean, std)(rng, n),
            Law::Truncated {
                mean,
                std,
                low,
                high,
            } => truncated(rng, n, [mean, std, low, high].map(f64::from)),
            _ => orthogonal(rng, shape, self.gain),
        })
    }

    fn again(&self, shape: &Shape) -> Result<Option<Arc<dyn Initializer + Send + Sync>>, String> {
        self.law(shape)?;
        Ok(Some(Arc::new(*self)))
    }
}

/// Inputs of each output and outputs of each input of a weight `[out, in, kernel…]`.
fn fans(shape: &Shape) -> Result<[usize; 2], String> {
    if shape.rank() < 2 {
        return Err("a fan takes 2 dimensions or more: [out, in, kernel...]".to_owned());
    }
    let taps: usize = shape[2..].iter().product();
    Ok([shape[1] * taps, shape[0] * taps])
}

/// Normal values within bounds, by the inverse of the distribution.
fn truncated(rng: &mut Rng, n: usize, [mean, std, low, high]: [f64; 4]) -> Vec<f32> {
    // In the tail where the distribution has the more digits.
    let (a, b) = ((low - mean) / std, (high - mean) / std);
    let flip = a > 0.0;
    let (a, b) = if flip { (-b, -a) } else { (a, b) };
    let (from, to) = (below(a), below(b));
    let draw = |_| {
        let word = f64::from(rng.word()) + 0.5;
        let p = from + (to - from) * (word / 4_294_967_296.0);
        let z = quantile(p).clamp(a, b);
        let x = mean + std * if flip { -z } else { z };
        (x as f32).clamp(low as f32, high as f32)
    };
    (0..n).map(draw).collect()
}

/// Probability that a standard normal value is below `x`: the complementary error function by Chebyshev's fit of
/// Numerical Recipes, to 1.2e-7 of its value.
fn below(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 2.0 / (2.0 + z);
    const FIT: [f64; 10] = [
        -1.26551223,
        1.00002368,
        0.37409196,
        0.09678418,
        -0.18628806,
        0.27886807,
        -1.13520398,
        1.48851587,
        -0.82215223,
        0.17087277,
    ];
    let series = FIT.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let tail = 0.5 * t * (series - z * z).exp();
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The value that a standard normal one is below with probability `p`: Acklam's fit, to 1.2e-9 of its value.
fn quantile(p: f64) -> f64 {
    let of = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        const C: [f64; 6] = [
            -7.784894002430293e-3,
            -3.223964580411365e-1,
            -2.400758277161838,
            -2.549732539343734,
            4.374664141464968,
            2.938163982698783,
        ];
        const D: [f64; 5] = [
            7.784695709041462e-3,
            3.224671290700398e-1,
            2.445134137142996,
            3.754408661907416,
            1.0,
        ];
        let q = (-2.0 * p.ln()).sqrt();
        of(&C, q) / of(&D, q)
    };
    match p {
        p if p < 0.02425 => tail(p),
        p if p > 1.0 - 0.02425 => -tail(1.0 - p),
        p => {
            const A: [f64; 6] = [
                -3.969683028665376e1,
                2.209460984245205e2,
                -2.759285104469687e2,
                1.38357751867269e2,
                -3.066479806614716e1,
                2.506628277459239,
            ];
            const B: [f64; 6] = [
                -5.447609879822406e1,
                1.615858368580409e2,
                -1.556989798598866e2,
                6.680131188771972e1,
                -1.328068155288572e1,
                1.0,
            ];
            let q = p - 0.5;
            of(&A, q * q) * q / of(&B, q * q)
        }
    }
}

/// Gram and Schmidt, twice over, on normal values: the orthogonal matrices are all alike likely.
fn orthogonal(rng: &mut Rng, shape: &Shape, gain: f32) -> Vec<f32> {
    let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let mut v: Vec<f64> = (0..length).map(|_| f64::from(rng.normal())).collect();
        for _ in 0..2 {
            for other in &vectors {
                let along: f64 = v.iter().zip(other).map(|(a, b)| a * b).sum();
                v.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let norm = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        if norm > 1e-6 {
            v.iter_mut().for_each(|a| *a /= norm);
            vectors.push(v);
        }
    }
    let at = |row: usize, column: usize| match rows <= columns {
        true => vectors[row][column],
        false => vectors[column][row],
    };
    let all = (0..rows * columns).map(|i| gain * at(i / columns, i % columns) as f32);
    all.collect()
}
