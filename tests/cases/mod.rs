//! The case table: every operator, in sizes that are odd, cross the borders of tiles and workgroups, are one or zero.
//!
//! Parity, gradient check, the shaders' contract and the benches follow from its rows; it uses nothing but the crate.

mod attention;
mod custom;
mod index;
mod layer;
pub mod long;
mod loss;
mod matmul;
mod movement;
mod norm;
mod pointwise;
mod random;
mod recurrent;
mod reduce;
mod window;

use std::sync::Arc;
use wgrad::rng::Rng;
use wgrad::{Array, Tensor, TensorType, Trace};

/// What a case computes from its inputs, as a user would write it.
pub type Build = Arc<dyn Fn(&Trace, &[Tensor]) -> Vec<Tensor> + Send + Sync>;

/// One operator on inputs of one size.
#[derive(Clone)]
pub struct Case {
    /// The operator, what is special, the shapes: `conv2d, stride 2 [2, 4, 9, 9] [6, 4, 3, 3]`.
    pub name: String,
    /// What it is applied to.
    pub inputs: Vec<Input>,
    /// The expression.
    pub build: Build,
    /// Whether gradients are checked against finite differences.
    pub smooth: bool,
    /// Whether they are checked along directions of many elements: one element moves all results by less than their
    /// rounding.
    pub many: bool,
    /// Whether inputs may be NaN or infinite.
    pub extremes: bool,
}

/// An input of a case.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub fill: Fill,
    /// Whether the result is differentiated by it.
    pub wanted: bool,
}

/// How an input's values are drawn.
#[derive(Debug, Clone, Copy)]
pub enum Fill {
    /// Evenly from a range, a step of the gradient check away from each kink.
    Range(f32, f32, &'static [f32]),
    /// All different, evenly spaced over -2 to 2, in random order: maxima are unique.
    Distinct,
    /// 0 or 1, as `f32`.
    Mask,
    /// Class labels and indices, `i32`, from 0 up to this, excluded.
    Below(i32),
}

/// How far from a kink values lie: more than a step of the gradient check.
const MARGIN: f32 = 0.06;

impl Input {
    /// Values from -2 to 2.
    pub fn new(shape: &[usize]) -> Self {
        Self::range(shape, -2.0, 2.0)
    }

    /// Values from `lo` to `hi`.
    pub fn range(shape: &[usize], lo: f32, hi: f32) -> Self {
        Self::filled(shape, Fill::Range(lo, hi, &[]))
    }

    /// Values drawn as `fill` says; indices and masks are not differentiated.
    pub fn filled(shape: &[usize], fill: Fill) -> Self {
        Self {
            shape: shape.to_vec(),
            fill,
            wanted: matches!(fill, Fill::Range(..) | Fill::Distinct),
        }
    }

    /// The same, not differentiated.
    pub fn fixed(mut self) -> Self {
        self.wanted = false;
        self
    }

    /// Its type.
    pub fn ty(&self) -> TensorType {
        match self.fill {
            Fill::Below(_) => TensorType::i32(self.shape.clone()),
            _ => TensorType::f32(self.shape.clone()),
        }
    }

    /// Its values, from `rng`.
    pub fn values(&self, rng: &mut Rng) -> Array {
        let n = self.shape.iter().product::<usize>();
        let array = match self.fill {
            Fill::Range(lo, hi, kinks) => Array::new(
                self.shape.clone(),
                (0..n).map(|_| draw(rng, lo, hi, kinks)).collect::<Vec<_>>(),
            ),
            Fill::Distinct => {
                let mut order: Vec<usize> = (0..n).collect();
                (1..n).for_each(|i| order.swap(i, rng.below(i as u32 + 1) as usize));
                let value = |k: usize| (k as f32 + 0.5) / n as f32 * 4.0 - 2.0;
                Array::new(
                    self.shape.clone(),
                    order.into_iter().map(value).collect::<Vec<_>>(),
                )
            }
            Fill::Mask => Array::new(
                self.shape.clone(),
                (0..n).map(|_| rng.below(2) as f32).collect::<Vec<_>>(),
            ),
            Fill::Below(end) => Array::new(
                self.shape.clone(),
                (0..n)
                    .map(|_| rng.below(end as u32) as i32)
                    .collect::<Vec<_>>(),
            ),
        };
        array.unwrap_or_else(|_| Array::zeros(self.shape.clone()))
    }
}

fn draw(rng: &mut Rng, lo: f32, hi: f32, kinks: &[f32]) -> f32 {
    loop {
        let x = lo + (hi - lo) * rng.uniform();
        if kinks.iter().all(|k| (x - k).abs() > MARGIN) {
            return x;
        }
    }
}

impl Case {
    /// A case of one result.
    pub fn new(
        name: &str,
        inputs: Vec<Input>,
        build: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        Self::many(name, inputs, move |_, x| vec![build(x)])
    }

    /// A case of several results.
    pub fn many(
        name: &str,
        inputs: Vec<Input>,
        build: impl Fn(&Trace, &[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
    ) -> Self {
        let shapes: Vec<String> = inputs.iter().map(|i| format!("{:?}", i.shape)).collect();
        Self {
            name: format!("{name} {}", shapes.join(" ")),
            inputs,
            build: Arc::new(build),
            smooth: true,
            many: false,
            extremes: true,
        }
    }

    /// Without a check of gradients: there are none, or they jump.
    pub fn rough(mut self) -> Self {
        self.smooth = false;
        self
    }

    /// With gradients checked along directions of many elements only.
    pub fn many_elements(mut self) -> Self {
        (self.smooth, self.many) = (false, true);
        self
    }

    /// Without NaN and infinities: what comes of them is nobody's promise.
    pub fn finite(mut self) -> Self {
        self.extremes = false;
        self
    }

    /// Types of the inputs.
    pub fn types(&self) -> Vec<TensorType> {
        self.inputs.iter().map(Input::ty).collect()
    }

    /// Values of the inputs; the same for the same case and seed.
    pub fn values(&self, seed: u64) -> Vec<Array> {
        let mut rng = Rng::new(seed, &self.name);
        self.inputs.iter().map(|i| i.values(&mut rng)).collect()
    }
}

/// All rows.
pub fn table() -> Vec<Case> {
    let mut all = Vec::new();
    pointwise::cases(&mut all);
    movement::cases(&mut all);
    reduce::cases(&mut all);
    recurrent::cases(&mut all);
    matmul::cases(&mut all);
    index::cases(&mut all);
    loss::cases(&mut all);
    norm::cases(&mut all);
    layer::cases(&mut all);
    window::cases(&mut all);
    random::cases(&mut all);
    attention::cases(&mut all);
    custom::cases(&mut all);
    all
}
