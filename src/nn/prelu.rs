//! A rectifier with slopes that are learned.

use super::{Build, Module, Scope, init};
use crate::state::{Param, Params};
use crate::tensor::Tensor;

/// `x` where it is above 0, else `x` times `weight`: one number, or one a channel of `x [n, c, …]`. As `torch.nn.PReLU`
/// (He et al., 2015).
#[derive(Debug, Clone)]
pub struct Prelu {
    /// `[num_parameters]`
    pub weight: Param,
    pub(crate) scope: Scope,
}

/// The description of a [`Prelu`].
#[derive(Debug, Clone, Copy)]
pub struct PreluBuilder {
    number: usize,
    init: f32,
}

impl Prelu {
    /// Of `num_parameters` slopes: 1, or as many as there are channels.
    pub fn new(num_parameters: usize) -> PreluBuilder {
        PreluBuilder {
            number: num_parameters,
            init: 0.25,
        }
    }
}

impl PreluBuilder {
    /// The slopes at first; 0.25 by default.
    pub fn init(mut self, value: f32) -> Self {
        self.init = value;
        self
    }

    /// The layer. No slopes are an error that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn build(self, params: &Params) -> Prelu {
        let scope = Scope::new(params, "PReLU").detail(format!("num_parameters={}", self.number));
        let message = "0 slopes: takes 1, or one a channel".to_owned();
        scope.refuse(params, &[(self.number == 0, message)]);
        Prelu {
            weight: params.drawn("weight", [self.number], init::constant(self.init)),
            scope,
        }
    }
}

impl Build for PreluBuilder {
    type Layer = Prelu;

    #[track_caller]
    fn build(self, params: &Params) -> Prelu {
        PreluBuilder::build(self, params)
    }
}

impl Module for Prelu {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.scope
            .run(x, || x.prelu(&x.trace().param(&self.weight)))
    }
}
