//! Modules one after the other.

use super::{Build, Module};
use crate::state::Params;
use crate::tensor::Tensor;

/// Modules that are applied one after the other, as `torch.nn.Sequential`: the parameters of the first lie below `0.`,
/// those of the second below `1.`.
///
/// ```
/// use wgrad::{Params, nn::{Linear, Relu, Sequential}};
/// let params = Params::new(0);
/// let mlp = Sequential::new(&params.at("mlp"))
///     .add(Linear::new(2, 16))
///     .add(Relu)
///     .add(Linear::new(16, 1));
/// let paths: Vec<_> = params.list().iter().map(|p| p.path.to_string()).collect();
/// assert_eq!(paths, ["mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"]);
/// ```
pub struct Sequential {
    params: Params,
    modules: Vec<Box<dyn Module>>,
}

impl Sequential {
    /// No modules yet, at the path of `params`.
    pub fn new(params: &Params) -> Self {
        Self {
            params: params.clone(),
            modules: Vec::new(),
        }
    }

    /// These modules and then `layer`, built at the next number.
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "no sum of modules")]
    pub fn add(mut self, layer: impl Build) -> Self {
        let params = self.params.at(self.modules.len().to_string());
        self.modules.push(Box::new(layer.build(&params)));
        self
    }

    /// Number of modules.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

impl Module for Sequential {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.modules
            .iter()
            .fold(x.clone(), |x, module| module.forward(&x))
    }
}

/// As it is: its parameters lie where it was made.
impl Build for Sequential {
    type Layer = Self;

    fn build(self, _: &Params) -> Self {
        self
    }
}
