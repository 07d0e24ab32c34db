//! Modules one after the other.

use super::{Build, Module, Scope};
use crate::state::Params;
use crate::tensor::Tensor;
use std::ops::Index;

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
    pub(crate) scope: Scope,
    modules: Vec<Part>,
}

struct Part {
    module: Box<dyn Module>,
    /// For modules that trace themselves in no scope.
    scope: Option<Scope>,
}

impl Sequential {
    /// No modules yet, at the path of `params`.
    #[track_caller]
    pub fn new(params: &Params) -> Self {
        let scope = Scope::unnamed(params, "Sequential");
        params.built("Sequential", String::new(), false);
        Self {
            scope,
            modules: Vec::new(),
        }
    }

    /// These modules and then `layer`, built at the next number.
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "no sum of modules")]
    pub fn add(mut self, layer: impl Build) -> Self {
        let params = self.scope.params().at(self.modules.len().to_string());
        let module = Box::new(layer.build(&params));
        let scope = match params.kind() {
            Some((_, true)) => None,
            Some((kind, false)) => Some(Scope::unnamed(&params, kind)),
            None => Some(Scope::unnamed(&params, "Module")),
        };
        self.modules.push(Part { module, scope });
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

/// The module of that number, as `net[0]` in PyTorch: to run it alone. A number that there is not panics, as of a slice.
impl Index<usize> for Sequential {
    type Output = dyn Module;

    fn index(&self, at: usize) -> &Self::Output {
        self.modules[at].module.as_ref()
    }
}

impl Module for Sequential {
    fn forward(&self, x: &Tensor) -> Tensor {
        let next = |x: Tensor, part: &Part| match &part.scope {
            Some(scope) => scope.run(&x, || part.module.forward(&x)),
            None => part.module.forward(&x),
        };
        self.modules.iter().fold(x.clone(), next)
    }
}

/// As it is: its parameters lie where it was made.
impl Build for Sequential {
    type Layer = Self;

    fn build(self, params: &Params) -> Self {
        params.built_elsewhere(self.scope.params());
        self
    }
}
